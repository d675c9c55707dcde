#include "kernels/graph_memory.h"

#include <algorithm>
#include <atomic>
#include <mutex>

#include "kernels/error.h"

namespace concord::kernels {
namespace {

constexpr std::size_t kAlignment = 512;
constexpr std::size_t kSmall = std::size_t{1} << 20;
constexpr std::size_t kSegment = std::size_t{2} << 20;

std::size_t round_up(std::size_t bytes, std::size_t unit) {
  return (bytes + unit - 1) / unit * unit;
}

thread_local GraphMemory* current_memory = nullptr;

// Guards every memory: a tensor of one may be released on any thread.
struct Registry {
  std::mutex mutex;
  std::vector<GraphMemory*> memories;
  std::atomic<std::size_t> count = 0;  // of them, to be read without the lock
};
// Never destroyed: tensors of static lifetime may be released after main.
Registry& registry() {
  static Registry* const instance = new Registry;
  return *instance;
}

}  // namespace

GraphMemory::Pointer GraphMemory::make(const Source& source) {
  Pointer memory(new GraphMemory(source));
  const std::lock_guard lock(registry().mutex);
  registry().memories.push_back(memory.get());
  ++registry().count;
  return memory;
}

// With the registry's lock held.
GraphMemory::~GraphMemory() {
  std::erase(registry().memories, this);
  --registry().count;
  for (const auto& [data, bytes] : segments_) source_.release(data, bytes);
}

GraphMemory* GraphMemory::current() { return current_memory; }

GraphMemory::Current::Current(GraphMemory& memory) {
  check(current_memory == nullptr, "graph: a capture within a capture");
  current_memory = &memory;
}
GraphMemory::Current::~Current() { current_memory = nullptr; }

void* GraphMemory::allocate(std::size_t bytes) {
  const std::lock_guard lock(registry().mutex);
  return take(bytes);
}

// Best fit among what is free, or of a new segment.
void* GraphMemory::take(std::size_t bytes) {
  if (!source_.reuses) {
    void* const data = source_.allocate(bytes);
    segments_.emplace_back(data, bytes);
    held_.emplace(data, Block{bytes, false});
    return data;
  }
  const std::size_t rounded = round_up(std::max<std::size_t>(bytes, 1), kAlignment);
  const bool is_small = rounded <= kSmall;
  std::map<char*, std::size_t>& free = free_[is_small ? 1 : 0];
  auto best = free.end();
  for (auto range = free.begin(); range != free.end(); ++range)
    if (range->second >= rounded && (best == free.end() || range->second < best->second))
      best = range;
  if (best == free.end()) {
    const std::size_t size = is_small ? kSegment : round_up(rounded, kSegment);
    void* const segment = source_.allocate(size);
    segments_.emplace_back(segment, size);
    segment_starts_.insert(segment);
    best = free.emplace(static_cast<char*>(segment), size).first;
  }
  const auto [data, size] = *best;
  free.erase(best);
  if (size > rounded) free.emplace(data + rounded, size - rounded);
  held_.emplace(data, Block{rounded, is_small});
  return data;
}

void GraphMemory::give_back(void* data) {
  const auto found = held_.find(data);
  const Block block = found->second;
  held_.erase(found);
  if (!source_.reuses) return;
  // Joined with the free ranges before and behind, within a segment.
  std::map<char*, std::size_t>& free = free_[block.is_small ? 1 : 0];
  auto range = free.emplace(static_cast<char*>(data), block.bytes).first;
  const auto join = [&](auto first, auto second) {
    if (first->first + first->second != second->first || segment_starts_.contains(second->first))
      return first;
    first->second += second->second;
    free.erase(second);
    return first;
  };
  if (std::next(range) != free.end()) range = join(range, std::next(range));
  if (range != free.begin()) join(std::prev(range), range);
}

bool GraphMemory::owns(const void* data) const {
  const std::lock_guard lock(registry().mutex);
  return held_.contains(data);
}

bool GraphMemory::take_back(void* data, std::size_t bytes) {
  if (registry().count == 0) return false;
  const std::lock_guard lock(registry().mutex);
  if (current_memory != nullptr) {
    if (current_memory->held_.contains(data))
      current_memory->give_back(data);
    else
      current_memory->kept_.emplace_back(data, bytes);
    return true;
  }
  for (GraphMemory* const memory : registry().memories) {
    if (!memory->held_.contains(data)) continue;
    // Not to be reused, though nobody holds it: replays write there.
    memory->held_.erase(data);
    if (memory->is_retired_ && memory->held_.empty()) delete memory;
    return true;
  }
  return false;
}

void GraphMemory::retire() {
  for (const auto& [data, bytes] : std::exchange(kept_, {})) source_.release_others(data, bytes);
  const std::lock_guard lock(registry().mutex);
  is_retired_ = true;
  if (held_.empty()) delete this;
}

}  // namespace concord::kernels
