#include "data/stored_dtype.h"

#include <bit>
#include <cstring>

#include "kernels/error.h"

namespace concord {
namespace {

constexpr std::uint32_t kMagnitude = 0x7FFFFFFFU;
constexpr std::uint32_t kInfinity = 0x7F800000U;

// The upper half of a float32.
float from_bfloat16(std::uint16_t bits) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}

// IEEE half precision: 1 sign, 5 exponent and 10 fraction bits. The fraction and exponent, moved to
// their place in a float32, are 2^112 times too small, and the multiplication also makes subnormals
// normal. Without branches, so that the loop is vectorised.
float from_float16(std::uint16_t half) {
  const std::uint32_t sign = static_cast<std::uint32_t>(half & 0x8000U) << 16;
  const std::uint32_t moved = static_cast<std::uint32_t>(half & 0x7FFFU) << 13;
  const std::uint32_t scaled =
      std::bit_cast<std::uint32_t>(std::bit_cast<float>(moved) * 0x1.0p112F);
  const std::uint32_t special = moved | kInfinity;  // infinity and NaN: the exponent of 31
  return std::bit_cast<float>(sign | ((half & 0x7C00U) == 0x7C00U ? special : scaled));
}

std::uint16_t to_bfloat16(float value) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  // A NaN whose payload lies in the lower half alone must not become an infinity.
  if ((bits & kMagnitude) > kInfinity) return static_cast<std::uint16_t>((bits >> 16) | 0x40U);
  // Adding just below half a unit, or half a unit above an odd one, carries where it must round up.
  return static_cast<std::uint16_t>((bits + 0x7FFFU + ((bits >> 16) & 1U)) >> 16);
}

std::uint16_t to_float16(float value) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t sign = (bits >> 16) & 0x8000U;
  const std::uint32_t magnitude = bits & kMagnitude;
  if (magnitude > kInfinity)
    return static_cast<std::uint16_t>(sign | 0x7E00U | ((magnitude >> 13) & 0x1FFU));
  // 65520 lies halfway between the largest number, 65504, and what would follow it.
  if (magnitude >= std::bit_cast<std::uint32_t>(65520.0F))
    return static_cast<std::uint16_t>(sign | 0x7C00U);
  if (magnitude < std::bit_cast<std::uint32_t>(0x1.0p-14F)) {
    // Subnormals are multiples of 2^-24: adding 1/2, whose unit that is, rounds to them.
    const float rounded = std::bit_cast<float>(magnitude) + 0.5F;
    return static_cast<std::uint16_t>(
        sign | (std::bit_cast<std::uint32_t>(rounded) - std::bit_cast<std::uint32_t>(0.5F)));
  }
  const std::uint32_t rebased = magnitude - (112U << 23);
  return static_cast<std::uint16_t>(sign | ((rebased + 0xFFFU + ((rebased >> 13) & 1U)) >> 13));
}

template <auto kConvert>
bool narrow(const float* from, std::size_t count, std::uint16_t infinity, std::uint16_t* to) {
  bool fits = true;
  for (std::size_t i = 0; i < count; ++i) {
    to[i] = kConvert(from[i]);
    const bool finite = (std::bit_cast<std::uint32_t>(from[i]) & kMagnitude) < kInfinity;
    fits = fits && !(finite && (to[i] & 0x7FFFU) == infinity);
  }
  return fits;
}

template <auto kConvert>
void widen_16(const unsigned char* from, std::size_t count, float* to) {
  for (std::size_t i = 0; i < count; ++i) {
    std::uint16_t bits = 0;
    std::memcpy(&bits, from + 2 * i, 2);
    to[i] = kConvert(bits);
  }
}

}  // namespace

std::size_t size_of(StoredDType dtype) {
  switch (dtype) {
    case StoredDType::kFloat32:
      return 4;
    case StoredDType::kFloat64:
      return 8;
    case StoredDType::kBFloat16:
    case StoredDType::kFloat16:
      return 2;
  }
  fail("unknown stored dtype {}", static_cast<int>(dtype));
}

const char* safetensors_name(StoredDType dtype) {
  switch (dtype) {
    case StoredDType::kFloat32:
      return "F32";
    case StoredDType::kFloat64:
      return "F64";
    case StoredDType::kBFloat16:
      return "BF16";
    case StoredDType::kFloat16:
      return "F16";
  }
  fail("unknown stored dtype {}", static_cast<int>(dtype));
}

StoredDType stored_dtype_of(const std::string& name, const std::string& what) {
  for (const StoredDType dtype : {StoredDType::kFloat32, StoredDType::kFloat64,
                                  StoredDType::kBFloat16, StoredDType::kFloat16})
    if (name == safetensors_name(dtype)) return dtype;
  fail("{} is of dtype {}; F32, F64, F16 and BF16 can be read", what, name);
}

void widen(StoredDType dtype, const void* from, std::size_t count, float* to) {
  const auto* bytes = static_cast<const unsigned char*>(from);
  switch (dtype) {
    case StoredDType::kFloat32:
      std::memcpy(to, bytes, count * sizeof(float));
      return;
    case StoredDType::kFloat64:
      for (std::size_t i = 0; i < count; ++i) {
        double value = 0;
        std::memcpy(&value, bytes + 8 * i, 8);
        to[i] = static_cast<float>(value);
      }
      return;
    case StoredDType::kBFloat16:
      return widen_16<from_bfloat16>(bytes, count, to);
    case StoredDType::kFloat16:
      return widen_16<from_float16>(bytes, count, to);
  }
}

bool narrow_to_bfloat16(const float* from, std::size_t count, std::uint16_t* to) {
  return narrow<to_bfloat16>(from, count, 0x7F80U, to);
}

bool narrow_to_float16(const float* from, std::size_t count, std::uint16_t* to) {
  return narrow<to_float16>(from, count, 0x7C00U, to);
}

}  // namespace concord
