#pragma once
// Sums over a warp, a block and the grid. The order of the additions depends on the shape of the
// launch alone, so results are the same bits each time; nothing here uses floating atomics.

#include "kernels/cuda/device.h"
#include "kernels/cuda/scratch.h"

namespace concord::cuda {

inline constexpr unsigned kWarp = 32;
inline constexpr unsigned kAllLanes = 0xFFFFFFFFU;

// The sum of the warp's values, in every lane.
template <class T>
__device__ __forceinline__ T warp_sum(T value) {
  for (int bits = 16; bits > 0; bits /= 2) value += __shfl_xor_sync(kAllLanes, value, bits);
  return value;
}

// The same of the greatest value; a NaN wins.
template <class T>
__device__ __forceinline__ T warp_max(T value) {
  for (int bits = 16; bits > 0; bits /= 2) {
    const T other = __shfl_xor_sync(kAllLanes, value, bits);
    value = other > value || other != other ? other : value;
  }
  return value;
}

// Sums K values of every thread of the block at once; the sums are in every thread. `shared` has
// room for block_sum_bytes<T>(K) and may be used again right after. The block is of whole warps.
template <int K, class T>
__device__ __forceinline__ void block_sum(T (&values)[K], T* shared) {
  const unsigned thread = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
  const unsigned warps = blockDim.x * blockDim.y * blockDim.z / kWarp;
  for (int k = 0; k < K; ++k) values[k] = warp_sum(values[k]);
  if (warps == 1) return;
  if (thread % kWarp == 0)
    for (int k = 0; k < K; ++k) shared[k * kWarp + thread / kWarp] = values[k];
  __syncthreads();
  for (int k = 0; k < K; ++k)
    values[k] = warp_sum(thread % kWarp < warps ? shared[k * kWarp + thread % kWarp] : T(0));
  __syncthreads();
}
// Bytes of shared memory that block_sum of K values of T wants.
template <class T>
constexpr std::size_t block_sum_bytes(int k) {
  return static_cast<std::size_t>(k) * kWarp * sizeof(T);
}

// A sum that is wanted as it is.
struct Identity {
  __device__ double operator()(double sum) const { return sum; }
};

// The double sum over i in [0, count) of f(i), by a grid whose size depends on count alone;
// `finish` makes of it what *to becomes. Both are objects with a __device__ operator().
inline constexpr unsigned kSumThreads = 256;
inline constexpr unsigned kMostSumBlocks = 528;  // four for each multiprocessor of an H100

template <class Function>
__global__ void partial_sum_kernel(std::int64_t count, Function f, double* partial) {
  double sum[1] = {0};
  for (std::int64_t i = first_item(); i < count; i += item_stride()) sum[0] += f(i);
  block_sum(sum, shared_memory<double>());
  if (threadIdx.x == 0) partial[blockIdx.x] = sum[0];
}
template <class T, class Finish>
__global__ void finish_sum_kernel(int parts, const double* partial, Finish finish, T* to) {
  double sum[1] = {0};
  for (int i = static_cast<int>(threadIdx.x); i < parts; i += static_cast<int>(blockDim.x))
    sum[0] += partial[i];
  block_sum(sum, shared_memory<double>());
  if (threadIdx.x == 0) *to = static_cast<T>(finish(sum[0]));
}

template <class T, class Function, class Finish>
void sum_elements(std::int64_t count, Function f, Finish finish, T* to) {
  LaunchShape shape = strided_shape((count + 3) / 4, kSumThreads, kMostSumBlocks);
  shape.shared_bytes = block_sum_bytes<double>(1);
  const Scratch partial(shape.grid.x * sizeof(double));
  launch(partial_sum_kernel<Function>, shape, count, f, partial.as<double>());
  launch(finish_sum_kernel<T, Finish>, {dim3(1), dim3(kSumThreads), shape.shared_bytes},
         static_cast<int>(shape.grid.x), partial.as<double>(), finish, to);
}

}  // namespace concord::cuda
