#include "models/trans_net.h"

#include <utility>

#include "engine/autograd.h"
#include "engine/device_graph.h"
#include "engine/ops/activation.h"
#include "engine/ops/arithmetic.h"
#include "engine/ops/shape.h"
#include "engine/precision.h"

namespace concord {
namespace {

constexpr double kScaleMomentum = 0.1;

// Source: the published code starts every gate at p = 1/2.
constexpr double kInitialGate = 0;

void check_options(const TransNetOptions& options) {
  check(options.channels_in > 0 && options.channels_out > 0,
        "Trans-Net: {} input and {} output channels; both must be positive", options.channels_in,
        options.channels_out);
  check(options.orders >= 1, "Trans-Net: {} orders; at least 1 is needed", options.orders);
  check(options.kernel >= 1 && 2 * options.padding == options.kernel - 1,
        "Trans-Net: kernel {} with padding {} changes the size of the maps; 2 padding = kernel - 1 "
        "is needed",
        options.kernel, options.padding);
}

}  // namespace

TransNet::TransNet(const TransNetOptions& options, random::Generator& generator)
    : options_(options), q_(Tensor::zeros({0})) {
  check_options(options);
  const std::int64_t orders = options.orders;
  const std::int64_t channels = options.channels_out;

  const auto convolutions = register_module("linearLayers_conv", std::make_shared<Sequential>());
  const Conv2dLayer stage = {.in_channels = channels,
                             .out_channels = channels,
                             .kernel = {options.kernel, options.kernel},
                             .options = {.padding = {options.padding, options.padding}},
                             .bias = false,
                             .initialization = Initialization::kKaimingNormal};
  for (std::int64_t i = 0; i < orders; ++i)
    convolutions->append(std::make_shared<Conv2d>(stage, generator));
  linear_ = convolutions->children();

  if (orders > 1) {
    q_ = register_parameter("nonLinearLayers_p_pre", Tensor::full({orders - 1}, kInitialGate));
    q_.set_requires_grad(!options.fixed_gates);
  }
  if (options.channels_in != channels) {
    Conv2dLayer entry = stage;
    entry.in_channels = options.channels_in;
    entry.kernel = {1, 1};
    entry.options = {};
    entry_ = register_module("entry", std::make_shared<Conv2d>(entry, generator));
  }
  if (options.input_norm == InputNorm::kInstanceNorm)
    input_norm_ = std::make_shared<InstanceNorm2d>(channels, options.affine);
  if (options.input_norm == InputNorm::kBatchNorm)
    input_norm_ = std::make_shared<BatchNorm2d>(BatchNorm2dLayer{
        .channels = channels, .affine = options.affine, .running_statistics = false});
  if (input_norm_) register_module("linearLayers_bn", input_norm_);
  if (options.stage_norm == StageNorm::kBatch) {
    running_scales_ = register_buffer("nonLinearLayers_norm", Tensor::full({orders, channels}, 1));
    running_times_ =
        register_buffer("running_times", Tensor::zeros({orders}, {.dtype = DType::kInt64}));
  }
}

Tensor TransNet::gates() const { return sigmoid(q_); }

Tensor TransNet::gate(const Tensor& gates, std::int64_t i) { return slice(gates, 0, i, i + 1); }

void TransNet::check_input(const Tensor& x) const {
  check(x.shape().rank() == 4 && x.dim(1) == options_.channels_in,
        "Trans-Net: features of shape {} given, [N,{},H,W] expected", x.shape().to_string(),
        options_.channels_in);
  check(options_.input_norm != InputNorm::kInstanceNorm || x.dim(2) * x.dim(3) > 1,
        "Trans-Net: instance norm leaves nothing of maps of one pixel (features {}); choose "
        "another input norm",
        x.shape().to_string());
}

Tensor TransNet::scale_of(const Tensor& v, std::int64_t row, bool training) {
  if (options_.stage_norm == StageNorm::kSample) return sample_scale(v);
  Tensor running = running_scales_.rows(row, row + 1).reshaped({options_.channels_out});
  if (!training) return running.clone();  // a later training pass moves the running one
  const NoGradGuard no_grad;
  const Tensor batch = batch_scale(v);
  const bool is_first = std::as_const(running_times_).data<std::int64_t>()[row] == 0;
  check(!is_first || DeviceGraph::capturing() == nullptr,
        "Trans-Net: the first step of running scales differs from those that follow; run it before "
        "a step is captured as a graph");
  running.copy_from(
      is_first ? batch : add(scale(running, 1 - kScaleMomentum), scale(batch, kScaleMomentum)));
  on_every_step([times = running_times_, row]() mutable { ++times.data<std::int64_t>()[row]; });
  return batch;
}

Tensor TransNet::normalized_input(const Tensor& x, bool training) {
  const Tensor entered = entry_ ? (*entry_)(x) : x;
  if (input_norm_) return (*input_norm_)(entered);
  return divide_by_scale(entered, scale_of(entered, options_.orders - 1, training));
}

// x <- x / s(x);  h <- W_0 x;  h <- W_i (x + p_{i-1} relu(h / s(h))) for i = 1 .. K-1;  y = h
Tensor TransNet::forward(Tensor given) {
  check_input(given);
  const DType dtype = given.dtype();
  const Tensor x = normalized_input(in_network_precision(given.to(device())), training());
  const Tensor p = options_.orders > 1 ? gates() : Tensor();
  Tensor h = (*linear_[0])(x);
  for (std::int64_t i = 1; i < options_.orders; ++i) {
    const Tensor s = scale_of(h, i - 1, training());
    h = (*linear_[static_cast<std::size_t>(i)])(gated_stage(x, h, s, gate(p, i - 1)));
  }
  return convert_dtype(h, dtype);
}

Orders TransNet::disentangle(const Tensor& given) {
  check_input(given);
  const NoGradGuard no_grad;
  const std::size_t last = linear_.size() - 1;
  const Tensor x = normalized_input(given.to(device()), false);

  // What is frozen of stage i = 0 .. K-2.
  struct Stage {
    ReluMask mask;  // of h_i
    Tensor s, p;
  };
  std::vector<Stage> stages;
  Orders result;
  result.y = (*linear_[0])(x);
  const Tensor p = last > 0 ? gates() : Tensor();
  for (std::size_t i = 0; i < last; ++i) {
    const std::int64_t row = static_cast<std::int64_t>(i);
    stages.push_back({{}, scale_of(result.y, row, false), gate(p, row)});
    MaskedStage stage = masked_stage(x, result.y, stages[i].s, stages[i].p);
    stages[i].mask = std::move(stage.mask);
    result.y = {};  // h_i, whose memory the next one may take
    result.y = (*linear_[i + 1])(std::move(stage.y));
  }
  for (std::size_t order = 0; order <= last; ++order) {
    Tensor v = (*linear_[last - order])(x);
    for (std::size_t i = last - order; i < last; ++i)
      v = (*linear_[i + 1])(frozen_stage(v, stages[i].mask, stages[i].s, stages[i].p));
    result.orders.push_back(std::move(v));
  }
  return result;
}

Tensor TransNet::sum_of_orders(const Tensor& given, const std::vector<std::int64_t>& orders) {
  check_input(given);
  const std::size_t last = linear_.size() - 1;
  std::vector<bool> wanted(linear_.size());
  check(!orders.empty(), "Trans-Net: the sum of no orders; name some of 0 to {}", last);
  for (const std::int64_t order : orders) {
    const auto index = static_cast<std::size_t>(order);
    check(order >= 0 && index <= last, "Trans-Net: no order {} among {}, 0 to {}", order, last + 1,
          last);
    check(!wanted[index], "Trans-Net: order {} twice in a sum", order);
    wanted[index] = true;
  }
  const NoGradGuard no_grad;
  const Tensor x = normalized_input(given.to(device()), false);
  if (orders.size() == 1 && wanted[0]) return (*linear_[last])(x);

  // h is what forward() has there, for its masks. v takes the same way, but x enters it only at the
  // convolutions of the wanted orders; until one of them is left out v is h.
  const Tensor p = gates();
  Tensor h = (*linear_[0])(x);
  Tensor v;
  bool same = wanted[last];
  for (std::size_t i = 0; i < last; ++i) {
    const bool enters = wanted[last - (i + 1)];
    const std::int64_t row = static_cast<std::int64_t>(i);
    const Tensor s = scale_of(h, row, false);
    MaskedStage stage = masked_stage(x, h, s, gate(p, row));
    Tensor into;
    if (same && !enters)
      into = frozen_stage(h, stage.mask, s, gate(p, row));
    else if (v.defined())
      into = frozen_stage(v, stage.mask, s, gate(p, row));
    if (enters && !same) into = into.defined() ? add(into, x) : x;
    same = same && enters;
    h = {};
    if (same || i + 1 < last) h = (*linear_[i + 1])(std::move(stage.y));
    v = into.defined() ? (*linear_[i + 1])(std::move(into)) : Tensor();
  }
  return same ? h : v;
}

}  // namespace concord
