#include "tests/cuda_scripted/scripted.h"

#include <cublasLt.h>
#include <cublas_v2.h>
#include <cuda_runtime_api.h>
#include <cudnn.h>
#include <dlfcn.h>

#include <cstdlib>
#include <map>
#include <optional>

namespace concord::test {
namespace {

std::map<std::string, int> answers;
std::map<std::string, int> calls;
int offered = 0;
int nan_option = -1;

std::optional<int> answer_of(const char* function) {
  ++calls[function];
  const auto found = answers.find(function);
  if (found == answers.end()) return std::nullopt;
  return found->second;
}

// The library's own. `Function` is the type of the function here.
template <class Function>
Function* original(const char* name) {
  return reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
}

// The answer, after `made` where that is success; or what the library answers.
template <class Status, class... Parameters, class Made>
Status respond(Status (*self)(Parameters...), const char* name, Made&& made,
               std::type_identity_t<Parameters>... arguments) {
  static_cast<void>(self);
  const std::optional<int> status = answer_of(name);
  if (!status) return original<Status(Parameters...)>(name)(arguments...);
  if (*status == 0) made();
  return static_cast<Status>(*status);
}

constexpr auto kNothing = [] {};

}  // namespace

void answer(const std::string& function, int status) { answers[function] = status; }
void offer_algorithms(int count) { offered = count; }
int nan_option_of_activation() { return nan_option; }
void forget_answers() {
  offered = 0;
  answers.clear();
  calls.clear();
}
int calls_of(const std::string& function) { return calls[function]; }

}  // namespace concord::test

using concord::test::kNothing;
using concord::test::nan_option;
using concord::test::offered;
using concord::test::respond;

extern "C" {

cudaError_t cudaSetDevice(int device) {
  return respond(cudaSetDevice, "cudaSetDevice", kNothing, device);
}
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags) {
  return respond(
      cudaStreamCreateWithFlags, "cudaStreamCreateWithFlags", [&] { *stream = nullptr; }, stream,
      flags);
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  return respond(cudaStreamSynchronize, "cudaStreamSynchronize", kNothing, stream);
}
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags) {
  return respond(cudaStreamWaitEvent, "cudaStreamWaitEvent", kNothing, stream, event, flags);
}
// Scripted success: a capture is under way.
cudaError_t cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus* status) {
  return respond(
      cudaStreamIsCapturing, "cudaStreamIsCapturing",
      [&] { *status = cudaStreamCaptureStatusActive; }, stream, status);
}
cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode) {
  return respond(cudaStreamBeginCapture, "cudaStreamBeginCapture", kNothing, stream, mode);
}
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  return respond(
      cudaStreamEndCapture, "cudaStreamEndCapture", [&] { *graph = nullptr; }, stream, graph);
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph,
                                 unsigned long long flags) {
  return respond(
      cudaGraphInstantiate, "cudaGraphInstantiate", [&] { *executable = nullptr; }, executable,
      graph, flags);
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream) {
  return respond(cudaGraphLaunch, "cudaGraphLaunch", kNothing, executable, stream);
}
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags) {
  return respond(
      cudaEventCreateWithFlags, "cudaEventCreateWithFlags", [&] { *event = nullptr; }, event,
      flags);
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  return respond(cudaEventRecord, "cudaEventRecord", kNothing, event, stream);
}
cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  return respond(cudaEventSynchronize, "cudaEventSynchronize", kNothing, event);
}
cudaError_t cudaEventDestroy(cudaEvent_t event) {
  return respond(cudaEventDestroy, "cudaEventDestroy", kNothing, event);
}
cudaError_t cudaDeviceGetDefaultMemPool(cudaMemPool_t* pool, int device) {
  return respond(
      cudaDeviceGetDefaultMemPool, "cudaDeviceGetDefaultMemPool", [&] { *pool = nullptr; }, pool,
      device);
}
cudaError_t cudaMemPoolSetAttribute(cudaMemPool_t pool, cudaMemPoolAttr attribute, void* value) {
  return respond(cudaMemPoolSetAttribute, "cudaMemPoolSetAttribute", kNothing, pool, attribute,
                 value);
}
cudaError_t cudaMemPoolTrimTo(cudaMemPool_t pool, size_t bytes) {
  return respond(cudaMemPoolTrimTo, "cudaMemPoolTrimTo", kNothing, pool, bytes);
}
cudaError_t cudaMallocFromPoolAsync(void** data, size_t bytes, cudaMemPool_t pool,
                                    cudaStream_t stream) {
  return respond(
      cudaMallocFromPoolAsync, "cudaMallocFromPoolAsync", [&] { *data = std::malloc(bytes); }, data,
      bytes, pool, stream);
}
cudaError_t cudaFreeAsync(void* data, cudaStream_t stream) {
  return respond(
      cudaFreeAsync, "cudaFreeAsync", [&] { std::free(data); }, data, stream);
}
cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
  return respond(
      cudaMemGetInfo, "cudaMemGetInfo",
      [&] {
        *free = 300;
        *total = 4000;
      },
      free, total);
}
cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream) {
  return respond(cudaMemcpyAsync, "cudaMemcpyAsync", kNothing, to, from, bytes, kind, stream);
}
cudaError_t cudaMemsetAsync(void* data, int value, size_t bytes, cudaStream_t stream) {
  return respond(cudaMemsetAsync, "cudaMemsetAsync", kNothing, data, value, bytes, stream);
}
cudaError_t cudaLaunchKernelExC(const cudaLaunchConfig_t* config, const void* kernel,
                                void** arguments) {
  return respond(cudaLaunchKernelExC, "cudaLaunchKernelExC", kNothing, config, kernel, arguments);
}

