#include "kernels/cpu/workspace.h"

#include "kernels/memory.h"

namespace concord::kernels {
namespace {

constexpr std::size_t kAlignment = 64;

std::size_t aligned(std::size_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

}  // namespace

Workspace::~Workspace() {
  if (data_ != nullptr) release(Device{}, data_, capacity_);
}

Workspace& Workspace::with_room(std::size_t bytes, std::size_t pieces) {
  thread_local Workspace workspace;
  const std::size_t needed = aligned(bytes) + pieces * kAlignment;
  workspace.used_ = 0;
  if (needed > workspace.capacity_) {
    if (workspace.data_ != nullptr) release(Device{}, workspace.data_, workspace.capacity_);
    workspace.data_ = nullptr;
    workspace.capacity_ = 0;
    workspace.data_ = static_cast<char*>(allocate(Device{}, needed));
    workspace.capacity_ = needed;
  }
  return workspace;
}

void* Workspace::take(std::size_t bytes) {
  void* piece = data_ + used_;
  used_ += aligned(bytes);
  check(used_ <= capacity_, "convolution: workspace of {} bytes is too small", capacity_);
  return piece;
}

}  // namespace concord::kernels
