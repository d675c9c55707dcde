#include "engine/ops/top_k.h"

#include <algorithm>

#include "kernels/top_k.h"

namespace concord {

TopK top_k(const Tensor& logits, std::int64_t k) {
  check(logits.shape().rank() == 2, "top_k: logits [N,M] expected, not {}",
        logits.shape().to_string());
  check(1 <= k && k <= std::min(logits.dim(1), kernels::kMostTopK),
        "top_k: K is {}, it must be at least 1 and at most {} and the columns of logits {}", k,
        kernels::kMostTopK, logits.shape().to_string());
  const Shape shape = {logits.dim(0), k};
  TopK result{Tensor::empty(shape, {DType::kInt64, logits.device()}),
              Tensor::empty(shape, {logits.dtype(), logits.device()})};
  kernels::top_k(logits.device(), logits.view(), result.indices.view(), result.values.view());
  return result;
}

}  // namespace concord
