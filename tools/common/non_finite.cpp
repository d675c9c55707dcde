#include "tools/common/non_finite.h"

#include <map>

#include "engine/autograd.h"
#include "kernels/arithmetic.h"

namespace concord::tool {
namespace {

bool finite(const Tensor& tensor) {
  if (!is_floating(tensor.dtype())) return true;
  return tensor.numel() == 0 || kernels::all_finite(tensor.device(), tensor.view());
}

class Watch : public ForwardObserver {
 public:
  explicit Watch(Module& module) {
    for (const auto& [name, part] : module.named_modules()) names_[part] = name;
  }
  void after(const Module& module, const Tensor& output) override {
    if (!found.empty() || finite(output)) return;
    const auto name = names_.find(&module);
    found = name == names_.end() || name->second.empty() ? "the network" : name->second;
  }
  std::string found;

 private:
  std::map<const Module*, std::string> names_;
};

}  // namespace

std::string first_non_finite(const std::vector<Named<Tensor>>& tensors) {
  for (const auto& [name, tensor] : tensors)
    if (!finite(tensor)) return name;
  return "";
}

void check_finite(const std::string& weights, const Module& module) {
  const std::string tensor = first_non_finite(module.named_state());
  check(tensor.empty(), "{}: tensor {} holds a NaN or infinity; the file is of no use, train again",
        weights, tensor);
}

std::string first_non_finite_layer(Module& module, const std::function<void()>& forward) {
  const NoGradGuard no_gradients;
  Watch watch(module);
  forward();
  return watch.found;
}

std::string explain_non_finite(Module& module, const std::function<void()>& forward) {
  const std::string tensor = first_non_finite(module.named_state());
  if (!tensor.empty())
    return fmt::format("{} is the first parameter or buffer that holds a NaN or infinity", tensor);
  const std::string layer = first_non_finite_layer(module, forward);
  if (!layer.empty())
    return fmt::format("{} is the first layer whose output holds a NaN or infinity", layer);
  return "every parameter and every layer's output is finite, so the loss itself overflowed";
}

}  // namespace concord::tool
