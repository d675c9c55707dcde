#include "tools/bench/step_inputs.h"

#include "engine/autograd.h"
#include "engine/random.h"
#include "engine/safetensors.h"

namespace concord::bench {
namespace {

class FlopCounter final : public ForwardObserver {
 public:
  void after(const Module& module, const Tensor& output) override {
    for (const auto& [name, weight] : module.named_parameters()) {
      if (name != "weight" || weight.shape().rank() < 2) continue;
      const double flops = 2.0 * static_cast<double>(output.numel()) *
                           static_cast<double>(weight.numel() / weight.dim(0));
      if (total_ == 0) first_ = flops;
      total_ += flops;
    }
  }
  double total() const { return total_; }
  double first() const { return first_; }

 private:
  double first_ = 0;
  double total_ = 0;
};

}  // namespace

StepFlops count_flops(Module& module, const Tensor& x) {
  const NoGradGuard no_gradients;
  const bool training = module.training();
  module.set_training(false);  // running statistics must not move
  FlopCounter counter;
  module(x);
  module.set_training(training);
  // Two more passes for each layer, but no gradient of the first one's input.
  return {counter.total(), 3 * counter.total() - counter.first()};
}

Tensor random_maps(const Shape& shape, std::uint64_t seed, std::uint64_t stream) {
  random::Generator generator(seed);
  generator.set_state(seed, stream);
  Tensor maps = Tensor::empty(shape);
  random::fill_normal(maps, generator, 0, 1);
  return maps;
}

Tensor read_input(const std::string& file, const std::string& name, std::size_t rank) {
  const Tensor tensor = SafetensorsFile(file).tensor(name);
  check(tensor.shape().rank() == rank, "{}: {} has shape {}, {} axes are needed", file, name,
        tensor.shape().to_string(), rank);
  return tensor.clone();
}

std::vector<Tensor> read_input_batches(const std::string& file, const std::string& name,
                                       std::size_t rank, std::int64_t count) {
  const Tensor all = read_input(file, name, rank);
  check(all.dim(0) % count == 0, "{}: {} has {} rows, which --input-batches {} does not divide",
        file, name, all.dim(0), count);
  const std::int64_t rows = all.dim(0) / count;
  std::vector<Tensor> batches;
  for (std::int64_t i = 0; i < count; ++i)
    batches.push_back(all.rows(i * rows, (i + 1) * rows).clone());
  return batches;
}

std::optional<Shape> maps_of(const std::string& text) {
  std::vector<std::int64_t> sizes;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t end = std::min(text.find('x', at), text.size());
    const std::string number = text.substr(at, end - at);
    if (number.empty() || number.size() > 6 ||
        number.find_first_not_of("0123456789") != std::string::npos || number[0] == '0')
      return std::nullopt;
    sizes.push_back(std::stoll(number));
    at = end + 1;
  }
  if (sizes.size() != 3) return std::nullopt;
  return Shape{1, sizes[0], sizes[1], sizes[2]};
}

}  // namespace concord::bench
