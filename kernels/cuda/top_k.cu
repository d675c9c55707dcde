// A warp finds the K greatest of a row and reads it once. Lane l holds the element of rank l of
// those seen so far. Of 32 new elements, only those that outrank the one of rank K - 1 matter,
// which a ballot tells: with M elements in random order, about K (1 + log(M / K)) of them in all.
// Each such element is inserted by a ballot, which counts the elements before it, and a shift of
// the lanes behind it. Rows of a million elements, where a block would read faster, occur in no
// classifier.

#include "kernels/cuda/reduce.h"
#include "kernels/top_k.h"

namespace concord::cuda {
namespace {

using kernels::ConstView;
using kernels::View;

constexpr unsigned kThreads = 128;
constexpr unsigned kWarps = kThreads / kWarp;
constexpr unsigned kMostBlocks = 132 * 4;
// Elements that a lane reads before it looks at the first: as many reads are on their way.
constexpr int kHeld = 8;

// Every element outranks one without an index.
template <class T>
struct Ranked {
  T value;
  std::int64_t index;

  __device__ bool outranks(const Ranked& other) const {
    if (index < 0 || other.index < 0) return index >= 0 && other.index < 0;
    return kernels::outranks(value, index, other.value, other.index);
  }
  __device__ Ranked of_lane(int lane) const {
    return {__shfl_sync(kAllLanes, value, lane), __shfl_sync(kAllLanes, index, lane)};
  }
  __device__ Ranked of_lane_before() const {
    return {__shfl_up_sync(kAllLanes, value, 1), __shfl_up_sync(kAllLanes, index, 1)};
  }
};

template <class T>
__global__ void __launch_bounds__(kThreads)
    top_k_kernel(const T* logits, std::int64_t rows, std::int64_t columns, int k,
                 std::int64_t* indices, T* values) {
  using P = Compute<T>;
  const int lane = static_cast<int>(threadIdx.x % kWarp);
  const std::int64_t stride = std::int64_t{gridDim.x} * kWarps;
  for (std::int64_t n = std::int64_t{blockIdx.x} * kWarps + threadIdx.x / kWarp; n < rows;
       n += stride) {
    const T* row = logits + n * columns;
    Ranked<P> best = {P(0), -1};
    Ranked<P> last = best;  // of rank k - 1
    for (std::int64_t first = lane; first - lane < columns; first += kHeld * kWarp) {
      Ranked<P> held[kHeld];
      for (int h = 0; h < kHeld; ++h) {
        const std::int64_t m = first + h * std::int64_t{kWarp};
        held[h] = m < columns ? Ranked<P>{static_cast<P>(row[m]), m} : Ranked<P>{P(0), -1};
      }
      for (int h = 0; h < kHeld && first - lane + h * std::int64_t{kWarp} < columns; ++h) {
        unsigned candidates = __ballot_sync(kAllLanes, held[h].outranks(last));
        while (candidates != 0) {
          const int source = __ffs(static_cast<int>(candidates)) - 1;
          const Ranked<P> candidate = held[h].of_lane(source);
          // Those of the ranks before it are the first lanes.
          const int rank = __popc(__ballot_sync(kAllLanes, best.outranks(candidate)));
          const Ranked<P> before = best.of_lane_before();
          if (lane == rank)
            best = candidate;
          else if (lane > rank)
            best = before;
          last = best.of_lane(k - 1);
          if (lane == source) held[h].index = -1;
          candidates = __ballot_sync(kAllLanes, held[h].outranks(last));
        }
      }
    }
    if (lane < k) {
      indices[n * k + lane] = best.index;
      values[n * k + lane] = static_cast<T>(best.value);
    }
  }
}

void top_k_cuda(ConstView logits, View indices, View values) {
  kernels::check_top_k(logits, indices, values);
  const std::int64_t rows = logits.shape[0];
  if (rows == 0) return;
  kernels::with_storage(logits, "top_k", [&]<class T>(T) {
    launch(top_k_kernel<T>, strided_shape(rows * kWarp, kThreads, kMostBlocks), logits.as<T>(),
           rows, logits.shape[1], static_cast<int>(values.shape[1]), indices.as<std::int64_t>(),
           values.as<T>());
  });
}

const kernels::Registration registration{kernels::top_k, DeviceType::kCuda, top_k_cuda};

}  // namespace
}  // namespace concord::cuda
