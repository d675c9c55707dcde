#include "engine/random.h"

#include <cmath>
#include <utility>

#include "kernels/parallel.h"

namespace concord::random {
namespace {

// Elements 2 b and 2 b + 1 = values(the Philox block of counter b). Drawn on the host and copied,
// so that every device starts from the same bits.
template <class Values>
void fill_pairs(Tensor& tensor, Generator& generator, Values values) {
  check(tensor.dtype() == DType::kFloat32 || tensor.dtype() == DType::kFloat64,
        "initialiser: float32 or float64 expected, tensor of shape {} is {}",
        tensor.shape().to_string(), name_of(tensor.dtype()));
  const std::uint64_t seed = generator.seed();
  const std::uint64_t offset = generator.next_offset();
  const bool direct = tensor.device() == Device{} && tensor.format() == MemoryFormat::kPlain;
  Tensor plain = direct ? tensor : Tensor::empty(tensor.shape(), {.dtype = tensor.dtype()});
  kernels::with_float(plain.view(), "initialiser", [&]<class T>(T) {
    T* elements = plain.data<T>();
    const std::int64_t count = plain.numel();
    parallel_for((count + 1) / 2, 1 << 11, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t b = begin; b < end; ++b) {
        const auto [even, odd] = values(philox(seed, offset, static_cast<std::uint64_t>(b)));
        elements[2 * b] = static_cast<T>(even);
        if (2 * b + 1 < count) elements[2 * b + 1] = static_cast<T>(odd);
      }
    });
  });
  if (!direct) tensor.copy_from(plain);
}

}  // namespace

// Box and Muller: the two numbers of a block's two uniforms.
void fill_normal(Tensor& tensor, Generator& generator, double mean, double deviation) {
  fill_pairs(tensor, generator, [=](const PhiloxBlock& words) {
    const double u = 1.0 - uniform_double(words.v[0], words.v[1]);  // in (0, 1]
    const double angle = 6.283185307179586476925286766559 * uniform_double(words.v[2], words.v[3]);
    const double radius = deviation * std::sqrt(-2.0 * std::log(u));
    return std::pair(mean + radius * std::cos(angle), mean + radius * std::sin(angle));
  });
}

void fill_uniform(Tensor& tensor, Generator& generator, double low, double high) {
  check(low <= high, "fill_uniform: empty interval [{}, {})", low, high);
  const bool single = tensor.dtype() == DType::kFloat32;
  const auto scaled = [=](std::uint32_t first, std::uint32_t second) {
    const double value = low + (high - low) * uniform_double(first, second);
    // Rounding to float32 may reach the excluded end.
    const bool reached =
        single ? static_cast<float>(value) >= static_cast<float>(high) : value >= high;
    return reached ? low : value;
  };
  fill_pairs(tensor, generator, [=](const PhiloxBlock& words) {
    return std::pair(scaled(words.v[0], words.v[1]), scaled(words.v[2], words.v[3]));
  });
}

void fill_kaiming_normal_fan_out(Tensor& tensor, Generator& generator) {
  const Shape& shape = tensor.shape();
  check(shape.rank() >= 2 && shape.numel() > 0,
        "fill_kaiming_normal_fan_out: a weight [O,I,...] expected, tensor has shape {}",
        shape.to_string());
  const double fan_out = static_cast<double>(shape.numel() / shape[1]);
  fill_normal(tensor, generator, 0.0, std::sqrt(2.0 / fan_out));
}

void fill_default_uniform(Tensor& tensor, Generator& generator, std::int64_t fan_in) {
  check(fan_in > 0, "fill_default_uniform: fan_in is {}, it must be positive", fan_in);
  const double bound = 1.0 / std::sqrt(static_cast<double>(fan_in));
  fill_uniform(tensor, generator, -bound, bound);
}

}  // namespace concord::random
