#pragma once
// CUDA's names on the host, for a .cu file that is compiled as C++ (kernels/simt/runner.h says what
// they do there). Only what our kernels use.

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <tuple>
#include <type_traits>

#include "kernels/simt/graph.h"
#include "kernels/simt/runner.h"

// Language extensions and variables, which C++ has no other way to name.
#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define threadIdx (::concord::simt::thread_index())
#define blockIdx (::concord::simt::block_index())
#define blockDim (::concord::simt::block_size())
#define gridDim (::concord::simt::grid_size())

inline constexpr int warpSize = 32;

// Vectors of as many bytes as a thread can access at once, aligned as on the device, so that UBSan
// sees an access that a GPU refuses.
struct alignas(8) float2 {
  float x, y;
};
struct alignas(16) float4 {
  float x, y, z, w;
};
struct alignas(16) double2 {
  double x, y;
};
struct alignas(8) uint2 {
  unsigned x, y;
};
struct alignas(16) uint4 {
  unsigned x, y, z, w;
};
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
inline double2 make_double2(double x, double y) { return {x, y}; }

inline void __syncthreads(concord::simt::Place place = concord::simt::Place::current()) {
  concord::simt::wait_for_block(place);
}
inline void __syncwarp(unsigned mask = 0xFFFFFFFFU,
                       concord::simt::Place place = concord::simt::Place::current()) {
  concord::simt::wait_for_warp(mask, place);
}
inline void __threadfence() {}

namespace concord::simt {

template <class T>
T shuffle(unsigned mask, T value, unsigned source, const Place& place) {
  static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= 16);
  T result;
  exchange(mask, &value, &result, sizeof(T), source, place);
  return result;
}

}  // namespace concord::simt

// `width` parts a warp as CUDA does: lanes that would read from another part keep their own value.
template <class T>
T __shfl_sync(unsigned mask, T value, int source, int width = 32,
              concord::simt::Place place = concord::simt::Place::current()) {
  const auto lane = static_cast<int>(concord::simt::lane());
  const int from = lane / width * width + source % width;
  return concord::simt::shuffle(mask, value, static_cast<unsigned>(from), place);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32,
                   concord::simt::Place place = concord::simt::Place::current()) {
  const auto lane = static_cast<int>(concord::simt::lane());
  const int from = lane + static_cast<int>(delta);
  const bool inside = from < lane / width * width + width;
  return concord::simt::shuffle(mask, value, static_cast<unsigned>(inside ? from : lane), place);
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32,
                 concord::simt::Place place = concord::simt::Place::current()) {
  const auto lane = static_cast<int>(concord::simt::lane());
  const int from = lane - static_cast<int>(delta);
  const bool inside = from >= lane / width * width;
  return concord::simt::shuffle(mask, value, static_cast<unsigned>(inside ? from : lane), place);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int bits, int width = 32,
                  concord::simt::Place place = concord::simt::Place::current()) {
  const auto lane = static_cast<int>(concord::simt::lane());
  const int from = lane ^ bits;
  const bool inside = from < lane / width * width + width;
  return concord::simt::shuffle(mask, value, static_cast<unsigned>(inside ? from : lane), place);
}
inline unsigned __ballot_sync(unsigned mask, bool value,
                              concord::simt::Place place = concord::simt::Place::current()) {
  return concord::simt::ballot(mask, value, place);
}
inline bool __any_sync(unsigned mask, bool value,
                       concord::simt::Place place = concord::simt::Place::current()) {
  return concord::simt::ballot(mask, value, place) != 0;
}
inline bool __all_sync(unsigned mask, bool value,
                       concord::simt::Place place = concord::simt::Place::current()) {
  return concord::simt::ballot(mask, value, place) == mask;
}
// Of each lane: the lanes of `mask` whose value is its own.
template <class T>
unsigned __match_any_sync(unsigned mask, T value,
                          concord::simt::Place place = concord::simt::Place::current()) {
  unsigned equal = 0;
  for (unsigned lane = 0; lane < concord::simt::kWarpSize; ++lane)
    if ((mask >> lane & 1U) != 0 && concord::simt::shuffle(mask, value, lane, place) == value)
      equal |= 1U << lane;
  return equal;
}

// Threads change places at barriers only, so that these are whole. They return the old value.
template <class T>
T atomicAdd(T* to, std::type_identity_t<T> value) {
  const T old = *to;
  *to = static_cast<T>(old + value);
  return old;
}
template <class T>
T atomicMax(T* to, std::type_identity_t<T> value) {
  const T old = *to;
  *to = std::max(old, value);
  return old;
}
template <class T>
T atomicOr(T* to, std::type_identity_t<T> value) {
  const T old = *to;
  *to = static_cast<T>(old | value);
  return old;
}

template <class T>
T __ldg(const T* from) {
  return *from;
}
inline unsigned __umulhi(unsigned a, unsigned b) {
  return static_cast<unsigned>((std::uint64_t{a} * b) >> 32);
}
inline int __popc(unsigned bits) { return std::popcount(bits); }
inline int __ffs(int bits) {
  return bits == 0 ? 0 : std::countr_zero(static_cast<unsigned>(bits)) + 1;
}
inline unsigned __float_as_uint(float value) { return std::bit_cast<unsigned>(value); }
inline float __uint_as_float(unsigned bits) { return std::bit_cast<float>(bits); }
inline float rsqrtf(float x) { return 1.0F / std::sqrt(x); }
inline double rsqrt(double x) { return 1.0 / std::sqrt(x); }

using cudaStream_t = struct CUstream_st*;
