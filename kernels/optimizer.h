#pragma once
// One update of one parameter, in one pass over its elements. All operands are plain, of one shape
// and floating dtype. The formulas stand in engine/optimizer.h.

#include "kernels/kernel.h"

namespace concord::kernels {

struct SgdStep {
  double learning_rate = 0;
  double momentum = 0;
  double weight_decay = 0;
};
// `momentum_buffer` may be absent when momentum is 0; it starts as zeros.
inline Kernel<void(ConstView gradient, View parameter, View momentum_buffer, const SgdStep& step)>
    sgd_step{"sgd_step"};

struct AdamStep {
  double learning_rate = 0;
  double beta1 = 0;
  double beta2 = 0;
  double eps = 0;
  double weight_decay = 0;
  std::int64_t step = 1;  // t, 1 at the first update
};
inline Kernel<void(ConstView gradient, View parameter, View exp_avg, View exp_avg_sq,
                   const AdamStep& step)>
    adam_step{"adam_step"};

}  // namespace concord::kernels
