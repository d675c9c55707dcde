// Four numbers come out of a Philox block together. In plain tensors a thread has the four elements
// that a block belongs to, 16 bytes for float. In channels-last ones a block belongs to four pixels
// of one channel: a thread has eight of them, whose numbers lie in three blocks where the count of
// pixels is no multiple of four, and the lanes of a warp lie along the channels.

#include <bit>
#include <cmath>

#include "kernels/cuda/device.h"
#include "kernels/dropout.h"
#include "kernels/philox.h"

namespace concord::cuda {
namespace {

using kernels::ConstView;
using kernels::View;

constexpr unsigned kThreads = 256;
constexpr int kWords = 4;   // of a Philox block
constexpr int kPixels = 8;  // of a thread

// As in kernels/cpu/dropout.cpp, bit for bit.
template <class T>
struct Mask {
  std::uint64_t seed;
  kernels::Replayed<std::uint64_t> offset;
  std::uint32_t dropped_below;  // of the 24 bits that make a uniform_float
  Compute<T> factor;

  __device__ random::PhiloxBlock draw(std::int64_t block) const {
    const std::uint64_t own = offset.at == nullptr ? offset.value : *offset.at;
    return random::philox(seed, own, static_cast<std::uint64_t>(block));
  }
  __device__ T apply(std::uint32_t word, T x) const {
    return static_cast<T>((word >> 8) >= dropped_below ? static_cast<Compute<T>>(x) * factor : 0);
  }
};

template <class T>
struct alignas(sizeof(T) < 4 ? kWords * sizeof(T) : 16) Quad {
  T v[kWords];
};

// The first `quads` quads are 16-byte aligned on both sides.
template <class T>
__global__ void plain_kernel(Mask<T> mask, const T* x, T* y, std::int64_t count,
                             std::int64_t quads) {
  for (std::int64_t i = first_item(); kWords * i < count; i += item_stride()) {
    const random::PhiloxBlock drawn = mask.draw(i);
    if (i < quads) {
      auto quad = reinterpret_cast<const Quad<T>*>(x)[i];
      for (int k = 0; k < kWords; ++k) quad.v[k] = mask.apply(drawn.v[k], quad.v[k]);
      reinterpret_cast<Quad<T>*>(y)[i] = quad;
    } else {
      for (int k = 0; k < kWords && kWords * i + k < count; ++k)
        y[kWords * i + k] = mask.apply(drawn.v[k], x[kWords * i + k]);
    }
  }
}

// threadIdx.x is the channel; threadIdx.y the run of kPixels pixels, blockIdx.z the sample.
template <class T>
__global__ void __launch_bounds__(kThreads)
    channels_last_kernel(Mask<T> mask, const T* x, T* y, std::int64_t samples,
                         std::int64_t channels, std::int64_t spatial) {
  const std::int64_t pixel = kPixels * (std::int64_t{blockIdx.x} * blockDim.y + threadIdx.y);
  const std::int64_t step = std::int64_t{gridDim.y} * blockDim.x;
  if (pixel >= spatial) return;
  for (std::int64_t n = blockIdx.z; n < samples; n += gridDim.z) {
    for (std::int64_t c = std::int64_t{blockIdx.y} * blockDim.x + threadIdx.x; c < channels;
         c += step) {
      const T* const from = x + (n * spatial + pixel) * channels + c;
      T* const to = y + (n * spatial + pixel) * channels + c;
      T held[kPixels];
      for (int k = 0; k < kPixels; ++k)
        if (pixel + k < spatial) held[k] = from[k * channels];
      const std::int64_t first = (n * channels + c) * spatial + pixel;
      const std::int64_t block = first / kWords;
      const auto skipped = static_cast<int>(first % kWords);
      std::uint32_t words[kPixels + kWords];
      for (int d = 0; d < kPixels / kWords + 1; ++d) {
        if (d == kPixels / kWords && skipped == 0) break;
        const random::PhiloxBlock drawn = mask.draw(block + d);
        for (int k = 0; k < kWords; ++k) words[d * kWords + k] = drawn.v[k];
      }
      for (int k = 0; k < kPixels; ++k) {
        // A choice: an index known at run time only would put the words into memory.
        const std::uint32_t word = skipped == 0   ? words[k]
                                   : skipped == 1 ? words[k + 1]
                                   : skipped == 2 ? words[k + 2]
                                                  : words[k + 3];
        if (pixel + k < spatial) to[k * channels] = mask.apply(word, held[k]);
      }
    }
  }
}

template <class T>
void run_plain(const Mask<T>& mask, const T* x, T* y, std::int64_t count) {
  const bool is_aligned =
      (reinterpret_cast<std::uintptr_t>(x) | reinterpret_cast<std::uintptr_t>(y)) % 16 == 0;
  launch(plain_kernel<T>, strided_shape((count + kWords - 1) / kWords, kThreads), mask, x, y, count,
         is_aligned ? count / kWords : 0);
}

template <class T>
void run_channels_last(const Mask<T>& mask, const T* x, T* y, const ChannelLayout& layout) {
  constexpr std::int64_t kMost = 65535;  // of a grid's second and third axis
  const std::int64_t channels = layout.channels();
  const auto across =
      std::bit_ceil(static_cast<unsigned>(std::min<std::int64_t>(channels, kThreads)));
  const unsigned down = kThreads / across;
  const std::int64_t runs = (layout.spatial + kPixels - 1) / kPixels;
  launch(channels_last_kernel<T>,
         {dim3(static_cast<unsigned>((runs + down - 1) / down),
               static_cast<unsigned>(std::min((channels + across - 1) / across, kMost)),
               static_cast<unsigned>(std::min(layout.outer, kMost))),
          dim3(across, down), 0},
         mask, x, y, layout.outer, channels, layout.spatial);
}

void dropout_cuda(ConstView x, double p, std::uint64_t seed,
                  kernels::Replayed<std::uint64_t> offset, View y) {
  check(x.format == MemoryFormat::kPlain || x.format == MemoryFormat::kChannelsLast,
        "dropout: {} in {} format on {}: only plain and channels-last tensors are held there",
        x.shape.to_string(), name_of(x.format), name_of(x.device));
  const std::int64_t count = x.numel();
  if (count == 0) return;
  // u < p, with u = k 2^-24, is k < p 2^24 rounded up.
  const auto dropped_below = static_cast<std::uint32_t>(std::ceil(p * 0x1.0p24));
  kernels::with_storage(x, "dropout", [&]<class T>(T) {
    const Mask<T> mask{seed, offset, dropped_below, static_cast<Compute<T>>(1.0 / (1.0 - p))};
    if (x.format == MemoryFormat::kPlain)
      run_plain(mask, x.as<T>(), y.as<T>(), count);
    else
      run_channels_last(mask, x.as<T>(), y.as<T>(), x.channels());
  });
}

const kernels::Registration registration{kernels::dropout, DeviceType::kCuda, dropout_cuda};

}  // namespace
}  // namespace concord::cuda
