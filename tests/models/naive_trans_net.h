#pragma once
// The Trans-Net written out in plain loops over doubles, from the formulas of the paper and of the
// specification, sharing nothing with models/ or engine/ but Tensor as a container.

#include <cmath>
#include <cstddef>
#include <vector>

namespace concord::test {

using Values = std::vector<double>;

struct Maps {
  std::size_t n = 0, c = 0, h = 0, w = 0;
  Values values;
  double& at(std::size_t i, std::size_t k, std::size_t y, std::size_t x) {
    return values[((i * c + k) * h + y) * w + x];
  }
  double at(std::size_t i, std::size_t k, std::size_t y, std::size_t x) const {
    return values[((i * c + k) * h + y) * w + x];
  }
};

inline Maps like(const Maps& maps, std::size_t channels) {
  return {maps.n, channels, maps.h, maps.w, Values(maps.n * channels * maps.h * maps.w)};
}

// Cross-correlation, weight [out][in][k][k], padding (k - 1) / 2.
inline Maps convolve(const Maps& x, const Values& weight, std::size_t out, std::size_t k) {
  Maps y = like(x, out);
  const std::ptrdiff_t pad = static_cast<std::ptrdiff_t>(k - 1) / 2;
  for (std::size_t i = 0; i < x.n; ++i)
    for (std::size_t o = 0; o < out; ++o)
      for (std::size_t r = 0; r < x.h; ++r)
        for (std::size_t s = 0; s < x.w; ++s)
          for (std::size_t c = 0; c < x.c; ++c)
            for (std::size_t u = 0; u < k; ++u)
              for (std::size_t v = 0; v < k; ++v) {
                const auto row = static_cast<std::ptrdiff_t>(r + u) - pad;
                const auto column = static_cast<std::ptrdiff_t>(s + v) - pad;
                if (row < 0 || column < 0 || row >= static_cast<std::ptrdiff_t>(x.h) ||
                    column >= static_cast<std::ptrdiff_t>(x.w))
                  continue;
                y.at(i, o, r, s) +=
                    weight[((o * x.c + c) * k + u) * k + v] *
                    x.at(i, c, static_cast<std::size_t>(row), static_cast<std::size_t>(column));
              }
  return y;
}

// What a scale is taken over: one map, or a channel of the whole batch.
enum class Over { kMap, kBatch };

inline Values values_over(const Maps& v, std::size_t sample, std::size_t channel, Over over) {
  Values picked;
  const std::size_t pixels = v.h * v.w;
  for (std::size_t j = 0; j < v.n; ++j)
    if (over == Over::kBatch || j == sample)
      for (std::size_t p = 0; p < pixels; ++p)
        picked.push_back(v.values[(j * v.c + channel) * pixels + p]);
  return picked;
}

struct Moments {
  double mean = 0;
  double squares = 0;  // sum of squared deviations
  double count = 0;
};
inline Moments moments(const Values& values) {
  Moments result;
  result.count = static_cast<double>(values.size());
  for (double v : values) result.mean += v / result.count;
  for (double v : values) result.squares += (v - result.mean) * (v - result.mean);
  return result;
}

// s for every sample and channel [n*c]: the unbiased standard deviation plus 1e-5; 1 for a single
// value.
inline Values naive_scale(const Maps& v, Over over) {
  Values result;
  for (std::size_t i = 0; i < v.n; ++i)
    for (std::size_t c = 0; c < v.c; ++c) {
      const Moments m = moments(values_over(v, i, c, over));
      result.push_back(m.count == 1 ? 1 : std::sqrt(m.squares / (m.count - 1)) + 1e-5);
    }
  return result;
}

inline Maps divided(Maps v, const Values& s) {
  const std::size_t pixels = v.h * v.w;
  for (std::size_t i = 0; i < v.values.size(); ++i) v.values[i] /= s[i / pixels];
  return v;
}

// (v - mean) / sqrt(biased variance + 1e-5) * gamma + beta.
inline Maps standardized(const Maps& v, Over over, const Values& gamma, const Values& beta) {
  Maps result = v;
  const std::size_t pixels = v.h * v.w;
  for (std::size_t i = 0; i < v.n; ++i)
    for (std::size_t c = 0; c < v.c; ++c) {
      const Moments m = moments(values_over(v, i, c, over));
      for (std::size_t p = 0; p < pixels; ++p) {
        double& value = result.values[(i * v.c + c) * pixels + p];
        value = (value - m.mean) / std::sqrt(m.squares / m.count + 1e-5) * gamma[c] + beta[c];
      }
    }
  return result;
}

struct NaiveTransNet {
  std::size_t channels = 0;
  std::size_t kernel = 3;
  std::vector<Values> weights;  // W_0 .. W_{K-1}
  Values q;                     // K-1
  Values entry;                 // empty: none
  bool standardize = false;     // the input, over `input_over`, in place of x / s(x)
  Over input_over = Over::kMap;
  Values gamma, beta;
  Over stage_over = Over::kMap;

  // Everything that a pass computes.
  struct Pass {
    Maps x;                 // as the stages see it
    Values input_scale;     // of x
    std::vector<Maps> h;    // outputs of W_0 .. W_{K-2}
    std::vector<Values> s;  // their scales
    Maps y;
  };

  double gate(std::size_t i) const { return 1 / (1 + std::exp(-q[i])); }

  // v <- p mask / s * v, mask and s those of stage i of `pass`
  Maps gated(Maps v, const Pass& pass, std::size_t i) const {
    v = divided(std::move(v), pass.s[i]);
    for (std::size_t k = 0; k < v.values.size(); ++k)
      v.values[k] = pass.h[i].values[k] > 0 ? gate(i) * v.values[k] : 0;
    return v;
  }
  Maps linear(const Maps& v, std::size_t i) const {
    return convolve(v, weights[i], channels, kernel);
  }

  // With `frozen`, the scales are those of that pass: they are constants to the gradient.
  Pass run(const Maps& given, const Pass* frozen = nullptr) const {
    Pass pass;
    pass.x = entry.empty() ? given : convolve(given, entry, channels, 1);
    if (standardize) {
      pass.x = standardized(pass.x, input_over, gamma, beta);
    } else {
      pass.input_scale = frozen ? frozen->input_scale : naive_scale(pass.x, stage_over);
      pass.x = divided(pass.x, pass.input_scale);
    }
    pass.y = linear(pass.x, 0);
    for (std::size_t i = 0; i + 1 < weights.size(); ++i) {
      pass.h.push_back(pass.y);
      pass.s.push_back(frozen ? frozen->s[i] : naive_scale(pass.y, stage_over));
      Maps sum = gated(pass.y, pass, i);
      for (std::size_t k = 0; k < sum.values.size(); ++k) sum.values[k] += pass.x.values[k];
      pass.y = linear(sum, i + 1);
    }
    return pass;
  }

  // x(k) = W_{K-1} (p m/s . W_{K-2} ( ... p m/s . W_{K-1-k} x))
  Maps order(const Pass& pass, std::size_t k) const {
    const std::size_t last = weights.size() - 1;
    Maps v = linear(pass.x, last - k);
    for (std::size_t i = last - k; i < last; ++i) v = linear(gated(v, pass, i), i + 1);
    return v;
  }
};

}  // namespace concord::test
