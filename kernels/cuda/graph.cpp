// kernels::capture by CUDA's stream capture. The work of the capturing thread goes to a stream of
// its own meanwhile (stream()), so that nothing of other threads gets into the graph; replays run
// on the main stream, in order with everything else.

#include "kernels/graph.h"

#include "kernels/cuda/allocation.h"
#include "kernels/cuda/call.h"
#include "kernels/cuda/stream.h"
#include "kernels/graph_memory.h"

namespace concord::cuda {
namespace {

using kernels::GraphMemory;

template <class Handle, cudaError_t (*kDestroy)(Handle)>
class Owned {
 public:
  Owned() = default;
  ~Owned() {
    if (handle_ != nullptr) static_cast<void>(kDestroy(handle_));
  }
  Owned(const Owned&) = delete;
  Owned& operator=(const Owned&) = delete;
  Handle get() const { return handle_; }
  Handle* to_set() { return &handle_; }

 private:
  Handle handle_ = nullptr;
};
using OwnedGraph = Owned<cudaGraph_t, cudaGraphDestroy>;
using OwnedExecutable = Owned<cudaGraphExec_t, cudaGraphExecDestroy>;

// Of the calling thread. Never destroyed: the libraries' handles of the thread remember it.
cudaStream_t recorded_stream() {
  thread_local cudaStream_t const instance = [] {
    cudaStream_t result = nullptr;
    check_call(cudaStreamCreateWithFlags(&result, cudaStreamNonBlocking),
               "cudaStreamCreateWithFlags");
    return result;
  }();
  return instance;
}

class Graph final : public kernels::CapturedWork {
 public:
  explicit Graph(const std::function<void()>& work)
      : memory_(GraphMemory::make({.allocate = allocate_from_pool,
                                   .release = release_to_pool,
                                   .release_others = release_block})) {
    cudaStream_t const recorded = recorded_stream();
    OwnedGraph graph;
    {
      // Relaxed: memory is allocated on the main stream in between.
      check_call(cudaStreamBeginCapture(recorded, cudaStreamCaptureModeRelaxed),
                 "cudaStreamBeginCapture");
      const EndOnError end{recorded};
      const GraphMemory::Current current(*memory_);
      const StreamOfThread redirected(recorded);
      work();
    }
    check_call(cudaStreamEndCapture(recorded, graph.to_set()), "cudaStreamEndCapture");
    check_call(cudaGraphInstantiate(executable_.to_set(), graph.get(), 0), "cudaGraphInstantiate");
  }

  void replay() override {
    kernels::refuse_while_capturing("replay");
    check_call(cudaGraphLaunch(executable_.get(), main_stream()), "cudaGraphLaunch");
  }

 private:
  // Leaves the stream as it was where the work throws.
  struct EndOnError {
    cudaStream_t stream;
    int exceptions = std::uncaught_exceptions();
    ~EndOnError() {
      if (std::uncaught_exceptions() == exceptions) return;
      OwnedGraph dropped;
      static_cast<void>(cudaStreamEndCapture(stream, dropped.to_set()));
      cudaGetLastError();  // of a capture that was broken, which the work's error tells better
    }
  };

  GraphMemory::Pointer memory_;  // outlives what uses it
  OwnedExecutable executable_;
};

std::unique_ptr<kernels::CapturedWork> capture_cuda(const std::function<void()>& work) {
  return std::make_unique<Graph>(work);
}

const kernels::Registration registration{kernels::capture, DeviceType::kCuda, capture_cuda};

}  // namespace
}  // namespace concord::cuda
