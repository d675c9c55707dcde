// Every value of a picture is one of 256, so a block begins with a table for each channel in shared
// memory: two exact divisions for each element would take longer than its five bytes. A
// channels-last picture keeps the order of its bytes, of which a thread takes four side by side and
// writes 16 bytes. For a plain one a thread takes four pixels, 12 bytes, and writes 16 bytes to
// each map; where a map is no multiple of four pixels, or a buffer unaligned, it takes one.

#include <algorithm>

#include "kernels/cuda/device.h"
#include "kernels/image.h"

namespace concord::cuda {
namespace {

using kernels::ConstView;
using kernels::View;

constexpr unsigned kThreads = 256;
constexpr unsigned kMostBlocks = 132 * 8;
// Packs of a thread, where there are so many, so that its part of the tables is little beside them.
constexpr std::int64_t kPacks = 4;
constexpr int kChannels = 3;
constexpr int kValues = 256;
constexpr std::size_t kTableBytes = kChannels * kValues * sizeof(float);

struct ChannelConstants {
  float mean[kChannels];
  float deviation[kChannels];
};

__device__ const float* make_tables(const ChannelConstants& constants) {
  auto* tables = shared_memory<float>();
  for (int c = 0; c < kChannels; ++c)
    for (unsigned value = threadIdx.x; value < kValues; value += blockDim.x)
      tables[c * kValues + static_cast<int>(value)] = kernels::normalized_value(
          static_cast<std::uint8_t>(value), constants.mean[c], constants.deviation[c]);
  __syncthreads();
  return tables;
}

// N elements side by side, aligned for one access where N is a power of two.
template <class T, int N, int kAlignment>
struct alignas(kAlignment) Group {
  T v[N];
};

template <class T, int kPixels>
__global__ void __launch_bounds__(kThreads)
    normalize_plain_kernel(const std::uint8_t* images, ChannelConstants constants,
                           std::int64_t samples, std::int64_t pixels, T* y) {
  using From = Group<std::uint8_t, kChannels * kPixels, kPixels>;
  using To = Group<T, kPixels, kPixels* static_cast<int>(sizeof(T))>;
  const float* tables = make_tables(constants);
  const std::int64_t groups = pixels / kPixels;
  for (std::int64_t n = blockIdx.y; n < samples; n += gridDim.y) {
    const auto* from = reinterpret_cast<const From*>(images + n * kChannels * pixels);
    auto* to = reinterpret_cast<To*>(y + n * kChannels * pixels);
    for (std::int64_t i = first_item(); i < groups; i += item_stride()) {
      const From bytes = from[i];
      for (int c = 0; c < kChannels; ++c) {
        To values;
        for (int k = 0; k < kPixels; ++k)
          values.v[k] = static_cast<T>(tables[c * kValues + bytes.v[k * kChannels + c]]);
        to[c * groups + i] = values;
      }
    }
  }
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    normalize_channels_last_kernel(const std::uint8_t* images, ChannelConstants constants,
                                   std::int64_t elements, std::int64_t packs, T* y) {
  constexpr int kSize = 4;
  using From = Group<std::uint8_t, kSize, kSize>;
  using To = Group<T, kSize, kSize* static_cast<int>(sizeof(T))>;
  const float* tables = make_tables(constants);
  // Of the first element of pack i, since 4 i and i have the same remainder.
  int first = static_cast<int>(first_item() % kChannels);
  const int step = static_cast<int>(item_stride() % kChannels);
  for (std::int64_t i = first_item(); i < packs; i += item_stride()) {
    const From bytes = reinterpret_cast<const From*>(images)[i];
    To values;
    int c = first;
    for (int k = 0; k < kSize; ++k) {
      values.v[k] = static_cast<T>(tables[c * kValues + bytes.v[k]]);
      c = c + 1 < kChannels ? c + 1 : 0;
    }
    reinterpret_cast<To*>(y)[i] = values;
    first = first + step < kChannels ? first + step : first + step - kChannels;
  }
  for (std::int64_t i = packs * kSize + first_item(); i < elements; i += item_stride())
    y[i] = static_cast<T>(tables[static_cast<int>(i % kChannels) * kValues + images[i]]);
}

template <int kPixels, class T>
void normalize_plain(const std::uint8_t* images, const ChannelConstants& constants,
                     std::int64_t samples, std::int64_t pixels, T* y) {
  LaunchShape shape =
      strided_shape((pixels / kPixels + kPacks - 1) / kPacks, kThreads, kMostBlocks);
  shape.grid.y =
      static_cast<unsigned>(std::clamp<std::int64_t>(kMostBlocks / shape.grid.x, 1, samples));
  shape.shared_bytes = kTableBytes;
  launch(normalize_plain_kernel<T, kPixels>, shape, images, constants, samples, pixels, y);
}

template <class T>
void normalize(const std::uint8_t* from, const ChannelConstants& constants, const View& y) {
  T* to = y.as<T>();
  const bool aligned = reinterpret_cast<std::uintptr_t>(from) % 4 == 0 &&
                       reinterpret_cast<std::uintptr_t>(to) % (4 * sizeof(T)) == 0;
  if (y.format == MemoryFormat::kChannelsLast) {
    const std::int64_t packs = aligned ? y.numel() / 4 : 0;
    const std::int64_t work = packs > 0 ? packs : y.numel();
    LaunchShape shape = strided_shape((work + kPacks - 1) / kPacks, kThreads, kMostBlocks);
    shape.shared_bytes = kTableBytes;
    launch(normalize_channels_last_kernel<T>, shape, from, constants, y.numel(), packs, to);
    return;
  }
  const std::int64_t pixels = y.shape[2] * y.shape[3];
  if (aligned && pixels % 4 == 0)
    normalize_plain<4>(from, constants, y.shape[0], pixels, to);
  else
    normalize_plain<1>(from, constants, y.shape[0], pixels, to);
}

void normalize_images_cuda(ConstView images, const std::array<float, 3>& mean,
                           const std::array<float, 3>& deviation, View y) {
  kernels::check_images(images, y);
  if (y.numel() == 0) return;
  const auto* from = images.as<std::uint8_t>();
  ChannelConstants constants;
  std::copy(mean.begin(), mean.end(), constants.mean);
  std::copy(deviation.begin(), deviation.end(), constants.deviation);
  if (y.dtype == DType::kBFloat16)
    normalize<BFloat16>(from, constants, y);
  else
    normalize<float>(from, constants, y);
}

const kernels::Registration registration{kernels::normalize_images, DeviceType::kCuda,
                                         normalize_images_cuda};

}  // namespace
}  // namespace concord::cuda
