#include "analysis/channel_variance.h"

#include "tests/expect_error.h"
#include "tests/gradient_check.h"

namespace concord {
namespace {

using test::random_tensor;

// The definition, with the loops written out.
std::vector<double> naive_variances(const std::vector<double>& x, std::int64_t n, std::int64_t c,
                                    std::int64_t pixels) {
  std::vector<double> result;
  for (std::int64_t channel = 0; channel < c; ++channel) {
    const auto each = [&](auto f) {
      double sum = 0;
      for (std::int64_t i = 0; i < n; ++i)
        for (std::int64_t s = 0; s < pixels; ++s)
          sum += f(x[static_cast<std::size_t>((i * c + channel) * pixels + s)]);
      return sum / static_cast<double>(n * pixels);
    };
    const double mean = each([](double v) { return v; });
    result.push_back(each([mean](double v) { return (v - mean) * (v - mean); }));
  }
  return result;
}

TEST(ChannelVariance, AnyCutIntoBatchesAndAnyFormat) {
  const Tensor x = random_tensor({11, 16, 3, 5}, 1, -2, 5);
  const std::vector<double> expected = naive_variances(x.to_vector<double>(), 11, 16, 15);
  double mean = 0;
  for (double v : expected) mean += v / 16;
  for (std::int64_t batch : {1, 2, 4, 11}) {
    for (MemoryFormat format :
         {MemoryFormat::kPlain, MemoryFormat::kChannelsLast, MemoryFormat::kBlocked16}) {
      ChannelVariance variance;
      for (std::int64_t begin = 0; begin < 11; begin += batch)
        variance.add(x.rows(begin, std::min<std::int64_t>(11, begin + batch)).in_format(format));
      EXPECT_NEAR(variance.result(), mean, 1e-14 * mean);
      for (std::size_t c = 0; c < 16; ++c)
        EXPECT_NEAR(variance.channels()[c], expected[c], 1e-14 * expected[c]);
      EXPECT_EQ(variance.count(), 11 * 15);
    }
  }
}

// The textbook formula E[x^2] - E[x]^2 is off by 0.01 and more here.
TEST(ChannelVariance, ALargeMeanCostsNoDigits) {
  std::vector<double> values;
  for (int i = 0; i < 1000; ++i) values.push_back(1e7 + (i % 2));
  ChannelVariance variance;
  const Tensor x = Tensor::of({1000, 1, 1, 1}, values);
  for (int i = 0; i < 1000; i += 7) variance.add(x.rows(i, std::min(1000, i + 7)));
  EXPECT_NEAR(variance.result(), 0.25, 1e-8);
  EXPECT_NEAR(variance.means()[0], 1e7 + 0.5, 1e-7);
}

TEST(ChannelVariance, Misuse) {
  ChannelVariance variance;
  test::expect_error([&] { variance.result(); }, {"no data"});
  variance.add(Tensor::zeros({2, 3, 1, 1}));
  test::expect_error([&] { variance.add(Tensor::zeros({2, 4, 1, 1})); }, {"4 channels", "of 3"});
  variance.add(Tensor::zeros({0, 3, 1, 1}));
  EXPECT_EQ(variance.count(), 2);
}

}  // namespace
}  // namespace concord
