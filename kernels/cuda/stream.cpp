#include "kernels/cuda/stream.h"

#include <atomic>
#include <utility>

#include "kernels/cuda/call.h"
#include "kernels/cuda/scratch.h"
#include "kernels/device.h"
#include "kernels/graph.h"

namespace concord::cuda {
namespace {

std::atomic<int> device_index = 0;
thread_local cudaStream_t stream_of_thread = nullptr;

cudaStream_t make_stream() {
  check_call(cudaSetDevice(device_index), "cudaSetDevice", fmt::format("{}", device_index.load()));
  cudaStream_t result = nullptr;
  check_call(cudaStreamCreateWithFlags(&result, cudaStreamNonBlocking),
             "cudaStreamCreateWithFlags");
  return result;
}

int device_count() {
  int count = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  if (error == cudaErrorNoDevice || error == cudaErrorInsufficientDriver) {
    cudaGetLastError();
    return 0;
  }
  check_call(error, "cudaGetDeviceCount");
  return count;
}

}  // namespace

std::string describe_device(int index) {
  cudaDeviceProp properties;
  check_call(cudaGetDeviceProperties(&properties, index), "cudaGetDeviceProperties",
             fmt::format("of device {}", index));
  return fmt::format("{}, compute capability {}.{}, {:.1f} GiB", properties.name, properties.major,
                     properties.minor,
                     static_cast<double>(properties.totalGlobalMem) / (1024.0 * 1024 * 1024));
}

void select_device(int index) {
  const int count = device_count();
  int driver = 0;
  if (cudaDriverGetVersion(&driver) != cudaSuccess) driver = 0;
  check(count > 0, "no CUDA device was found ({}); use --device cpu",
        driver == 0 ? "no NVIDIA driver is installed"
                    : fmt::format("the driver, for CUDA {}.{}, shows none", driver / 1000,
                                  driver % 1000 / 10));
  std::string found;
  for (int i = 0; i < count; ++i)
    found += fmt::format("{}cuda:{} ({})", i == 0 ? "" : ", ", i, describe_device(i));
  check(0 <= index && index < count, "there is no CUDA device {}; found {}", index, found);
  device_index = index;
  check_call(cudaSetDevice(index), "cudaSetDevice", fmt::format("{}", index));
}

int selected_device() { return device_index; }

// Never destroyed: buffers of static lifetime are freed on it after main.
cudaStream_t main_stream() {
  static cudaStream_t const instance = make_stream();
  return instance;
}
cudaStream_t stream() { return stream_of_thread != nullptr ? stream_of_thread : main_stream(); }

StreamOfThread::StreamOfThread(cudaStream_t stream)
    : before_(std::exchange(stream_of_thread, stream)) {}
StreamOfThread::~StreamOfThread() { stream_of_thread = before_; }

void synchronize() { check_call(cudaStreamSynchronize(main_stream()), "cudaStreamSynchronize"); }

cudaStream_t copy_stream() {
  static cudaStream_t const instance = make_stream();
  return instance;
}

Event::Event(Kind kind) {
  check_call(cudaEventCreateWithFlags(
                 &event_, kind == Kind::kTime ? cudaEventDefault : cudaEventDisableTiming),
             "cudaEventCreateWithFlags");
}
Event::~Event() { static_cast<void>(cudaEventDestroy(event_)); }
void Event::record(cudaStream_t on) { check_call(cudaEventRecord(event_, on), "cudaEventRecord"); }
void Event::hold_up(cudaStream_t later) const {
  check_call(cudaStreamWaitEvent(later, event_, 0), "cudaStreamWaitEvent");
}
void Event::wait() const { check_call(cudaEventSynchronize(event_), "cudaEventSynchronize"); }
void Event::wait_unchecked() const noexcept { static_cast<void>(cudaEventSynchronize(event_)); }
double Event::seconds_since(const Event& start) const {
  wait();
  float milliseconds = 0;
  check_call(cudaEventElapsedTime(&milliseconds, start.event_, event_), "cudaEventElapsedTime");
  return 1e-3 * double{milliseconds};
}

namespace {

void use_cuda(int index) { select_device(index); }

double seconds_of_cuda(const std::function<void()>& work) {
  kernels::refuse_while_capturing("seconds_of");
  // Twice the second-level cache of an H100, written.
  constexpr std::size_t kFlushBytes = std::size_t{128} << 20;
  {
    const Scratch flush(kFlushBytes);
    check_call(cudaMemsetAsync(flush.as<void>(), 0, kFlushBytes, stream()), "cudaMemsetAsync");
  }
  Event start(Event::Kind::kTime);
  Event end(Event::Kind::kTime);
  start.record(stream());
  work();
  end.record(stream());
  return end.seconds_since(start);
}
std::string describe_cuda(int index) { return describe_device(index); }
void synchronize_cuda() {
  kernels::refuse_while_capturing("synchronize");
  synchronize();
}

const kernels::Registration registrations[] = {
    {kernels::use_device, DeviceType::kCuda, use_cuda},
    {kernels::describe_device, DeviceType::kCuda, describe_cuda},
    {kernels::synchronize, DeviceType::kCuda, synchronize_cuda},
    {kernels::seconds_of, DeviceType::kCuda, seconds_of_cuda},
};

}  // namespace
}  // namespace concord::cuda
