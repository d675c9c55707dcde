#include "kernels/dropout.h"

#include <cmath>

#include "kernels/parallel.h"
#include "kernels/philox.h"

namespace concord::kernels {
namespace {

constexpr std::int64_t kBatch = 256;  // numbers drawn at a time, 4 to a Philox block

// Words i .. i + kBatch - 1 of the stream, i a multiple of 4.
void draw(std::uint64_t seed, std::uint64_t offset, std::int64_t i, std::uint32_t* words) {
  const auto first = static_cast<std::uint64_t>(i) / 4;
  std::uint32_t w[4][kBatch / 4];
#pragma omp simd
  for (std::int64_t block = 0; block < kBatch / 4; ++block) {
    const random::PhiloxBlock numbers =
        random::philox(seed, offset, first + static_cast<std::uint64_t>(block));
    w[0][block] = numbers.v[0];
    w[1][block] = numbers.v[1];
    w[2][block] = numbers.v[2];
    w[3][block] = numbers.v[3];
  }
  for (std::int64_t block = 0; block < kBatch / 4; ++block)
    for (std::int64_t k = 0; k < 4; ++k) words[4 * block + k] = w[k][block];
}

struct Mask {
  std::uint64_t seed;
  std::uint64_t offset;
  std::uint32_t dropped_below;  // of the 24 bits that make a uniform_float
  double factor;
};

// to[k stride] = masked from[k stride] for the elements first .. first + count - 1 of the tensor.
template <class T>
void apply(const Mask& mask, std::int64_t first, std::int64_t count, std::int64_t stride,
           const T* from, T* to) {
  std::uint32_t words[kBatch];
  const T factor = static_cast<T>(mask.factor);
  const std::int64_t end = first + count;
  for (std::int64_t base = first / 4 * 4; base < end; base += kBatch) {
    draw(mask.seed, mask.offset, base, words);
    const std::int64_t begin = std::max(base, first);
    const std::int64_t stop = std::min(base + kBatch, end);
    const std::uint32_t* drawn = words + (begin - base);
    const T* source = from + (begin - first) * stride;
    T* target = to + (begin - first) * stride;
#pragma omp simd
    for (std::int64_t k = 0; k < stop - begin; ++k) {
      const bool kept = (drawn[k] >> 8) >= mask.dropped_below;
      target[k * stride] = kept ? source[k * stride] * factor : T(0);
    }
  }
}

void dropout_cpu(ConstView x, double p, std::uint64_t seed, std::uint64_t offset, View y) {
  // u < p, with u = k 2^-24, is k < p 2^24 rounded up.
  const Mask mask{seed, offset, static_cast<std::uint32_t>(std::ceil(p * 0x1.0p24)),
                  1.0 / (1.0 - p)};
  with_float(x, "dropout", [&]<class T>(T) {
    const T* from = x.as<T>();
    T* to = y.as<T>();
    if (x.format == MemoryFormat::kPlain) {
      // Whole blocks to each thread.
      parallel_for((x.numel() + 3) / 4, 1 << 11, [&](std::int64_t begin, std::int64_t end) {
        const std::int64_t first = 4 * begin;
        apply(mask, first, std::min(4 * end, x.numel()) - first, 1, from + first, to + first);
      });
      return;
    }
    // A channel of a sample is a run of the logical order, strided in memory.
    const ChannelLayout layout = x.channels();
    const std::int64_t spatial = layout.spatial;
    const std::int64_t channels = layout.channels();
    parallel_for(layout.outer * channels, (1 << 13) / std::max<std::int64_t>(spatial, 1) + 1,
                 [&](std::int64_t begin, std::int64_t end) {
                   for (std::int64_t map = begin; map < end; ++map) {
                     const std::int64_t at =
                         map / layout.lanes * layout.lanes * spatial + map % layout.lanes;
                     apply(mask, map * spatial, spatial, layout.lanes, from + at, to + at);
                   }
                 });
  });
}

const Registration registration{dropout, DeviceType::kCpu, dropout_cpu};

}  // namespace
}  // namespace concord::kernels
