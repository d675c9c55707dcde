#pragma once
// Allocation and copies per device. Buffers are 64-byte aligned.

#include <cstddef>

#include "kernels/kernel.h"

namespace concord::kernels {

// Returns `bytes` (> 0) of uninitialised memory; throws an Error that states what was asked, what
// is in use, and how to lower it when the device has no more.
inline Kernel<void*(std::size_t bytes)> allocate{"allocate"};
// Gives memory of allocate() back; `bytes` as asked for. Must not throw.
inline Kernel<void(void* data, std::size_t bytes)> release{"release"};
// Copies between two buffers of one device.
inline Kernel<void(void* to, const void* from, std::size_t bytes)> copy{"copy"};
// Copy to and from the host's memory, after all work on the device that was asked for before; the
// host's buffer may be used again when they return.
inline Kernel<void(void* to, const void* from, std::size_t bytes)> copy_from_host{"copy_from_host"};
inline Kernel<void(void* to, const void* from, std::size_t bytes)> copy_to_host{"copy_to_host"};
// Sets every byte to zero.
inline Kernel<void(void* data, std::size_t bytes)> zero{"zero"};

// Rearranges `from` into `to`: equal shapes, any two memory formats, equal or different floating
// dtypes.
inline Kernel<void(ConstView from, View to)> convert{"convert"};
// Every element = value.
inline Kernel<void(double value, View to)> fill{"fill"};

struct MemoryStatistics {
  std::size_t in_use = 0;       // bytes handed out now
  std::size_t peak_in_use = 0;  // the most ever handed out
  std::size_t cached = 0;       // bytes kept for reuse
};
inline Kernel<MemoryStatistics()> memory_statistics{"memory_statistics"};
// Bytes that allocate() could still hand out, about: what is free and what is cached.
inline Kernel<std::size_t()> available_memory{"available_memory"};
// Gives every cached buffer back to the system.
inline Kernel<void()> release_cache{"release_cache"};

}  // namespace concord::kernels
