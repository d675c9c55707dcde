#include "engine/device_graph.h"

#include <utility>

namespace concord {
namespace {

constexpr std::int64_t kMostArgumentBytes = 4096;

thread_local DeviceGraph* recording = nullptr;
std::atomic<std::uint64_t> graphs = 0;

}  // namespace

DeviceGraph* DeviceGraph::capturing() { return recording; }

DeviceGraph::DeviceGraph(Device device, const std::function<void()>& work)
    : device_(device), number_(++graphs) {
  check(recording == nullptr, "graph: a step that is captured cannot capture another");
  check(kernels::capture.available(device.type),
        "graph: {} captures no work; graphs need a CUDA device", name_of(device));
  arguments_ = Tensor::empty({kMostArgumentBytes}, {.dtype = DType::kUInt8, .device = device});
  struct Recording {
    explicit Recording(DeviceGraph* graph) { recording = graph; }
    ~Recording() { recording = nullptr; }
  };
  {
    const Recording now(this);
    work_ = kernels::capture(device, work);
  }
  std::erase_if(written_, [](const auto& version) { return version.expired(); });
}

void DeviceGraph::replay() {
  check(recording == nullptr, "graph: a step that is captured cannot replay another");
  for (const auto& effect : effects_) effect();
  if (!values_.empty()) kernels::store(device_, values_, arguments_.view().data);
  work_->replay();
  for (const auto& version : written_)
    if (const auto alive = version.lock()) alive->fetch_add(1, std::memory_order_relaxed);
}

const void* DeviceGraph::argument(std::size_t bytes, std::function<void(std::byte* host)> write) {
  const std::size_t offset = values_.size();
  check(offset + bytes <= static_cast<std::size_t>(kMostArgumentBytes),
        "graph: a step with more than {} bytes of numbers that differ from one replay to the next",
        kMostArgumentBytes);
  values_.resize(offset + bytes);
  at_replay([this, offset, write = std::move(write)] { write(values_.data() + offset); });
  return std::as_const(arguments_).data<std::uint8_t>() + offset;
}

}  // namespace concord
