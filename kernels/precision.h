#pragma once

#include <cstdint>

namespace concord::kernels {

// How CUDA computes networks; parameters, their gradients, statistics and sums are float32 in each.
//   kFloat32   every product in float32
//   kTf32      factors of products rounded to TF32 (10 bits of fraction) on tensor cores
//   kBFloat16  networks bring their inputs to bfloat16 (7 bits of fraction): maps are stored in it
//              from layer to layer, weights are rounded to it where they are multiplied; products
//              of what is still float32 are in float32
enum class Precision : std::uint8_t { kFloat32, kTf32, kBFloat16 };

// The process-wide choice (--precision fp32|tf32|bf16).
Precision precision();
void set_precision(Precision precision);

}  // namespace concord::kernels
