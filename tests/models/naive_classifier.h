#pragma once
// The classifiers in plain loops over doubles, evaluation mode, written from the papers and from
// torchvision's documented structure; parameters are found by name. Shares nothing with models/.

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "engine/module.h"
#include "tests/models/naive_trans_net.h"

namespace concord::test {

class NaiveClassifier {
 public:
  explicit NaiveClassifier(const Module& module) {
    for (const auto& [name, tensor] : module.named_state()) {
      shapes_[name] = tensor.shape();
      values_[name] = tensor.to_vector<double>();
    }
  }

  // layers: "C" convolution 3x3, "M" pool; as in the paper's table 1, column by column.
  Maps vgg(Maps x, const std::string& layers, bool batch_norm) const {
    int index = 0;
    const auto at = [&] { return "features." + std::to_string(index++); };
    for (char layer : layers) {
      if (layer == 'M') {
        x = max_pool(x, 2, 2, 0);
        ++index;
        continue;
      }
      x = convolution(x, at(), 1, 1);
      if (batch_norm) x = norm(x, at());
      x = relu(x);
      ++index;
    }
    x = linear(average(x, 7), "classifier.0");
    x = linear(relu(x), "classifier.3");
    return linear(relu(x), "classifier.6");
  }

  Maps alexnet(Maps x) const {
    x = max_pool(relu(convolution(x, "features.0", 4, 2)), 3, 2, 0);
    x = max_pool(relu(convolution(x, "features.3", 1, 2)), 3, 2, 0);
    x = relu(convolution(x, "features.6", 1, 1));
    x = relu(convolution(x, "features.8", 1, 1));
    x = max_pool(relu(convolution(x, "features.10", 1, 1)), 3, 2, 0);
    x = linear(average(x, 6), "classifier.1");
    x = linear(relu(x), "classifier.4");
    return linear(relu(x), "classifier.6");
  }

  Maps resnet(Maps x, const std::vector<int>& blocks, bool bottleneck, std::size_t groups) const {
    x = max_pool(relu(norm(convolution(x, "conv1", 2, 3), "bn1")), 3, 2, 1);
    for (std::size_t layer = 0; layer < blocks.size(); ++layer) {
      for (int block = 0; block < blocks[layer]; ++block) {
        const std::string at =
            "layer" + std::to_string(layer + 1) + "." + std::to_string(block) + ".";
        const std::size_t stride = layer > 0 && block == 0 ? 2 : 1;
        const auto stage = [&](const Maps& in, const char* i, std::size_t by, std::size_t padding,
                               std::size_t parts) {
          return norm(convolution(in, at + "conv" + i, by, padding, parts), at + "bn" + i);
        };
        Maps h;
        if (bottleneck) {  // the stride is the 3x3's, as in torchvision ("V1.5")
          h = relu(stage(x, "1", 1, 0, 1));
          h = relu(stage(h, "2", stride, 1, groups));
          h = stage(h, "3", 1, 0, 1);
        } else {
          h = relu(stage(x, "1", stride, 1, 1));
          h = stage(h, "2", 1, 1, 1);
        }
        const Maps shortcut =
            shapes_.contains(at + "downsample.0.weight")
                ? norm(convolution(x, at + "downsample.0", stride, 0), at + "downsample.1")
                : x;
        for (std::size_t i = 0; i < h.values.size(); ++i) h.values[i] += shortcut.values[i];
        x = relu(h);
      }
    }
    return linear(average(x, 1), "fc");
  }

 private:
  static Maps empty(std::size_t n, std::size_t c, std::size_t h, std::size_t w) {
    return {n, c, h, w, Values(n * c * h * w)};
  }
  const Values& values(const std::string& name) const { return values_.at(name); }

