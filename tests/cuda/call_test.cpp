// What calls of CUDA's libraries say when they fail: the call, the library's text, and what it was
// about. Nothing here needs a GPU: statuses are made up, descriptors live on the host, and where
// there is no device every other call fails by itself.

#include "kernels/cuda/call.h"

#include "kernels/conv2d.h"
#include "kernels/cuda/cublas.h"
#include "kernels/cuda/cudnn.h"
#include "kernels/cuda/stream.h"
#include "kernels/device.h"
#include "kernels/linear.h"
#include "kernels/memory.h"
#include "kernels/transfer.h"
#include "tests/expect_error.h"

namespace concord::cuda {
namespace {

using test::expect_error;

constexpr Device kGpu = {DeviceType::kCuda, 0};

TEST(CudaCalls, Checked) {
  check_call(cudaSuccess, "cudaMalloc");
  expect_error([] { check_call(cudaErrorMemoryAllocation, "cudaMalloc", "of 7 bytes"); },
               {"cudaMalloc of 7 bytes: out of memory (cudaErrorMemoryAllocation)"});
  expect_error([] { check_call(cudaErrorInvalidValue, "cudaMemcpy"); },
               {"cudaMemcpy: invalid argument (cudaErrorInvalidValue)"});
}

TEST(CudaCalls, RefusedLaunches) {
  expect_error(
      [] {
        fail_launch(cudaErrorInvalidConfiguration, nullptr, dim3(4, 5, 6), dim3(2048, 1, 1), 99);
      },
      {"launch of", "a grid of 4x5x6", "blocks of 2048x1x1", "99 bytes of shared memory",
       "invalid configuration argument (cudaErrorInvalidConfiguration)"});
}

TEST(CudnnCalls, Checked) {
  check_cudnn(CUDNN_STATUS_SUCCESS, "cudnnConvolutionForward");
  expect_error(
      [] {
        check_cudnn(CUDNN_STATUS_EXECUTION_FAILED, "cudnnConvolutionForward", "(input 1x2x3x4)");
      },
      {"cudnnConvolutionForward (input 1x2x3x4): CUDNN_STATUS_EXECUTION_FAILED"});
}

// By cuDNN itself.
TEST(CudnnCalls, DescriptorsThatItRefuses) {
  const TensorDescriptor tensor;
  expect_error(
      [&] {
        check_cudnn(cudnnSetTensor4dDescriptor(tensor.get(), CUDNN_TENSOR_NCHW, CUDNN_DATA_FLOAT, 2,
                                               -3, 5, 7),
                    "cudnnSetTensor4dDescriptor", "(input 2x-3x5x7)");
      },
      {"cudnnSetTensor4dDescriptor (input 2x-3x5x7): CUDNN_STATUS_BAD_PARAM"});
  const FilterDescriptor filter;
  expect_error(
      [&] {
        check_cudnn(cudnnSetFilter4dDescriptor(filter.get(), CUDNN_DATA_FLOAT, CUDNN_TENSOR_NCHW,
                                               -8, 3, 3, 3),
                    "cudnnSetFilter4dDescriptor", "(weight -8x3x3x3)");
      },
      {"cudnnSetFilter4dDescriptor (weight -8x3x3x3): CUDNN_STATUS_BAD_PARAM"});
}

TEST(CublasCalls, Checked) {
  check_cublas(CUBLAS_STATUS_SUCCESS, "cublasLtMatmul");
  expect_error([] { check_cublas(CUBLAS_STATUS_NOT_SUPPORTED, "cublasLtMatmul", "(3 x 4)"); },
               {"cublasLtMatmul (3 x 4): ", "(CUBLAS_STATUS_NOT_SUPPORTED)"});
}

// By cuBLASLt itself: the attribute takes more bytes.
TEST(CublasCalls, AttributesThatItRefuses) {
  cublasLtMatmulDesc_t description = nullptr;
  check_cublas(cublasLtMatmulDescCreate(&description, CUBLAS_COMPUTE_32F, CUDA_R_32F),
               "cublasLtMatmulDescCreate");
  const char small = 0;
  expect_error(
      [&] {
        check_cublas(cublasLtMatmulDescSetAttribute(description, CUBLASLT_MATMUL_DESC_TRANSA,
                                                    &small, sizeof(small)),
                     "cublasLtMatmulDescSetAttribute");
      },
      {"cublasLtMatmulDescSetAttribute: ", "(CUBLAS_STATUS_INVALID_VALUE)"});
  check_cublas(cublasLtMatmulDescDestroy(description), "cublasLtMatmulDescDestroy");
}

// Calls that fail because there is no device to make them on.
class WithoutADevice : public ::testing::Test {
 protected:
  void SetUp() override {
    int count = 0;
    if (cudaGetDeviceCount(&count) == cudaSuccess && count > 0)
      GTEST_SKIP() << "this machine has a GPU, on which these calls succeed";
    cudaGetLastError();
  }
};

TEST_F(WithoutADevice, TheChoiceOfOneSaysWhy) {
  expect_error([] { kernels::use_device(kGpu, 0); },
               {"no CUDA device was found (", "use --device cpu"});
}

TEST_F(WithoutADevice, EveryCallOfTheRuntimeIsNamed) {
  const char* const kText = "(cudaError";
  expect_error([] { stream(); }, {"cudaSetDevice 0: ", kText});
  expect_error([] { copy_stream(); }, {"cudaSetDevice 0: ", kText});
  expect_error([] { describe_device(3); }, {"cudaGetDeviceProperties of device 3: ", kText});
  expect_error([] { Event event(Event::Kind::kOrder); }, {"cudaEventCreateWithFlags: ", kText});
  expect_error([] { kernels::synchronize(kGpu); }, {"cudaSetDevice 0: ", kText});
  expect_error([] { kernels::allocate(kGpu, 100); }, {": ", kText});  // of the pool or the stream
  expect_error([] { kernels::memory_statistics(kGpu); }, {"cudaDeviceGetDefaultMemPool: ", kText});
  expect_error([] { kernels::available_memory(kGpu); }, {"cudaMemGetInfo: ", kText});
  expect_error([] { kernels::allocate_pinned(kGpu, 4096); },
               {"cudaHostAlloc of 4096 bytes", "--pinned-memory", kText});
  float value = 0;
  expect_error([&] { kernels::zero(kGpu, &value, sizeof(value)); }, {"cudaSetDevice 0: ", kText});
  const kernels::CopyRun run{&value, &value, sizeof(value)};
  expect_error([&] { kernels::start_transfer(kGpu, std::span(&run, 1)); },
               {"cudaEventCreateWithFlags: ", kText});
  const kernels::View view{&value, DType::kFloat32, MemoryFormat::kPlain, kGpu, Shape{1}};
  expect_error([&] { kernels::fill(kGpu, 1, view); }, {"cudaSetDevice 0: ", kText});
}

TEST_F(WithoutADevice, EveryHandleIsNamed) {
  expect_error([] { cudnn(); }, {"cudnnCreate: CUDNN_STATUS_"});
  expect_error([] { cublas(); }, {"cublasCreate: ", "(CUBLAS_STATUS_"});
  expect_error([] { cublas_lt(); }, {"cublasLtCreate: ", "(CUBLAS_STATUS_"});
  float value = 0;
  const kernels::View view{&value, DType::kFloat32, MemoryFormat::kPlain, kGpu, Shape{1, 1}};
  expect_error(
      [&] { kernels::linear_forward(kGpu, view, view, kernels::ConstView(), false, view); },
      {"cublasLtCreate: ", "(CUBLAS_STATUS_"});
}

}  // namespace
}  // namespace concord::cuda
