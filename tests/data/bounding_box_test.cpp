#include "data/bounding_box.h"

#include "tests/expect_error.h"

namespace concord::test {
namespace {

TEST(CropRectangle, TruncatesAsPillowAndClips) {
  const auto rectangle = [](double x, double y, double w, double h) {
    return crop_rectangle({x, y, w, h}, 40, 30, "i");
  };
  EXPECT_EQ(rectangle(2.9, 3.1, 10.0, 8.5), (std::array<int, 4>{2, 3, 12, 11}));
  EXPECT_EQ(rectangle(0, 0, 40, 30), (std::array<int, 4>{0, 0, 40, 30}));
  EXPECT_EQ(rectangle(-3.5, 5, 100, 100), (std::array<int, 4>{0, 5, 40, 30}));
  EXPECT_EQ(rectangle(3.2, 4.2, 0.3, 0.3), (std::array<int, 4>{3, 4, 4, 5})) << "never empty";
  EXPECT_EQ(rectangle(1, 1, 1e300, 1e300), (std::array<int, 4>{1, 1, 40, 30}));
  expect_error([&] { rectangle(40, 0, 5, 5); }, {"i: its box", "outside", "40x30"});
  expect_error([&] { rectangle(-9, 0, 5, 5); }, {"outside"});
}

}  // namespace
}  // namespace concord::test
