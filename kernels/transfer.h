#pragma once
// Copies from the host that run beside a device's computing, and the host's memory they run from.

#include <cstddef>
#include <memory>
#include <span>

#include "kernels/kernel.h"

namespace concord::kernels {

// Returns `bytes` (> 0) of uninitialised memory of the host, 64-byte aligned, that the device reads
// without the processor: page-locked for CUDA. Throws an Error with what was asked when the system
// has no more.
inline Kernel<void*(std::size_t bytes)> allocate_pinned{"allocate_pinned"};
// Gives memory of allocate_pinned() back; `bytes` as asked for. Must not throw.
inline Kernel<void(void* data, std::size_t bytes)> release_pinned{"release_pinned"};

// Bytes of the host and where on the device they go.
struct CopyRun {
  void* to = nullptr;
  const void* from = nullptr;
  std::size_t bytes = 0;
};

// Copies on their way. Before they are known to be done the sources must not be written or given
// back, and the targets neither used nor given back: wait_on_device() is enough for what the device
// does with the targets, wait_on_host() for what the host does with the sources.
class Transfer {
 public:
  Transfer() = default;
  // Waits as wait_on_host does.
  virtual ~Transfer() = default;
  Transfer(const Transfer&) = delete;
  Transfer& operator=(const Transfer&) = delete;
  // What is asked of the device from now on comes after the copies. Returns at once.
  virtual void wait_on_device() = 0;
  // Returns when the copies are done.
  virtual void wait_on_host() = 0;
};

// Begins to copy, after the work that was asked of the device before (which may still use the
// targets' memory) and after the transfers before, beside the work that is asked of it next. From
// memory that is not allocate_pinned's the values are the same, but the copy may hold the caller
// up. Not while the device's work is being captured.
inline Kernel<std::unique_ptr<Transfer>(std::span<const CopyRun> runs)> start_transfer{
    "start_transfer"};

}  // namespace concord::kernels
