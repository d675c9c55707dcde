#include "kernels/simt/transfer.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <list>
#include <mutex>
#include <utility>
#include <vector>

#include "kernels/transfer.h"

namespace concord::simt {
namespace {

using kernels::CopyRun;

std::mutex mutex;
std::string problem;

class DeferredTransfer;
// Begun and not known to be done, oldest first: the order of the copying stream.
std::list<DeferredTransfer*> underway;

bool overlap(const void* a, std::size_t a_bytes, const void* b, std::size_t b_bytes) {
  const auto* x = static_cast<const char*>(a);
  const auto* y = static_cast<const char*>(b);
  return x < y + b_bytes && y < x + a_bytes;
}

void note_problem(const char* what) {
  if (problem.empty()) problem = what;
}

class DeferredTransfer final : public kernels::Transfer {
 public:
  explicit DeferredTransfer(std::span<const CopyRun> runs) : runs_(runs.begin(), runs.end()) {
    const std::lock_guard lock(mutex);
    underway.push_back(this);
  }
  ~DeferredTransfer() override { finish(); }

  void wait_on_device() override {
    const std::lock_guard lock(mutex);
    copy_up_to_here();
  }
  void wait_on_host() override { finish(); }

  bool copied() const { return copied_; }
  bool uses(const void* data, std::size_t bytes) const {
    return std::ranges::any_of(runs_, [&](const CopyRun& run) {
      // Of a copy that the device waits for, the device knows when its target is free.
      return overlap(data, bytes, run.from, run.bytes) ||
             (!copied_ && overlap(data, bytes, run.to, run.bytes));
    });
  }

 private:
  // Computing is done at once here, so a copy cannot be put off any longer than until the device
  // waits for it. A GPU may not have got there, and reads the sources later: what they held now is
  // kept until the host knows of the end.
  void copy() {
    if (std::exchange(copied_, true)) return;
    for (const CopyRun& run : runs_) {
      std::memcpy(run.to, run.from, run.bytes);
      const auto* bytes = static_cast<const unsigned char*>(run.from);
      sent_.insert(sent_.end(), bytes, bytes + run.bytes);
    }
  }
  void copy_up_to_here() {
    for (DeferredTransfer* transfer : underway) {
      transfer->copy();
      if (transfer == this) break;
    }
  }
  void finish() {
    const std::lock_guard lock(mutex);
    if (std::exchange(finished_, true)) return;
    copy_up_to_here();
    std::size_t at = 0;
    for (const CopyRun& run : runs_) {
      if (std::memcmp(run.from, sent_.data() + at, run.bytes) != 0)
        note_problem("the source of a copy was written before the host knew that it is done");
      at += run.bytes;
    }
    underway.remove(this);
  }

  std::vector<CopyRun> runs_;
  std::vector<unsigned char> sent_;
  bool copied_ = false;
  bool finished_ = false;
};

void* allocate_pinned_simt(std::size_t bytes) {
  void* data = nullptr;
  check(::posix_memalign(&data, 64, bytes) == 0, "simt: no memory for {} bytes", bytes);
  std::memset(data, 0xFF, bytes);
  return data;
}
void release_pinned_simt(void* data, std::size_t bytes) {
  check_released(data, bytes);
  std::free(data);
}
std::unique_ptr<kernels::Transfer> start_transfer_simt(std::span<const CopyRun> runs) {
  return std::make_unique<DeferredTransfer>(runs);
}

const kernels::Registration registrations[] = {
    {kernels::allocate_pinned, DeviceType::kCuda, allocate_pinned_simt},
    {kernels::release_pinned, DeviceType::kCuda, release_pinned_simt},
    {kernels::start_transfer, DeviceType::kCuda, start_transfer_simt},
};

}  // namespace

std::string take_transfer_problem() {
  const std::lock_guard lock(mutex);
  return std::exchange(problem, {});
}

std::size_t pending_transfers() {
  const std::lock_guard lock(mutex);
  return static_cast<std::size_t>(
      std::ranges::count_if(underway, [](const auto* transfer) { return !transfer->copied(); }));
}

void check_released(const void* data, std::size_t bytes) {
  const std::lock_guard lock(mutex);
  if (std::ranges::any_of(underway, [&](const auto* t) { return t->uses(data, bytes); }))
    note_problem("a buffer was given back while a copy may still use it");
}

}  // namespace concord::simt
