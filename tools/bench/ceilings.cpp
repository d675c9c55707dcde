#include "tools/bench/ceilings.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstring>
#include <utility>

#include "engine/tensor.h"
#include "kernels/device.h"
#include "kernels/linear.h"
#include "kernels/parallel.h"
#include "kernels/precision.h"
#if defined(__SSE__)
#include <immintrin.h>
#endif

namespace concord::bench {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

#if defined(__AVX512F__)
constexpr int kLanes = 16;
#elif defined(__AVX__)
constexpr int kLanes = 8;
#else
constexpr int kLanes = 4;
#endif
using Vector [[gnu::vector_size(kLanes * sizeof(float))]] = float;

// Enough to hide the latency of a multiply-add (4 cycles on 2 units), few enough for 16 registers.
constexpr int kAccumulators = 12;

// `rounds` multiply-adds on each accumulator; the result keeps the compiler from leaving them out.
// Every index is a constant, without which the accumulators would live in memory.
template <std::size_t... kIndex>
float multiply_add(std::int64_t rounds, std::index_sequence<kIndex...>) {
  // x <- 0.999 x + 0.001 goes to 1: no value overflows or becomes denormal.
  const Vector factor = Vector{} + 0.999F;
  const Vector addend = Vector{} + 0.001F;
  Vector sums[] = {(Vector{} + static_cast<float>(kIndex))...};
  for (std::int64_t round = 0; round < rounds; ++round)
    ((sums[kIndex] = sums[kIndex] * factor + addend), ...);
  return (sums[kIndex][0] + ...);
}

double fma_flops() {
  constexpr std::int64_t kRounds = 1 << 18;  // about a millisecond
  constexpr int kRuns = 200;
  const int threads = thread_count();
  double best = 0;
  for (int run = 0; run < kRuns; ++run) {
    const auto start = Clock::now();
    parallel_for(threads, 1, [&](std::int64_t, std::int64_t) {
      volatile float kept = multiply_add(kRounds, std::make_index_sequence<kAccumulators>());
      static_cast<void>(kept);
    });
    const double flops = 2.0 * kLanes * kAccumulators * static_cast<double>(kRounds) * threads;
    best = std::max(best, flops / seconds_since(start));
  }
  return best;
}

// Vectors of one aligned range of floats, with ordinary stores.
void copy_ordinary(const float* from, float* to, std::int64_t count) {
  for (std::int64_t i = 0; i < count; i += kLanes) {
    Vector value;
    std::memcpy(&value, from + i, sizeof value);
    // Else the compiler calls memcpy, which chooses between ordinary and non-temporal by size.
    asm volatile("" : : : "memory");
    std::memcpy(to + i, &value, sizeof value);
  }
}

void copy_non_temporal(const float* from, float* to, std::int64_t count) {
#if defined(__SSE__)
  for (std::int64_t i = 0; i < count; i += 16)
    for (std::int64_t part = 0; part < 16; part += 4)
      _mm_stream_ps(to + i + part, _mm_load_ps(from + i + part));
  _mm_sfence();
#else
  copy_ordinary(from, to, count);
#endif
}

template <class Copy>
double copy_rate(const Tensor& from, Tensor& to, Copy copy) {
  constexpr int kRuns = 8;
  constexpr std::int64_t kChunk = 1 << 14;
  const float* source = from.data<float>();
  float* target = to.data<float>();
  double best = 0;
  for (int run = 0; run < kRuns; ++run) {
    const auto start = Clock::now();
    parallel_for(from.numel() / kChunk, 1, [&](std::int64_t begin, std::int64_t end) {
      copy(source + begin * kChunk, target + begin * kChunk, (end - begin) * kChunk);
    });
    best = std::max(best, 2.0 * static_cast<double>(from.bytes()) / seconds_since(start));
  }
  return best;
}

std::int64_t floats_beyond_caches() {
  constexpr std::int64_t kLeast = std::int64_t{64} << 20;
  constexpr std::int64_t kMost = std::int64_t{1} << 30;
  const auto cache = static_cast<std::int64_t>(::sysconf(_SC_LEVEL3_CACHE_SIZE));
  return std::clamp(4 * cache, kLeast, kMost) / static_cast<std::int64_t>(sizeof(float));
}

// The least of several times, which other work on the machine lengthens least.
template <class Work>
double least_seconds(Device device, const Work& work) {
  work();  // prepares
  double least = kernels::seconds_of(device, work);
  for (int run = 0; run < 10; ++run) least = std::min(least, kernels::seconds_of(device, work));
  return least;
}

Ceilings ceilings_of_accelerator(Device device) {
  constexpr std::int64_t kRows = 8192;
  const TensorOptions options = {.device = device};
  // A gradient of weights, whose product alone is in the chosen precision: nothing is rounded
  // first.
  const bool in_bfloat16 = kernels::precision() == kernels::Precision::kBFloat16;
  const TensorOptions factor = {in_bfloat16 ? DType::kBFloat16 : DType::kFloat32, device};
  const Tensor a = Tensor::full({kRows, kRows}, 0.5, factor);
  const Tensor b = Tensor::full({kRows, kRows}, 0.25, factor);
  Tensor product = Tensor::empty({kRows, kRows}, options);
  Ceilings ceilings;
  ceilings.fma_flops =
      2.0 * kRows * kRows * kRows / least_seconds(device, [&] {
        kernels::linear_backward_weights(device, a.view(), b.view(), product.view());
      });
  const std::size_t bytes = std::size_t{1} << 30;
  const Tensor from = Tensor::zeros({static_cast<std::int64_t>(bytes / sizeof(float))}, options);
  Tensor to = empty_like(from);
  ceilings.copy_bytes = 2.0 * static_cast<double>(bytes) / least_seconds(device, [&] {
                          kernels::copy(device, to.view().data, from.view().data, bytes);
                        });
  return ceilings;
}

}  // namespace

Ceilings measure_ceilings(Device device) {
  if (device.type != DeviceType::kCpu) return ceilings_of_accelerator(device);
  Ceilings ceilings;
  ceilings.fma_flops = fma_flops();
  const Tensor from = Tensor::full({floats_beyond_caches()}, 1);
  Tensor to = zeros_like(from);
  ceilings.copy_bytes = copy_rate(from, to, copy_ordinary);
#if defined(__SSE__)
  ceilings.copy_bytes_non_temporal = copy_rate(from, to, copy_non_temporal);
#endif
  return ceilings;
}

}  // namespace concord::bench
