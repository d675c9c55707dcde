#pragma once
// The greatest elements of rows; formula: engine/ops/top_k.h.

#include <cstdint>

#include "kernels/host_device.h"
#include "kernels/kernel.h"

namespace concord::kernels {

inline constexpr std::int64_t kMostTopK = 32;

// Whether element i of a row, a, stands before its element j, b: the greater does, of equal ones
// the first, and a NaN before every number, so that it never hides.
template <class T>
CONCORD_HOST_DEVICE bool outranks(T a, std::int64_t i, T b, std::int64_t j) {
  const bool a_is_nan = a != a;
  const bool b_is_nan = b != b;
  if (a_is_nan || b_is_nan) return a_is_nan && (!b_is_nan || i < j);
  return a > b || (a == b && i < j);
}

// logits [N,M] -> the K first of each row by `outranks`, in that order: indices int64 [N,K] and
// values [N,K] of the dtype of logits. 1 <= K <= min(M, kMostTopK). All plain; throws for anything
// else.
inline Kernel<void(ConstView logits, View indices, View values)> top_k{"top_k"};

// Throws unless the operands are as top_k wants them; for the definitions.
inline void check_top_k(const ConstView& logits, const View& indices, const View& values) {
  check(logits.shape.rank() == 2 && values.shape.rank() == 2 && indices.shape == values.shape &&
            values.shape[0] == logits.shape[0] && indices.dtype == DType::kInt64 &&
            values.dtype == logits.dtype,
        "top_k: of logits {} {}, indices int64 [N,K] and values {} [N,K] are made, not {} {} and "
        "{} {}",
        name_of(logits.dtype), logits.shape.to_string(), name_of(logits.dtype),
        name_of(indices.dtype), indices.shape.to_string(), name_of(values.dtype),
        values.shape.to_string());
  const std::int64_t k = values.shape[1];
  check(1 <= k && k <= logits.shape[1] && k <= kMostTopK,
        "top_k: K is {}, it must be at least 1 and at most {} and the {} columns of logits {}", k,
        kMostTopK, logits.shape[1], logits.shape.to_string());
}

}  // namespace concord::kernels
