#include "engine/optimizer.h"

#include <charconv>
#include <cmath>
#include <set>

#include "engine/device_graph.h"
#include "kernels/optimizer.h"

namespace concord {
namespace {

// What the two optimisers share: the parameters that are trained, their buffers (one per parameter
// and kind, zeros at the start) and the count of updates.
class BufferedOptimizer : public Optimizer {
 public:
  BufferedOptimizer(std::vector<Named<Tensor>> parameters, std::vector<std::string> kinds)
      : parameters_(std::move(parameters)),
        kinds_(std::move(kinds)),
        steps_(Tensor::zeros({}, {.dtype = DType::kInt64})) {
    std::erase_if(parameters_, [](const auto& entry) { return !entry.second.requires_grad(); });
    std::set<std::string> names;
    for (const auto& [name, parameter] : parameters_) {
      check(names.insert(name).second, "optimizer: two parameters are named {}", name);
      check(parameter.format() == MemoryFormat::kPlain,
            "optimizer: parameter {} is held in {} format, not plain", name,
            name_of(parameter.format()));
    }
    buffers_.resize(kinds_.size());
    for (auto& buffers : buffers_)
      for (const auto& [name, parameter] : parameters_) buffers.push_back(zeros_like(parameter));
  }

  void set_learning_rate(double learning_rate) final {
    check(std::isfinite(learning_rate), "optimizer: learning rate is {}", learning_rate);
    learning_rate_ = learning_rate;
  }

  void update() final {
    on_every_step([this] { ++*steps_.data<std::int64_t>(); });
    begin_update();
    // Small parameters are updated together. Large ones are not, nor is the gradient of one held
    // while the next is computed that was put off.
    constexpr std::int64_t kMostTogether = std::int64_t{1} << 22;
    std::vector<Gathered> gathered;
    std::int64_t elements = 0;
    const auto flush = [&] {
      if (!gathered.empty()) update_together(gathered);
      gathered.clear();
      elements = 0;
    };
    for (std::size_t i = 0; i < parameters_.size(); ++i) {
      Tensor& parameter = parameters_[i].second;
      const bool is_like_others =
          gathered.empty() || parameter.device() == gathered.front().parameter.device();
      if (elements + parameter.numel() > kMostTogether || !is_like_others) flush();
      if (!parameter.grad().defined()) continue;
      gathered.push_back({i, parameter.grad().in_format(MemoryFormat::kPlain), parameter});
      parameter.set_grad({});
      elements += parameter.numel();
    }
    flush();
  }

  std::vector<Named<Tensor>> state() const final {
    std::vector<Named<Tensor>> result;
    for (std::size_t kind = 0; kind < kinds_.size(); ++kind)
      for (std::size_t i = 0; i < parameters_.size(); ++i)
        result.emplace_back(kinds_[kind] + "/" + parameters_[i].first, buffers_[kind][i]);
    result.emplace_back("step", steps_);
    return result;
  }

  void load_state(const std::map<std::string, Tensor>& given) final {
    std::vector<Named<Tensor>> own = state();
    std::set<std::string> names;
    for (const auto& [name, tensor] : own) {
      names.insert(name);
      const auto found = given.find(name);
      check(found != given.end(),
            "optimizer: the state has no tensor {} ({}); it was saved by another optimiser or for "
            "other parameters",
            name, tensor.shape().to_string());
      const Tensor& from = found->second;
      check(from.shape() == tensor.shape() && from.dtype() == tensor.dtype(),
            "optimizer: {} is {} {} in the state and {} {} here", name, from.shape().to_string(),
            name_of(from.dtype()), tensor.shape().to_string(), name_of(tensor.dtype()));
    }
    for (const auto& [name, tensor] : given)
      check(names.contains(name),
            "optimizer: the state's tensor {} ({}) belongs to none here; it was saved by another "
            "optimiser or for other parameters",
            name, tensor.shape().to_string());
    for (auto& [name, tensor] : own) tensor.copy_from(given.at(name));
  }

 protected:
  struct Gathered {
    std::size_t index;
    Tensor gradient;
    Tensor parameter;
  };
  // Before the first update_together() of an update.
  virtual void begin_update() = 0;
  // Of parameters on one device.
  virtual void update_together(std::vector<Gathered>& gathered) = 0;
  double learning_rate() const { return learning_rate_; }
  Tensor& buffer(std::size_t kind, std::size_t index) { return buffers_[kind][index]; }
  std::int64_t steps() const { return *steps_.data<std::int64_t>(); }

 private:
  std::vector<Named<Tensor>> parameters_;
  std::vector<std::string> kinds_;
  std::vector<std::vector<Tensor>> buffers_;  // [kind][parameter]
  Tensor steps_;
  double learning_rate_ = 0;
};

void check_option(const char* name, double value, bool good, const char* range) {
  check(good, "optimizer: {} is {}, it must be {}", name, value, range);
}

class Sgd final : public BufferedOptimizer {
 public:
  Sgd(std::vector<Named<Tensor>> parameters, const SgdOptions& options)
      : BufferedOptimizer(std::move(parameters), options.momentum == 0
                                                     ? std::vector<std::string>{}
                                                     : std::vector<std::string>{"momentum_buffer"}),
        options_(options) {}

