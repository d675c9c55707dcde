#pragma once

#include <cstdint>
#include <functional>

#include "analysis/similarity/matrix.h"

namespace concord::similarity {

// The centred linear kernel [n,n] of rows that are given block by block: `rows(begin, end)` gives
// those of the samples [begin, end), each the same whenever it is asked for. Two blocks of `block`
// samples are in memory at a time beside the kernel; every block is asked for n / (2 block) times
// or so, and once when one block holds all.
Matrix blocked_linear_kernel(std::int64_t samples, std::int64_t block,
                             const std::function<Matrix(std::int64_t, std::int64_t)>& rows);

}  // namespace concord::similarity
