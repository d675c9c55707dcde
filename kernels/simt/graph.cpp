#include "kernels/simt/graph.h"

#include <cstring>
#include <vector>

#include "kernels/graph.h"
#include "kernels/graph_memory.h"
#include "kernels/memory.h"
#include "kernels/simt/allocation.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

namespace concord::simt {
namespace {

using Work = std::vector<std::function<void()>>;
thread_local Work* recorded = nullptr;

#if defined(__SANITIZE_ADDRESS__)
void forbid(void* data, std::size_t bytes) { __asan_poison_memory_region(data, bytes); }
void allow(void* data, std::size_t bytes) { __asan_unpoison_memory_region(data, bytes); }
#else
void forbid(void*, std::size_t) {}
void allow(void*, std::size_t) {}
#endif

void release_captured(void* data, std::size_t bytes) {
  allow(data, bytes);
  release_block(data, bytes);
}

void release_any(void* data, std::size_t bytes) {
  kernels::release({DeviceType::kCuda, 0}, data, bytes);
}

class Graph final : public kernels::CapturedWork {
 public:
  explicit Graph(const std::function<void()>& work)
      : memory_(kernels::GraphMemory::make({.allocate = allocate_block,
                                            .release = release_captured,
                                            .release_others = release_any,
                                            .reuses = false})) {
    const kernels::GraphMemory::Current current(*memory_);
    struct Recording {
      explicit Recording(Work& work) { recorded = &work; }
      ~Recording() { recorded = nullptr; }
    };
    const Recording recording(work_);
    work();
  }
  void replay() override {
    kernels::refuse_while_capturing("replay");
    for (const auto& one : work_) one();
  }

 private:
  kernels::GraphMemory::Pointer memory_;
  Work work_;
};

std::unique_ptr<kernels::CapturedWork> capture_simt(const std::function<void()>& work) {
  return std::make_unique<Graph>(work);
}

const kernels::Registration registration{kernels::capture, DeviceType::kCuda, capture_simt};

}  // namespace

void submit(std::function<void()> work) {
  if (recorded != nullptr)
    recorded->push_back(std::move(work));
  else
    work();
}

void submit_allocation(void* data, std::size_t bytes) {
  forbid(data, bytes);  // until a replay
  submit([data, bytes] {
    allow(data, bytes);
    std::memset(data, 0xFF, bytes);
  });
}
void submit_release(void* data, std::size_t bytes) {
  submit([data, bytes] { forbid(data, bytes); });
}

}  // namespace concord::simt
