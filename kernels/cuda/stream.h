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
// The stream of copies that run beside them (kernels/cuda/transfer.cpp).
cudaStream_t copy_stream();

// A moment in the work of a stream.
class Event {
 public:
  enum class Kind : std::uint8_t {
    kOrder,  // the cheapest
    kTime,   // its time can be asked for
  };
  explicit Event(Kind kind);
  ~Event();
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;

  // The moment when what `on` was asked for up to now is done.
  void record(cudaStream_t on);
  // What is asked of `later` from now on waits for it, on the device.
  void hold_up(cudaStream_t later) const;
  // Returns when it has come. The second is for destructors: where the device has failed it returns
  // too, and the next call that is checked says so.
  void wait() const;
  void wait_unchecked() const noexcept;
  // Both of kTime.
  double seconds_since(const Event& start) const;

 private:
  cudaEvent_t event_ = nullptr;
};

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
