// The static figure: known maps, and the pixels that must be there. Colours are those that
// ColorBrewer published for RdBu (11 classes), with white in the middle.

#include "tools/common/panel.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <optional>

#include "tests/tools/published_colours.h"

namespace concord::tool {
namespace {

using test::colour_at;
using test::kLeast;
using test::kMost;
using test::kWhite;
using test::Rgb;

struct Rectangle {
  int x = 0, y = 0, width = 0, height = 0;
};

// The first rectangle of one colour of at least `side` pixels each way, row by row, from x on.
std::optional<Rectangle> find_block(const Image& image, const Rgb& colour, int side,
                                    int from_x = 0) {
  for (int y = 0; y + side <= image.height; ++y)
    for (int x = from_x; x + side <= image.width; ++x) {
      if (colour_at(image, x, y) != colour) continue;
      Rectangle found{x, y, 0, 0};
      while (x + found.width < image.width && colour_at(image, x + found.width, y) == colour)
        ++found.width;
      while (y + found.height < image.height && colour_at(image, x, y + found.height) == colour)
        ++found.height;
      if (found.width >= side && found.height >= side) return found;
    }
  return std::nullopt;
}

void expect_block(const Image& image, const Rectangle& where, const Rgb& colour) {
  for (int y = where.y; y < where.y + where.height; ++y)
    for (int x = where.x; x < where.x + where.width; ++x)
      ASSERT_EQ(colour_at(image, x, y), colour) << x << ", " << y;
}

FeatureMap map_of(int width, int height, std::vector<float> values) {
  FeatureMap map;
  map.width = width;
  map.height = height;
  map.values = std::move(values);
  return map;
}

// Of `orders` orders; every map is zeros but A's.
MapSheet sheet_of(int orders, const FeatureMap& first) {
  MapSheet sheet;
  sheet.title = "title";
  sheet.photographs = false;
  sheet.gates.assign(static_cast<std::size_t>(orders) - 1, 0.25);
  MapRow row;
  row.maps.assign(sheet.columns().size(),
                  map_of(first.width, first.height, std::vector<float>(first.values.size(), 0.0F)));
  row.maps.front() = first;
  sheet.rows.push_back(row);
  return sheet;
}

// The row's scale is 8, so that 8 is the red end, -8 the blue one, and 4 lies in the middle between
// (244,165,130) and (214,96,77).
TEST(Panel, ValuesAreEqualBlocksOfTheirColours) {
  const Image panel = draw_panel(sheet_of(3, map_of(2, 2, {8, -8, 0, 4})));
  const auto most = find_block(panel, kMost, 30);
  ASSERT_TRUE(most.has_value());
  EXPECT_EQ(most->width, most->height);
  EXPECT_GE(most->width, 72) << "two values on at least 144 pixels";
  const int side = most->width;
  expect_block(panel, {most->x, most->y, side, side}, kMost);
  expect_block(panel, {most->x + side, most->y, side, side}, kLeast);
  expect_block(panel, {most->x, most->y + side, side, side}, kWhite);
  const Rgb half = colour_at(panel, most->x + side, most->y + side);
  EXPECT_NEAR(half[0], 229, 0.51);
  EXPECT_NEAR(half[1], 130.5, 0.51);
  EXPECT_NEAR(half[2], 103.5, 0.51);
  expect_block(panel, {most->x + side, most->y + side, side, side}, half);
  EXPECT_NE(colour_at(panel, most->x - 1, most->y), kMost) << "the frame";
  EXPECT_NE(colour_at(panel, most->x + 2 * side, most->y), kLeast);
}

TEST(Panel, TheColourBarGoesFromEndToEndThroughWhite) {
  const Image panel = draw_panel(sheet_of(3, map_of(1, 1, {-3})));
  const auto map = find_block(panel, kLeast, 30);
  ASSERT_TRUE(map.has_value());
  // Only the bar has the red end.
  int x = 0;
  while (x < panel.width && colour_at(panel, x, map->y) != kMost) ++x;
  ASSERT_LT(x, panel.width);
  const int bottom = map->y + map->height - 1;
  EXPECT_EQ(colour_at(panel, x, bottom), kLeast);
  const double middle = (map->y + bottom) / 2.0;
  for (const double y : {std::floor(middle), std::ceil(middle)})
    for (const int part : colour_at(panel, x, static_cast<int>(y))) EXPECT_GE(part, 250);
  int width = 0;
  while (colour_at(panel, x + width, map->y) == kMost) ++width;
  EXPECT_GE(width, 12);
  for (int y = map->y; y <= bottom; ++y) {
    const Rgb colour = colour_at(panel, x, y);
    EXPECT_EQ(colour_at(panel, x + width - 1, y), colour);
    if (y < middle - 1) {
      EXPECT_GE(colour[0], colour[2]) << "red above 0";
    }
    if (y > middle + 1) {
      EXPECT_LE(colour[0], colour[2]) << "blue below 0";
    }
  }
}

// Whatever the size of the maps a value is a square of whole pixels, and nothing is smoothed.
TEST(Panel, MapsOfAnySizeKeepSquareValues) {
  const std::array<std::array<int, 2>, 6> sizes = {
      {{7, 7}, {14, 14}, {56, 56}, {20, 10}, {3, 8}, {200, 150}}};
  for (const auto& [width, height] : sizes) {
    std::vector<float> values(static_cast<std::size_t>(width * height), 0.0F);
    values.front() = -1;
    values.back() = 1;
    const Image panel = draw_panel(sheet_of(1, map_of(width, height, values)));
    const int least = std::max(1, 144 / std::max(width, height));
    std::vector<Rectangle> ends;
    for (const Rgb& colour : {kLeast, kMost}) {
      // The bar has the colours too, further right and one row high.
      const auto found = find_block(panel, colour, least);
      ASSERT_TRUE(found.has_value()) << width << "x" << height;
      ends.push_back(*found);
    }
    if (least == 1) continue;  // not to be told from the bar's ends
    EXPECT_EQ(ends[0].width, ends[0].height) << width << "x" << height;
    EXPECT_EQ(ends[0].width, ends[1].width);
    const int side = ends[0].width;
    EXPECT_EQ(ends[1].x - ends[0].x, (width - 1) * side) << width << "x" << height;
    EXPECT_EQ(ends[1].y - ends[0].y, (height - 1) * side) << width << "x" << height;
  }
}

TEST(Panel, GrowsWithRowsAndOrdersAndBearsLongNames) {
  const FeatureMap map = map_of(2, 2, {1, 0, 0, 0});
  const Image one = draw_panel(sheet_of(1, map));
  const Image six = draw_panel(sheet_of(6, map));
  EXPECT_EQ(six.height, one.height);
  EXPECT_EQ((six.width - one.width) % 5, 0) << "five columns more";
  MapSheet many = sheet_of(1, map);
  many.rows.assign(10, many.rows.front());
  const Image ten = draw_panel(many);
  EXPECT_EQ(ten.width, one.width);
  EXPECT_EQ((ten.height - one.height) % 9, 0) << "nine rows more";

  MapSheet named = sheet_of(1, map);
  named.title = named.subtitle = named.rows[0].image = named.rows[0].label = std::string(900, 'm');
  const Image full = draw_panel(named);
  EXPECT_EQ(full.width, one.width);
  for (int y = 0; y < full.height; ++y)
    ASSERT_EQ(colour_at(full, full.width - 4, y), kWhite) << "text runs into the margin, row " << y;
}

}  // namespace
}  // namespace concord::tool
