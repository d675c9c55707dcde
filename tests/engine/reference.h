#pragma once
// Operations written a second time, as their formulas read: naive float64 loops over plain arrays,
// sharing nothing with the kernels they check.

#include <limits>
#include <vector>

#include "engine/ops/pooling.h"
#include "engine/tensor.h"

namespace concord::test {

// A plain [N,C,H,W] (or [O,C,R,S]) array; reads outside the image give 0.
struct Array4 {
  explicit Array4(const Shape& of_shape)
      : shape(of_shape), values(static_cast<std::size_t>(of_shape.numel())) {}
  explicit Array4(const Tensor& tensor)
      : shape(tensor.shape()), values(tensor.to_vector<double>()) {}

  std::size_t index(std::int64_t n, std::int64_t c, std::int64_t h, std::int64_t w) const {
    return static_cast<std::size_t>(((n * shape[1] + c) * shape[2] + h) * shape[3] + w);
  }
  bool inside(std::int64_t h, std::int64_t w) const {
    return h >= 0 && h < shape[2] && w >= 0 && w < shape[3];
  }
  double& at(std::int64_t n, std::int64_t c, std::int64_t h, std::int64_t w) {
    return values[index(n, c, h, w)];
  }
  double get(std::int64_t n, std::int64_t c, std::int64_t h, std::int64_t w) const {
    return inside(h, w) ? values[index(n, c, h, w)] : 0.0;
  }
  Tensor tensor() const { return Tensor::of(shape, values); }

