#pragma once
// Devices as a whole.

#include <functional>
#include <string>

#include "kernels/kernel.h"

namespace concord::kernels {

// Readies the device `index` of the type for this process, once, before any work on it. Throws
// where there is none, saying what was found.
inline Kernel<void(int index)> use_device{"use_device"};
// "NVIDIA H200, compute capability 9.0, 139.8 GiB"
inline Kernel<std::string(int index)> describe_device{"describe_device"};
// Waits until all work on the device is done.
inline Kernel<void()> synchronize{"synchronize"};

// Seconds that `work` takes on the device by the device's own clock, its caches emptied before. Not
// defined for the CPU.
inline Kernel<double(const std::function<void()>& work)> seconds_of{"seconds_of"};

// Loads the kernels of the device type, where they are kept apart from the programs (CUDA's
// libraries take hundreds of MiB, which a run on the CPU has no use for). Returns what is in the
// way, empty when the kernels are there.
std::string load_kernels(DeviceType type);

}  // namespace concord::kernels
