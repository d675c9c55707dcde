#include "engine/ops/dropout.h"

#include "engine/ops/arithmetic.h"
#include "kernels/parallel.h"
#include "tests/expect_error.h"
#include "tests/gradient_check.h"

namespace concord {
namespace {

using test::check_case;
using test::expect_error;
using test::random_tensor;

TEST(Dropout, Gradients) {
  for (const Shape& shape :
       {Shape{1}, Shape{3, 7}, Shape{2, 3, 5, 7}, Shape{2, 16, 3, 3}, Shape{1, 32, 1, 1}}) {
    const Tensor x = random_tensor(shape, 1);
    const auto drop = [](const auto& in) {
      random::Generator generator(5);
      return dropout(in[0], 0.4, true, generator);
    };
    check_case({"dropout " + shape.to_string(), drop, {x}});
    check_case({"dropout in place " + shape.to_string(),
                [=](const auto& in) { return scale(drop(in), 2); },
                {x}});
  }
}

// The mask written out from the declaration, word by word.
TEST(Dropout, AgreesWithDefinition) {
  for (const Shape& shape : {Shape{2, 48, 5, 7}, Shape{5, 1031}, Shape{4, 16, 40, 41}}) {
    const Tensor x = random_tensor(shape, 1).to(DType::kFloat32);
    std::vector<float> expected = x.to_vector<float>();
    random::Stream words(9, 3);
    for (float& v : expected)
      v = static_cast<double>(random::uniform_float(words.next())) >= 0.3 ? v * (1.0F / 0.7F)
                                                                          : 0.0F;
    for (const MemoryFormat format : {MemoryFormat::kPlain, MemoryFormat::kChannelsLast,
                                      MemoryFormat::kBlocked8, MemoryFormat::kBlocked16}) {
      if (!supports(format, shape)) continue;
      random::Generator generator;
      generator.set_state(9, 3);
      const Tensor y = dropout(x.in_format(format), 0.3, true, generator);
      EXPECT_EQ(y.format(), format);
      const auto values = y.to_vector<float>();
      for (std::size_t i = 0; i < values.size(); ++i)
        ASSERT_FLOAT_EQ(values[i], expected[i]) << i << " " << name_of(format);
    }
  }
}

TEST(Dropout, KeepsTheMean) {
  random::Generator generator(1);
  const std::int64_t count = 1 << 20;
  const Tensor y = dropout(Tensor::full({count}, 1.0), 0.25, true, generator);
  std::int64_t dropped = 0;
  for (float v : y.to_vector<float>()) {
    ASSERT_TRUE(v == 0.0F || v == 1.0F / 0.75F) << v;
    dropped += v == 0.0F;
  }
  // Five deviations of a binomial share.
  EXPECT_NEAR(static_cast<double>(dropped) / count, 0.25, 5 * std::sqrt(0.25 * 0.75 / count));
}

TEST(Dropout, ThreadsDoNotChangeTheMask) {
  const Tensor x = Tensor::full({100003}, 1.0);
  const int before = thread_count();
  std::vector<std::vector<float>> masks;
  for (const int threads : {1, 2, 3}) {
    set_thread_count(threads);
    random::Generator generator(1);
    masks.push_back(dropout(x, 0.5, true, generator).to_vector<float>());
  }
  set_thread_count(before);
  EXPECT_EQ(masks[0], masks[1]);
  EXPECT_EQ(masks[0], masks[2]);
}

TEST(Dropout, EachCallDrawsAnew) {
  random::Generator generator(1);
  const Tensor x = Tensor::full({1000}, 1.0);
  const auto first = dropout(x, 0.5, true, generator).to_vector<float>();
  const auto second = dropout(x, 0.5, true, generator).to_vector<float>();
  EXPECT_NE(first, second);
  EXPECT_EQ(generator.offset(), 2U);
}

TEST(Dropout, EvaluationPassesThrough) {
  random::Generator generator(1);
  const Tensor x = random_tensor({3, 4}, 1);
  EXPECT_TRUE(dropout(x, 0.5, false, generator).shares_storage(x));
  EXPECT_EQ(generator.offset(), 0U);
}

TEST(Dropout, Errors) {
  random::Generator generator;
  const Tensor x = Tensor::zeros({3});
  expect_error([&] { dropout(x, 1.0, true, generator); }, {"dropout", "p is 1", "[0, 1)"});
  expect_error([&] { dropout(x, -0.1, true, generator); }, {"dropout", "-0.1"});
}

}  // namespace
}  // namespace concord
