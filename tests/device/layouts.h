#pragma once
// For the kernels that work per channel: tensors of every shape and memory format that such a
// kernel treats in a way of its own, in buffers of the device that begin anywhere.

#include <cmath>
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

// One channel; maps of one pixel; maps that are and are not whole packs, of less and more than a
// warp; more samples than one thread takes; channels that are and are not whole packs, of less and
// more than a block.
inline const std::vector<Shape> kChannelShapes = {
    {1, 1, 1, 1},   {7, 1, 1, 1},   {3, 5},         {5, 64},       {5, 3, 7, 7},
    {3, 67, 2, 2},  {2, 40, 4, 4},  {19, 4, 1, 31}, {2, 96, 3, 5}, {1, 2, 25, 41},
    {1, 3, 31, 33}, {33, 12, 1, 1}, {2, 128, 9, 9}};

// Calls body(shape, dtype, format, offset) for every way in which a tensor may lie on the device.
template <class Body>
void for_every_layout(Device device, Body body) {
  for (const Shape& shape : kChannelShapes) {
    for (const DType dtype : dtypes_on(device)) {
      for (const MemoryFormat format : {MemoryFormat::kPlain, MemoryFormat::kChannelsLast}) {
        if (!supports(format, shape)) continue;
        const ChannelLayout layout = channel_layout(shape, format);
        for (const std::int64_t offset : {0, 1}) {
          // Rows of odd length are not aligned anyway.
          if (offset == 1 && layout.spatial * layout.lanes % 2 != 0) continue;
          SCOPED_TRACE(fmt::format("{} {} {} offset {}", shape.to_string(), name_of(dtype),
                                   name_of(format), offset));
          body(shape, dtype, format, offset);
          if (::testing::Test::HasFatalFailure()) return;
        }
      }
    }
  }
}

// |actual - expected| <= tolerance * max(1, |expected|) for every element.
inline void expect_near(const Tensor& actual, const std::vector<double>& expected, double tolerance,
                        const char* what) {
  const std::vector<double> values = actual.to_vector<double>();
  ASSERT_EQ(values.size(), expected.size()) << what;
  for (std::size_t i = 0; i < values.size(); ++i)
    if (!(std::abs(values[i] - expected[i]) <= tolerance * std::max(1.0, std::abs(expected[i]))))
      FAIL() << what << ", element " << i << " is " << values[i] << ", expected " << expected[i];
}

// On the host, in the same format.
inline Tensor nan_like(const Tensor& tensor) {
  return Tensor::full(tensor.shape(), NAN, {.dtype = tensor.dtype()}).in_format(tensor.format());
}

}  // namespace concord::test
