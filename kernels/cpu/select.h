#pragma once
// A value or 0, in loops that must become vectors.

#include <bit>
#include <cstdint>
#include <type_traits>

namespace concord::kernels {

// kept ? value : 0 by masking bits: a choice that the compiler cannot turn into a branch, which
// would keep the loop around it from becoming a vector.
template <class T>
T zero_unless(bool kept, T value) {
  using Bits = std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>;
  return std::bit_cast<T>(std::bit_cast<Bits>(value) & (Bits{0} - static_cast<Bits>(kept)));
}

// value where v > 0, else 0, from the bits of v. After a comparison GCC would load `value` under
// its mask, and the processor ask memory for it only once v has come. A NaN v is as positive as its
// sign.
template <class T>
T where_positive(T v, T value) {
  using Bits = std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>;
  using Signed = std::make_signed_t<Bits>;
  const Bits bits = std::bit_cast<Bits>(v);
  // -bits has the sign where bits > 0, and for -0.0, which ~bits takes out; the shift spreads it.
  const auto sign = static_cast<Signed>((Bits{0} - bits) & ~bits);
  const auto mask = static_cast<Bits>(sign >> (8 * sizeof(T) - 1));
  return std::bit_cast<T>(std::bit_cast<Bits>(value) & mask);
}

}  // namespace concord::kernels
