// What operations say when a call inside them fails: the call, the library's text, and the shapes
// of the operation.

#include <cublasLt.h>
#include <cuda_runtime_api.h>
#include <cudnn.h>

#include "kernels/conv2d.h"
#include "kernels/graph.h"
#include "kernels/linear.h"
#include "kernels/memory.h"
#include "kernels/transfer.h"
#include "tests/cuda_scripted/scripted.h"
#include "tests/expect_error.h"

namespace concord {
namespace {

using kernels::ConstView;
using kernels::View;
using test::answer;
using test::expect_error;

constexpr Device kGpu = {DeviceType::kCuda, 0};

// A device on which everything succeeds and nothing happens; its memory is the host's.
class FailingCalls : public ::testing::Test {
 protected:
  void SetUp() override {
    test::forget_answers();
    for (const char* function : {"cudaSetDevice",
                                 "cudaStreamCreateWithFlags",
                                 "cudaStreamSynchronize",
                                 "cudaStreamWaitEvent",
                                 "cudaEventCreateWithFlags",
                                 "cudaEventRecord",
                                 "cudaEventSynchronize",
                                 "cudaEventDestroy",
                                 "cudaDeviceGetDefaultMemPool",
                                 "cudaMemPoolSetAttribute",
                                 "cudaMemPoolTrimTo",
                                 "cudaMallocFromPoolAsync",
                                 "cudaFreeAsync",
                                 "cudaMemGetInfo",
                                 "cudaMemcpyAsync",
                                 "cudaMemsetAsync",
                                 "cudaLaunchKernelExC",
                                 "cudnnCreate",
                                 "cudnnSetStream",
                                 "cublasLtCreate"})
      answer(function, 0);
  }
  void TearDown() override { test::forget_answers(); }

  // Of float32 on the device, over a buffer that nobody reads.
  View view(const Shape& shape) {
    return {buffer_, DType::kFloat32, MemoryFormat::kPlain, kGpu, shape};
  }
  void convolve(const Shape& x, const Shape& weight, const Shape& y,
                const Conv2dOptions& options = {}) {
    kernels::conv2d_forward(kGpu, view(x), view(weight), ConstView(), options,
                            kernels::Conv2dEpilogue(), view(y));
  }

