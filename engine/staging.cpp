#include "engine/staging.h"

#include <algorithm>
#include <map>
#include <mutex>
#include <utility>

#include "kernels/gather_rows.h"

namespace concord {

struct PinnedBuffers::State {
  explicit State(Device on) : device(on) {}
  ~State() {
    for (const auto& [size, data] : free) kernels::release_pinned(device, data, size);
  }
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  Device device;
  std::mutex mutex;
  std::multimap<std::size_t, void*> free;
  std::size_t bytes = 0;
};

PinnedBuffers::PinnedBuffers(Device device) : state_(std::make_shared<State>(device)) {}

Tensor PinnedBuffers::rows(const Shape& shape, std::int64_t count, DType dtype) {
  check(shape.rank() > 0 && 0 <= count && count <= shape[0], "pinned buffers: {} rows of {}", count,
        shape.to_string());
  if (state_->device.type == DeviceType::kCpu)
    return Tensor::empty(shape.with(0, count), {.dtype = dtype});
  const std::size_t bytes =
      std::max<std::size_t>(1, static_cast<std::size_t>(shape.numel()) * size_of(dtype));
  void* data = nullptr;
  {
    const std::lock_guard lock(state_->mutex);
    const auto kept = state_->free.find(bytes);
    if (kept != state_->free.end()) {
      data = kept->second;
      state_->free.erase(kept);
    }
  }
  if (data == nullptr) {
    data = kernels::allocate_pinned(state_->device, bytes);
    const std::lock_guard lock(state_->mutex);
    state_->bytes += bytes;
  }
  const std::shared_ptr<void> owner(data, [state = state_, bytes](void* buffer) {
    const std::lock_guard lock(state->mutex);
    state->free.emplace(bytes, buffer);
  });
  return Tensor::borrow(shape.with(0, count), dtype, data, owner);
}

std::size_t PinnedBuffers::bytes() const {
  const std::lock_guard lock(state_->mutex);
  return state_->bytes;
}

Staging::Staging(Device device, std::size_t depth) : device_(device), depth_(depth) {
  check(depth > 0, "staging: a depth of 0 has no room for a batch");
}

void Staging::check_room(const std::vector<Tensor>& tensors) const {
  check(!full(), "staging: all {} places are taken; take() a batch first", depth_);
  for (const Tensor& tensor : tensors)
    check(tensor.device().type == DeviceType::kCpu,
          "staging: a tensor of shape {} lies on {}, the host's are brought to a device",
          tensor.shape().to_string(), name_of(tensor.device()));
}

void Staging::put(std::vector<Tensor> tensors) {
  check_room(tensors);
  Slot slot{.from = std::move(tensors), .to = {}, .transfer = nullptr};
  if (device_.type == DeviceType::kCpu) {
    slot.to = std::exchange(slot.from, {});
    slots_.push_back(std::move(slot));
    return;
  }
  std::vector<kernels::CopyRun> runs;
  for (const Tensor& from : slot.from) {
    Tensor to = Tensor::empty(from.shape(), {from.dtype(), device_, from.format()});
    runs.push_back({to.view().data, from.view().data, from.bytes()});
    slot.to.push_back(std::move(to));
  }
  start(std::move(slot), runs);
}

void Staging::put_rows(const std::vector<Tensor>& from, std::span<const std::int64_t> rows) {
  check_room(from);
  Slot slot{.from = from, .to = {}, .transfer = nullptr};
  std::vector<kernels::CopyRun> runs;
  for (const Tensor& source : from) {
    Tensor to = Tensor::empty(source.shape().with(0, std::ssize(rows)), {source.dtype(), device_});
    if (device_.type == DeviceType::kCpu) {
      kernels::gather_rows(device_, source.view(), rows, to.view());
    } else {
      // Checked as the kernel's are, but that the target lies elsewhere.
      const std::size_t bytes = kernels::check_gather_rows(source.view(), rows, to.view());
      const auto* first = static_cast<const char*>(source.view().data);
      auto* target = static_cast<char*>(to.view().data);
      for (std::size_t i = 0; i < rows.size(); ++i) {
        const char* const row = first + static_cast<std::size_t>(rows[i]) * bytes;
        // Rows that stand side by side are one copy.
        const bool joins = i > 0 && rows[i] == rows[i - 1] + 1;
        if (joins)
          runs.back().bytes += bytes;
        else
          runs.push_back({target + i * bytes, row, bytes});
      }
    }
    slot.to.push_back(std::move(to));
  }
  if (device_.type == DeviceType::kCpu)
    slots_.push_back(std::move(slot));
  else
    start(std::move(slot), runs);
}

void Staging::start(Slot slot, std::span<const kernels::CopyRun> runs) {
  taken_.clear();
  std::vector<kernels::CopyRun> some(runs.begin(), runs.end());
  std::erase_if(some, [](const kernels::CopyRun& run) { return run.bytes == 0; });
  slot.transfer = kernels::start_transfer(device_, some);
  slots_.push_back(std::move(slot));
}

std::vector<Tensor> Staging::take() {
  check(!empty(), "staging: no batch was put");
  Slot& oldest = slots_.front();
  if (oldest.transfer != nullptr) oldest.transfer->wait_on_device();
  std::vector<Tensor> tensors = std::move(oldest.to);
  if (oldest.transfer != nullptr) taken_.push_back(std::move(oldest));
  slots_.pop_front();
  return tensors;
}

void Staging::clear() {
  taken_.clear();
  slots_.clear();
}

}  // namespace concord
