#pragma once
// Elementwise loops over whole buffers, split over threads.

#include "kernels/parallel.h"
#include "kernels/view.h"

namespace concord::kernels {

inline constexpr std::int64_t kElementwiseGrain = 1 << 14;

// result[i] = f(a[i]); result may be a.
template <class T, class Function>
void map_elements(const T* a, T* result, std::int64_t count, Function f) {
  parallel_for(count, kElementwiseGrain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) result[i] = f(a[i]);
  });
}

// result[i] = f(a[i], b[i]); result may be a or b.
template <class T, class Function>
void map_elements(const T* a, const T* b, T* result, std::int64_t count, Function f) {
  parallel_for(count, kElementwiseGrain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) result[i] = f(a[i], b[i]);
  });
}

// The sum over i of f(i) for i in [0, count), in double. Each thread sums its own range and the
// ranges are added in order, so a thread count fixes the bits.
template <class Function>
double sum_elements(std::int64_t count, Function f) {
  constexpr int kMaxParts = 256;
  double partial[kMaxParts] = {};
  const std::int64_t parts =
      std::clamp<std::int64_t>(count / kElementwiseGrain, 1, std::min(thread_count(), kMaxParts));
  parallel_for(parts, 1, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t part = first; part < last; ++part) {
      // Eight running sums, so that the additions do not wait for one another.
      double lanes[8] = {};
      const std::int64_t begin = count * part / parts;
      const std::int64_t end = count * (part + 1) / parts;
      std::int64_t i = begin;
      for (; i + 8 <= end; i += 8)
        for (int lane = 0; lane < 8; ++lane) lanes[lane] += f(i + lane);
      for (; i < end; ++i) lanes[0] += f(i);
      for (double lane : lanes) partial[part] += lane;
    }
  });
  double total = 0;
  for (std::int64_t part = 0; part < parts; ++part) total += partial[part];
  return total;
}

}  // namespace concord::kernels
