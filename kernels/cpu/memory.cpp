// A caching allocator: a training step asks for the same sizes again and again, and fresh pages
// cost a fault each. Freed blocks are kept by size and handed out again when they fit with at most
// an eighth to spare.

#include "kernels/memory.h"

#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>

#include "kernels/parallel.h"

namespace concord::kernels {
namespace {

constexpr std::size_t kAlignment = 64;
constexpr std::size_t kHugePage = std::size_t{2} << 20;

class CpuPool {
 public:
  // Never destroyed: tensors of static lifetime may be freed after main.
  static CpuPool& instance() {
    static CpuPool* pool = new CpuPool;
    return *pool;
  }

  void* allocate(std::size_t bytes) {
    const std::size_t rounded = round_up(bytes);
    const std::lock_guard lock(mutex_);
    auto block = free_.lower_bound(rounded);
    void* data = nullptr;
    std::size_t size = rounded;
    if (block != free_.end() && block->first <= rounded + rounded / 8) {
      size = block->first;
      data = block->second;
      free_.erase(block);
      statistics_.cached -= size;
    } else {
      trim_cache(rounded);
      data = fresh(rounded);
      if (data == nullptr) {
        drop_cache();
        data = fresh(rounded);
      }
      check(data != nullptr,
            "out of memory on cpu: {} bytes asked for, {} in use by tensors; lower --batch-size or "
            "--image-size",
            bytes, statistics_.in_use);
    }
    sizes_[data] = size;
    statistics_.in_use += size;
    statistics_.peak_in_use = std::max(statistics_.peak_in_use, statistics_.in_use);
    return data;
  }

  void release(void* data) {
    const std::lock_guard lock(mutex_);
    const auto found = sizes_.find(data);
    const std::size_t size = found->second;
    sizes_.erase(found);
    statistics_.in_use -= size;
    statistics_.cached += size;
    free_.emplace(size, data);
    trim_cache(0);
  }

  void drop_cache_locked() {
    const std::lock_guard lock(mutex_);
    drop_cache();
  }

  MemoryStatistics statistics() {
    const std::lock_guard lock(mutex_);
    return statistics_;
  }

 private:
  static constexpr std::size_t kSlack = std::size_t{64} << 20;

  static std::size_t round_up(std::size_t bytes) {
    const std::size_t unit = bytes >= kHugePage ? 65536 : kAlignment;
    return (bytes + unit - 1) / unit * unit;
  }
  // Frees cached blocks until those left, what is in use and `more` bytes stay within the most that
  // was ever in use (which is a fair bound on what is worth keeping) and the slack. Without it a
  // batch of another size would find the whole memory of the one before held for nothing.
  void trim_cache(std::size_t more) {
    const std::size_t in_use = statistics_.in_use + more;
    const std::size_t most = std::max(statistics_.peak_in_use, in_use) + kSlack;
    while (in_use + statistics_.cached > most) {
      const auto smallest = free_.begin();
      statistics_.cached -= smallest->first;
      std::free(smallest->second);
      free_.erase(smallest);
    }
  }
  static void* fresh(std::size_t bytes) { return std::aligned_alloc(kAlignment, bytes); }
  void drop_cache() {
    for (const auto& [size, data] : free_) std::free(data);
    free_.clear();
    statistics_.cached = 0;
  }

  std::mutex mutex_;
  std::multimap<std::size_t, void*> free_;
  std::map<void*, std::size_t> sizes_;
  MemoryStatistics statistics_;
};

void* allocate_cpu(std::size_t bytes) { return CpuPool::instance().allocate(bytes); }
void release_cpu(void* data, std::size_t) { CpuPool::instance().release(data); }
void copy_cpu(void* to, const void* from, std::size_t bytes) { std::memcpy(to, from, bytes); }
void zero_cpu(void* data, std::size_t bytes) { std::memset(data, 0, bytes); }
MemoryStatistics statistics_cpu() { return CpuPool::instance().statistics(); }
void release_cache_cpu() { CpuPool::instance().drop_cache_locked(); }

// Walks [groups][spatial][lanes] of one side in memory order while stepping through the other.
template <class From, class To>
void convert_typed(const From* from, MemoryFormat from_format, To* to, MemoryFormat to_format,
                   const Shape& shape) {
  if (from_format == to_format) {
    parallel_for(shape.numel(), 1 << 14, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) to[i] = static_cast<To>(from[i]);
    });
    return;
  }
  const ChannelLayout in = channel_layout(shape, from_format);
  const ChannelLayout out = channel_layout(shape, to_format);
  const std::int64_t channels = in.channels();
  const std::int64_t spatial = in.spatial;
  parallel_for(out.outer * out.groups, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t index = begin; index < end; ++index) {
      const std::int64_t n = index / out.groups;
      const std::int64_t g = index % out.groups;
      To* block = to + index * spatial * out.lanes;
      for (std::int64_t l = 0; l < out.lanes; ++l) {
        const std::int64_t c = g * out.lanes + l;
        const From* source =
            from + n * channels * spatial + (c / in.lanes) * spatial * in.lanes + c % in.lanes;
        for (std::int64_t s = 0; s < spatial; ++s)
          block[s * out.lanes + l] = static_cast<To>(source[s * in.lanes]);
      }
    }
  });
}

void convert_cpu(ConstView from, View to) {
  check(from.shape == to.shape, "convert: shapes {} and {} differ", from.shape.to_string(),
        to.shape.to_string());
  if (from.dtype == DType::kInt64) {
    check(to.dtype == DType::kInt64 && from.format == to.format,
          "convert: int64 tensors convert to nothing else");
    std::memcpy(to.data, from.data, static_cast<std::size_t>(to.numel()) * 8);
    return;
  }
  with_float(from, "convert", [&]<class From>(From) {
    with_float(to, "convert", [&]<class To>(To) {
      convert_typed(from.as<From>(), from.format, to.as<To>(), to.format, to.shape);
    });
  });
}

void fill_cpu(double value, View to) {
  if (to.dtype == DType::kInt64) {
    std::fill_n(to.as<std::int64_t>(), to.numel(), static_cast<std::int64_t>(value));
    return;
  }
  with_float(to, "fill",
             [&]<class T>(T) { std::fill_n(to.as<T>(), to.numel(), static_cast<T>(value)); });
}

const Registration registrations[] = {
    {allocate, DeviceType::kCpu, allocate_cpu},
    {release, DeviceType::kCpu, release_cpu},
    {copy, DeviceType::kCpu, copy_cpu},
    {zero, DeviceType::kCpu, zero_cpu},
    {convert, DeviceType::kCpu, convert_cpu},
    {fill, DeviceType::kCpu, fill_cpu},
    {memory_statistics, DeviceType::kCpu, statistics_cpu},
    {release_cache, DeviceType::kCpu, release_cache_cpu},
};

}  // namespace
}  // namespace concord::kernels
