#pragma once

#include "engine/random.h"
#include "engine/tensor.h"

namespace concord {

// Training: each element is 0 with probability p, else x / (1 - p); evaluation: x itself. Element i
// (row-major in the logical shape, whatever the format) is kept when the i-th uniform of the Philox
// stream (generator seed, one new offset per call) is >= p. No mask is stored: backward draws it
// again. p in [0, 1).
Tensor dropout(const Tensor& x, double p, bool training, random::Generator& generator);

}  // namespace concord
