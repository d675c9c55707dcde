// Copies from page-locked memory on a stream of their own. An event each way: the copies begin
// after what the computing stream was asked for before (it may have just allocated the targets,
// from blocks that older work still uses), and the computing stream is told to wait for them where
// their result is wanted.

#include "kernels/transfer.h"

#include "kernels/cuda/call.h"
#include "kernels/cuda/stream.h"

namespace concord::cuda {
namespace {

using kernels::CopyRun;

class StreamTransfer final : public kernels::Transfer {
 public:
  explicit StreamTransfer(std::span<const CopyRun> runs) {
    cudaStreamCaptureStatus capture = cudaStreamCaptureStatusNone;
    check_call(cudaStreamIsCapturing(stream(), &capture), "cudaStreamIsCapturing");
    check(capture == cudaStreamCaptureStatusNone,
          "start_transfer: the device's work is being captured; begin copies before");
    Event targets_free(Event::Kind::kOrder);
    targets_free.record(stream());
    targets_free.hold_up(copy_stream());
    // Where one is refused, those before it must be done before their buffers go.
    try {
      for (const CopyRun& run : runs)
        check_call(
            cudaMemcpyAsync(run.to, run.from, run.bytes, cudaMemcpyHostToDevice, copy_stream()),
            "cudaMemcpyAsync", fmt::format("of {} bytes to the device", run.bytes));
      done_.record(copy_stream());
    } catch (...) {
      static_cast<void>(cudaStreamSynchronize(copy_stream()));
      throw;
    }
  }
  // What fails here is reported by the next call that is checked.
  ~StreamTransfer() override { done_.wait_unchecked(); }

  void wait_on_device() override { done_.hold_up(stream()); }
  void wait_on_host() override { done_.wait(); }

 private:
  Event done_{Event::Kind::kOrder};
};

void* allocate_pinned_cuda(std::size_t bytes) {
  void* data = nullptr;
  const cudaError_t error = cudaHostAlloc(&data, bytes, cudaHostAllocDefault);
  if (error != cudaSuccess)
    check_call(error, "cudaHostAlloc",
               fmt::format("of {} bytes of page-locked memory (lower --pinned-memory, "
                           "--read-ahead or --batch-size)",
                           bytes));
  return data;
}

// It may run after main, when there is no driver left to complain.
void release_pinned_cuda(void* data, std::size_t) { static_cast<void>(cudaFreeHost(data)); }

std::unique_ptr<kernels::Transfer> start_transfer_cuda(std::span<const CopyRun> runs) {
  return std::make_unique<StreamTransfer>(runs);
}

const kernels::Registration registrations[] = {
    {kernels::allocate_pinned, DeviceType::kCuda, allocate_pinned_cuda},
    {kernels::release_pinned, DeviceType::kCuda, release_pinned_cuda},
    {kernels::start_transfer, DeviceType::kCuda, start_transfer_cuda},
};

}  // namespace
}  // namespace concord::cuda
