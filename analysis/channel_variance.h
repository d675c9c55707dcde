#pragma once
// Variances over data that arrive in batches.

#include <vector>

#include "engine/tensor.h"

namespace concord {

// Per channel the mean over images and space, and the mean squared deviation from it (population
// variance). Source: Liang et al., ICLR 2020, section 4 (Var of x(k) and of x_delta).
//
// Each batch is summed in double about a value of its own and merged into the running moments, so
// the result does not depend on how the data are cut into batches beyond rounding, and a large mean
// costs no digits. Source of the merge: Chan, Golub, LeVeque, Updating formulae, COMPSTAT 1982.
class ChannelVariance {
 public:
  // [n,C,H,W] or [n,C], any memory format, float32 or float64, n >= 0. Throws when C is another
  // than before.
  void add(const Tensor& batch);

  // The mean squared deviation over all elements: the mean of channels(). Throws before any data.
  double result() const;
  // Per channel: [C].
  std::vector<double> channels() const;
  const std::vector<double>& means() const { return means_; }
  // Values per channel so far (images times pixels).
  double count() const { return count_; }

 private:
  double count_ = 0;
  std::vector<double> means_;
  std::vector<double> squares_;  // sums of squared deviations
};

}  // namespace concord
