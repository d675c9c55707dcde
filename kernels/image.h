#pragma once
// Pictures as networks want them.

#include <array>
#include <cstdint>

#include "kernels/host_device.h"
#include "kernels/kernel.h"

namespace concord::kernels {

// (value / 255 - mean) / deviation in float, which is what data/loader.h gives too.
CONCORD_HOST_DEVICE inline float normalized_value(std::uint8_t value, float mean, float deviation) {
  return (static_cast<float>(value) / 255.0F - mean) / deviation;
}

// y[n,c,h,w] = (images[n,h,w,c] / 255 - mean[c]) / deviation[c], to the bit what normalized_value
// gives (rounded once more where y is bfloat16). images: uint8 [N,H,W,3], plain; y: float32 or, on
// CUDA, bfloat16 [N,3,H,W], plain or channels-last. Throws for anything else.
inline Kernel<void(ConstView images, const std::array<float, 3>& mean,
                   const std::array<float, 3>& deviation, View y)>
    normalize_images{"normalize_images"};

// Throws unless the operands are as normalize_images wants them; for the definitions.
inline void check_images(const ConstView& images, const View& y) {
  const Shape& from = images.shape;
  check(from.rank() == 4 && from[3] == 3 && images.dtype == DType::kUInt8 &&
            images.format == MemoryFormat::kPlain,
        "normalize_images: images uint8 [N,H,W,3] plain expected, not {} {} {}",
        name_of(images.dtype), from.to_string(), name_of(images.format));
  check(y.shape == Shape({from[0], 3, from[1], from[2]}) &&
            (y.dtype == DType::kFloat32 || y.dtype == DType::kBFloat16) &&
            (y.format == MemoryFormat::kPlain || y.format == MemoryFormat::kChannelsLast),
        "normalize_images: from images {}, float32 or bfloat16 {}x3x{}x{} plain or channels-last "
        "is made, not "
        "{} {} {}",
        from.to_string(), from[0], from[1], from[2], name_of(y.dtype), y.shape.to_string(),
        name_of(y.format));
}

}  // namespace concord::kernels
