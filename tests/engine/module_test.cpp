#include "engine/module.h"

#include "engine/ops/arithmetic.h"
#include "tests/expect_error.h"
#include "tests/gradient_check.h"

namespace concord {
namespace {

// y = factor * x, with a parameter, a buffer and children at will.
class Scale : public Module {
 public:
  explicit Scale(double factor) : factor_(factor) {
    register_parameter("weight", Tensor::full({1}, factor));
    register_buffer("count", Tensor::zeros({}, {.dtype = DType::kInt64}));
  }

 protected:
  Tensor forward(Tensor x) override { return scale(x, factor_); }

 private:
  double factor_;
};

class Pair : public Module {
 public:
  Pair() {
    first_ = register_module("first", std::make_shared<Scale>(2));
    own_ = register_parameter("own", Tensor::full({2}, 7));
    second_ = register_module("second", std::make_shared<Scale>(3));
  }
  void add(const std::string& name) { register_parameter(name, Tensor::zeros({1})); }
  std::shared_ptr<Scale> first_;
  std::shared_ptr<Scale> second_;
  Tensor own_;

 protected:
  Tensor forward(Tensor x) override { return (*second_)((*first_)(x)); }
};

class Outer : public Module {
 public:
  Outer() { pair_ = register_module("pair", std::make_shared<Pair>()); }
  std::shared_ptr<Pair> pair_;

 protected:
  Tensor forward(Tensor x) override { return (*pair_)(x); }
};

template <class T>
std::vector<std::string> names_of(const std::vector<Named<T>>& entries) {
  std::vector<std::string> names;
  for (const auto& [name, entry] : entries) names.push_back(name);
  return names;
}

using Names = std::vector<std::string>;

TEST(Module, NamesAreDottedInOrderOfRegistration) {
  Outer outer;
  EXPECT_EQ(names_of(outer.named_parameters()),
            (Names{"pair.own", "pair.first.weight", "pair.second.weight"}));
  EXPECT_EQ(names_of(outer.named_buffers()), (Names{"pair.first.count", "pair.second.count"}));
  EXPECT_EQ(names_of(outer.named_state()),
            (Names{"pair.own", "pair.first.weight", "pair.second.weight", "pair.first.count",
                   "pair.second.count"}));
  EXPECT_EQ(names_of(outer.named_modules()), (Names{"", "pair", "pair.first", "pair.second"}));
}

TEST(Module, NamesAreUniqueAndWithoutDots) {
  Pair pair;
  test::expect_error([&] { pair.add("own"); }, {"\"own\"", "taken"});
  test::expect_error([&] { pair.add("first"); }, {"\"first\"", "taken"});
  test::expect_error([&] { pair.add("a.b"); }, {"\"a.b\"", "no dot"});
  test::expect_error([&] { pair.add(""); }, {"at least one character"});
}

TEST(Module, ParametersAreHandles) {
  Pair pair;
  pair.named_parameters()[0].second.fill(5);
  EXPECT_EQ(pair.own_.to_vector<float>(), (std::vector<float>{5, 5}));
  EXPECT_TRUE(pair.own_.requires_grad());
  pair.own_.set_grad(Tensor::zeros({2}));
  pair.zero_grad();
  EXPECT_FALSE(pair.own_.grad().defined());
}

TEST(Module, FrozenModulesStayInEvaluation) {
  Outer outer;
  EXPECT_TRUE(outer.pair_->first_->training());
  outer.set_training(false);
  EXPECT_FALSE(outer.training() || outer.pair_->first_->training());
  outer.pair_->first_->freeze_mode();
  outer.set_training(true);
  EXPECT_TRUE(outer.training() && outer.pair_->training() && outer.pair_->second_->training());
  EXPECT_FALSE(outer.pair_->first_->training());
  outer.pair_->freeze_mode();
  outer.set_training(true);
  EXPECT_FALSE(outer.pair_->training() || outer.pair_->second_->training());
}

class Recorder : public ForwardObserver {
 public:
  explicit Recorder(Names& log, std::string label) : log_(log), label_(std::move(label)) {}
  void after(const Module& module, const Tensor& output) override {
    const bool pair = dynamic_cast<const Pair*>(&module) != nullptr;
    log_.push_back(label_ + (pair ? "pair " : "scale ") + std::to_string(int(output.item())));
  }

 private:
  Names& log_;
  std::string label_;
};

TEST(ForwardObserver, SeesInnerModulesFirstAndNests) {
  Pair pair;
  Names log;
  const Tensor x = Tensor::full({1}, 1);
  EXPECT_EQ(ForwardObserver::current(), nullptr);
  {
    const Recorder outer(log, "a:");
    pair(x);
    EXPECT_EQ(log, (Names{"a:scale 2", "a:scale 6", "a:pair 6"}));
    log.clear();
    const Recorder inner(log, "b:");
    EXPECT_EQ(ForwardObserver::current(), &inner);
    (*pair.first_)(x);
    EXPECT_EQ(log, (Names{"b:scale 2", "a:scale 2"}));
  }
  EXPECT_EQ(ForwardObserver::current(), nullptr);
  log.clear();
  pair(x);
  EXPECT_TRUE(log.empty());
}

}  // namespace
}  // namespace concord
