// A caching allocator: a training step asks for the same sizes again and again, and fresh pages
// cost a fault each. Freed blocks are kept by size and handed out again when they fit with at most
// an eighth to spare.

#include "kernels/memory.h"

#include <sys/mman.h>

#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <type_traits>
#include <utility>

#include "kernels/cpu/vector.h"
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
  // Large blocks lie on huge pages where the system gives them: a fault per 2 MiB instead of per 4
  // KiB, and the 36 streams of a Winograd transform find their addresses translated.
  static void* fresh(std::size_t bytes) {
    if (bytes < kHugePage) return std::aligned_alloc(kAlignment, bytes);
    // Not aligned_alloc, whose sizes are multiples of the alignment.
    void* data = nullptr;
    if (posix_memalign(&data, kHugePage, bytes) != 0) return nullptr;
#ifdef MADV_HUGEPAGE
    // Advice: where it is refused the block has small pages.
    (void)madvise(data, bytes, MADV_HUGEPAGE);
#endif
    return data;
  }
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

// Where the elements of one sample lie.
struct Side {
  std::int64_t spatial;
  std::int64_t lanes;
  std::int64_t at(std::int64_t c, std::int64_t s) const {
    return (c / lanes * spatial + s) * lanes + c % lanes;
  }
};

// to[r][l] = from[l][r] for N rows of N, by rounds that exchange the off-diagonal quarters of all
// squares of 2 kHalf.
template <int N, int kHalf, int... l>
[[gnu::always_inline]] inline void transpose(Vector<float, N>* rows,
                                             std::integer_sequence<int, l...> lanes) {
#pragma GCC unroll 16
  for (int r = 0; r < N; ++r) {
    if (r & kHalf) continue;
    const Vector<float, N> a = rows[r];
    const Vector<float, N> b = rows[r + kHalf];
    rows[r] = __builtin_shufflevector(a, b, (l & kHalf ? N + l - kHalf : l)...);
    rows[r + kHalf] = __builtin_shufflevector(a, b, (l & kHalf ? N + l : l + kHalf)...);
  }
  if constexpr (kHalf > 1) transpose<N, kHalf / 2>(rows, lanes);
}

// N channels of N pixels, from c and s on. A side either has the channels of a pixel side by side
// or the pixels of a channel.
template <int N>
void convert_tile(const float* from, const Side& in, float* to, const Side& out, std::int64_t c,
                  std::int64_t s) {
  const std::int64_t step_in = in.lanes == 1 ? in.spatial : in.lanes;
  const std::int64_t step_out = out.lanes == 1 ? out.spatial : out.lanes;
  from += in.at(c, s);
  to += out.at(c, s);
  Vector<float, N> rows[N];
#pragma GCC unroll 16
  for (int r = 0; r < N; ++r) rows[r] = load<N>(from + r * step_in);
  if ((in.lanes == 1) != (out.lanes == 1))
    transpose<N, N / 2>(rows, std::make_integer_sequence<int, N>{});
#pragma GCC unroll 16
  for (int r = 0; r < N; ++r) store<N>(to + r * step_out, rows[r]);
}

// N channels of a sample, from c on, in tiles; the last overlaps the one before.
template <int N>
void convert_channels(const float* from, const Side& in, float* to, const Side& out,
                      std::int64_t c) {
  for (std::int64_t s = 0; s < in.spatial; s += N)
    convert_tile<N>(from, in, to, out, c, std::min(s, in.spatial - N));
}

template <class From, class To>
void convert_typed(const From* from, MemoryFormat from_format, To* to, MemoryFormat to_format,
                   const Shape& shape) {
  if (from_format == to_format) {
    parallel_for(shape.numel(), 1 << 14, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) to[i] = static_cast<To>(from[i]);
    });
    return;
  }
  const ChannelLayout layout = channel_layout(shape, from_format);
  const std::int64_t channels = layout.channels();
  const std::int64_t spatial = layout.spatial;
  const Side in{spatial, layout.lanes};
  const Side out{spatial, channel_layout(shape, to_format).lanes};
  const std::int64_t width = in.lanes == 8 || out.lanes == 8 ? 8 : 16;
  const std::int64_t per_sample = (channels + width - 1) / width;
  const std::int64_t grain = (1 << 14) / std::max<std::int64_t>(1, width * spatial) + 1;
  parallel_for(layout.outer * per_sample, grain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t index = begin; index < end; ++index) {
      const std::int64_t c = index % per_sample * width;
      const From* const source = from + index / per_sample * channels * spatial;
      To* const target = to + index / per_sample * channels * spatial;
      if constexpr (std::is_same_v<From, float> && std::is_same_v<To, float>) {
        if (c + width <= channels && spatial >= width) {
          const auto convert_all = width == 8 ? convert_channels<8> : convert_channels<16>;
          convert_all(source, in, target, out, c);
          continue;
        }
      }
      for (std::int64_t s = 0; s < spatial; ++s)
        for (std::int64_t k = c; k < std::min(c + width, channels); ++k)
          target[out.at(k, s)] = static_cast<To>(source[in.at(k, s)]);
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
  with_storage(from, "convert", [&]<class From>(From) {
    with_storage(to, "convert", [&]<class To>(To) {
      convert_typed(from.as<From>(), from.format, to.as<To>(), to.format, to.shape);
    });
  });
}

void fill_cpu(double value, View to) {
  if (to.dtype == DType::kInt64) {
    std::fill_n(to.as<std::int64_t>(), to.numel(), static_cast<std::int64_t>(value));
    return;
  }
  with_storage(to, "fill",
               [&]<class T>(T) { std::fill_n(to.as<T>(), to.numel(), static_cast<T>(value)); });
}

const Registration registrations[] = {
    {allocate, DeviceType::kCpu, allocate_cpu},
    {release, DeviceType::kCpu, release_cpu},
    {copy, DeviceType::kCpu, copy_cpu},
    {copy_from_host, DeviceType::kCpu, copy_cpu},
    {copy_to_host, DeviceType::kCpu, copy_cpu},
    {zero, DeviceType::kCpu, zero_cpu},
    {convert, DeviceType::kCpu, convert_cpu},
    {fill, DeviceType::kCpu, fill_cpu},
    {memory_statistics, DeviceType::kCpu, statistics_cpu},
    {release_cache, DeviceType::kCpu, release_cache_cpu},
};

}  // namespace
}  // namespace concord::kernels
