#pragma once
// Every call of the CUDA runtime, cuDNN and cuBLAS goes through a check here: a failure throws an
// Error with the call, the library's own text, and what was being done.

#include <cuda_runtime_api.h>

#include <string_view>

#include "kernels/error.h"

namespace concord::cuda {

// `call`: the function's name; `about`: shapes or sizes, may be empty.
void check_call(cudaError_t error, std::string_view call, std::string_view about = {});

[[noreturn]] void fail_launch(cudaError_t error, const void* kernel, const dim3& grid,
                              const dim3& block, std::size_t shared_bytes);

}  // namespace concord::cuda
