#include "engine/tensor.h"

#include <algorithm>
#include <atomic>

#include "engine/autograd.h"
#include "engine/device_graph.h"

namespace concord {

namespace {

std::uint64_t graph_being_captured() {
  const DeviceGraph* const graph = DeviceGraph::capturing();
  return graph == nullptr ? 0 : graph->number();
}

}  // namespace

struct Tensor::Storage {
  Storage(Device on, std::size_t size) : device(on), bytes(size) {
    // Zero-sized tensors still own a byte, so that data is never null.
    data = kernels::allocate(device, std::max<std::size_t>(bytes, 1));
  }
  Storage(void* borrowed, std::size_t size, std::shared_ptr<void> keep)
      : data(borrowed), bytes(size), owner(std::move(keep)) {}
  ~Storage() {
    if (!owner) kernels::release(device, data, std::max<std::size_t>(bytes, 1));
  }
  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;

  Device device;
  void* data = nullptr;
  std::size_t bytes = 0;
  std::shared_ptr<void> owner;
  const std::uint64_t graph = graph_being_captured();  // in whose capture it was made, or 0
  // No two storages share a count, so that one stands for elements wherever they are moved.
  static std::uint64_t first_version() {
    static std::atomic<std::uint64_t> storages = 0;
    return storages.fetch_add(1, std::memory_order_relaxed) << 24;
  }
  std::atomic<std::uint64_t> version = first_version();
};

struct Tensor::Impl {
  std::shared_ptr<Storage> storage;
  std::size_t offset = 0;  // bytes
  Shape shape;
  DType dtype = DType::kFloat32;
  MemoryFormat format = MemoryFormat::kPlain;
  bool requires_grad = false;
  Tensor grad;
  std::function<Tensor()> grad_put_off;  // where set, grad is undefined
  std::shared_ptr<Node> node;

