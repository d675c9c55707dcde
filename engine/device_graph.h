#pragma once
// A piece of training recorded once and replayed (kernels/graph.h), with what the host has to do at
// each replay: the numbers that differ from one to the next, and its own counters.

#include <atomic>
#include <cstddef>
#include <cstring>
#include <functional>
#include <memory>
#include <set>
#include <type_traits>
#include <utility>
#include <vector>

#include "engine/tensor.h"
#include "kernels/graph.h"

namespace concord {

class DeviceGraph {
 public:
  // Records what work() asks of the device; nothing of it is done, on the device or by
  // on_every_step(), before the first replay. Tensors that work() makes and leaves behind
  // (gradients, results) have their values after a replay, and others after the next. What it
  // refers to on the host must outlive the graph. Throws on a device without graphs, and for work
  // that waits for the device.
  DeviceGraph(Device device, const std::function<void()>& work);
  DeviceGraph(const DeviceGraph&) = delete;
  DeviceGraph& operator=(const DeviceGraph&) = delete;
  ~DeviceGraph() = default;

  // All of the work once more. Does not wait for it.
  void replay();

  // The one that this thread is recording, or null.
  static DeviceGraph* capturing();
  // Of every graph another, never 0.
  std::uint64_t number() const { return number_; }

  // --- for operations that are being recorded; see on_every_step() and value_of_step() ---

  // In the order of these calls, before the device's work of a replay.
  void at_replay(std::function<void()> effect) { effects_.push_back(std::move(effect)); }
  // Where in the device's memory write(host) has its `bytes` copied to at each replay.
  const void* argument(std::size_t bytes, std::function<void(std::byte* host)> write);
  // Somebody may write a tensor of this version (Tensor::version), which a replay then counts up.
  void note_written(const std::shared_ptr<std::atomic<std::uint64_t>>& version) {
    written_.insert(version);
  }

 private:
  Device device_;
  std::uint64_t number_;
  Tensor arguments_;  // on the device
  std::vector<std::byte> values_;
  std::vector<std::function<void()>> effects_;
  std::set<std::weak_ptr<std::atomic<std::uint64_t>>, std::owner_less<>> written_;
  std::unique_ptr<kernels::CapturedWork> work_;
};

// Does what a training step has to do on the host besides asking for the device's work, such as
// counting: now, or, where the step is recorded, at each replay.
template <class Effect>
void on_every_step(Effect effect) {
  if (DeviceGraph* const graph = DeviceGraph::capturing())
    graph->at_replay(std::move(effect));
  else
    effect();
}

// A number of the step for a kernel: value() now, or, where the step is recorded, that of each
// replay.
template <class T, class Value>
kernels::Replayed<T> value_of_step(Value value) {
  static_assert(std::is_trivially_copyable_v<T> && sizeof(T) % 8 == 0 && alignof(T) <= 8);
  DeviceGraph* const graph = DeviceGraph::capturing();
  if (graph == nullptr) return {value()};
  const void* const at = graph->argument(sizeof(T), [value](std::byte* host) {
    const T now = value();
    std::memcpy(host, &now, sizeof(T));
  });
  return {T{}, static_cast<const T*>(at)};
}

}  // namespace concord
