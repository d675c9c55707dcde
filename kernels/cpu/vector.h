#pragma once
// GCC's vector types, for loops that the compiler does not make vectors of by itself: choices
// between operands of different widths, and transpositions. Any length works on any processor; one
// beyond its registers is split over several.

#include <cstdint>
#include <cstring>
#include <type_traits>

// How a vector would be passed where registers are narrower: everything here is inlined.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpsabi"

namespace concord::kernels {

// L values of T. One alone is the lowest of four: of a choice between scalars GCC makes a branch.
template <class T, int L>
struct VectorOf {
  typedef T Type __attribute__((vector_size((L == 1 ? 4 : L) * sizeof(T))));
};
template <class T, int L>
using Vector = typename VectorOf<T, L>::Type;

// The integer as wide as T: comparisons of Vector<T, L> give vectors of it, 0 or -1 a lane.
template <class T>
using MaskOf = std::conditional_t<sizeof(T) == 4, std::int32_t, std::int64_t>;

// From and to any address.
template <int L, class T>
[[gnu::always_inline]] inline Vector<T, L> load(const T* from) {
  Vector<T, L> value = {};
  if constexpr (L == 1) {
    value[0] = *from;
  } else {
    std::memcpy(&value, from, sizeof(value));
  }
  return value;
}
template <int L, class T>
[[gnu::always_inline]] inline void store(T* to, const Vector<T, L>& value) {
  if constexpr (L == 1) {
    *to = value[0];
  } else {
    std::memcpy(to, &value, sizeof(value));
  }
}

// Integers of another width, by halves and doubles: GCC takes greater steps element by element.
template <class To, class From, int L>
[[gnu::always_inline]] inline Vector<To, L> convert_lanes(const Vector<From, L>& value) {
  if constexpr (L == 1) {
    return Vector<To, L>{static_cast<To>(value[0])};
  } else if constexpr (sizeof(To) > 2 * sizeof(From)) {
    using Half = std::conditional_t<sizeof(To) == 8, std::int32_t, std::int16_t>;
    return __builtin_convertvector((convert_lanes<Half, From, L>(value)), Vector<To, L>);
  } else if constexpr (2 * sizeof(To) < sizeof(From)) {
    using Half = std::conditional_t<sizeof(From) == 8, std::int32_t, std::int16_t>;
    return convert_lanes<To, Half, L>(__builtin_convertvector(value, Vector<Half, L>));
  } else {
    return __builtin_convertvector(value, Vector<To, L>);
  }
}

}  // namespace concord::kernels

#pragma GCC diagnostic pop
