#pragma once
// A training step that becomes a graph of the device once its shapes repeat.

#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "engine/device_graph.h"
#include "engine/optimizer.h"

namespace concord {

class GraphedStep {
 public:
  using Tensors = std::vector<Tensor>;
  // Forward and backward pass: leaves gradients in the parameters and returns what the host will
  // read, without waiting for the device.
  using Step = std::function<Tensors(const Tensors& inputs)>;

  // Steps of one shape before they are captured: in them the libraries choose their algorithms.
  static constexpr int kWarmUps = 3;

  // On a device with graphs (kernels::capture) where `graphs`; else every step runs as it is. Both
  // give the same bits. What `step` and the optimiser refer to must outlive this and stay where it
  // is: parameters are neither moved nor replaced.
  GraphedStep(Device device, bool graphs, Step step);

  // The step on these inputs, on any device. From the fourth of a shape on it is captured and
  // replayed, the inputs being copied to where it reads them. A batch of another shape in between,
  // as the last of an epoch, runs as it is; after four of them without one of the captured shape
  // that is the one captured. The results hold until the next run().
  const Tensors& run(const Tensors& inputs);

  // The optimiser's update for the gradients that run() left, a graph of its own: in between the
  // caller may look at the results, and stop. With graphs it must follow every run(), which throws
  // otherwise: a replay adds nothing to gradients that are there. Throws for another optimiser than
  // that of the first call.
  void update(Optimizer& optimizer, double learning_rate);

  // Whether the last run() was a replay.
  bool replayed() const { return replayed_; }

 private:
  // Shapes, dtypes and formats.
  struct Signature {
    std::vector<std::int64_t> numbers;
    friend auto operator<=>(const Signature&, const Signature&) = default;
  };
  static Signature signature_of(const Tensors& inputs);
  bool is_due(const Signature& signature);
  void capture(const Signature& signature, const Tensors& inputs);

  Device device_;
  bool graphs_;
  Step step_;
  std::map<Signature, int> warm_ups_;  // since the last replay
  Signature captured_;
  Tensors inputs_;  // what the graph reads
  Tensors captured_results_;
  Tensors results_;
  std::unique_ptr<DeviceGraph> pass_;
  std::unique_ptr<DeviceGraph> update_;
  Optimizer* optimizer_ = nullptr;
  bool replayed_ = false;
  bool awaits_update_ = false;
};

}  // namespace concord
