#pragma once
// The driver's pool without regard to captures (kernels/graph_memory.h), in order of the main
// stream; counted as in use.

#include <cstddef>

namespace concord::cuda {

void* allocate_from_pool(std::size_t bytes);
void release_to_pool(void* data, std::size_t bytes);
// kernels::release.
void release_block(void* data, std::size_t bytes);

}  // namespace concord::cuda
