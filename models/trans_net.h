#pragma once
// The Trans-Net: rebuilds one network's features from another's through K convolutions and K-1
// gated ReLUs, and splits the result into orders of fuzziness. Source: Liang et al., ICLR 2020,
// section 3; shared formula in engine/ops/gated_stage.h.

#include <memory>
#include <vector>

#include "engine/layers.h"
#include "engine/ops/gated_stage.h"
#include "engine/random.h"

namespace concord {

enum class InputNorm : std::uint8_t { kScale, kInstanceNorm, kBatchNorm };  // scale: x / s(x)
enum class StageNorm : std::uint8_t { kSample, kBatch };

struct TransNetOptions {
  std::int64_t channels_in = 0;
  std::int64_t channels_out = 0;  // other than channels_in: a learnt 1x1 convolution at the entry
  std::int64_t orders = 3;        // K >= 1
  std::int64_t kernel = 3;        // odd, for the maps must keep their size: 2 padding = kernel - 1
  std::int64_t padding = 1;
  InputNorm input_norm = InputNorm::kScale;
  bool affine = false;  // of the instance or batch norm
  // kSample: s per sample and channel; kBatch: per channel over the batch with a running average
  // (momentum 0.1, the first batch taken whole), which evaluation uses.
  StageNorm stage_norm = StageNorm::kSample;
  bool fixed_gates = false;  // p = sigmoid(q) stays where it starts
};

struct Orders {
  Tensor y;                    // [N,C,H,W]
  std::vector<Tensor> orders;  // K of [N,C,H,W]: x(0) .. x(K-1); their sum is y
};

// Parameters: linearLayers_conv.{i}.weight [C,C,k,k], nonLinearLayers_p_pre [K-1] (none for K = 1),
// entry.weight [C,C_in,1,1] where C_in != C, linearLayers_bn.weight and .bias [C] where the input
// norm is affine. The entry comes before the input norm, so that x is of scale 1 where it is added.
// Buffers with StageNorm::kBatch: nonLinearLayers_norm [K,C], the running scales (row i of h_i, row
// K-1 of the input; ones at the start), and running_times int64 [K], the batches that each has
// seen.
class TransNet : public Module {
 public:
  // Draws W_i kaiming normal fan-out in order i = 0 .. K-1, then the entry likewise; q_i = 0.
  // Throws for options outside their range, naming the option.
  TransNet(const TransNetOptions& options, random::Generator& generator);

  const TransNetOptions& options() const { return options_; }
  // p = sigmoid(q) [K-1], in the graph.
  Tensor gates() const;
  // q [K-1]
  const Tensor& gate_logits() const { return q_; }
  // One forward pass that records the ReLU masks and scales, then the K linear replays with these
  // frozen: x(k) enters at W_{K-1-k} and passes the last k gates. No gradients; evaluation mode
  // statistics, whatever the mode. In the dtype of x whatever the precision: orders that are
  // rounded would not add up to y.
  Orders disentangle(const Tensor& x);
  // The sum of some of disentangle()'s orders, but for rounding; all of them give y. One replay for
  // all and no more stages than they need: order 0 alone is one convolution. Throws unless `orders`
  // are some of 0 .. K-1, each once.
  Tensor sum_of_orders(const Tensor& x, const std::vector<std::int64_t>& orders);

 protected:
  // y of x [N,channels_in,H,W], computed in the precision that is chosen (engine/precision.h), in
  // the dtype of x. Throws for other channels, and for an instance norm on maps of one
  // pixel, where nothing would be left of them.
  Tensor forward(Tensor x) override;

 private:
  void check_input(const Tensor& x) const;
  // x as the stages see it: brought to C channels and normalised.
  Tensor normalized_input(const Tensor& x, bool training);
  // s(v), the `row`-th scale of the network.
  Tensor scale_of(const Tensor& v, std::int64_t row, bool training);
  // Gate i as a tensor of one element, in the graph of `gates`.
  static Tensor gate(const Tensor& gates, std::int64_t i);

  TransNetOptions options_;
  Tensor q_;
  std::shared_ptr<Conv2d> entry_;  // null where channels agree
  ModulePtr input_norm_;           // null for InputNorm::kScale
  std::vector<ModulePtr> linear_;  // W_0 .. W_{K-1}
  Tensor running_scales_;          // [K,C]; undefined for StageNorm::kSample
  Tensor running_times_;           // int64 [K]
};

}  // namespace concord
