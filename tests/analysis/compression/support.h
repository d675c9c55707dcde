#pragma once
// Numbers and a network that the tests of compression share.

#include <bit>
#include <cstdint>
#include <memory>
#include <vector>

#include "engine/layers.h"
#include "tests/gradient_check.h"

namespace concord::test {

// As make_goldens.py draws them: values about 0.01, most of them near it.
inline std::vector<float> golden_values() {
  std::vector<float> values;
  for (std::uint64_t i = 0; i < 4000; ++i) {
    const double u =
        static_cast<double>((i * 1664525 + 1013904223) % (std::uint64_t{1} << 32)) / 0x1p32;
    const double x = 2 * u - 1;
    values.push_back(static_cast<float>(x * x * x * 0.3 + 0.01));
  }
  return values;
}

// A convolution, a batch normalisation and a fully connected layer: "0", "1", "3".
inline std::shared_ptr<Sequential> small_network(std::uint64_t seed) {
  random::Generator generator(seed);
  return std::make_shared<Sequential>(std::vector<ModulePtr>{
      std::make_shared<Conv2d>(
          Conv2dLayer{.in_channels = 2, .out_channels = 3, .kernel = {3, 3}, .bias = false},
          generator),
      std::make_shared<BatchNorm2d>(BatchNorm2dLayer{.channels = 3}), std::make_shared<Flatten>(),
      std::make_shared<Linear>(3 * 2 * 2, 4, generator)});
}
// What it takes: [5,2,4,4].
inline Tensor small_images() { return random_tensor({5, 2, 4, 4}, 11).to(DType::kFloat32); }

inline std::vector<std::uint32_t> bits_of(const Tensor& tensor) {
  std::vector<std::uint32_t> bits;
  for (const float value : tensor.to_vector<float>())
    bits.push_back(std::bit_cast<std::uint32_t>(value));
  return bits;
}

}  // namespace concord::test
