#pragma once
// Kernels of one thread per 16 bytes over whole buffers: y[i] = f(a[i]) or f(a[i], b[i]). They are
// bound by memory, so all they do is wide accesses; where a buffer is not 16-byte aligned, and
// behind the last whole pack, elements go one by one.

#include "kernels/cuda/device.h"

namespace concord::cuda {

using kernels::ConstView;
using kernels::View;

// As many elements as a thread moves at once, as they are stored.
template <class T>
struct alignas(16) Pack {
  static constexpr int kSize = 16 / sizeof(T);
  T v[kSize];
};
// The same as they are computed with.
template <class T>
struct Values {
  static constexpr int kSize = Pack<T>::kSize;
  Compute<T> v[kSize];
};
template <class T>
__device__ __forceinline__ Values<T> load_pack(const T* from, std::int64_t pack) {
  const auto stored = reinterpret_cast<const Pack<T>*>(from)[pack];
  Values<T> values;
  for (int k = 0; k < Pack<T>::kSize; ++k) values.v[k] = static_cast<Compute<T>>(stored.v[k]);
  return values;
}
template <class T>
__device__ __forceinline__ void store_pack(T* to, std::int64_t pack, const Values<T>& values) {
  Pack<T> stored;
  for (int k = 0; k < Pack<T>::kSize; ++k) stored.v[k] = static_cast<T>(values.v[k]);
  reinterpret_cast<Pack<T>*>(to)[pack] = stored;
}

template <class... T>
bool are_aligned(const T*... pointers) {
  return ((reinterpret_cast<std::uintptr_t>(pointers) % 16 == 0) && ...);
}

// y may be a or b.
template <class T, class Function>
__global__ void map_one_kernel(const T* a, T* y, std::int64_t count, std::int64_t packs,
                               Function f) {
  for (std::int64_t i = first_item(); i < packs; i += item_stride()) {
    Values<T> values = load_pack(a, i);
    for (int k = 0; k < Pack<T>::kSize; ++k) values.v[k] = f(values.v[k]);
    store_pack(y, i, values);
  }
  for (std::int64_t i = packs * Pack<T>::kSize + first_item(); i < count; i += item_stride())
    y[i] = static_cast<T>(f(static_cast<Compute<T>>(a[i])));
}
template <class T, class Function>
__global__ void map_two_kernel(const T* a, const T* b, T* y, std::int64_t count, std::int64_t packs,
                               Function f) {
  for (std::int64_t i = first_item(); i < packs; i += item_stride()) {
    Values<T> values = load_pack(a, i);
    const Values<T> right = load_pack(b, i);
    for (int k = 0; k < Pack<T>::kSize; ++k) values.v[k] = f(values.v[k], right.v[k]);
    store_pack(y, i, values);
  }
  for (std::int64_t i = packs * Pack<T>::kSize + first_item(); i < count; i += item_stride())
    y[i] = static_cast<T>(f(static_cast<Compute<T>>(a[i]), static_cast<Compute<T>>(b[i])));
}

// `f` is an object with a __device__ operator() on Compute<T>.
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
