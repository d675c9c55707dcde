#include "kernels/shape.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <limits>

namespace concord {

std::size_t size_of(DType dtype) {
  switch (dtype) {
    case DType::kFloat32:
      return 4;
    case DType::kFloat64:
    case DType::kInt64:
      return 8;
    case DType::kUInt8:
      return 1;
    case DType::kBFloat16:
      return 2;
  }
  fail("unknown dtype {}", static_cast<int>(dtype));
}

std::string_view name_of(DType dtype) {
  switch (dtype) {
    case DType::kFloat32:
      return "float32";
    case DType::kFloat64:
      return "float64";
    case DType::kInt64:
      return "int64";
    case DType::kUInt8:
      return "uint8";
    case DType::kBFloat16:
      return "bfloat16";
  }
  return "unknown";
}

bool is_floating(DType dtype) {
  return dtype == DType::kFloat32 || dtype == DType::kFloat64 || dtype == DType::kBFloat16;
}

DType compute_dtype(DType dtype) { return dtype == DType::kBFloat16 ? DType::kFloat32 : dtype; }

std::string name_of(Device device) {
  return device.type == DeviceType::kCpu ? "cpu" : fmt::format("cuda:{}", device.index);
}

std::string_view name_of(MemoryFormat format) {
  switch (format) {
    case MemoryFormat::kPlain:
      return "plain";
    case MemoryFormat::kChannelsLast:
      return "channels-last";
    case MemoryFormat::kBlocked8:
      return "blocked8";
    case MemoryFormat::kBlocked16:
      return "blocked16";
  }
  return "unknown";
}

Shape::Shape(std::span<const std::int64_t> sizes) {
  check(sizes.size() <= kMaxRank, "shape: {} axes, at most {} are supported", sizes.size(),
        kMaxRank);
  for (std::int64_t size : sizes) {
    check(size >= 0, "shape: negative size {} on axis {}", size, rank_);
    check(size == 0 || numel_ <= std::numeric_limits<std::int64_t>::max() / 8 / size,
          "shape {}: too many elements", fmt::join(sizes, "x"));
    numel_ *= size;
    sizes_[rank_++] = size;
  }
}

Shape Shape::with(std::size_t axis, std::int64_t size) const {
  check(axis < rank_, "shape {}: no axis {}", to_string(), axis);
  auto sizes = sizes_;
  sizes[axis] = size;
  return Shape(std::span<const std::int64_t>(sizes.data(), rank_));
}

std::string Shape::to_string() const {
  return rank_ == 0 ? "scalar" : fmt::format("{}", fmt::join(sizes(), "x"));
}

ChannelLayout channel_layout(const Shape& shape, MemoryFormat format) {
  check(shape.rank() >= 2, "shape {}: an axis of samples and one of channels are needed",
        shape.to_string());
  const std::int64_t channels = shape[1];
  std::int64_t spatial = 1;
  for (std::size_t axis = 2; axis < shape.rank(); ++axis) spatial *= shape[axis];
  switch (format) {
    case MemoryFormat::kPlain:
      return {shape[0], channels, spatial, 1};
    case MemoryFormat::kChannelsLast:
      return {shape[0], 1, spatial, channels};
    case MemoryFormat::kBlocked8:
      return {shape[0], channels / 8, spatial, 8};
    case MemoryFormat::kBlocked16:
      return {shape[0], channels / 16, spatial, 16};
  }
  fail("unknown memory format {}", static_cast<int>(format));
}

bool supports(MemoryFormat format, const Shape& shape) {
  if (format == MemoryFormat::kPlain) return true;
  if (shape.rank() != 4) return false;
  if (format == MemoryFormat::kBlocked8) return shape[1] % 8 == 0;
  if (format == MemoryFormat::kBlocked16) return shape[1] % 16 == 0;
  return true;
}

}  // namespace concord
