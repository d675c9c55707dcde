#pragma once
// Optimisers with PyTorch's semantics: weight decay is added to the gradient (L2, not decoupled).

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/module.h"

namespace concord {

struct SgdOptions {
  double momentum = 0;
  double weight_decay = 0;
};
struct AdamOptions {
  double beta1 = 0.9;
  double beta2 = 0.999;
  double eps = 1e-8;
  double weight_decay = 0;
};

class Optimizer {
 public:
  virtual ~Optimizer() = default;
  // The learning rate of every update() that follows, and of every replay of one that was captured
  // (engine/device_graph.h). Throws for one that is not finite.
  virtual void set_learning_rate(double learning_rate) = 0;
  // One update of every parameter that has a gradient, which is dropped after it. Gradients that
  // were put off are computed here: without memory for one it throws between two parameters.
  virtual void update() = 0;
  void step(double learning_rate) {
    set_learning_rate(learning_rate);
    update();
  }
  // Everything a resumed run needs, by parameter name: "momentum_buffer/features.0.weight" (SGD
  // with momentum), "exp_avg/..." and "exp_avg_sq/..." (Adam), and "step" (int64, a scalar: updates
  // made). Parameters that required no gradient when the optimiser was made have none.
  virtual std::vector<Named<Tensor>> state() const = 0;
  // Copies the elements of state(). Throws when a tensor is missing, of another shape or dtype, or
  // belongs to none of the parameters, naming it; nothing is changed then.
  virtual void load_state(const std::map<std::string, Tensor>& state) = 0;
};

// v = momentum v + (g + weight_decay w), v = 0 at the start; w -= lr v.
// Both throw for options outside their range, naming the option.
std::unique_ptr<Optimizer> make_sgd(std::vector<Named<Tensor>> parameters, const SgdOptions&);
// g += weight_decay w; m = beta1 m + (1-beta1) g; v = beta2 v + (1-beta2) g^2;
// w -= lr / (1 - beta1^t) * m / (sqrt(v) / sqrt(1 - beta2^t) + eps).  Source: Kingma, Ba, ICLR
// 2015.
std::unique_ptr<Optimizer> make_adam(std::vector<Named<Tensor>> parameters, const AdamOptions&);

// The learning rate of each epoch.
//   "constant"            lr
//   "logspace:DECADES"    lr * 10^(-DECADES * e / (epochs - 1)): evenly spaced in the logarithm
//   "step:EPOCHS:FACTOR"  lr * FACTOR^(e / EPOCHS, rounded down)
class LearningRateSchedule {
 public:
  // Throws on a malformed `text`, saying what is accepted, and unless learning_rate > 0 and
  // epochs >= 1. DECADES >= 0, EPOCHS >= 1 an integer, FACTOR > 0. One epoch of logspace is lr.
  LearningRateSchedule(std::string_view text, double learning_rate, std::int64_t epochs);
  double at(std::int64_t epoch) const;

 private:
  enum class Kind { kConstant, kLogspace, kStep } kind_;
  double learning_rate_;
  std::int64_t epochs_;
  double decades_ = 0;
  std::int64_t step_epochs_ = 1;
  double step_factor_ = 1;
};

}  // namespace concord
