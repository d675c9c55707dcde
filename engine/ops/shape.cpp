#include "engine/ops/shape.h"

#include <algorithm>

#include "engine/autograd.h"
#include "kernels/copy_rows.h"

namespace concord {
namespace {

// A dense plain tensor seen from one axis: `rows` runs, each `step` bytes per index of the axis.
struct AxisView {
  std::size_t rows = 1;
  std::size_t step = 0;
};

AxisView along(const Tensor& tensor, std::size_t axis) {
  AxisView view{1, size_of(tensor.dtype())};
  const auto sizes = tensor.shape().sizes();
  for (std::size_t i = 0; i < axis; ++i) view.rows *= static_cast<std::size_t>(sizes[i]);
  for (std::size_t i = axis + 1; i < sizes.size(); ++i)
    view.step *= static_cast<std::size_t>(sizes[i]);
  return view;
}

// Copies `count` indices of an axis from index `from_begin` of `from` to index `to_begin` of `to`.
void copy_along(const Tensor& from, std::int64_t from_begin, Tensor& to, std::int64_t to_begin,
                std::int64_t count, std::size_t axis) {
  const AxisView in = along(from, axis);
  const AxisView out = along(to, axis);
  const auto* source = static_cast<const char*>(from.view().data);
  auto* target = static_cast<char*>(to.view().data);
  kernels::copy_rows(from.device(), source + static_cast<std::size_t>(from_begin) * in.step,
                     static_cast<std::size_t>(from.dim(axis)) * in.step,
                     target + static_cast<std::size_t>(to_begin) * out.step,
                     static_cast<std::size_t>(to.dim(axis)) * out.step,
                     static_cast<std::size_t>(count) * in.step, in.rows);
}

// Elements [begin, end) of an axis of a plain tensor. Along axis 0 they lie together already.
Tensor cut(const Tensor& x, std::size_t axis, std::int64_t begin, std::int64_t end) {
  if (axis == 0) return x.rows(begin, end);
  Tensor part = Tensor::empty(x.shape().with(axis, end - begin), x.options());
  copy_along(x, begin, part, 0, end - begin, axis);
  return part;
}

void check_parts(const std::vector<Tensor>& parts, std::size_t axis) {
  check(!parts.empty(), "concat: no tensors given");
  const Tensor& first = parts.front();
  check(axis < first.shape().rank(), "concat: no axis {} in a tensor of shape {}", axis,
        first.shape().to_string());
  for (std::size_t i = 1; i < parts.size(); ++i) {
    const Tensor& part = parts[i];
    check(part.shape().rank() == first.shape().rank() &&
              part.shape().with(axis, first.dim(axis)) == first.shape(),
          "concat: part {} has shape {}, part 0 has {}: they must agree in all axes but {}", i,
          part.shape().to_string(), first.shape().to_string(), axis);
    check(part.dtype() == first.dtype() && part.device() == first.device(),
          "concat: part {} is {} on {}, part 0 is {} on {}", i, name_of(part.dtype()),
          name_of(part.device()), name_of(first.dtype()), name_of(first.device()));
  }
}

}  // namespace

// dL/dx = dL/dy; the backward engine brings it to the format of x.
Tensor convert_format(const Tensor& x, MemoryFormat format) {
  if (x.format() == format) return x;
  return record("convert_format", x.in_format(format), {x},
                [](Tensor dy) -> std::vector<Tensor> { return {std::move(dy)}; });
}

// dL/dx = dL/dy in the dtype of x
Tensor convert_dtype(const Tensor& x, DType dtype) {
  if (x.dtype() == dtype) return x;
  return record(
      "convert_dtype", x.to(dtype), {x},
      [from = x.dtype()](const Tensor& dy) -> std::vector<Tensor> { return {dy.to(from)}; });
}

// dL/dx = dL/dy under the shape of x
Tensor reshape(const Tensor& x, const Shape& shape) {
  return record(
      "reshape", x.in_format(MemoryFormat::kPlain).reshaped(shape), {x},
      [from = x.shape()](Tensor dy) -> std::vector<Tensor> { return {dy.reshaped(from)}; });
}

Tensor flatten(const Tensor& x) {
  check(x.shape().rank() >= 1, "flatten: a scalar has no axis of samples");
  std::int64_t rest = 1;
  for (std::int64_t size : x.shape().sizes().subspan(1)) rest *= size;
  return reshape(x, {x.dim(0), rest});
}

// dL/dpart = its elements of dL/dy
Tensor concat(const std::vector<Tensor>& parts, std::size_t axis) {
  check_parts(parts, axis);
  const Tensor& first = parts.front();
  const bool one_format = std::all_of(parts.begin(), parts.end(), [&](const Tensor& part) {
    return part.format() == first.format();
  });
  TensorOptions options = first.options();
  if (axis != 0 || !one_format) options.format = MemoryFormat::kPlain;
  std::vector<std::int64_t> ends;
  std::int64_t total = 0;
  for (const Tensor& part : parts) ends.push_back(total += part.dim(axis));

  // Samples lie one after the other in every format, so that axis 0 needs no conversion.
  Tensor y = Tensor::empty(first.shape().with(axis, total), options);
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const std::int64_t count = parts[i].dim(axis);
    copy_along(parts[i].in_format(options.format), 0, y, ends[i] - count, count, axis);
  }
  return record("concat", y, parts, [ends, axis](const Tensor& dy) {
    std::vector<Tensor> gradients;
    std::int64_t begin = 0;
    for (std::int64_t end : ends) {
      gradients.push_back(cut(dy, axis, begin, end));
      begin = end;
    }
    return gradients;
  });
}

// dL/dx = dL/dy at [begin, end), 0 elsewhere
Tensor slice(const Tensor& x, std::size_t axis, std::int64_t begin, std::int64_t end) {
  check(axis < x.shape().rank(), "slice: no axis {} in a tensor of shape {}", axis,
        x.shape().to_string());
  check(0 <= begin && begin <= end && end <= x.dim(axis),
        "slice: [{}, {}) of axis {} of a tensor of shape {}", begin, end, axis,
        x.shape().to_string());
  return record("slice", cut(x.in_format(MemoryFormat::kPlain), axis, begin, end), {x},
                [axis, begin, end, shape = x.shape()](const Tensor& dy) -> std::vector<Tensor> {
                  Tensor dx = Tensor::zeros(shape, dy.options());
                  copy_along(dy, 0, dx, begin, end - begin, axis);
                  return {dx};
                });
}

}  // namespace concord