  Maps convolution(const Maps& x, const std::string& name, std::size_t stride, std::size_t padding,
                   std::size_t groups = 1) const {
    const Shape& shape = shapes_.at(name + ".weight");
    const Values& weight = values(name + ".weight");
    const std::size_t out = static_cast<std::size_t>(shape[0]);
    const std::size_t in = static_cast<std::size_t>(shape[1]);
    const std::size_t k = static_cast<std::size_t>(shape[2]);
    Maps y =
        empty(x.n, out, (x.h + 2 * padding - k) / stride + 1, (x.w + 2 * padding - k) / stride + 1);
    for (std::size_t i = 0; i < x.n; ++i)
      for (std::size_t o = 0; o < out; ++o)
        for (std::size_t r = 0; r < y.h; ++r)
          for (std::size_t s = 0; s < y.w; ++s) {
            double sum = values_.contains(name + ".bias") ? values(name + ".bias")[o] : 0;
            for (std::size_t c = 0; c < in; ++c)
              for (std::size_t u = 0; u < k; ++u)
                for (std::size_t v = 0; v < k; ++v) {
                  const std::size_t row = r * stride + u, column = s * stride + v;
                  if (row < padding || column < padding || row >= x.h + padding ||
                      column >= x.w + padding)
                    continue;
                  sum += weight[((o * in + c) * k + u) * k + v] *
                         x.at(i, o / (out / groups) * in + c, row - padding, column - padding);
                }
            y.at(i, o, r, s) = sum;
          }
    return y;
  }

  Maps norm(Maps x, const std::string& name) const {
    const std::size_t pixels = x.h * x.w;
    for (std::size_t i = 0; i < x.values.size(); ++i) {
      const std::size_t c = i / pixels % x.c;
      x.values[i] = (x.values[i] - values(name + ".running_mean")[c]) /
                        std::sqrt(values(name + ".running_var")[c] + 1e-5) *
                        values(name + ".weight")[c] +
                    values(name + ".bias")[c];
    }
    return x;
  }

  static Maps relu(Maps x) {
    for (double& v : x.values) v = std::max(v, 0.0);
    return x;
  }

  static Maps max_pool(const Maps& x, std::size_t k, std::size_t stride, std::size_t padding) {
    Maps y =
        empty(x.n, x.c, (x.h + 2 * padding - k) / stride + 1, (x.w + 2 * padding - k) / stride + 1);
    for (std::size_t i = 0; i < x.n; ++i)
      for (std::size_t c = 0; c < x.c; ++c)
        for (std::size_t r = 0; r < y.h; ++r)
          for (std::size_t s = 0; s < y.w; ++s) {
            double most = -std::numeric_limits<double>::infinity();
            for (std::size_t u = 0; u < k; ++u)
              for (std::size_t v = 0; v < k; ++v) {
                const std::size_t row = r * stride + u, column = s * stride + v;
                if (row >= padding && column >= padding && row < x.h + padding &&
                    column < x.w + padding)
                  most = std::max(most, x.at(i, c, row - padding, column - padding));
              }
            y.at(i, c, r, s) = most;
          }
    return y;
  }

  static Maps average(const Maps& x, std::size_t size) {
    Maps y = empty(x.n, x.c, size, size);
    const auto from = [&](std::size_t i, std::size_t length) { return i * length / size; };
    const auto to = [&](std::size_t i, std::size_t length) {
      return ((i + 1) * length + size - 1) / size;
    };
    for (std::size_t i = 0; i < x.n; ++i)
      for (std::size_t c = 0; c < x.c; ++c)
        for (std::size_t r = 0; r < size; ++r)
          for (std::size_t s = 0; s < size; ++s) {
            double sum = 0, count = 0;
            for (std::size_t u = from(r, x.h); u < to(r, x.h); ++u)
              for (std::size_t v = from(s, x.w); v < to(s, x.w); ++v) {
                sum += x.at(i, c, u, v);
                count += 1;
              }
            y.at(i, c, r, s) = sum / count;
          }
    return y;
  }

  // Of all values of a sample, in row-major order.
  Maps linear(const Maps& x, const std::string& name) const {
    const std::size_t out = static_cast<std::size_t>(shapes_.at(name + ".weight")[0]);
    const std::size_t in = x.c * x.h * x.w;
    Maps y = empty(x.n, out, 1, 1);
    for (std::size_t i = 0; i < x.n; ++i)
      for (std::size_t o = 0; o < out; ++o) {
        double sum = values(name + ".bias")[o];
        for (std::size_t k = 0; k < in; ++k)
          sum += values(name + ".weight")[o * in + k] * x.values[i * in + k];
        y.at(i, o, 0, 0) = sum;
      }
    return y;
  }

  std::map<std::string, Shape> shapes_;
  std::map<std::string, Values> values_;
};

}  // namespace concord::test
