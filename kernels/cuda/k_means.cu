// assign_to_centroids: a thread searches for two values at a time, whose indices are the 16 bytes
// that it writes; the centroids lie in shared memory where they are no more than what leaves a
// multiprocessor full of threads, else in the caches.
//
// centroid_sums: a block is one warp with a table of sums and counts of its own, in shared memory
// where it fits, so that no addition needs an atomic operation or a barrier of warps. Lanes whose
// values belong to one centroid add in the order of their lanes, one after the other, and those of
// different centroids at once: 32 values take as many turns as the most frequent centroid has among
// them. The tables, counts being doubles too, are then summed as the parts of channels are
// (kernels/cuda/channels.h). There are as many tables as keep a full device busy, but no more than
// fill 128 MiB, which for 65536 centroids leaves 128 warps.

#include <algorithm>
#include <limits>

#include "kernels/cuda/channels.h"
#include "kernels/cuda/maps.h"
#include "kernels/k_means.h"

namespace concord::cuda {
namespace {

constexpr unsigned kThreads = 256;
// Of centroids in shared memory; seven such blocks fit on a multiprocessor.
constexpr std::int64_t kMostSharedCentroids = 32 << 10;

// Of a thread, where there are so many, to make up for its part of the copy.
constexpr std::int64_t kPairs = 8;

// kShared: the block copies the centroids first.
template <class T, bool kShared>
__global__ void __launch_bounds__(kThreads)
    assign_kernel(const T* values, std::int64_t count, std::int64_t pairs, const T* centroids,
                  int centroid_count, std::int64_t* indices) {
  if constexpr (kShared) {
    T* copy = shared_memory<T>();
    for (int i = static_cast<int>(threadIdx.x); i < centroid_count; i += static_cast<int>(kThreads))
      copy[i] = centroids[i];
    __syncthreads();
    centroids = copy;
  }
  for (std::int64_t i = first_item(); i < pairs; i += item_stride()) {
    const auto from = reinterpret_cast<const Lane<T, 2>*>(values)[i];
    Lane<std::int64_t, 2> to;
    for (int l = 0; l < 2; ++l)
      to.v[l] = kernels::nearest_centroid(from.v[l], centroids, centroid_count);
    reinterpret_cast<Lane<std::int64_t, 2>*>(indices)[i] = to;
  }
  for (std::int64_t i = 2 * pairs + first_item(); i < count; i += item_stride())
    indices[i] = kernels::nearest_centroid(values[i], centroids, centroid_count);
}

void assign_to_centroids_cuda(ConstView values, ConstView centroids, View indices) {
  kernels::check_assignment("assign_to_centroids", values, indices);
  kernels::check_centroids("assign_to_centroids", centroids, values.dtype);
  const std::int64_t count = values.numel();
  if (count == 0) return;
  kernels::with_float(values, "assign_to_centroids", [&]<class T>(T) {
    const T* from = values.as<T>();
    auto* to = indices.as<std::int64_t>();
    const std::int64_t pairs = fits_lanes<2>(2, from, to) ? count / 2 : 0;
    const std::int64_t bytes = centroids.numel() * static_cast<std::int64_t>(sizeof(T));
    const bool is_shared = bytes <= kMostSharedCentroids;
    const std::int64_t work = pairs > 0 ? pairs : count;
    LaunchShape shape = strided_shape((work + kPairs - 1) / kPairs, kThreads, 132 * 7);
    if (is_shared) shape.shared_bytes = static_cast<std::size_t>(bytes);
    launch(is_shared ? assign_kernel<T, true> : assign_kernel<T, false>, shape, from, count, pairs,
           centroids.as<T>(), static_cast<int>(centroids.numel()), to);
  });
}

constexpr std::int64_t kMostSharedTable = 48 << 10;  // four on a multiprocessor
constexpr std::int64_t kMostTables = 132 * 32;       // as many blocks as fit
constexpr std::int64_t kMostTableBytes = std::int64_t{128} << 20;
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
// Values that a lane reads before it adds the first: as many reads are on their way.
constexpr int kHeld = 4;

// tables: [gridDim.x][2][centroids], of sums and counts.
template <class T, bool kShared>
__global__ void centroid_sums_kernel(const T* values, const std::int64_t* indices,
                                     std::int64_t count, int centroids, double* tables) {
  const int lane = static_cast<int>(threadIdx.x);
  double* result = tables + std::int64_t{blockIdx.x} * 2 * centroids;
  double* table = kShared ? shared_memory<double>() : result;
  for (int i = lane; i < 2 * centroids; i += static_cast<int>(kWarp)) table[i] = 0;
  __syncwarp();
  const std::int64_t stride = std::int64_t{gridDim.x} * kHeld * kWarp;
  for (std::int64_t first = std::int64_t{blockIdx.x} * kHeld * kWarp; first < count;
       first += stride) {
    double held[kHeld];
    int centroid[kHeld];  // negative for none
    for (int h = 0; h < kHeld; ++h) {
      const std::int64_t i = first + h * std::int64_t{kWarp} + lane;
      held[h] = 0;
      centroid[h] = -1;
      if (i < count) {
        const std::int64_t index = indices[i];
        const bool is_one = 0 <= index && index < centroids;
        held[h] = is_one ? static_cast<double>(values[i]) : kNaN;
        centroid[h] = is_one ? static_cast<int>(index) : 0;
      }
    }
    for (int h = 0; h < kHeld; ++h) {
      const unsigned equal = __match_any_sync(kAllLanes, centroid[h]);
      const int turn = __popc(equal & ((1U << lane) - 1));
      const bool takes_part = centroid[h] >= 0;
      for (int now = 0; __any_sync(kAllLanes, takes_part && turn >= now); ++now) {
        if (takes_part && turn == now) {
          table[centroid[h]] += held[h];
          table[centroids + centroid[h]] += 1;
        }
        __syncwarp();
      }
    }
  }
  if constexpr (kShared)
    for (int i = lane; i < 2 * centroids; i += static_cast<int>(kWarp)) result[i] = table[i];
}

struct WriteSums {
  double* sums;
  std::int64_t* counts;
  __device__ void operator()(std::int64_t, std::int64_t c, const double* values) const {
    sums[c] = values[0];
    counts[c] = static_cast<std::int64_t>(values[1]);
  }
};

void centroid_sums_cuda(ConstView values, ConstView indices, View sums, View counts) {
  kernels::check_assignment("centroid_sums", values, indices);
  kernels::check_centroids("centroid_sums", sums, DType::kFloat64);
  kernels::check_centroids("centroid_sums", counts, DType::kInt64);
  check(counts.shape == sums.shape, "centroid_sums: {} sums and {} counts", sums.shape.to_string(),
        counts.shape.to_string());
  const std::int64_t count = values.numel();
  const std::int64_t centroids = sums.numel();
  const std::int64_t table_bytes = 2 * centroids * static_cast<std::int64_t>(sizeof(double));
  // A table is worth the values that take as long as to write and to read it.
  const std::int64_t tables =
      std::clamp<std::int64_t>(count / std::max<std::int64_t>(2 * centroids, kHeld * kWarp), 1,
                               std::min(kMostTables, kMostTableBytes / table_bytes));
  const bool is_shared = table_bytes <= kMostSharedTable;
  const Scratch scratch(static_cast<std::size_t>(tables * table_bytes));
  kernels::with_float(values, "centroid_sums", [&]<class T>(T) {
    launch(is_shared ? centroid_sums_kernel<T, true> : centroid_sums_kernel<T, false>,
           {dim3(static_cast<unsigned>(tables)), dim3(kWarp),
            is_shared ? static_cast<std::size_t>(table_bytes) : 0},
           values.as<T>(), indices.as<std::int64_t>(), count, static_cast<int>(centroids),
           scratch.as<double>());
  });
  finish_sums<2>(1, tables, centroids, scratch.as<double>(),
                 WriteSums{sums.as<double>(), counts.as<std::int64_t>()});
}

// The table lies in the caches, as small as it is beside the indices.
template <class T>
__global__ void __launch_bounds__(kThreads)
    values_of_centroids_kernel(const T* centroids, std::int64_t centroid_count,
                               const std::int64_t* indices, std::int64_t count, T* values) {
  for (std::int64_t i = first_item(); i < count; i += item_stride()) {
    const std::int64_t index = indices[i];
    values[i] = 0 <= index && index < centroid_count ? centroids[index] : static_cast<T>(kNaN);
  }
}

void values_of_centroids_cuda(ConstView centroids, ConstView indices, View values) {
  kernels::check_assignment("values_of_centroids", values, indices);
  kernels::check_centroids("values_of_centroids", centroids, values.dtype);
  const std::int64_t count = values.numel();
  if (count == 0) return;
  kernels::with_float(values, "values_of_centroids", [&]<class T>(T) {
    launch(values_of_centroids_kernel<T>, strided_shape(count, kThreads, 132 * 8),
           centroids.as<T>(), centroids.numel(), indices.as<std::int64_t>(), count, values.as<T>());
  });
}

const kernels::Registration registrations[] = {
    {kernels::assign_to_centroids, DeviceType::kCuda, assign_to_centroids_cuda},
    {kernels::centroid_sums, DeviceType::kCuda, centroid_sums_cuda},
    {kernels::values_of_centroids, DeviceType::kCuda, values_of_centroids_cuda},
};

}  // namespace
}  // namespace concord::cuda
