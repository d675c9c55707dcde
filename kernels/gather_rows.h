#pragma once

#include <cstdint>
#include <span>

#include "kernels/kernel.h"

namespace concord::kernels {

// to[i] = from[rows[i]]: rows of axis 0 of a plain tensor of any dtype, in any order, perhaps more
// than once; `rows` is the host's. Throws for a row that is not there.
inline Kernel<void(ConstView from, std::span<const std::int64_t> rows, View to)> gather_rows{
    "gather_rows"};

// What both definitions ask of their arguments. Returns the bytes of a row.
std::size_t check_gather_rows(const ConstView& from, std::span<const std::int64_t> rows,
                              const View& to);

}  // namespace concord::kernels
