#pragma once
// The two halves of an iteration of Lloyd's k-means on numbers, for weights that share values, and
// the values that they share.
// Source: Han, Mao, Dally, "Deep Compression", ICLR 2016, section 3.

#include <cstdint>

#include "kernels/host_device.h"
#include "kernels/kernel.h"

namespace concord::kernels {

inline constexpr std::int64_t kMostCentroids = 65536;

// The index of the first of `count` ascending numbers that is at least `value`; `count` if none is.
template <class T>
CONCORD_HOST_DEVICE int first_at_least(T value, const T* centroids, int count) {
  int first = 0;
  while (count > 0) {
    const int half = count / 2;
    // Both sides by selection: neighbouring values of a tensor fall to either.
    const bool is_above = centroids[first + half] < value;
    first = is_above ? first + half + 1 : first;
    count = is_above ? count - half - 1 : half;
  }
  return first;
}

// The index of the centroid nearest to `value`: of the two that enclose it, by distances in double;
// of equally near ones, and of equal ones, the lowest. A NaN is given to the first, whose sum then
// shows it. centroids: `count` >= 1 ascending numbers.
template <class T>
CONCORD_HOST_DEVICE int nearest_centroid(T value, const T* centroids, int count) {
  const int above = first_at_least(value, centroids, count);
  if (above == 0) return 0;
  const int below = above - 1;
  if (above < count) {
    const double down = static_cast<double>(value) - static_cast<double>(centroids[below]);
    const double up = static_cast<double>(centroids[above]) - static_cast<double>(value);
    if (up < down) return above;
  }
  const bool is_alone = below == 0 || centroids[below - 1] < centroids[below];
  return is_alone ? below : first_at_least(centroids[below], centroids, below);
}

// indices[i] = nearest_centroid(values[i]): values [count] and centroids [K], ascending, float32 or
// float64 both; indices int64 [count]. 1 <= K <= kMostCentroids; throws for anything else, but not
// for centroids out of order.
inline Kernel<void(ConstView values, ConstView centroids, View indices)> assign_to_centroids{
    "assign_to_centroids"};

// sums[k] = the sum of the values whose index is k, taken in double; counts[k] = how many they are;
// both 0 where there are none. values [count] float32 or float64, indices int64 [count], sums
// float64 [K], counts int64 [K], 1 <= K <= kMostCentroids. An index outside [0, K) is an error on
// the CPU; CUDA, which would have to wait for the device to know, makes the first sum NaN.
inline Kernel<void(ConstView values, ConstView indices, View sums, View counts)> centroid_sums{
    "centroid_sums"};

// values[i] = centroids[indices[i]]: centroids [K] and values [count] float32 or float64 both,
// indices int64 [count], 1 <= K <= kMostCentroids, the bits unchanged. An index outside [0, K) is
// an error on the CPU; CUDA, which would have to wait for the device to know, writes a NaN for it.
inline Kernel<void(ConstView centroids, ConstView indices, View values)> values_of_centroids{
    "values_of_centroids"};

// Throw unless the operands are as the kernels want them; for the definitions.
inline void check_assignment(const char* kernel, const ConstView& values,
                             const ConstView& indices) {
  check(values.shape.rank() == 1 && indices.shape == values.shape && indices.dtype == DType::kInt64,
        "{}: values [count] with indices int64 [count] expected, not {} {} and {} {}", kernel,
        name_of(values.dtype), values.shape.to_string(), name_of(indices.dtype),
        indices.shape.to_string());
}
inline void check_centroids(const char* kernel, const ConstView& centroids, DType dtype) {
  check(centroids.shape.rank() == 1 && centroids.dtype == dtype && 1 <= centroids.shape[0] &&
            centroids.shape[0] <= kMostCentroids,
        "{}: {} of 1 to {} centroids expected, not {} {}", kernel, name_of(dtype), kMostCentroids,
        name_of(centroids.dtype), centroids.shape.to_string());
}

}  // namespace concord::kernels
