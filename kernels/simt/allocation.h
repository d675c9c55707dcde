#pragma once
// Heap blocks of the exact size, filled with NaN and counted as in use.

#include <cstddef>

namespace concord::simt {

void* allocate_block(std::size_t bytes);
void release_block(void* data, std::size_t bytes);

}  // namespace concord::simt
