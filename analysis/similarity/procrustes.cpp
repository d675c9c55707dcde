#include "analysis/similarity/procrustes.h"

#include <algorithm>
#include <cmath>

#include "kernels/error.h"

namespace concord::similarity {

Procrustes procrustes(const KernelSums& sums, double nuclear_norm) {
  check(sums.samples >= 2, "procrustes: {} samples, 2 are needed at least", sums.samples);
  for (const double value : {sums.trace_a, sums.trace_b, nuclear_norm})
    check(std::isfinite(value),
          "procrustes: a sum over the features is {}; they hold NaN or infinity", value);
  check(sums.trace_a > 0, "procrustes: features A are constant: nothing varies over {} samples",
        sums.samples);
  check(sums.trace_b > 0, "procrustes: features B are constant: nothing varies over {} samples",
        sums.samples);
  const double similarity =
      std::min(1.0, nuclear_norm / (std::sqrt(sums.trace_a) * std::sqrt(sums.trace_b)));
  return {similarity, 2 - 2 * similarity};
}

}  // namespace concord::similarity
