#pragma once

#include <cstdint>

namespace concord::kernels {

// How CUDA computes convolutions and matrix products of float32 tensors; sums, statistics and
// parameters are float32 in each.
//   kFloat32  every product in float32
//   kTf32     factors rounded to TF32 (10 bits of fraction) on tensor cores
enum class Precision : std::uint8_t { kFloat32, kTf32 };

// The process-wide choice (--precision fp32|tf32).
Precision precision();
void set_precision(Precision precision);

}  // namespace concord::kernels
