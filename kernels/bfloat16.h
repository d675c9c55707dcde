#pragma once
// bfloat16: the upper half of a float, 8 bits of exponent and 7 of fraction. A format to store
// elements in: arithmetic on them is done in float (Compute<T>).

#include <bit>
#include <cstdint>
#include <type_traits>

#include "kernels/host_device.h"

namespace concord {

struct BFloat16 {
  std::uint16_t bits;

  BFloat16() = default;
  // The nearest one, of two equally near ones the even (host and device alike); a NaN stays one. A
  // double is rounded to float first.
  template <class Number>
  requires std::is_arithmetic_v<Number> CONCORD_HOST_DEVICE explicit BFloat16(Number value)
      : bits(nearest(static_cast<float>(value))) {}
  CONCORD_HOST_DEVICE operator float() const {
#if defined(__CUDA_ARCH__)
    return __uint_as_float(std::uint32_t{bits} << 16);
#else
    return std::bit_cast<float>(std::uint32_t{bits} << 16);
#endif
  }

 private:
  CONCORD_HOST_DEVICE static std::uint16_t nearest(float value) {
#if defined(__CUDA_ARCH__)
    std::uint16_t result;
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(result) : "f"(value));
    return result;
#else
    const auto word = std::bit_cast<std::uint32_t>(value);
    if (value != value) return static_cast<std::uint16_t>(word >> 16 | 0x40U);
    return static_cast<std::uint16_t>((word + 0x7FFFU + (word >> 16 & 1U)) >> 16);
#endif
  }
};
static_assert(sizeof(BFloat16) == 2 && std::is_trivially_copyable_v<BFloat16>);

// What elements of T are computed in, and what parameters, statistics and losses beside them are
// held in: float for bfloat16, else T.
template <class T>
using Compute = std::conditional_t<std::is_same_v<T, BFloat16>, float, T>;

}  // namespace concord
