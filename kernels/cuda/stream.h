#pragma once
// The device that the process computes on, and the streams that order its work.

#include <cuda_runtime_api.h>

#include <cstdint>
#include <string>

namespace concord::cuda {

// Makes `index` the device of this process' kernels; throws for one that is not there, listing what
// is. Must come before any work on a device.
void select_device(int index);
int selected_device();

// The stream on which kernels run, one after the other.
cudaStream_t main_stream();
// Where the calling thread's work goes: the main stream, but while it captures a graph.
cudaStream_t stream();
// Waits for all work on the main stream.
void synchronize();

// Sends the calling thread's work elsewhere for its lifetime.
class StreamOfThread {
 public:
  explicit StreamOfThread(cudaStream_t stream);
  ~StreamOfThread();
  StreamOfThread(const StreamOfThread&) = delete;
  StreamOfThread& operator=(const StreamOfThread&) = delete;

 private:
  cudaStream_t before_;
};

// "NVIDIA H200, compute capability 9.0, 139.8 GiB"
std::string describe_device(int index);

}  // namespace concord::cuda
