// The stage of the Trans-Net that keeps its mask, and its replay with the mask frozen. A bit an
// element is a thirty-second of what the maps take; the replays then need h no more.
//
// Not a sweep over channels: 32 elements of a word lie side by side in memory, so a warp takes
// whole words, each lane 16 bytes of maps (4 bits of float, 8 of bfloat16), or one element where
// the buffers are not aligned. Lanes that share a word put their bits together by shuffles. The
// factor p / s of each channel comes from a table that a first kernel makes, for its division takes
// longer than all the rest; where a lane's elements are, two multiplications tell (Divider).

#include "kernels/cuda/elementwise.h"
#include "kernels/cuda/maps.h"
#include "kernels/cuda/reduce.h"
#include "kernels/gated_stage.h"

namespace concord::cuda {
namespace {

constexpr unsigned kThreads = 256;
constexpr std::int64_t kWordBits = 32;

template <class T>
__global__ void quotients_kernel(const T* p, const T* s, std::int64_t entries, T* table) {
  for (std::int64_t i = first_item(); i < entries; i += item_stride())
    table[i] = static_cast<T>(static_cast<double>(*p) / static_cast<double>(s[i]));
}

// Where the factor of an element stands in the table.
struct Entries {
  std::int64_t of_sample;  // elements
  std::int64_t channels;
  bool last;        // channels are the fastest axis
  bool per_sample;  // s is [N,C], not [C]
  Divider by_sample;
  Divider by_inner;  // pixels of a map, or channels where they are the fastest

  Entries(const ConstView& maps, const ConstView& s, const char* what)
      : per_sample(s.shape.rank() == 2) {
    check(maps.format == MemoryFormat::kPlain || maps.format == MemoryFormat::kChannelsLast,
          "{}: CUDA has no kernel for the format {} of maps {}; use plain or channels_last", what,
          name_of(maps.format), maps.shape.to_string());
    const ChannelLayout layout = maps.channels();
    channels = layout.channels();
    of_sample = channels * layout.spatial;
    check(of_sample <= Maps::kMostElements,
          "{}: a sample of {} elements (maps {}) is larger than CUDA's kernels take, 2^30", what,
          of_sample, maps.shape.to_string());
    last = maps.format == MemoryFormat::kChannelsLast;
    by_sample = Divider(of_sample);
    by_inner = Divider(last ? channels : layout.spatial);
  }

