#pragma once
// The Trans-Net: rebuilds one network's features from another's through K convolutions and K-1
// gated ReLUs, and splits the result into orders of fuzziness. Source: Liang et al., ICLR 2020,
// section 3; shared formula in engine/ops/gated_stage.h.

#include <memory>
#include <vector>

#include "engine/module.h"
#include "engine/ops/gated_stage.h"
#include "engine/random.h"

namespace concord {

enum class InputNorm : std::uint8_t { kScale, kInstanceNorm, kBatchNorm };  // scale: x / s(x)
enum class StageNorm : std::uint8_t { kSample, kBatch };

struct TransNetOptions {
  std::int64_t channels_in = 0;
  std::int64_t channels_out = 0;  // other than channels_in: a learnt 1x1 convolution at the entry
  std::int64_t orders = 3;        // K >= 1
  std::int64_t kernel = 3;  // odd or even; the maps must keep their size: 2 padding = kernel - 1
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

class TransNet : public Module {
 public:
  // W_i kaiming normal fan-out in order i = 0 .. K-1, q_i = 0.
  TransNet(const TransNetOptions& options, random::Generator& generator);

  const TransNetOptions& options() const { return options_; }
  // p = sigmoid(q) [K-1], in the graph.
  Tensor gates() const;
  // q [K-1]
  const Tensor& gate_logits() const { return q_; }
  // One forward pass that records the ReLU masks and scales, then the K linear replays with these
  // frozen. No gradients; evaluation mode statistics.
  Orders disentangle(const Tensor& x);

 protected:
  // y of x [N,channels_in,H,W].
  Tensor forward(const Tensor& x) override;

 private:
  TransNetOptions options_;
  Tensor q_;
  // (further private members to be designed by the author of models/)
};

}  // namespace concord
