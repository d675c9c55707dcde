#pragma once

#include <cublasLt.h>
#include <cublas_v2.h>

#include <string_view>

namespace concord::cuda {

// The handles of the calling thread, on stream().
cublasHandle_t cublas();
cublasLtHandle_t cublas_lt();

// Throws with the call, cuBLAS' text for the status and `about` (shapes).
void check_cublas(cublasStatus_t status, std::string_view call, std::string_view about = {});

}  // namespace concord::cuda
