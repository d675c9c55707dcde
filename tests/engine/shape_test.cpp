#include "engine/ops/shape.h"

#include <numeric>

#include "engine/ops/arithmetic.h"
#include "tests/expect_error.h"
#include "tests/gradient_check.h"

namespace concord {
namespace {

using test::check_case;
using test::expect_error;
using test::kMemoryFormats;
using test::random_tensor;
using Values = std::vector<double>;

// 0, 1, 2, ... in row-major order.
Tensor counted(const Shape& shape) {
  Values values(static_cast<std::size_t>(shape.numel()));
  std::iota(values.begin(), values.end(), 0.0);
  return Tensor::of(shape, values);
}

TEST(Shape, Gradients) {
  const std::vector<Shape> shapes = {{2, 16, 3, 5}, {3, 32, 1, 1}, {1, 1, 2, 3}, {2, 3, 5, 1}};
  for (const Shape& shape : shapes) {
    const std::string at = " " + shape.to_string();
    const Tensor x = random_tensor(shape, 1);
    const Tensor other = random_tensor(shape, 2);
    for (const MemoryFormat format : kMemoryFormats) {
      if (!supports(format, shape)) continue;
      check_case({"convert_format to " + std::string(name_of(format)) + at,
                  [=](const auto& in) { return scale(convert_format(in[0], format), 2); },
                  {x}});
    }
    check_case({"reshape" + at,
                [=](const auto& in) {
                  return reshape(in[0], {shape.numel() / shape[2], shape[2]});
                },
                {x}});
    check_case({"flatten" + at, [](const auto& in) { return scale(flatten(in[0]), 2); }, {x}});
    for (std::size_t axis = 0; axis < 4; ++axis) {
      const Tensor longer = random_tensor(shape.with(axis, shape[axis] + 2), 3);
      const std::string along = " along " + std::to_string(axis) + at;
      check_case({"concat" + along,
                  [=](const auto& in) {
                    return concat({in[0], in[1], in[2]}, axis);
                  },
                  {x, longer, other}});
      check_case({"concat of one part" + along,
                  [=](const auto& in) { return scale(concat({in[0]}, axis), 2); },
                  {x}});
      check_case({"concat with a constant" + along,
                  [=](const auto& in) {
                    return concat({in[0], in[1]}, axis);
                  },
                  {x, longer},
                  {true, false}});
      check_case({"slice" + along,
                  [=](const auto& in) { return slice(in[0], axis, 1, in[0].dim(axis)); },
                  {longer}});
    }
  }
}

TEST(Shape, ReshapeAndFlattenKeepTheRowMajorOrder) {
  Values counting(2 * 16 * 3);
  std::iota(counting.begin(), counting.end(), 0.0);
  const Tensor x = Tensor::of({2, 16, 3, 1}, counting);
  for (const MemoryFormat format :
       {MemoryFormat::kPlain, MemoryFormat::kChannelsLast, MemoryFormat::kBlocked16}) {
    const Tensor given = x.in_format(format);
    const Tensor reshaped = reshape(given, {4, 24});
    EXPECT_EQ(reshaped.shape(), (Shape{4, 24}));
    EXPECT_EQ(reshaped.to_vector<double>(), counting) << name_of(format);
    const Tensor flat = flatten(given);
    EXPECT_EQ(flat.shape(), (Shape{2, 48}));
    EXPECT_EQ(flat.to_vector<double>(), counting) << name_of(format);
  }
}

TEST(Shape, ConcatPlacesElements) {
  const Tensor a = counted({2, 1, 2});
  const Tensor b = scale(counted({2, 2, 2}), 10);
  EXPECT_EQ(concat({a, b}, 1).to_vector<double>(),
            (Values{0, 1, 0, 10, 20, 30, 2, 3, 40, 50, 60, 70}));
  EXPECT_EQ(concat({a, a}, 0).to_vector<double>(), (Values{0, 1, 2, 3, 0, 1, 2, 3}));
  EXPECT_EQ(concat({a, a}, 2).to_vector<double>(), (Values{0, 1, 0, 1, 2, 3, 2, 3}));
}

TEST(Shape, SlicePlacesElements) {
  const Tensor x = counted({2, 3, 2});
  EXPECT_EQ(slice(x, 0, 1, 2).to_vector<double>(), (Values{6, 7, 8, 9, 10, 11}));
  EXPECT_EQ(slice(x, 1, 1, 3).to_vector<double>(), (Values{2, 3, 4, 5, 8, 9, 10, 11}));
  EXPECT_EQ(slice(x, 2, 1, 2).to_vector<double>(), (Values{1, 3, 5, 7, 9, 11}));
  EXPECT_EQ(slice(x, 1, 2, 2).shape(), (Shape{2, 0, 2}));
  const Tensor labels = Tensor::of<std::int64_t>({4}, {5, 6, 7, 8});
  EXPECT_EQ(slice(labels, 0, 1, 3).to_vector<std::int64_t>(), (std::vector<std::int64_t>{6, 7}));
}

TEST(Shape, FormatsAreThoseStated) {
  const Tensor x = counted({2, 16, 3, 5}).in_format(MemoryFormat::kBlocked16);
  const Tensor plain = x.in_format(MemoryFormat::kPlain);
  EXPECT_EQ(concat({x, x}, 0).format(), MemoryFormat::kBlocked16);
  EXPECT_EQ(concat({x, plain}, 0).format(), MemoryFormat::kPlain);
  EXPECT_EQ(concat({x, x}, 1).format(), MemoryFormat::kPlain);
  EXPECT_EQ(slice(x, 0, 0, 1).format(), MemoryFormat::kPlain);
  EXPECT_EQ(reshape(x, {480}).to_vector<double>(), plain.to_vector<double>());
  EXPECT_EQ(flatten(x).shape(), (Shape{2, 240}));
  EXPECT_TRUE(reshape(plain, {480}).shares_storage(plain));
  EXPECT_TRUE(convert_format(x, MemoryFormat::kBlocked16).shares_storage(x));
}

TEST(Shape, Errors) {
  const Tensor x = Tensor::zeros({2, 3});
  expect_error([&] { reshape(x, {4}); }, {"reshape", "2x3", "4"});
  expect_error([&] { concat({}, 0); }, {"concat"});
  expect_error([&] { concat({x, Tensor::zeros({2, 4})}, 0); }, {"concat", "part 1", "2x4", "2x3"});
  expect_error([&] { concat({x, Tensor::zeros({2})}, 0); }, {"concat", "part 1"});
  expect_error([&] { concat({x}, 2); }, {"concat", "axis 2"});
  expect_error([&] { slice(x, 1, 1, 4); }, {"slice", "[1, 4)", "axis 1", "2x3"});
  expect_error([&] { slice(x, 1, 2, 1); }, {"slice", "[2, 1)"});
  expect_error([&] { flatten(Tensor::zeros({})); }, {"flatten"});
}

}  // namespace
}  // namespace concord