  Shape shape;
  std::vector<double> values;
};

// Calls body(n, o, i, j, c, r, s, channel, h, w) for every product of a convolution: output
// (n,o,i,j), weight (o,c,r,s), input (n,channel,h,w), which may lie outside.
template <class Body>
void for_each_product(const Shape& weight, const Shape& y, const Conv2dOptions& options,
                      Body body) {
  for (std::int64_t n = 0; n < y[0]; ++n)
    for (std::int64_t o = 0; o < y[1]; ++o)
      for (std::int64_t i = 0; i < y[2]; ++i)
        for (std::int64_t j = 0; j < y[3]; ++j)
          for (std::int64_t c = 0; c < weight[1]; ++c)
            for (std::int64_t r = 0; r < weight[2]; ++r)
              for (std::int64_t s = 0; s < weight[3]; ++s)
                body(n, o, i, j, c, r, s, o / (y[1] / options.groups) * weight[1] + c,
                     i * options.stride.height - options.padding.height +
                         r * options.dilation.height,
                     j * options.stride.width - options.padding.width + s * options.dilation.width);
}

struct Conv2dReference {
  Tensor y;
  Tensor dx;
  Tensor d_weight;
  Tensor d_bias;
};

// Forward, and backward under the cotangent dy, whose shape is the output's.
inline Conv2dReference conv2d_reference(const Tensor& x, const Tensor& weight, const Tensor& bias,
                                        const Tensor& dy, const Conv2dOptions& options) {
  const Array4 in(x);
  const Array4 kernel(weight);
  const Array4 cotangent(dy);
  Array4 y(dy.shape());
  Array4 dx(x.shape());
  Array4 d_weight(weight.shape());
  const std::vector<double> offsets = bias.to_vector<double>();
  std::vector<double> d_bias(offsets.size());
  for (std::int64_t n = 0; n < y.shape[0]; ++n)
    for (std::int64_t o = 0; o < y.shape[1]; ++o)
      for (std::int64_t i = 0; i < y.shape[2]; ++i)
        for (std::int64_t j = 0; j < y.shape[3]; ++j) {
          y.at(n, o, i, j) = offsets[static_cast<std::size_t>(o)];
          d_bias[static_cast<std::size_t>(o)] += cotangent.get(n, o, i, j);
        }
  for_each_product(
      kernel.shape, y.shape, options,
      [&](auto n, auto o, auto i, auto j, auto c, auto r, auto s, auto channel, auto h, auto w) {
        if (!in.inside(h, w)) return;
        const double g = cotangent.get(n, o, i, j);
        y.at(n, o, i, j) += kernel.get(o, c, r, s) * in.get(n, channel, h, w);
        dx.at(n, channel, h, w) += kernel.get(o, c, r, s) * g;
        d_weight.at(o, c, r, s) += in.get(n, channel, h, w) * g;
      });
  return {y.tensor(), dx.tensor(), d_weight.tensor(), Tensor::of(bias.shape(), d_bias)};
}

struct LinearReference {
  Tensor y;
  Tensor dx;
  Tensor d_weight;
  Tensor d_bias;
};

inline LinearReference linear_reference(const Tensor& x, const Tensor& weight, const Tensor& bias,
                                        const Tensor& dy) {
  const auto a = x.to_vector<double>();
  const auto m = weight.to_vector<double>();
  const auto b = bias.to_vector<double>();
  const auto g = dy.to_vector<double>();
  const std::size_t samples = static_cast<std::size_t>(x.dim(0));
  const std::size_t inputs = static_cast<std::size_t>(x.dim(1));
  const std::size_t outputs = static_cast<std::size_t>(weight.dim(0));
  std::vector<double> y(samples * outputs);
  std::vector<double> dx(a.size());
  std::vector<double> d_weight(m.size());
  std::vector<double> d_bias(outputs);
  for (std::size_t n = 0; n < samples; ++n)
    for (std::size_t o = 0; o < outputs; ++o) {
      const double cotangent = g[n * outputs + o];
      double value = b[o];
      for (std::size_t i = 0; i < inputs; ++i) {
        value += a[n * inputs + i] * m[o * inputs + i];
        dx[n * inputs + i] += cotangent * m[o * inputs + i];
        d_weight[o * inputs + i] += cotangent * a[n * inputs + i];
      }
      y[n * outputs + o] = value;
      d_bias[o] += cotangent;
    }
  return {Tensor::of(dy.shape(), y), Tensor::of(x.shape(), dx),
          Tensor::of(weight.shape(), d_weight), Tensor::of(bias.shape(), d_bias)};
}

struct PoolReference {
  Tensor y;
  Tensor dx;
};

// The maximum of each window, its gradient to the first in row-major order.
inline PoolReference max_pool2d_reference(const Tensor& x, const MaxPool2dOptions& options,
                                          const Tensor& dy) {
  const Array4 in(x);
  const Array4 cotangent(dy);
  Array4 y(dy.shape());
  Array4 dx(x.shape());
  for (std::int64_t n = 0; n < y.shape[0]; ++n)
    for (std::int64_t c = 0; c < y.shape[1]; ++c)
      for (std::int64_t i = 0; i < y.shape[2]; ++i)
        for (std::int64_t j = 0; j < y.shape[3]; ++j) {
          double best = -std::numeric_limits<double>::infinity();
          std::int64_t best_h = -1;
          std::int64_t best_w = -1;
          for (std::int64_t r = 0; r < options.kernel.height; ++r)
            for (std::int64_t s = 0; s < options.kernel.width; ++s) {
              const std::int64_t h = i * options.stride.height - options.padding.height + r;
              const std::int64_t w = j * options.stride.width - options.padding.width + s;
              if (!in.inside(h, w)) continue;
              if (best_h >= 0 && !(in.get(n, c, h, w) > best)) continue;
              best = in.get(n, c, h, w);
              best_h = h;
              best_w = w;
            }
          y.at(n, c, i, j) = best;
          dx.at(n, c, best_h, best_w) += cotangent.get(n, c, i, j);
        }
  return {y.tensor(), dx.tensor()};
}

// Each output cell (i,j) averages the input cells (h,w) that its share of the image touches: h with
// h < (i+1) H / out and h + 1 > i H / out.
inline PoolReference adaptive_avg_pool2d_reference(const Tensor& x, const Tensor& dy) {
  const Array4 in(x);
  const Array4 cotangent(dy);
  Array4 y(dy.shape());
  Array4 dx(x.shape());
  const auto touches = [](std::int64_t out, std::int64_t outputs, std::int64_t cell,
                          std::int64_t cells) {
    return cell * outputs < (out + 1) * cells && (cell + 1) * outputs > out * cells;
  };
  for (std::int64_t n = 0; n < y.shape[0]; ++n)
    for (std::int64_t c = 0; c < y.shape[1]; ++c)
      for (std::int64_t i = 0; i < y.shape[2]; ++i)
        for (std::int64_t j = 0; j < y.shape[3]; ++j) {
          std::vector<std::size_t> cells;
          for (std::int64_t h = 0; h < in.shape[2]; ++h)
            for (std::int64_t w = 0; w < in.shape[3]; ++w)
              if (touches(i, y.shape[2], h, in.shape[2]) && touches(j, y.shape[3], w, in.shape[3]))
                cells.push_back(in.index(n, c, h, w));
          const double share = 1.0 / static_cast<double>(cells.size());
          for (std::size_t cell : cells) {
            y.at(n, c, i, j) += share * in.values[cell];
            dx.values[cell] += share * cotangent.get(n, c, i, j);
          }
        }
  return {y.tensor(), dx.tensor()};
}

}  // namespace concord::test
