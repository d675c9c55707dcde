#pragma once
// The layers that networks are made of: modules over the operations of engine/ops, with the
// parameter names of torch.nn.

#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "engine/module.h"
#include "engine/ops/conv2d.h"
#include "engine/ops/norm.h"
#include "engine/ops/pooling.h"
#include "engine/random.h"

namespace concord {

// How a layer's weight and bias start.
enum class Initialization : std::uint8_t {
  kDefault,        // weight and bias uniform in +-1/sqrt(fan_in): PyTorch's default
  kKaimingNormal,  // weight N(0, 2 / fan_out), bias 0
  kSmallNormal,    // weight N(0, 0.01^2), bias 0: VGG's linear layers
};

// While one lives, layers made on this thread leave their parameters uninitialised and draw
// nothing: for a network whose parameters are loaded next, where drawing them costs seconds and is
// wasted. (vgg16_bn has 138 million.)
class UninitializedParameters {
 public:
  UninitializedParameters();
  ~UninitializedParameters();
  UninitializedParameters(const UninitializedParameters&) = delete;
  UninitializedParameters& operator=(const UninitializedParameters&) = delete;

 private:
  bool before_;
};

// A layer with a window that its input must be able to hold.
class WindowModule : public Module {
 public:
  // The least height and width of an input that gives a non-empty output; may be 0 or less.
  virtual Size2d smallest_input() const = 0;
};

struct Conv2dLayer {
  std::int64_t in_channels = 0;
  std::int64_t out_channels = 0;
  Size2d kernel = {1, 1};
  Conv2dOptions options = {};
  bool bias = true;
  Initialization initialization = Initialization::kDefault;
};

class BatchNorm2d;

// Parameters weight [O,C/groups,R,S] and, where wanted, bias [O].
class Conv2d final : public WindowModule {
 public:
  // Throws unless the channel counts are positive and divisible by the groups.
  Conv2d(const Conv2dLayer& layer, random::Generator& generator);
  Size2d smallest_input() const override;

  // The layer, then `norm`, then + residual where defined, then ReLU where asked for. In
  // evaluation, with no gradient wanted, the norm is folded into the weight and bias (kept until
  // one of the parameters changes) and the rest into the convolution's last step: one pass over the
  // result. `residual` may be overwritten where it is handed over. A NaN in the parameters stays;
  // one from x alone that ReLU may take to 0 (engine/ops/conv2d.h). Not shown to an observer.
  Tensor fused(const Tensor& x, BatchNorm2d& norm, bool relu, Tensor residual = {});

 protected:
  Tensor forward(Tensor x) override { return conv2d(x, weight_, bias_, options_); }

 private:
  // weight_ and bias_ with a norm applied to their outputs, and what they were computed from.
  struct Folded {
    const BatchNorm2d* norm = nullptr;
    std::vector<std::uint64_t> versions;
    bool finite = false;
    Tensor weight;
    Tensor bias;
  };
  const Folded& folded_with(const BatchNorm2d& norm);

  Conv2dOptions options_;
  Tensor weight_;
  Tensor bias_;
  std::optional<Folded> folded_;
};

// Parameters weight [O,I] and bias [O]: [N,I] -> [N,O].
class Linear final : public Module {
 public:
  Linear(std::int64_t in_features, std::int64_t out_features, random::Generator& generator,
         Initialization initialization = Initialization::kDefault);

  // The layer, then ReLU: in one pass where no gradient is wanted (there ReLU may take a NaN to 0,
  // engine/ops/linear.h). Not shown to an observer.
  Tensor fused_relu(const Tensor& x);

 protected:
  Tensor forward(Tensor x) override;

 private:
  Tensor weight_;
  Tensor bias_;
};

struct BatchNorm2dLayer {
  std::int64_t channels = 0;
  bool affine = true;              // parameters weight [C] = 1 and bias [C] = 0
  bool running_statistics = true;  // buffers running_mean, running_var [C], num_batches_tracked
};

// batch_norm with momentum 0.1 and eps 1e-5. Without running statistics those of the batch are used
// in evaluation too.
class BatchNorm2d final : public Module {
 public:
  explicit BatchNorm2d(const BatchNorm2dLayer& layer);

  // The layer, then + residual where defined, then ReLU where asked for, in one pass. Not shown to
  // an observer.
  Tensor fused(const Tensor& x, bool relu, const Tensor& residual = {});

  // Whether the layer is in evaluation and has statistics of its own to apply.
  bool is_constant() const { return !training() && running_mean_.defined(); }
  // Parameters and statistics, undefined ones left out.
  std::vector<Tensor> constants() const;
  // The weight [C,...] and bias [C] (may be undefined) of a convolution such that it does what it
  // did before and this layer, being constant, after it:
  //   weight'_c = f_c weight_c, bias'_c = f_c (bias_c - mean_c) + b_c, f_c = w_c / sqrt(var_c +
  //   eps)
  std::pair<Tensor, Tensor> fold(const Tensor& weight, const Tensor& bias) const;

 protected:
  Tensor forward(Tensor x) override { return fused(x, false); }

 private:
  Tensor weight_;
  Tensor bias_;
  Tensor running_mean_;
  Tensor running_var_;
  Tensor batches_;  // int64 scalar: training batches seen
};

// instance_norm with eps 1e-5; parameters weight and bias [C] when affine.
class InstanceNorm2d final : public Module {
 public:
  InstanceNorm2d(std::int64_t channels, bool affine);

 protected:
  Tensor forward(Tensor x) override { return instance_norm(x, weight_, bias_); }

 private:
  Tensor weight_;
  Tensor bias_;
};

class ReLU final : public Module {
 protected:
  Tensor forward(Tensor x) override;
};

class MaxPool2d final : public WindowModule {
 public:
  explicit MaxPool2d(const MaxPool2dOptions& options) : options_(options) {}
  Size2d smallest_input() const override;

 protected:
  Tensor forward(Tensor x) override { return max_pool2d(x, options_); }

 private:
  MaxPool2dOptions options_;
};

class AdaptiveAvgPool2d final : public Module {
 public:
  explicit AdaptiveAvgPool2d(Size2d output) : output_(output) {}

 protected:
  Tensor forward(Tensor x) override { return adaptive_avg_pool2d(x, output_); }

 private:
  Size2d output_;
};

// [N, ...] -> [N, rest]
class Flatten final : public Module {
 protected:
  Tensor forward(Tensor x) override;
};

// Draws its masks from `generator`, which it refers to: the generator is the run's, outlives the
// layer, and its state is the checkpoint's.
class Dropout final : public Module {
 public:
  Dropout(double p, random::Generator& generator);

 protected:
  Tensor forward(Tensor x) override;

 private:
  double p_;
  random::Generator* generator_;
};

// Runs modules one after the other. Unless a ForwardObserver watches, a BatchNorm2d or a Linear and
// the ReLU after it are one pass, and in evaluation (see Conv2d::fused) the Conv2d before them is
// of it too.
Tensor run_in_order(std::span<const ModulePtr> modules, Tensor x);

// Children named "0", "1", ... Runs them in order.
class Sequential : public Module {
 public:
  Sequential() = default;
  explicit Sequential(const std::vector<ModulePtr>& modules);
  void append(ModulePtr module);
  const std::vector<ModulePtr>& children() const { return children_; }

 protected:
  Tensor forward(Tensor x) override { return run_in_order(children_, std::move(x)); }

 private:
  std::vector<ModulePtr> children_;
};

}  // namespace concord
