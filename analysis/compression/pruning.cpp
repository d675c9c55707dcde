#include "analysis/compression/pruning.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "engine/ops/arithmetic.h"
#include "kernels/arithmetic.h"

namespace concord {
namespace {

double population_deviation(const std::vector<float>& values) {
  const auto count = static_cast<double>(values.size());
  double mean = 0;
  for (const float value : values) mean += value;
  mean /= count;
  double squares = 0;
  for (const float value : values) squares += (value - mean) * (value - mean);
  return std::sqrt(squares / count);
}

}  // namespace

PrunedLayer prune(LayerWeight& layer, double sensitivity) {
  check(sensitivity >= 0 && std::isfinite(sensitivity),
        "prune: layer {} has sensitivity {}, a number of at least 0 is expected", layer.layer,
        sensitivity);
  std::vector<float> values = layer.weight.to_vector<float>();
  check(!values.empty(), "prune: layer {} has no weights ({})", layer.layer,
        layer.weight.shape().to_string());
  check(std::all_of(values.begin(), values.end(), [](float value) { return std::isfinite(value); }),
        "prune: the weight of layer {} holds a NaN or infinity, so it has no deviation",
        layer.layer);
  PrunedLayer result;
  result.deviation = population_deviation(values);
  result.threshold = sensitivity * result.deviation;
  result.weights = static_cast<std::int64_t>(values.size());
  for (float& value : values) {
    if (std::abs(static_cast<double>(value)) < result.threshold) value = 0;
    result.kept += value != 0;
  }
  layer.weight.copy_from(Tensor::of(layer.weight.shape(), values));
  return result;
}

std::int64_t count_kept(const Tensor& weight) {
  const std::vector<float> values = weight.to_vector<float>();
  return std::count_if(values.begin(), values.end(), [](float value) { return value != 0; });
}

PruningMasks::PruningMasks(std::vector<LayerWeight> layers) {
  for (LayerWeight& layer : layers) {
    std::vector<float> values = layer.weight.to_vector<float>();
    if (std::find(values.begin(), values.end(), 0.0F) == values.end()) continue;
    for (float& value : values) value = value != 0 ? 1.0F : 0.0F;
    const Tensor mask = Tensor::of(layer.weight.shape(), values);
    masked_.push_back({layer.weight, mask.to(layer.weight.dtype()).to(layer.weight.device())});
  }
}

void PruningMasks::mask_gradients() {
  for (Masked& one : masked_) {
    if (!one.weight.grad().defined()) continue;
    Tensor gradient = one.weight.grad().in_format(MemoryFormat::kPlain);
    kernels::multiply(gradient.device(), std::as_const(gradient).view(), one.mask.view(),
                      gradient.view());
    one.weight.set_grad(gradient);
  }
}

}  // namespace concord