cudnnStatus_t cudnnCreate(cudnnHandle_t* handle) {
  return respond(
      cudnnCreate, "cudnnCreate", [&] { *handle = nullptr; }, handle);
}
cudnnStatus_t cudnnSetStream(cudnnHandle_t handle, cudaStream_t stream) {
  return respond(cudnnSetStream, "cudnnSetStream", kNothing, handle, stream);
}
cudnnStatus_t cudnnGetConvolutionForwardAlgorithm_v7(
    cudnnHandle_t handle, const cudnnTensorDescriptor_t x, const cudnnFilterDescriptor_t weight,
    const cudnnConvolutionDescriptor_t convolution, const cudnnTensorDescriptor_t y, const int most,
    int* found, cudnnConvolutionFwdAlgoPerf_t* ranked) {
  return respond(
      cudnnGetConvolutionForwardAlgorithm_v7, "cudnnGetConvolutionForwardAlgorithm_v7",
      [&] {
        *found = offered;
        for (int i = 0; i < offered; ++i) {
          ranked[i] = {};
          ranked[i].status = CUDNN_STATUS_SUCCESS;
          ranked[i].determinism = CUDNN_DETERMINISTIC;
        }
      },
      handle, x, weight, convolution, y, most, found, ranked);
}
cudnnStatus_t cudnnConvolutionForward(cudnnHandle_t handle, const void* product,
                                      const cudnnTensorDescriptor_t x, const void* x_data,
                                      const cudnnFilterDescriptor_t weight, const void* weight_data,
                                      const cudnnConvolutionDescriptor_t convolution,
                                      cudnnConvolutionFwdAlgo_t algorithm, void* workspace,
                                      size_t workspace_bytes, const void* kept,
                                      const cudnnTensorDescriptor_t y, void* y_data) {
  return respond(cudnnConvolutionForward, "cudnnConvolutionForward", kNothing, handle, product, x,
                 x_data, weight, weight_data, convolution, algorithm, workspace, workspace_bytes,
                 kept, y, y_data);
}
cudnnStatus_t cudnnConvolutionBiasActivationForward(
    cudnnHandle_t handle, const void* product, const cudnnTensorDescriptor_t x, const void* x_data,
    const cudnnFilterDescriptor_t weight, const void* weight_data,
    const cudnnConvolutionDescriptor_t convolution, cudnnConvolutionFwdAlgo_t algorithm,
    void* workspace, size_t workspace_bytes, const void* kept, const cudnnTensorDescriptor_t z,
    const void* z_data, const cudnnTensorDescriptor_t bias, const void* bias_data,
    const cudnnActivationDescriptor_t activation, const cudnnTensorDescriptor_t y, void* y_data) {
  cudnnActivationMode_t mode = {};
  cudnnNanPropagation_t option = {};
  double ceiling = 0;
  if (cudnnGetActivationDescriptor(activation, &mode, &option, &ceiling) == CUDNN_STATUS_SUCCESS)
    nan_option = option;
  return respond(cudnnConvolutionBiasActivationForward, "cudnnConvolutionBiasActivationForward",
                 kNothing, handle, product, x, x_data, weight, weight_data, convolution, algorithm,
                 workspace, workspace_bytes, kept, z, z_data, bias, bias_data, activation, y,
                 y_data);
}
cublasStatus_t cublasLtCreate(cublasLtHandle_t* handle) {
  return respond(
      cublasLtCreate, "cublasLtCreate", [&] { *handle = nullptr; }, handle);
}
// Scripted success: no algorithm was found.
cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t handle, cublasLtMatmulDesc_t product,
                                              cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                              cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                              cublasLtMatmulPreference_t preference, int most,
                                              cublasLtMatmulHeuristicResult_t* results,
                                              int* found) {
  return respond(
      cublasLtMatmulAlgoGetHeuristic, "cublasLtMatmulAlgoGetHeuristic", [&] { *found = 0; }, handle,
      product, a, b, c, d, preference, most, results, found);
}

}  // extern "C"
