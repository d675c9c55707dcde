#pragma once
// What every .cu file of ours starts with: CUDA's names, by nvcc or, on the host, by kernels/simt,
// and the few things that kernels and their launches need on both.

#if defined(__CUDACC__)
#include <cuda_runtime.h>

#include "kernels/cuda/call.h"
#else
#include "kernels/simt/device.h"
#endif

#include "kernels/kernel.h"

namespace concord::cuda {

// The stream on which this thread's work for its device is ordered (kernels/cuda/stream.h).
cudaStream_t stream();

struct LaunchShape {
  dim3 grid;
  dim3 block;
  std::size_t shared_bytes = 0;  // shared_memory<T>() in the kernel
};

// The block's dynamic shared memory, 16-byte aligned. Kernels use no other: on the host it is a
// heap block of its exact size.
template <class T>
__device__ __forceinline__ T* shared_memory() {
#if defined(__CUDACC__)
  extern __shared__ __align__(16) unsigned char concord_shared_memory[];
  return reinterpret_cast<T*>(concord_shared_memory);
#else
  return static_cast<T*>(simt::shared_bytes());
#endif
}

// Runs kernel(arguments...) on every thread of the grid, after the work that was launched before
// it. Throws where the launch is refused, with the kernel and the shape.
template <class... Parameters, class... Arguments>
void launch(void (*kernel)(Parameters...), const LaunchShape& shape, Arguments&&... arguments) {
#if defined(__CUDACC__)
  cudaLaunchConfig_t config = {};
  config.gridDim = shape.grid;
  config.blockDim = shape.block;
  config.dynamicSmemBytes = shape.shared_bytes;
  config.stream = stream();
  constexpr std::size_t kWithoutAsking = 48 << 10;
  if (shape.shared_bytes > kWithoutAsking)
    check_call(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                    static_cast<int>(shape.shared_bytes)),
               "cudaFuncSetAttribute");
  const cudaError_t error =
      cudaLaunchKernelEx(&config, kernel, static_cast<Parameters>(arguments)...);
  if (error != cudaSuccess)
    fail_launch(error, reinterpret_cast<const void*>(kernel), shape.grid, shape.block,
                shape.shared_bytes);
#else
  // By value: the work may be recorded (kernels/graph.h).
  simt::submit(
      [kernel, shape, given = std::tuple<Parameters...>(static_cast<Parameters>(arguments)...)] {
        simt::run(shape.grid, shape.block, shape.shared_bytes, [&] { std::apply(kernel, given); });
      });
#endif
}

// A grid of one dimension whose blocks of `threads` cover `work` items, at most `most` of them: for
// kernels that stride by the whole grid.
inline LaunchShape strided_shape(std::int64_t work, unsigned threads = 256,
                                 unsigned most = 132 * 16) {
  const std::int64_t blocks = (work + threads - 1) / threads;
  return {dim3(static_cast<unsigned>(blocks < 1      ? 1
                                     : blocks < most ? blocks
                                                     : most)),
          dim3(threads), 0};
}
// The thread's first item of such a grid, and how far its next one is.
__device__ __forceinline__ std::int64_t first_item() {
  return std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
}
__device__ __forceinline__ std::int64_t item_stride() {
  return std::int64_t{gridDim.x} * blockDim.x;
}

}  // namespace concord::cuda
