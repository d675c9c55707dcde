#include "kernels/cuda/cublas.h"

#include "kernels/cuda/stream.h"
#include "kernels/error.h"

namespace concord::cuda {

void check_cublas(cublasStatus_t status, std::string_view call, std::string_view about) {
  check(status == CUBLAS_STATUS_SUCCESS, "{}{}{}: {} ({})", call, about.empty() ? "" : " ", about,
        cublasGetStatusString(status), cublasGetStatusName(status));
}

// Never destroyed: the driver may be gone when static objects are.
cublasHandle_t cublas() {
  thread_local cublasHandle_t const handle = [] {
    cublasHandle_t result = nullptr;
    check_cublas(cublasCreate(&result), "cublasCreate");
    return result;
  }();
  thread_local cudaStream_t works_on = nullptr;
  if (works_on != stream()) {
    check_cublas(cublasSetStream(handle, stream()), "cublasSetStream");
    works_on = stream();
  }
  return handle;
}

cublasLtHandle_t cublas_lt() {
  thread_local cublasLtHandle_t const handle = [] {
    cublasLtHandle_t result = nullptr;
    check_cublas(cublasLtCreate(&result), "cublasLtCreate");
    return result;
  }();
  return handle;
}

}  // namespace concord::cuda
