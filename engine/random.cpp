#include "engine/random.h"

#include <cmath>
#include <utility>

#include "kernels/parallel.h"

namespace concord::random {
namespace {

// Element i = value(four random words of counter i). Drawn on the host and copied, so that every
// device starts from the same bits.
template <class Value>
void fill_each(Tensor& tensor, Generator& generator, Value value) {
  check(tensor.dtype() == DType::kFloat32 || tensor.dtype() == DType::kFloat64,
        "initialiser: float32 or float64 expected, tensor of shape {} is {}",
        tensor.shape().to_string(), name_of(tensor.dtype()));
  const std::uint64_t seed = generator.seed();
  const std::uint64_t offset = generator.next_offset();
  const bool direct = tensor.device() == Device{} && tensor.format() == MemoryFormat::kPlain;
  Tensor plain = direct ? tensor : Tensor::empty(tensor.shape(), {.dtype = tensor.dtype()});
  kernels::with_float(plain.view(), "initialiser", [&]<class T>(T) {
    T* elements = plain.data<T>();
    parallel_for(plain.numel(), 1 << 12, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i)
        elements[i] = static_cast<T>(value(philox(seed, offset, static_cast<std::uint64_t>(i))));
    });
  });
  if (!direct) tensor.copy_from(plain);
}

}  // namespace

// Box and Muller, one number of the pair: an element must not depend on its neighbour's draw.
void fill_normal(Tensor& tensor, Generator& generator, double mean, double deviation) {
  fill_each(tensor, generator, [=](const PhiloxBlock& words) {
    const double u = 1.0 - uniform_double(words.v[0], words.v[1]);  // in (0, 1]
    const double angle = 6.283185307179586476925286766559 * uniform_double(words.v[2], words.v[3]);
    return mean + deviation * std::sqrt(-2.0 * std::log(u)) * std::cos(angle);
  });
}

void fill_uniform(Tensor& tensor, Generator& generator, double low, double high) {
  check(low <= high, "fill_uniform: empty interval [{}, {})", low, high);
  const bool single = tensor.dtype() == DType::kFloat32;
  fill_each(tensor, generator, [=](const PhiloxBlock& words) {
    const double value = low + (high - low) * uniform_double(words.v[0], words.v[1]);
    // Rounding to float32 may reach the excluded end.
    const bool reached =
        single ? static_cast<float>(value) >= static_cast<float>(high) : value >= high;
    return reached ? low : value;
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
