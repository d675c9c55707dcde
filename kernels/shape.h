#pragma once
// Shapes, element types, devices and memory formats: the vocabulary that kernels and engine share.

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>

#include "kernels/bfloat16.h"
#include "kernels/error.h"

namespace concord {

enum class DType : std::uint8_t { kFloat32, kFloat64, kInt64, kUInt8, kBFloat16 };

// Bytes per element.
std::size_t size_of(DType dtype);
// "float32", "float64", "int64", "uint8", "bfloat16".
std::string_view name_of(DType dtype);
// Whether elements are numbers with a fraction.
bool is_floating(DType dtype);
// The dtype of what stands beside elements of such a one: parameters, scales, losses. float32 for
// bfloat16, else the same.
DType compute_dtype(DType dtype);

template <class T>
struct DTypeOf;
template <>
struct DTypeOf<float> {
  static constexpr DType value = DType::kFloat32;
};
template <>
struct DTypeOf<double> {
  static constexpr DType value = DType::kFloat64;
};
template <>
struct DTypeOf<std::int64_t> {
  static constexpr DType value = DType::kInt64;
};
template <>
struct DTypeOf<std::uint8_t> {
  static constexpr DType value = DType::kUInt8;
};
template <>
struct DTypeOf<BFloat16> {
  static constexpr DType value = DType::kBFloat16;
};
template <class T>
inline constexpr DType kDTypeOf = DTypeOf<T>::value;

enum class DeviceType : std::uint8_t { kCpu, kCuda };
inline constexpr int kDeviceTypes = 2;

struct Device {
  DeviceType type = DeviceType::kCpu;
  int index = 0;
  friend bool operator==(const Device&, const Device&) = default;
};
// "cpu" or "cuda:1".
std::string name_of(Device device);

// The order in which the elements of a logical [N,C,H,W] tensor lie in memory.
//   kPlain         N C H W           row-major over the logical shape; the only one for other ranks
//   kChannelsLast  N H W C           tensor cores
//   kBlocked8      N C/8 H W 8       AVX2 vectors of channels
//   kBlocked16     N C/16 H W 16     AVX-512 vectors of channels (oneDNN's nChw16c)
// A blocked tensor has a channel count that its block divides, so that no format pads and every
// elementwise kernel may walk the buffer as one flat array.
enum class MemoryFormat : std::uint8_t { kPlain, kChannelsLast, kBlocked8, kBlocked16 };
std::string_view name_of(MemoryFormat format);

// Up to kMaxRank non-negative sizes, held by value.
class Shape {
 public:
  static constexpr std::size_t kMaxRank = 6;

  Shape() = default;
  Shape(std::initializer_list<std::int64_t> sizes)
      : Shape(std::span<const std::int64_t>(sizes.begin(), sizes.size())) {}
  // Throws on more than kMaxRank sizes, on a negative one, and when the product overflows.
  explicit Shape(std::span<const std::int64_t> sizes);

  std::size_t rank() const { return rank_; }
  std::int64_t operator[](std::size_t axis) const {
    check(axis < rank_, "shape {}: no axis {}", to_string(), axis);
    return sizes_[axis];
  }
  // 1 for rank 0.
  std::int64_t numel() const { return numel_; }
  std::span<const std::int64_t> sizes() const { return {sizes_.data(), rank_}; }
  // The same shape with another size on one axis.
  Shape with(std::size_t axis, std::int64_t size) const;
  // "8x3x224x224"; "scalar" for rank 0.
  std::string to_string() const;

  friend bool operator==(const Shape& a, const Shape& b) {
    return a.rank_ == b.rank_ && a.sizes_ == b.sizes_;
  }

 private:
  std::array<std::int64_t, kMaxRank> sizes_{};
  std::size_t rank_ = 0;
  std::int64_t numel_ = 1;
};

// How a [N,C,H,W] (or [N,C]) tensor of any format reads as a dense four-level array
// [outer][groups][spatial][lanes]: element (n, g, s, l) is sample n, channel g * lanes + l, pixel
// s. Kernels that work per channel are written once against it.
struct ChannelLayout {
  std::int64_t outer = 0;    // N
  std::int64_t groups = 0;   // C / lanes
  std::int64_t spatial = 0;  // H * W
  std::int64_t lanes = 0;    // 1 plain, 8 or 16 blocked, C channels-last
  std::int64_t channels() const { return groups * lanes; }
};
// Throws for rank < 2.
ChannelLayout channel_layout(const Shape& shape, MemoryFormat format);

// Whether `shape` can be held in `format`: rank 4 (or plain), and channels divisible by the block.
bool supports(MemoryFormat format, const Shape& shape);

}  // namespace concord