  // Of element `ahead` (at most some hundred beyond the sample's end) from the first of sample n
  // on.
  __device__ __forceinline__ std::int64_t of(std::int64_t n, unsigned ahead) const {
    const auto [samples, element] = by_sample.divide(ahead);
    const auto [quotient, remainder] = by_inner.divide(element);
    const std::int64_t c = last ? remainder : quotient;
    return per_sample ? (n + samples) * channels + c : c;
  }
};

// Calls body(i, entry_of) for the elements i .. i + W - 1 of each lane, where they exist, and then,
// with all lanes, finish(word, bits): the word that the lane's bits belong to and body's result,
// moved to their place in it. entry_of(k) is the entry of element i + k.
template <int W, class Body, class Finish>
__device__ __forceinline__ void for_each_word(std::int64_t count, const Entries& entries, Body body,
                                              Finish finish) {
  const unsigned lane = threadIdx.x % kWarp;
  const std::int64_t stride = item_stride() * W;
  for (std::int64_t begin = (first_item() - lane) * W; begin < count; begin += stride) {
    const std::int64_t i = begin + std::int64_t{lane} * W;
    unsigned bits = 0;
    if (i < count) {
      // One division of long numbers for the warp.
      const std::int64_t n = begin / entries.of_sample;
      const auto ahead = static_cast<unsigned>(i - n * entries.of_sample);
      bits = body(i, [&](int k) { return entries.of(n, ahead + static_cast<unsigned>(k)); });
    }
    finish(i, bits << (lane * W % kWordBits));
  }
}

// `left` elements from `from` on, of which a lane takes W at most: in one access where there are so
// many.
template <class T, int W>
__device__ __forceinline__ void load_elements(const T* from, std::int64_t left,
                                              Compute<T> (&values)[W]) {
  if (W > 1 && left >= W) {
    const Values<T> pack = load_pack(from, 0);
    for (int k = 0; k < W; ++k) values[k] = pack.v[k];
  } else {
    for (int k = 0; k < W; ++k) values[k] = k < left ? static_cast<Compute<T>>(from[k]) : 0;
  }
}
template <class T, int W>
__device__ __forceinline__ void store_elements(T* to, std::int64_t left,
                                               const Compute<T> (&values)[W]) {
  if (W > 1 && left >= W) {
    Values<T> pack;
    for (int k = 0; k < W; ++k) pack.v[k] = values[k];
    store_pack(to, 0, pack);
  } else {
    for (int k = 0; k < W && k < left; ++k) to[k] = static_cast<T>(values[k]);
  }
}

template <class T, int W>
__global__ void __launch_bounds__(kThreads)
    masked_stage_kernel(const T* x, const T* h, const Compute<T>* table, Entries entries,
                        std::int64_t count, T* y, unsigned* mask) {
  for_each_word<W>(
      count, entries,
      [&](std::int64_t i, auto entry_of) {
        Compute<T> values[W];
        Compute<T> gated[W];
        const std::int64_t left = count - i;
        load_elements<T, W>(x + i, left, values);
        load_elements<T, W>(h + i, left, gated);
        unsigned bits = 0;
        for (int k = 0; k < W && k < left; ++k) {
          // Written so that the comparison with a NaN keeps it.
          const bool is_closed = gated[k] <= 0;
          values[k] += table[entry_of(k)] * (is_closed ? 0 : gated[k]);
          bits |= is_closed ? 0U : 1U << k;
        }
        store_elements<T, W>(y + i, left, values);
        return bits;
      },
      [&](std::int64_t i, unsigned word) {
        for (int lanes = 1; lanes < kWordBits / W; lanes *= 2)
          word |= __shfl_xor_sync(kAllLanes, word, lanes);
        if (i % kWordBits == 0 && i < count) mask[i / kWordBits] = word;
      });
}

// y may be v.
template <class T, int W>
__global__ void __launch_bounds__(kThreads)
    frozen_stage_kernel(const T* v, const unsigned* mask, const Compute<T>* table, Entries entries,
                        std::int64_t count, T* y) {
  for_each_word<W>(
      count, entries,
      [&](std::int64_t i, auto entry_of) {
        const unsigned bits = mask[i / kWordBits] >> (i % kWordBits);
        Compute<T> values[W];
        load_elements<T, W>(v + i, count - i, values);
        for (int k = 0; k < W && k < count - i; ++k)
          values[k] = (bits >> k & 1U) != 0 ? values[k] * table[entry_of(k)] : 0;
        store_elements<T, W>(y + i, count - i, values);
        return 0U;
      },
      [](std::int64_t, unsigned) {});
}

// Calls body(table of p / s, entries, shape of the launch for lanes of W elements, W) with W as a
// constant: a pack where buffers are aligned.
template <class T, class Body>
void with_factors(const char* what, const ConstView& maps, const ConstView& s, const ConstView& p,
                  bool aligned, Body body) {
  using P = Compute<T>;
  const Entries entries(maps, s, what);
  const Scratch table(static_cast<std::size_t>(s.numel()) * sizeof(P));
  launch(quotients_kernel<P>, strided_shape(s.numel()), p.as<P>(), s.as<P>(), s.numel(),
         table.as<P>());
  const auto run = [&]<int W>(std::integral_constant<int, W> width) {
    body(table.as<P>(), entries, strided_shape((maps.numel() + W - 1) / W, kThreads), width);
  };
  if (aligned) {
    run(std::integral_constant<int, Pack<T>::kSize>{});
  } else {
    run(std::integral_constant<int, 1>{});
  }
}

void masked_stage_cuda(ConstView x, ConstView h, ConstView s, ConstView p, View y, View mask) {
  kernels::check_mask("masked_stage", h, mask);
  if (y.numel() == 0) return;
  auto* const words = reinterpret_cast<unsigned*>(mask.as<std::uint8_t>());
  kernels::with_storage(x, "masked_stage", [&]<class T>(T) {
    const bool wide = are_aligned(x.as<T>(), h.as<T>(), y.as<T>());
    with_factors<T>("masked_stage", x, s, p, wide,
                    [&]<int W>(const Compute<T>* table, const Entries& entries,
                               const LaunchShape& shape, std::integral_constant<int, W>) {
                      launch(masked_stage_kernel<T, W>, shape, x.as<T>(), h.as<T>(), table, entries,
                             y.numel(), y.as<T>(), words);
                    });
  });
}

void frozen_stage_cuda(ConstView v, ConstView mask, ConstView s, ConstView p, View y) {
  kernels::check_mask("frozen_stage", v, mask);
  if (y.numel() == 0) return;
  const auto* const words = reinterpret_cast<const unsigned*>(mask.as<std::uint8_t>());
  kernels::with_storage(v, "frozen_stage", [&]<class T>(T) {
    const bool wide = are_aligned(v.as<T>(), y.as<T>());
    with_factors<T>("frozen_stage", v, s, p, wide,
                    [&]<int W>(const Compute<T>* table, const Entries& entries,
                               const LaunchShape& shape, std::integral_constant<int, W>) {
                      launch(frozen_stage_kernel<T, W>, shape, v.as<T>(), words, table, entries,
                             y.numel(), y.as<T>());
                    });
  });
}

const kernels::Registration registrations[] = {
    {kernels::masked_stage, DeviceType::kCuda, masked_stage_cuda},
    {kernels::frozen_stage, DeviceType::kCuda, frozen_stage_cuda},
};

}  // namespace
}  // namespace concord::cuda
