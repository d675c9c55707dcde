#pragma once
// Copies to the device in tests on the host are put off as long as a GPU might put them off: a
// target holds NaN until somebody waits for it. What a GPU would let pass most of the time is kept
// as a problem: a source that changes and a buffer that is given back while a copy may still use
// it.

#include <cstddef>
#include <string>

namespace concord::simt {

// What went wrong since the last call, empty for nothing.
std::string take_transfer_problem();
// Transfers begun of which the device has not been told to wait.
std::size_t pending_transfers();

// To be called when memory of the device or page-locked memory is given back.
void check_released(const void* data, std::size_t bytes);

// What available_memory() answers from now on; 1 GiB at first.
void set_available_memory(std::size_t bytes);

}  // namespace concord::simt
