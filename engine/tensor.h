#pragma once
// Tensor: a handle on reference-counted, dense storage with dtype, device, logical shape and memory
// format, and its place in the autograd graph (engine/autograd.h). Copying a Tensor copies the
// handle.

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "kernels/memory.h"
#include "kernels/shape.h"
#include "kernels/view.h"

namespace concord {

class Node;

struct TensorOptions {
  DType dtype = DType::kFloat32;
  Device device = {};
  MemoryFormat format = MemoryFormat::kPlain;
};

class Tensor {
 public:
  // Undefined: stands for "no tensor"; only defined() and assignment may be used.
  Tensor() = default;

  // Uninitialised. Throws if the format does not support the shape.
  static Tensor empty(const Shape& shape, const TensorOptions& options = {});
  static Tensor zeros(const Shape& shape, const TensorOptions& options = {});
  static Tensor full(const Shape& shape, double value, const TensorOptions& options = {});
  // Copies `values` in row-major order; T is float, double, int64, uint8 or
  // BFloat16. Throws unless they are
  // shape.numel().
  template <class T>
  static Tensor of(const Shape& shape, std::span<const T> values);
  template <class T>
  static Tensor of(const Shape& shape, const std::vector<T>& values) {
    return of(shape, std::span<const T>(values));
  }
  // Refers to memory of the host that `owner` keeps alive: a mapped file, which must not be
  // written, or a buffer (engine/staging.h).
  static Tensor borrow(const Shape& shape, DType dtype, void* data, std::shared_ptr<void> owner);

  bool defined() const { return impl_ != nullptr; }
  const Shape& shape() const;
  std::int64_t dim(std::size_t axis) const { return shape()[axis]; }
  std::int64_t numel() const { return shape().numel(); }
  DType dtype() const;
  Device device() const;
  MemoryFormat format() const;
  TensorOptions options() const { return {dtype(), device(), format()}; }
  std::size_t bytes() const;

  // Elements in memory order (row-major only for kPlain), on the tensor's device; throws if T is
  // not the dtype.
  template <class T>
  T* data();
  template <class T>
  const T* data() const;
  // The only element of a tensor with numel() == 1, as double.
  double item() const;
  // All elements in row-major order of the logical shape, as T, from any device; for tests and
  // small results.
  template <class T>
  std::vector<T> to_vector() const;

  kernels::View view();
  kernels::ConstView view() const;

  // Data only, outside the graph: a new tensor, or this one when nothing changes.
  Tensor to(DType dtype) const;
  Tensor to(Device device) const;
  // Moves the elements to the device, for this handle and its copies; throws where the storage is
  // shared with another tensor (rows(), detach()), which would stay behind. A gradient is dropped.
  void move_to(Device device);
  Tensor in_format(MemoryFormat format) const;
  // A copy of its own storage.
  Tensor clone() const;
  // The same storage under another shape with as many elements; plain format only.
  Tensor reshaped(const Shape& shape) const;
  // Samples [begin, end) of axis 0, sharing storage.
  Tensor rows(std::int64_t begin, std::int64_t end) const;
  // Copies the elements of `from` (equal shape; any device, format and floating dtype) into this
  // storage.
  void copy_from(const Tensor& from);
  void fill(double value);

  // --- autograd ---
  // Whether gradients of this leaf are wanted. Throws when set on the result of an operation.
  Tensor& set_requires_grad(bool requires_grad);
  bool requires_grad() const;
  // Whether the graph continues behind this tensor: a leaf that requires one or a recorded result.
  bool tracked() const;
  // The accumulated gradient of a leaf; undefined before the first backward pass. Where it was put
  // off it is computed now.
  const Tensor& grad() const;
  void set_grad(Tensor grad);
  void add_to_grad(Tensor term);
  // Adds to the gradient of this leaf what `compute` will return when somebody asks for it: for one
  // that is many times larger than what it is computed from. An optimiser, which asks for one after
  // the other, then never holds them all, nor any beside the activations.
  void put_off_grad(std::function<Tensor()> compute);
  // Whether asking for the gradient would compute one that was put off.
  bool grad_is_put_off() const;
  // The same storage, outside the graph.
  Tensor detach() const;
  // d(this)/d(leaves), weighted by `cotangent` (of this shape; 1 for a single element when left
  // out), added to grad() of every leaf that requires one. The graph is consumed, buffers being
  // freed as soon as their operation is done. Throws if the graph was consumed before.
  void backward(const Tensor& cotangent = {}) const;

  // Counts, over all handles on this storage, how often somebody was given the right to change its
  // elements (view() or data() of a Tensor that is not const), from a number of the storage's own
  // on: what was computed from the elements is still valid while this stands.
  std::uint64_t version() const;

  // True when no other handle and no other tensor uses this storage: it may be overwritten.
  bool unique() const;
  // Whether the two share storage.
  bool shares_storage(const Tensor& other) const;

  const std::shared_ptr<Node>& node() const;
  void set_node(std::shared_ptr<Node> node);

 private:
  struct Storage;
  struct Impl;
  explicit Tensor(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
  const Impl& impl() const;

  std::shared_ptr<Impl> impl_;
};

// Uninitialised, with the shape, dtype, device and format of `like`.
Tensor empty_like(const Tensor& like);
Tensor zeros_like(const Tensor& like);
// `tensor` itself when nobody else uses it, otherwise empty_like(tensor): where an operation may
// write its result over an argument that it was given for good.
Tensor reuse_or_empty_like(Tensor& tensor);

}  // namespace concord
