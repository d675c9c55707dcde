#pragma once
// Kernels of one thread per 16 bytes over whole buffers: y[i] = f(a[i]) or f(a[i], b[i]). They are
// bound by memory, so all they do is wide accesses; where a buffer is not 16-byte aligned, and
// behind the last whole pack, elements go one by one.

#include "kernels/cuda/device.h"

namespace concord::cuda {

using kernels::ConstView;
using kernels::View;

// As many elements as a thread moves at once.
template <class T>
struct alignas(16) Pack {
  static constexpr int kSize = 16 / sizeof(T);
  T v[kSize];
};

template <class... T>
bool are_aligned(const T*... pointers) {
  return ((reinterpret_cast<std::uintptr_t>(pointers) % 16 == 0) && ...);
}

// y may be a or b.
template <class T, class Function>
__global__ void map_one_kernel(const T* a, T* y, std::int64_t count, std::int64_t packs,
                               Function f) {
  for (std::int64_t i = first_item(); i < packs; i += item_stride()) {
    const auto from = reinterpret_cast<const Pack<T>*>(a)[i];
    Pack<T> to;
    for (int k = 0; k < Pack<T>::kSize; ++k) to.v[k] = f(from.v[k]);
    reinterpret_cast<Pack<T>*>(y)[i] = to;
  }
  for (std::int64_t i = packs * Pack<T>::kSize + first_item(); i < count; i += item_stride())
    y[i] = f(a[i]);
}
template <class T, class Function>
__global__ void map_two_kernel(const T* a, const T* b, T* y, std::int64_t count, std::int64_t packs,
                               Function f) {
  for (std::int64_t i = first_item(); i < packs; i += item_stride()) {
    const auto left = reinterpret_cast<const Pack<T>*>(a)[i];
    const auto right = reinterpret_cast<const Pack<T>*>(b)[i];
    Pack<T> to;
    for (int k = 0; k < Pack<T>::kSize; ++k) to.v[k] = f(left.v[k], right.v[k]);
    reinterpret_cast<Pack<T>*>(y)[i] = to;
  }
  for (std::int64_t i = packs * Pack<T>::kSize + first_item(); i < count; i += item_stride())
    y[i] = f(a[i], b[i]);
}

// `f` is an object with a __device__ operator().
template <class T, class Function>
void map_elements(const T* a, T* y, std::int64_t count, Function f) {
  if (count == 0) return;
  const std::int64_t packs = are_aligned(a, y) ? count / Pack<T>::kSize : 0;
  const std::int64_t work = packs > 0 ? packs : count;
  launch(map_one_kernel<T, Function>, strided_shape(work), a, y, count, packs, f);
}
template <class T, class Function>
void map_elements(const T* a, const T* b, T* y, std::int64_t count, Function f) {
  if (count == 0) return;
  const std::int64_t packs = are_aligned(a, b, y) ? count / Pack<T>::kSize : 0;
  const std::int64_t work = packs > 0 ? packs : count;
  launch(map_two_kernel<T, Function>, strided_shape(work), a, b, y, count, packs, f);
}

}  // namespace concord::cuda
