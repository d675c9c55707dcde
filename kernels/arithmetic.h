#pragma once
// Elementwise arithmetic on equal shapes and formats. `result` may be one of the arguments.

#include "kernels/kernel.h"

namespace concord::kernels {

// result = a + b
inline Kernel<void(ConstView a, ConstView b, View result)> add{"add"};
// result = a * b
inline Kernel<void(ConstView a, ConstView b, View result)> multiply{"multiply"};
// result = factor * a
inline Kernel<void(ConstView a, double factor, View result)> scale{"scale"};
// result = the sum of all elements of a, accumulated in double; result has one element.
inline Kernel<void(ConstView a, View result)> sum{"sum"};
// Whether no element is NaN or infinite.
inline Kernel<bool(ConstView a)> all_finite{"all_finite"};

}  // namespace concord::kernels
