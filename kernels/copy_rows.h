#pragma once

#include <cstddef>

#include "kernels/kernel.h"

namespace concord::kernels {

// Copies `rows` runs of `row_bytes` bytes each; run r begins at from + r * from_pitch and goes to
// to + r * to_pitch. Pitches in bytes, at least row_bytes; the two buffers do not overlap. Enough
// to cut or join dense tensors along any axis.
inline Kernel<void(const void* from, std::size_t from_pitch, void* to, std::size_t to_pitch,
                   std::size_t row_bytes, std::size_t rows)>
    copy_rows{"copy_rows"};

}  // namespace concord::kernels
