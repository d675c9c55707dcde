#pragma once
// The floating types in which files hold features, and their conversion from and to float32.

#include <cstddef>
#include <cstdint>
#include <string>

namespace concord {

enum class StoredDType : std::uint8_t { kFloat32, kFloat64, kBFloat16, kFloat16 };

std::size_t size_of(StoredDType dtype);
// "F32", "F64", "BF16", "F16": the names of safetensors.
const char* safetensors_name(StoredDType dtype);
// Throws for other names, naming those that are known; `what` starts the message.
StoredDType stored_dtype_of(const std::string& safetensors_name, const std::string& what);

// `count` values of `dtype` at `from` (any alignment), as float32. NaN stays NaN.
void widen(StoredDType dtype, const void* from, std::size_t count, float* to);
// `count` values to bf16 or fp16, rounded to the nearest, ties to even; NaN stays NaN with its sign
// and the top of its payload, infinities stay. Relative error of a normal number at most 2^-8
// (bf16) and 2^-11 (fp16, from 2^-14 to 65504; below, absolutely at most 2^-25). True unless a
// finite value became infinite: the type cannot hold it.
bool narrow_to_bfloat16(const float* from, std::size_t count, std::uint16_t* to);
bool narrow_to_float16(const float* from, std::size_t count, std::uint16_t* to);

}  // namespace concord
