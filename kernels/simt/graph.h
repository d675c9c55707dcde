#pragma once
// Captured work on the host: what a GPU's stream would be given is kept as functions, and every
// replay calls them in order. AddressSanitizer knows of each block of captured memory whether it is
// in use at that point of the work.

#include <cstddef>
#include <functional>

namespace concord::simt {

// Does `work`, or records it where this thread captures.
void submit(std::function<void()> work);

// Captured memory, from here on in the work: uninitialised, and not to be used any more.
void submit_allocation(void* data, std::size_t bytes);
void submit_release(void* data, std::size_t bytes);

}  // namespace concord::simt
