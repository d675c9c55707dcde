#include "analysis/compression/shared_weights.h"

#include <algorithm>
#include <utility>

#include "analysis/compression/clustering.h"
#include "kernels/k_means.h"

namespace concord {
namespace {

// Names of parts hold no dots.
std::string part_name(std::string name) {
  std::replace(name.begin(), name.end(), '.', '/');
  return name;
}

// Of the values that are not 0: distinct float32, ascending.
std::vector<float> codebook_of(const std::vector<float>& values, int centroids,
                               SharedLayer& report) {
  std::vector<float> kept;
  for (const float value : values)
    if (value != 0) kept.push_back(value);
  report.weights = static_cast<std::int64_t>(values.size());
  report.kept = static_cast<std::int64_t>(kept.size());
  const Clusters clusters = cluster_values(std::move(kept), centroids);
  report.iterations = clusters.iterations;
  report.converged = clusters.converged;
  std::vector<float> codebook;
  for (const double centroid : clusters.centroids) {
    const auto rounded = static_cast<float>(centroid);
    if (codebook.empty() || codebook.back() < rounded) codebook.push_back(rounded);
  }
  report.centroids = static_cast<int>(codebook.size());
  return codebook;
}

}  // namespace

SharedWeights::SharedWeights(Module& network, int centroids, bool only_codebooks,
                             const std::function<void(const std::string&)>& before_layer)
    : network_(network) {
  check(1 <= centroids && centroids <= kMostSharedValues,
        "weight sharing: {} centroids are asked for, 1 to {} are possible", centroids,
        kMostSharedValues);
  std::vector<std::string> shared;
  for (const LayerWeight& weight : layer_weights(network)) {
    if (before_layer) before_layer(weight.layer);
    add_layer(weight, centroids);
    shared.push_back(weight.tensor_name());
  }
  for (auto& [name, tensor] : network.named_parameters()) {
    if (std::find(shared.begin(), shared.end(), name) != shared.end()) continue;
    if (only_codebooks)
      register_buffer(part_name(name), tensor.set_requires_grad(false));
    else
      register_parameter(part_name(name), tensor);
  }
  for (const auto& [name, tensor] : network.named_buffers())
    register_buffer(part_name(name), tensor);
}

void SharedWeights::add_layer(const LayerWeight& weight, int centroids) {
  Layer layer;
  layer.name = weight.tensor_name();
  layer.weight = weight.weight;
  SharedLayer report;
  report.layer = weight.layer;
  const std::vector<float> values = layer.weight.to_vector<float>();
  const Device device = layer.weight.device();
  std::vector<float> codebook;
  try {
    codebook = codebook_of(values, centroids, report);
  } catch (const Error& error) {
    fail("layer {}: {}", weight.layer, error.what());
  }
  const auto k = static_cast<std::int64_t>(codebook.size());
  const auto count = static_cast<std::int64_t>(values.size());
  Tensor codes = Tensor::zeros({count}, {.dtype = DType::kInt64});
  if (k > 0) {
    const Tensor flat = Tensor::of({count}, values);
    const Tensor centroid = Tensor::of({k}, codebook);
    kernels::assign_to_centroids(Device{}, flat.view(), centroid.view(), codes.view());
    auto* code = codes.data<std::int64_t>();
    for (std::size_t i = 0; i < values.size(); ++i) code[i] = values[i] != 0 ? code[i] + 1 : 0;
    layer.codebook = register_parameter(part_name(weight.layer) + "/codebook", centroid.to(device));
  }
  layer.codes = codes.to(device);
  layer.table = Tensor::zeros({k + 1}, {.device = device});
  layers_.push_back(std::move(layer));
  reports_.push_back(std::move(report));
}

void SharedWeights::share() {
  for (Layer& layer : layers_) {
    if (layer.codebook.defined())
      layer.table.rows(1, layer.table.dim(0)).copy_from(layer.codebook.detach());
    Tensor flat = layer.weight.detach().reshaped(layer.codes.shape());
    kernels::values_of_centroids(layer.weight.device(), std::as_const(layer.table).view(),
                                 std::as_const(layer.codes).view(), flat.view());
  }
}

void SharedWeights::gather_gradients() {
  for (Layer& layer : layers_) {
    if (!layer.weight.grad().defined()) continue;
    const Tensor gradient =
        layer.weight.grad().in_format(MemoryFormat::kPlain).reshaped(layer.codes.shape());
    layer.weight.set_grad({});
    if (!layer.codebook.defined()) continue;
    const Device device = gradient.device();
    const std::int64_t entries = layer.table.dim(0);
    Tensor sums = Tensor::empty({entries}, {.dtype = DType::kFloat64, .device = device});
    Tensor counts = Tensor::empty({entries}, {.dtype = DType::kInt64, .device = device});
    kernels::centroid_sums(device, gradient.view(), std::as_const(layer.codes).view(), sums.view(),
                           counts.view());
    layer.codebook.set_grad(sums.to(DType::kFloat32).rows(1, entries).clone());
  }
}

std::vector<CodedWeight> SharedWeights::coded() const {
  std::vector<CodedWeight> result;
  for (const Layer& layer : layers_) {
    CodedWeight coded;
    coded.name = layer.name;
    coded.shape = layer.weight.shape();
    if (layer.codebook.defined()) coded.codebook = layer.codebook.to_vector<float>();
    for (const std::int64_t code : layer.codes.to_vector<std::int64_t>())
      coded.codes.push_back(static_cast<std::uint16_t>(code));
    result.push_back(std::move(coded));
  }
  return result;
}

Tensor SharedWeights::forward(Tensor x) {
  share();
  return network_(std::move(x));
}

}  // namespace concord
