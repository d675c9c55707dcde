#pragma once
// The memory of this process as the kernel counts it (/proc/self), in bytes.

#include <cstddef>

namespace concord::bench {

// Resident now (VmRSS) and the most since the start or the last reset (VmHWM); 0 without /proc.
std::size_t resident_bytes();
std::size_t peak_resident_bytes();

// Gives cached buffers back to the system and lets the peak begin at what is resident now. False
// where the system does not permit it: the peak is then that of the whole process so far.
bool reset_peak();

}  // namespace concord::bench
