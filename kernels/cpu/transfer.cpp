// The host's own memory needs no locking, and a copy within it is done at once.

#include "kernels/transfer.h"

#include <cstring>

#include "kernels/memory.h"

namespace concord::kernels {
namespace {

constexpr Device kHost = {};

class DoneTransfer final : public Transfer {
 public:
  void wait_on_device() override {}
  void wait_on_host() override {}
};

void* allocate_pinned_cpu(std::size_t bytes) { return allocate(kHost, bytes); }
void release_pinned_cpu(void* data, std::size_t bytes) { release(kHost, data, bytes); }
std::unique_ptr<Transfer> start_transfer_cpu(std::span<const CopyRun> runs) {
  for (const CopyRun& run : runs) std::memcpy(run.to, run.from, run.bytes);
  return std::make_unique<DoneTransfer>();
}

const Registration registrations[] = {
    {allocate_pinned, DeviceType::kCpu, allocate_pinned_cpu},
    {release_pinned, DeviceType::kCpu, release_pinned_cpu},
    {start_transfer, DeviceType::kCpu, start_transfer_cpu},
};

}  // namespace
}  // namespace concord::kernels
