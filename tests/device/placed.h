#pragma once
// Values of any memory format in a buffer of the device that begins anywhere.

#include <cstring>

#include "tests/device/support.h"

namespace concord::test {

class Placed {
 public:
  // The values of a tensor on the host, `offset` elements behind a 64-byte boundary.
  Placed(Device device, const Tensor& values, std::int64_t offset)
      : shape_(values.shape()), format_(values.format()), offset_(offset) {
    Tensor room = Tensor::full({values.numel() + offset}, NAN, {.dtype = values.dtype()});
    if (values.numel() > 0)
      std::memcpy(static_cast<char*>(room.view().data) + skipped(values.dtype()),
                  values.view().data, values.bytes());
    room_ = room.to(device);
  }

  kernels::View view() {
    const kernels::View room = room_.view();
    return {static_cast<char*>(room.data) + skipped(room.dtype), room.dtype, format_, room.device,
            shape_};
  }
  kernels::ConstView view() const {
    const kernels::ConstView room = std::as_const(room_).view();
    return {static_cast<const char*>(room.data) + skipped(room.dtype), room.dtype, format_,
            room.device, shape_};
  }
  // On the host.
  Tensor values() const {
    const Tensor room = room_.to(Device{});
    Tensor result =
        Tensor::empty(shape_, {.dtype = room.dtype(), .device = Device{}, .format = format_});
    if (result.numel() > 0)
      std::memcpy(result.view().data,
                  static_cast<const char*>(room.view().data) + skipped(room.dtype()),
                  result.bytes());
    return result;
  }

 private:
  std::size_t skipped(DType dtype) const {
    return static_cast<std::size_t>(offset_) * size_of(dtype);
  }
  Shape shape_;
  MemoryFormat format_;
  std::int64_t offset_;
  Tensor room_;
};

}  // namespace concord::test
