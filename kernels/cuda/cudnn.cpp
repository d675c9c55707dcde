#include "kernels/cuda/cudnn.h"

#include "kernels/cuda/stream.h"

namespace concord::cuda {

void check_cudnn(cudnnStatus_t status, std::string_view call, std::string_view about) {
  if (status == CUDNN_STATUS_SUCCESS) return;
  char last[512] = "";
  cudnnGetLastErrorString(last, sizeof(last));
  fail("{}{}{}: {}{}{}", call, about.empty() ? "" : " ", about, cudnnGetErrorString(status),
       last[0] == '\0' ? "" : ": ", last);
}

cudnnHandle_t cudnn() {
  // Never destroyed: the driver may be gone when static objects are.
  thread_local cudnnHandle_t const handle = [] {
    cudnnHandle_t result = nullptr;
    check_cudnn(cudnnCreate(&result), "cudnnCreate");
    return result;
  }();
  thread_local cudaStream_t works_on = nullptr;
  if (works_on != stream()) {
    check_cudnn(cudnnSetStream(handle, stream()), "cudnnSetStream");
    works_on = stream();
  }
  return handle;
}

}  // namespace concord::cuda