  void* data() const { return static_cast<char*>(storage->data) + offset; }
};

const Tensor::Impl& Tensor::impl() const {
  check(impl_ != nullptr, "tensor: an undefined tensor was used");
  return *impl_;
}

Tensor Tensor::empty(const Shape& shape, const TensorOptions& options) {
  check(supports(options.format, shape), "tensor: shape {} cannot be held in {} format",
        shape.to_string(), name_of(options.format));
  auto impl = std::make_shared<Impl>();
  const std::size_t bytes = static_cast<std::size_t>(shape.numel()) * size_of(options.dtype);
  impl->storage = std::make_shared<Storage>(options.device, bytes);
  impl->shape = shape;
  impl->dtype = options.dtype;
  impl->format = options.format;
  return Tensor(std::move(impl));
}

Tensor Tensor::zeros(const Shape& shape, const TensorOptions& options) {
  Tensor result = empty(shape, options);
  kernels::zero(options.device, result.view().data, result.bytes());
  return result;
}

Tensor Tensor::full(const Shape& shape, double value, const TensorOptions& options) {
  Tensor result = empty(shape, options);
  result.fill(value);
  return result;
}

template <class T>
Tensor Tensor::of(const Shape& shape, std::span<const T> values) {
  check(static_cast<std::int64_t>(values.size()) == shape.numel(),
        "tensor: {} values given for shape {}", values.size(), shape.to_string());
  Tensor result = empty(shape, {.dtype = kDTypeOf<T>});
  std::copy(values.begin(), values.end(), result.data<T>());
  return result;
}
template Tensor Tensor::of(const Shape&, std::span<const float>);
template Tensor Tensor::of(const Shape&, std::span<const double>);
template Tensor Tensor::of(const Shape&, std::span<const std::int64_t>);
template Tensor Tensor::of(const Shape&, std::span<const std::uint8_t>);
template Tensor Tensor::of(const Shape&, std::span<const BFloat16>);

Tensor Tensor::borrow(const Shape& shape, DType dtype, void* data, std::shared_ptr<void> owner) {
  check(owner != nullptr, "tensor: borrowed memory needs an owner");
  auto impl = std::make_shared<Impl>();
  const std::size_t bytes = static_cast<std::size_t>(shape.numel()) * size_of(dtype);
  impl->storage = std::make_shared<Storage>(data, bytes, std::move(owner));
  impl->shape = shape;
  impl->dtype = dtype;
  return Tensor(std::move(impl));
}

const Shape& Tensor::shape() const { return impl().shape; }
DType Tensor::dtype() const { return impl().dtype; }
Device Tensor::device() const { return impl().storage->device; }
MemoryFormat Tensor::format() const { return impl().format; }
std::size_t Tensor::bytes() const { return static_cast<std::size_t>(numel()) * size_of(dtype()); }

kernels::View Tensor::view() {
  const Impl& self = impl();
  self.storage->version.fetch_add(1, std::memory_order_relaxed);
  if (const std::uint64_t graph = graph_being_captured();
      graph != 0 && graph != self.storage->graph)
    DeviceGraph::capturing()->note_written({self.storage, &self.storage->version});
  return {self.data(), self.dtype, self.format, self.storage->device, self.shape};
}
kernels::ConstView Tensor::view() const {
  const Impl& self = impl();
  return {self.data(), self.dtype, self.format, self.storage->device, self.shape};
}

template <class T>
T* Tensor::data() {
  return view().as<T>();
}
template <class T>
const T* Tensor::data() const {
  return view().as<T>();
}
template float* Tensor::data();
template double* Tensor::data();
template std::int64_t* Tensor::data();
template std::uint8_t* Tensor::data();
template BFloat16* Tensor::data();
template const float* Tensor::data() const;
template const double* Tensor::data() const;
template const std::int64_t* Tensor::data() const;
template const std::uint8_t* Tensor::data() const;
template const BFloat16* Tensor::data() const;

double Tensor::item() const {
  check(numel() == 1, "tensor: item() of a tensor of shape {}", shape().to_string());
  return to_vector<double>().front();
}

template <class T>
std::vector<T> Tensor::to_vector() const {
  const Tensor plain = to(Device{}).in_format(MemoryFormat::kPlain);
  std::vector<T> values(static_cast<std::size_t>(numel()));
  const auto copy = [&](const auto* from) {
    std::transform(from, from + numel(), values.begin(), [](auto v) { return static_cast<T>(v); });
  };
  switch (dtype()) {
    case DType::kFloat32:
      copy(plain.data<float>());
      break;
    case DType::kFloat64:
      copy(plain.data<double>());
      break;
    case DType::kInt64:
      copy(plain.data<std::int64_t>());
      break;
    case DType::kUInt8:
      copy(plain.data<std::uint8_t>());
      break;
    case DType::kBFloat16:
      copy(plain.data<BFloat16>());
      break;
  }
  return values;
}
template std::vector<float> Tensor::to_vector() const;
template std::vector<double> Tensor::to_vector() const;
template std::vector<BFloat16> Tensor::to_vector() const;
template std::vector<std::uint8_t> Tensor::to_vector() const;
template std::vector<std::int64_t> Tensor::to_vector() const;

Tensor Tensor::to(DType dtype) const {
  if (dtype == this->dtype()) return *this;
  Tensor result = empty(shape(), {dtype, device(), format()});
  result.copy_from(*this);
  return result;
}

Tensor Tensor::to(Device device) const {
  if (device == this->device()) return *this;
  const bool from_host = this->device().type == DeviceType::kCpu;
  if (!from_host && device.type != DeviceType::kCpu) return to(Device{}).to(device);
  Tensor result = empty(shape(), {dtype(), device, format()});
  if (from_host)
    kernels::copy_from_host(device, result.view().data, view().data, bytes());
  else
    kernels::copy_to_host(this->device(), result.view().data, view().data, bytes());
  return result;
}

void Tensor::move_to(Device device) {
  if (device == this->device()) return;
  check(impl_->node == nullptr, "tensor: the result of an operation cannot be moved to {}",
        name_of(device));
  check(impl_->storage.use_count() == 1, "tensor: shared storage of shape {} cannot be moved to {}",
        shape().to_string(), name_of(device));
  const Tensor moved = to(device);
  set_grad({});
  impl_->storage = moved.impl_->storage;
  impl_->offset = 0;
}

Tensor Tensor::in_format(MemoryFormat format) const {
  if (format == this->format()) return *this;
  Tensor result = empty(shape(), {dtype(), device(), format});
  result.copy_from(*this);
  return result;
}

Tensor Tensor::clone() const {
  Tensor result = empty(shape(), options());
  kernels::copy(device(), result.view().data, view().data, bytes());
  return result;
}

Tensor Tensor::reshaped(const Shape& shape) const {
  check(shape.numel() == numel(), "reshape: {} elements of shape {} cannot take shape {}", numel(),
        this->shape().to_string(), shape.to_string());
  check(format() == MemoryFormat::kPlain, "reshape: tensor of shape {} is in {} format, not plain",
        this->shape().to_string(), name_of(format()));
  auto impl = std::make_shared<Impl>();
  impl->storage = impl_->storage;
  impl->offset = impl_->offset;
  impl->shape = shape;
  impl->dtype = impl_->dtype;
  return Tensor(std::move(impl));
}

Tensor Tensor::rows(std::int64_t begin, std::int64_t end) const {
  check(shape().rank() > 0 && 0 <= begin && begin <= end && end <= dim(0),
        "rows: [{}, {}) of a tensor of shape {}", begin, end, shape().to_string());
  auto impl = std::make_shared<Impl>();
  const std::size_t row = dim(0) == 0 ? 0 : bytes() / static_cast<std::size_t>(dim(0));
  impl->storage = impl_->storage;
  impl->offset = impl_->offset + static_cast<std::size_t>(begin) * row;
  impl->shape = shape().with(0, end - begin);
  impl->dtype = impl_->dtype;
  impl->format = impl_->format;
  return Tensor(std::move(impl));
}

void Tensor::copy_from(const Tensor& from) {
  check(from.shape() == shape(), "copy: shape {} cannot be copied into shape {}",
        from.shape().to_string(), shape().to_string());
  if (from.device() != device()) {
    // In the form of this tensor on the other's device, then across as it is.
    const Tensor same = from.to(dtype()).in_format(format());
    if (device().type == DeviceType::kCpu)
      kernels::copy_to_host(from.device(), view().data, same.view().data, bytes());
    else if (from.device().type == DeviceType::kCpu)
      kernels::copy_from_host(device(), view().data, same.view().data, bytes());
    else
      copy_from(same.to(Device{}));
    return;
  }
  if (from.dtype() == dtype() && from.format() == format()) {
    kernels::copy(device(), view().data, from.view().data, bytes());
  } else {
    kernels::convert(device(), from.view(), view());
  }
}

void Tensor::fill(double value) { kernels::fill(device(), value, view()); }

Tensor& Tensor::set_requires_grad(bool requires_grad) {
  check(impl().node == nullptr, "autograd: only a leaf can require a gradient");
  check(is_floating(dtype()), "autograd: a tensor of {} has no gradient", name_of(dtype()));
  impl_->requires_grad = requires_grad;
  return *this;
}
bool Tensor::requires_grad() const { return impl().requires_grad; }
bool Tensor::tracked() const {
  return impl_ != nullptr && (impl_->requires_grad || impl_->node != nullptr);
}
const Tensor& Tensor::grad() const {
  if (impl().grad_put_off) {
    Tensor computed = impl_->grad_put_off();  // where it throws, it may be asked for again
    impl_->grad_put_off = nullptr;
    impl_->grad = std::move(computed);
  }
  return impl_->grad;
}
void Tensor::set_grad(Tensor grad) {
  impl();
  impl_->grad_put_off = nullptr;
  impl_->grad = std::move(grad);
}
void Tensor::put_off_grad(std::function<Tensor()> compute) {
  check(requires_grad(), "autograd: a gradient was put off for a tensor that wants none");
  if (impl_->grad.defined() || impl_->grad_put_off)
    add_to_grad(compute());
  else
    impl_->grad_put_off = std::move(compute);
}

bool Tensor::grad_is_put_off() const { return static_cast<bool>(impl().grad_put_off); }

Tensor Tensor::detach() const {
  auto copy = std::make_shared<Impl>();
  copy->storage = impl().storage;
  copy->offset = impl_->offset;
  copy->shape = impl_->shape;
  copy->dtype = impl_->dtype;
  copy->format = impl_->format;
  return Tensor(std::move(copy));
}

std::uint64_t Tensor::version() const {
  return impl().storage->version.load(std::memory_order_relaxed);
}

bool Tensor::unique() const {
  return impl_.use_count() == 1 && impl().storage.use_count() == 1 && !impl_->storage->owner;
}
bool Tensor::shares_storage(const Tensor& other) const {
  return impl().storage == other.impl().storage;
}

const std::shared_ptr<Node>& Tensor::node() const { return impl().node; }
void Tensor::set_node(std::shared_ptr<Node> node) {
  impl();
  impl_->node = std::move(node);
}

Tensor empty_like(const Tensor& like) { return Tensor::empty(like.shape(), like.options()); }
Tensor zeros_like(const Tensor& like) { return Tensor::zeros(like.shape(), like.options()); }
Tensor reuse_or_empty_like(Tensor& tensor) {
  return tensor.unique() ? std::move(tensor) : empty_like(tensor);
}

}  // namespace concord
