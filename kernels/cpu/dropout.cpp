#include "kernels/dropout.h"

#include <cmath>

#include "kernels/cpu/channels.h"
#include "kernels/parallel.h"
#include "kernels/philox.h"

namespace concord::kernels {
namespace {

constexpr std::int64_t kBatch = 256;  // numbers drawn at a time, 4 to a Philox block

// Words i .. i + kBatch - 1 of the stream, i a multiple of 4: random::philox with the rounds
// outside and the counters inside, which makes vectors of them.
[[gnu::flatten]] void draw(std::uint64_t seed, std::uint64_t offset, std::int64_t i,
                           std::uint32_t* words) {
  constexpr int kBlocks = kBatch / 4;
  const auto first = static_cast<std::uint64_t>(i) / 4;
  std::uint32_t v[4][kBlocks];
  for (int block = 0; block < kBlocks; ++block) {
    const std::uint64_t counter = first + static_cast<std::uint64_t>(block);
    v[0][block] = static_cast<std::uint32_t>(counter);
    v[1][block] = static_cast<std::uint32_t>(counter >> 32);
    v[2][block] = static_cast<std::uint32_t>(offset);
    v[3][block] = static_cast<std::uint32_t>(offset >> 32);
  }
  for (int round = 0; round < random::kPhiloxRounds; ++round) {
#pragma omp simd
    for (int block = 0; block < kBlocks; ++block)
      random::philox_round(seed, round, v[0][block], v[1][block], v[2][block], v[3][block]);
  }
  for (int block = 0; block < kBlocks; ++block)
    for (int k = 0; k < 4; ++k) words[4 * block + k] = v[k][block];
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
      target[k * stride] = zero_unless(kept, source[k * stride] * factor);
    }
  }
}

void dropout_cpu(ConstView x, double p, std::uint64_t seed, Replayed<std::uint64_t> offset,
                 View y) {
  check(offset.at == nullptr, "dropout: the CPU captures no steps; give the offset by value");
  // u < p, with u = k 2^-24, is k < p 2^24 rounded up.
  const Mask mask{seed, offset.value, static_cast<std::uint32_t>(std::ceil(p * 0x1.0p24)),
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