 private:
  float buffer_[64] = {};
};

TEST_F(FailingCalls, MemoryThatIsNotThere) {
  answer("cudaMallocFromPoolAsync", cudaErrorMemoryAllocation);
  expect_error(
      [] { kernels::allocate(kGpu, 12345); },
      {"out of memory on cuda:0", "12345 bytes asked for", "300 of 4000 free", "--batch-size"});
  EXPECT_EQ(test::calls_of("cudaMallocFromPoolAsync"), 2)
      << "once more, after the pool was trimmed";
  EXPECT_EQ(test::calls_of("cudaMemPoolTrimTo"), 1);
  answer("cudaMallocFromPoolAsync", cudaErrorIllegalAddress);
  expect_error([] { kernels::allocate(kGpu, 12345); },
               {"cudaMallocFromPoolAsync of 12345 bytes: an illegal memory access was encountered "
                "(cudaErrorIllegalAddress)"});
}

TEST_F(FailingCalls, Copies) {
  char bytes[8] = {};
  answer("cudaMemcpyAsync", cudaErrorInvalidValue);
  const char* const kText = "cudaMemcpyAsync of 8 bytes: invalid argument (cudaErrorInvalidValue)";
  expect_error([&] { kernels::copy(kGpu, bytes, bytes, 8); }, {kText});
  expect_error([&] { kernels::copy_from_host(kGpu, bytes, bytes, 8); }, {kText});
  expect_error([&] { kernels::copy_to_host(kGpu, bytes, bytes, 8); }, {kText});
  answer("cudaMemcpyAsync", cudaSuccess);
  answer("cudaStreamSynchronize", cudaErrorLaunchFailure);
  expect_error([&] { kernels::copy_to_host(kGpu, bytes, bytes, 8); },
               {"cudaStreamSynchronize: unspecified launch failure (cudaErrorLaunchFailure)"});
  answer("cudaMemsetAsync", cudaErrorInvalidValue);
  expect_error([&] { kernels::zero(kGpu, bytes, 8); },
               {"cudaMemsetAsync of 8 bytes: invalid argument (cudaErrorInvalidValue)"});
}

TEST_F(FailingCalls, Transfers) {
  char bytes[24] = {};
  const kernels::CopyRun runs[] = {{bytes, bytes, 24}};
  const auto start = [&] { return kernels::start_transfer(kGpu, std::span(runs)); };
  answer("cudaStreamIsCapturing", cudaErrorInvalidResourceHandle);
  expect_error([&] { start(); }, {"cudaStreamIsCapturing: ", "(cudaErrorInvalidResourceHandle)"});
  answer("cudaStreamIsCapturing", cudaSuccess);
  expect_error([&] { start(); }, {"start_transfer", "being captured"});
}

TEST_F(FailingCalls, Captures) {
  const auto capture = [&](const std::function<void()>& work) {
    return kernels::capture(kGpu, work);
  };
  const auto refuse = [&](const char* call) {
    answer(call, cudaErrorStreamCaptureInvalidated);
    expect_error([&] { capture([] {}); }, {std::string(call) + ": ", "(cudaErrorStreamCapture"});
    EXPECT_FALSE(kernels::capturing()) << call;
    answer(call, cudaSuccess);
  };
  for (const char* call : {"cudaStreamBeginCapture", "cudaStreamEndCapture", "cudaGraphInstantiate",
                           "cudaGraphLaunch"})
    answer(call, cudaSuccess);
  for (const char* call :
       {"cudaStreamBeginCapture", "cudaStreamEndCapture", "cudaGraphInstantiate"})
    refuse(call);
  // A failure of the work ends the capture and is the one that is told.
  const int ended = test::calls_of("cudaStreamEndCapture");
  answer("cudaMemsetAsync", cudaErrorInvalidValue);
  char bytes[8] = {};
  expect_error([&] { capture([&] { kernels::zero(kGpu, bytes, 8); }); },
               {"cudaMemsetAsync of 8 bytes"});
  EXPECT_EQ(test::calls_of("cudaStreamEndCapture"), ended + 1);
  EXPECT_FALSE(kernels::capturing());
  expect_error([&] { capture([&] { kernels::copy_to_host(kGpu, bytes, bytes, 8); }); },
               {"copy_to_host", "captur"});
  const auto work = capture([] {});
  work->replay();
  answer("cudaGraphLaunch", cudaErrorLaunchFailure);
  expect_error([&] { work->replay(); }, {"cudaGraphLaunch: ", "(cudaErrorLaunchFailure)"});
}

TEST_F(FailingCalls, Launches) {
  answer("cudaLaunchKernelExC", cudaErrorInvalidConfiguration);
  expect_error(
      [&] {
        kernels::fill(kGpu, 1, view({4, 16}));
      },
      {"launch of ", "a grid of 1x1x1", "0 bytes of shared memory",
       "invalid configuration argument (cudaErrorInvalidConfiguration)"});
}

// Sizes that cuDNN itself refuses.
TEST_F(FailingCalls, ConvolutionsThatCudnnRefuses) {
  expect_error(
      [&] {
        convolve({1, 3, 8, 9}, {4, 3, 3, 3}, {1, 4, 6, 7}, {.stride = {0, 1}});
      },
      {"cudnnSetConvolution2dDescriptor (", "input 1x3x8x9", "weight 4x3x3x3", "output 1x4x6x7",
       "stride 0x1", "CUDNN_STATUS_"});
  expect_error(
      [&] {
        convolve({1, 3, 8, 9}, {4, 3, 0, 3}, {1, 4, 6, 7});
      },
      {"cudnnSetFilter4dDescriptor (", "weight 4x3x0x3", "CUDNN_STATUS_"});
  expect_error(
      [&] {
        convolve({1, 0, 8, 9}, {4, 3, 3, 3}, {1, 4, 6, 7});
      },
      {"cudnnSetTensor4dDescriptor (", "input 1x0x8x9", "CUDNN_STATUS_"});
  expect_error(
      [&] {
        convolve({1, 3, std::int64_t{1} << 40, 1}, {4, 3, 1, 1}, {1, 4, 6, 7});
      },
      {"2^31 - 1", "1099511627776"});
}

TEST_F(FailingCalls, ConvolutionsWithoutAnAlgorithm) {
  const auto run = [&] { convolve({2, 3, 8, 9}, {4, 3, 3, 3}, {2, 4, 6, 7}); };
  answer("cudnnGetConvolutionForwardAlgorithm_v7", CUDNN_STATUS_NOT_SUPPORTED);
  expect_error(run, {"cudnnConvolutionForward: ranking its algorithms", "input 2x3x8x9",
                     "weight 4x3x3x3", "output 2x4x6x7", "CUDNN_STATUS_NOT_SUPPORTED"});
  answer("cudnnGetConvolutionForwardAlgorithm_v7", CUDNN_STATUS_SUCCESS);
  expect_error(run, {"cudnnConvolutionForward", "no deterministic algorithm", "1073741824 bytes",
                     "input 2x3x8x9"});
}

// Bias and ReLU go into one call of cuDNN's where it has one; where it has none, that is asked
// once.
TEST_F(FailingCalls, EpiloguesThatCudnnHasNotGot) {
  answer("cudnnGetConvolutionForwardAlgorithm_v7", CUDNN_STATUS_SUCCESS);
  answer("cudnnConvolutionForward", CUDNN_STATUS_SUCCESS);
  test::offer_algorithms(1);
  const char* const kFused = "cudnnConvolutionBiasActivationForward";
  const auto run = [&](DType dtype, bool add, std::int64_t samples = 1) {
    View x = view({samples, 3, 5, 3});
    View y = view({samples, 2, 3, 1});
    x.dtype = y.dtype = dtype;
    kernels::conv2d_forward(kGpu, x, view({2, 3, 3, 3}), view({2}), Conv2dOptions{},
                            kernels::Conv2dEpilogue{.add = add, .relu = true}, y);
  };
  answer(kFused, CUDNN_STATUS_SUCCESS);
  run(DType::kFloat32, false);
  run(DType::kFloat32, true);
  run(DType::kBFloat16, true);
  EXPECT_EQ(test::calls_of(kFused), 3);
  EXPECT_EQ(test::calls_of("cudnnConvolutionForward"), 0);
  EXPECT_EQ(test::nan_option_of_activation(), CUDNN_NOT_PROPAGATE_NAN) << "the only one fused";
  answer(kFused, CUDNN_STATUS_EXECUTION_FAILED);
  expect_error([&] { run(DType::kFloat32, false); },
               {"cudnnConvolutionBiasActivationForward", "input 1x3x5x3", "weight 2x3x3x3",
                "output 1x2x3x1", "CUDNN_STATUS_EXECUTION_FAILED"});
  answer(kFused, CUDNN_STATUS_NOT_SUPPORTED);
  run(DType::kFloat32, false);
  run(DType::kFloat32, false);
  EXPECT_EQ(test::calls_of(kFused), 5);
  EXPECT_EQ(test::calls_of("cudnnConvolutionForward"), 2);
  // Its reasons have codes of their own; and the workspace was sized for the convolution alone.
  std::int64_t samples = 2;
  for (const int reason :
       {CUDNN_STATUS_NOT_SUPPORTED_GRAPH_PATTERN, CUDNN_STATUS_NOT_SUPPORTED_LAYOUT,
        CUDNN_STATUS_BAD_PARAM_SIZE_INSUFFICIENT}) {
    answer(kFused, reason);
    run(DType::kFloat32, false, samples);
    run(DType::kFloat32, false, samples++);
  }
  EXPECT_EQ(test::calls_of(kFused), 8);
  EXPECT_EQ(test::calls_of("cudnnConvolutionForward"), 8);
}

TEST_F(FailingCalls, ProductsWithoutAnAlgorithm) {
  const auto run = [&] {
    kernels::linear_forward(kGpu, view({5, 3}), view({2, 3}), ConstView(), false, view({5, 2}));
  };
  answer("cublasLtMatmulAlgoGetHeuristic", CUBLAS_STATUS_NOT_SUPPORTED);
  expect_error(run,
               {"cublasLtMatmulAlgoGetHeuristic (2 x 5, 3 products each, float32 into float32): ",
                "(CUBLAS_STATUS_NOT_SUPPORTED)"});
  answer("cublasLtMatmulAlgoGetHeuristic", CUBLAS_STATUS_SUCCESS);
  expect_error(run, {"linear", "no algorithm", "2 x 5, 3 products each"});
}

}  // namespace
}  // namespace concord