 private:
  void begin_update() override {
    const auto rate = value_of_step<double>([this] { return learning_rate(); });
    step_ = {.learning_rate = rate.value,
             .momentum = options_.momentum,
             .weight_decay = options_.weight_decay,
             .learning_rate_at = rate.at};
  }
  void update_together(std::vector<Gathered>& gathered) override {
    std::vector<kernels::SgdOperands> operands;
    for (Gathered& one : gathered)
      operands.push_back({std::as_const(one.gradient).view(), one.parameter.view(),
                          options_.momentum == 0 ? kernels::View{} : buffer(0, one.index).view()});
    kernels::sgd_steps(gathered.front().parameter.device(), operands, step_);
  }

  SgdOptions options_;
  kernels::SgdStep step_;
};

class Adam final : public BufferedOptimizer {
 public:
  Adam(std::vector<Named<Tensor>> parameters, const AdamOptions& options)
      : BufferedOptimizer(std::move(parameters), {"exp_avg", "exp_avg_sq"}), options_(options) {}

 private:
  kernels::AdamStep step_of_now() const {
    return {.learning_rate = learning_rate(),
            .beta1 = options_.beta1,
            .beta2 = options_.beta2,
            .eps = options_.eps,
            .weight_decay = options_.weight_decay,
            .step = steps()};
  }
  void begin_update() override {
    const auto factors =
        value_of_step<kernels::AdamFactors>([this] { return step_of_now().factors(); });
    step_ = step_of_now();
    step_.factors_at = factors.at;
  }
  void update_together(std::vector<Gathered>& gathered) override {
    std::vector<kernels::AdamOperands> operands;
    for (Gathered& one : gathered)
      operands.push_back({std::as_const(one.gradient).view(), one.parameter.view(),
                          buffer(0, one.index).view(), buffer(1, one.index).view()});
    kernels::adam_steps(gathered.front().parameter.device(), operands, step_);
  }

  AdamOptions options_;
  kernels::AdamStep step_;
};

// The whole of `text` as a number, or NaN.
double number(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool whole = error == std::errc() && end == text.data() + text.size();
  return whole && std::isfinite(value) ? value : std::nan("");
}

}  // namespace

std::unique_ptr<Optimizer> make_sgd(std::vector<Named<Tensor>> parameters,
                                    const SgdOptions& options) {
  check_option("momentum", options.momentum, options.momentum >= 0 && options.momentum < 1,
               "in [0, 1)");
  check_option("weight decay", options.weight_decay,
               options.weight_decay >= 0 && std::isfinite(options.weight_decay), "at least 0");
  return std::make_unique<Sgd>(std::move(parameters), options);
}

std::unique_ptr<Optimizer> make_adam(std::vector<Named<Tensor>> parameters,
                                     const AdamOptions& options) {
  check_option("beta1", options.beta1, options.beta1 >= 0 && options.beta1 < 1, "in [0, 1)");
  check_option("beta2", options.beta2, options.beta2 >= 0 && options.beta2 < 1, "in [0, 1)");
  check_option("eps", options.eps, options.eps >= 0 && std::isfinite(options.eps), "at least 0");
  check_option("weight decay", options.weight_decay,
               options.weight_decay >= 0 && std::isfinite(options.weight_decay), "at least 0");
  return std::make_unique<Adam>(std::move(parameters), options);
}

LearningRateSchedule::LearningRateSchedule(std::string_view text, double learning_rate,
                                           std::int64_t epochs)
    : kind_(Kind::kConstant), learning_rate_(learning_rate), epochs_(epochs) {
  check(learning_rate > 0 && std::isfinite(learning_rate),
        "learning rate: {} is given, it must be above 0", learning_rate);
  check(epochs >= 1, "learning rate schedule: {} epochs are given, at least 1 is needed", epochs);
  const auto malformed = [&](std::string_view why) {
    fail(
        "learning rate schedule \"{}\": {}; accepted are constant, logspace:DECADES (such as "
        "logspace:2) and step:EPOCHS:FACTOR (such as step:60:0.3)",
        text, why);
  };
  const std::size_t colon = text.find(':');
  const std::string_view kind = text.substr(0, colon);
  const std::string_view rest =
      colon == std::string_view::npos ? std::string_view{} : text.substr(colon + 1);
  if (text == "constant") return;
  if (kind == "logspace") {
    kind_ = Kind::kLogspace;
    decades_ = number(rest);
    if (!(decades_ >= 0)) malformed("DECADES is not a number of at least 0");
  } else if (kind == "step") {
    kind_ = Kind::kStep;
    const std::size_t second = rest.find(':');
    if (second == std::string_view::npos) malformed("FACTOR is missing");
    const double every = number(rest.substr(0, second));
    if (!(every >= 1 && every <= 1e9 && every == std::floor(every)))
      malformed("EPOCHS is not a whole number of at least 1");
    step_epochs_ = static_cast<std::int64_t>(every);
    step_factor_ = number(rest.substr(second + 1));
    if (!(step_factor_ > 0)) malformed("FACTOR is not a number above 0");
  } else {
    malformed("no such schedule");
  }
}

double LearningRateSchedule::at(std::int64_t epoch) const {
  check(epoch >= 0, "learning rate schedule: epoch is {}", epoch);
  switch (kind_) {
    case Kind::kConstant:
      return learning_rate_;
    case Kind::kLogspace:
      if (epochs_ == 1) return learning_rate_;
      return learning_rate_ * std::pow(10.0, -decades_ * static_cast<double>(epoch) /
                                                 static_cast<double>(epochs_ - 1));
    case Kind::kStep:
      return learning_rate_ * std::pow(step_factor_, static_cast<double>(epoch / step_epochs_));
  }
  fail("learning rate schedule: unknown kind {}", static_cast<int>(kind_));
}

}  // namespace concord
