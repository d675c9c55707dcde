#pragma once
// What a kernel sees of a tensor: a typed, shaped buffer that somebody else owns.

#include <type_traits>

#include "kernels/shape.h"

namespace concord::kernels {

// A mutable (View) or read-only (ConstView) dense buffer. `data` is 64-byte aligned for tensors of
// their own storage. A view without data (`!view`) stands for an argument that was not given.
template <class Void>
struct BasicView {
  Void* data = nullptr;
  DType dtype = DType::kFloat32;
  MemoryFormat format = MemoryFormat::kPlain;
  Device device;
  Shape shape;

  explicit operator bool() const { return data != nullptr; }
  std::int64_t numel() const { return shape.numel(); }
  ChannelLayout channels() const { return channel_layout(shape, format); }

  // The elements as T; throws if the dtype is another.
  template <class T>
  auto as() const {
    using Element = std::conditional_t<std::is_const_v<Void>, const T, T>;
    check(dtype == kDTypeOf<T>, "kernel expects {}, tensor is {}", name_of(kDTypeOf<T>),
          name_of(dtype));
    return static_cast<Element*>(data);
  }

  // A mutable view may be read.
  template <class Other>
  requires(!std::is_const_v<Void> && std::is_same_v<Other, const void>) operator BasicView<Other>()
      const {
    return {data, dtype, format, device, shape};
  }
};
using View = BasicView<void>;
using ConstView = BasicView<const void>;

// Calls `body` with a value of the view's floating type (float or double) as a tag; throws for
// others.   with_float(x, "relu", [&]<class T>(T) { ... x.as<T>() ... });
template <class AnyView, class Body>
void with_float(const AnyView& view, const char* what, Body&& body) {
  if (view.dtype == DType::kFloat32) {
    body(float{});
  } else if (view.dtype == DType::kFloat64) {
    body(double{});
  } else {
    fail("{}: float32 or float64 expected, tensor is {}{}", what, name_of(view.dtype),
         view.dtype == DType::kBFloat16 ? ", which is computed with on CUDA devices only" : "");
  }
}

// The same of float, double or BFloat16: for kernels that take elements as they are stored and
// compute in Compute<T>.
template <class AnyView, class Body>
void with_storage(const AnyView& view, const char* what, Body&& body) {
  if (view.dtype == DType::kBFloat16) {
    body(BFloat16{});
  } else {
    with_float(view, what, body);
  }
}

}  // namespace concord::kernels
