#pragma once
// Loops over CPU threads (OpenMP). The split depends on the thread count alone, so a run with the
// same number of threads repeats its bits.

#include <omp.h>

#include <algorithm>
#include <cstdint>
#include <exception>

namespace concord {

// Threads that kernels may use; set once at start-up (--threads).
inline int thread_count() { return omp_get_max_threads(); }
inline void set_thread_count(int threads) { omp_set_num_threads(std::max(1, threads)); }

// Calls body(begin, end) on disjoint ranges that cover [0, count), one per thread, each of at least
// `grain` items (so small work stays on one thread). The first exception of a body reaches the
// caller.
template <class Body>
void parallel_for(std::int64_t count, std::int64_t grain, Body&& body) {
  if (count <= 0) return;
  const std::int64_t most = std::max<std::int64_t>(1, count / std::max<std::int64_t>(1, grain));
  const int threads = static_cast<int>(std::min<std::int64_t>(thread_count(), most));
  if (threads == 1 || omp_in_parallel()) {
    body(std::int64_t{0}, count);
    return;
  }
  std::exception_ptr error;
#pragma omp parallel num_threads(threads)
  {
    const std::int64_t parts = omp_get_num_threads();
    const std::int64_t part = omp_get_thread_num();
    try {
      const std::int64_t begin = count * part / parts;
      const std::int64_t end = count * (part + 1) / parts;
      if (begin < end) body(begin, end);
    } catch (...) {
#pragma omp critical(concord_parallel_for)
      if (!error) error = std::current_exception();
    }
  }
  if (error) std::rethrow_exception(error);
}

}  // namespace concord
