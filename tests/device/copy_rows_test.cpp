#include "kernels/copy_rows.h"

#include <numeric>

#include "tests/device/support.h"

namespace concord {
namespace {

CONCORD_ON_EVERY_DEVICE(CopyRows);

struct Copy {
  std::int64_t row_bytes;
  std::int64_t rows;
  std::int64_t from_gap = 0;  // between the end of a row and the beginning of the next
  std::int64_t to_gap = 0;
  std::int64_t from_offset = 0;
  std::int64_t to_offset = 0;
};

std::vector<std::uint8_t> bytes_of(const Tensor& tensor) {
  const Tensor host = tensor.to(Device{});
  return {host.data<std::uint8_t>(), host.data<std::uint8_t>() + host.numel()};
}

// What lies between and behind the rows stays as it was.
void check_copy(Device device, const Copy& copy) {
  const std::int64_t from_pitch = copy.row_bytes + copy.from_gap;
  const std::int64_t to_pitch = copy.row_bytes + copy.to_gap;
  const auto size = [&](std::int64_t offset, std::int64_t pitch) {
    return static_cast<std::size_t>(offset + (copy.rows - 1) * pitch + copy.row_bytes);
  };
  std::vector<std::uint8_t> source(size(copy.from_offset, from_pitch));
  // 251 is prime: no two rows are alike.
  for (std::size_t i = 0; i < source.size(); ++i) source[i] = static_cast<std::uint8_t>(i % 251);
  std::vector<std::uint8_t> expected(size(copy.to_offset, to_pitch), 255);
  Tensor to = Tensor::of({std::ssize(expected)}, expected).to(device);
  if (!to.unique()) to = to.clone();
  for (std::int64_t row = 0; row < copy.rows; ++row)
    for (std::int64_t i = 0; i < copy.row_bytes; ++i)
      expected[static_cast<std::size_t>(copy.to_offset + row * to_pitch + i)] =
          source[static_cast<std::size_t>(copy.from_offset + row * from_pitch + i)];
  const Tensor from = Tensor::of({std::ssize(source)}, source).to(device);
  kernels::copy_rows(device, from.data<std::uint8_t>() + copy.from_offset,
                     static_cast<std::size_t>(from_pitch), to.data<std::uint8_t>() + copy.to_offset,
                     static_cast<std::size_t>(to_pitch), static_cast<std::size_t>(copy.row_bytes),
                     static_cast<std::size_t>(copy.rows));
  ASSERT_TRUE(bytes_of(to) == expected)
      << copy.rows << " rows of " << copy.row_bytes << " bytes, gaps " << copy.from_gap << " and "
      << copy.to_gap << ", offsets " << copy.from_offset << " and " << copy.to_offset;
}

// Lengths that words of 16, 8, 4 and 1 bytes divide, shorter and longer than a block has threads.
TEST_P(CopyRows, Lengths) {
  in_every_order([&] {
    for (const std::int64_t bytes : {1, 3, 4, 8, 12, 16, 48, 257, 1028, 1031, 2056, 4112, 16400})
      for (const std::int64_t rows : {1, 2, 7}) check_copy(device(), {bytes, rows, 32, 16});
  });
}

// Every alignment of both pointers, of both pitches.
TEST_P(CopyRows, Alignments) {
  in_every_order([&] {
    for (const std::int64_t bytes : {16, 48}) {
      for (const std::int64_t off : {1, 2, 4, 8, 16}) {
        check_copy(device(), {bytes, 5, 16, 16, off, 0});
        check_copy(device(), {bytes, 5, 16, 16, 0, off});
        check_copy(device(), {bytes, 5, off, 0});
        check_copy(device(), {bytes, 5, 0, off});
      }
    }
  });
}

// Many short rows, as a concatenation along the last axis has them.
TEST_P(CopyRows, ManyRows) {
  in_every_order([&] {
    check_copy(device(), {4, 5003, 8, 4});
    check_copy(device(), {1, 2100, 1, 2});
    check_copy(device(), {80, 211, 16, 0});
  });
}

// Rows that lie together on both sides are one run, whose words are as wide as it allows.
TEST_P(CopyRows, WithoutGaps) {
  in_every_order([&] {
    check_copy(device(), {12, 4});
    check_copy(device(), {7, 129});
    check_copy(device(), {12, 4, 0, 0, 1, 0});
  });
}

TEST_P(CopyRows, Nothing) {
  Tensor x = Tensor::zeros({4}, {DType::kUInt8, device()});
  kernels::copy_rows(device(), nullptr, 8, x.view().data, 8, 0, 3);
  kernels::copy_rows(device(), nullptr, 8, x.view().data, 8, 8, 0);
  EXPECT_EQ(bytes_of(x), std::vector<std::uint8_t>(4));
}

}  // namespace
}  // namespace concord
