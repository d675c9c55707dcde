#pragma once

#include "engine/tensor.h"

namespace concord {

struct TopK {
  Tensor indices;  // int64 [N,K]
  Tensor values;   // [N,K], of the dtype of the logits
};

// The K greatest of each row of logits [N,M] (float32 or float64, on CUDA bfloat16 too) and where
// they stand, the greatest first; of equal ones the first, and a NaN before every number. It has no
// gradient. Throws unless 1 <= K <= min(M, 32).
TopK top_k(const Tensor& logits, std::int64_t k);

}  // namespace concord
