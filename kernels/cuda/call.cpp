#include "kernels/cuda/call.h"

namespace concord::cuda {
namespace {

std::string text_of(cudaError_t error) {
  return fmt::format("{} ({})", cudaGetErrorString(error), cudaGetErrorName(error));
}

}  // namespace

void check_call(cudaError_t error, std::string_view call, std::string_view about) {
  if (error == cudaSuccess) return;
  // An error that is not sticky would be reported once more by the next call that asks.
  cudaGetLastError();
  fail("{}{}{}: {}", call, about.empty() ? "" : " ", about, text_of(error));
}

void fail_launch(cudaError_t error, const void* kernel, const dim3& grid, const dim3& block,
                 std::size_t shared_bytes) {
  cudaGetLastError();
  const char* name = nullptr;
  if (cudaFuncGetName(&name, kernel) != cudaSuccess) name = "a kernel";
  fail("launch of {} with a grid of {}x{}x{}, blocks of {}x{}x{} and {} bytes of shared memory: {}",
       name, grid.x, grid.y, grid.z, block.x, block.y, block.z, shared_bytes, text_of(error));
}

}  // namespace concord::cuda
