#pragma once
// Matrix products, parallel over the threads: float32 by oneDNN, float64 by Eigen.

#include <cstdint>

namespace concord::kernels {

// A dense row-major matrix of `rows` x `columns`, to be multiplied as it is or transposed.
template <class T>
struct Factor {
  const T* data = nullptr;
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  bool transposed = false;
};

// result = a b, or result += a b; result is row-major and shares no memory with a and b.
enum class Into : std::uint8_t { kOverwrite, kAdd };
void gemm(const Factor<float>& a, const Factor<float>& b, Into into, float* result);
void gemm(const Factor<double>& a, const Factor<double>& b, Into into, double* result);

}  // namespace concord::kernels
