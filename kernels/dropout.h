#pragma once

#include "kernels/graph.h"

namespace concord::kernels {

// y_i = 0 where u_i < p, else x_i / (1 - p): i is the row-major index in the logical shape whatever
// the memory format, u_i the i-th word of the Philox stream (seed, offset) as a uniform_float. The
// same call with dy for x is the backward pass. y may be x. On the CPU the offset is a value.
inline Kernel<void(ConstView x, double p, std::uint64_t seed, Replayed<std::uint64_t> offset,
                   View y)>
    dropout{"dropout"};

}  // namespace concord::kernels
