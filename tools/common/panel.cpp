#include "tools/common/panel.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "data/resize.h"

namespace concord::tool {
namespace {

constexpr int kMargin = 32;
constexpr int kGap = 16;
constexpr int kCell = 144;     // the least side of a map, pixels
constexpr int kRowLabel = 34;  // above each row
constexpr int kExtreme = 22;   // below each row
constexpr int kTitle = 76;     // above the column names
constexpr int kColumnNames = 50;
constexpr int kScaleWidth = 16;
constexpr int kScaleText = 84;
constexpr int kBars = 158;  // at the bottom
constexpr int kBarHeight = 72;
// Heights of capitals. A panel of eight columns is legible at 800 pixels, 55 % of its width.
constexpr double kTitleText = 21;
constexpr double kNameText = 16;
constexpr double kText = 13;
constexpr double kSmallText = 11;

struct Layout {
  int block = 1;  // pixels per value of the largest map
  int cell = kCell;
  int columns = 0;
  int first_map = 0;  // the column of the first map

  int column_x(int column) const { return kMargin + column * (cell + kGap); }
  int row_y(int row) const {
    return kMargin + kTitle + kColumnNames + row * (kRowLabel + cell + kExtreme + kGap) + kRowLabel;
  }
  int width() const { return column_x(columns) + kScaleWidth + kScaleText + kMargin; }
  int height(int rows) const { return row_y(rows) - kRowLabel + kBars + kMargin; }
};

// Cells are a whole number of pixels per value of the largest map.
Layout layout_of(const MapSheet& sheet) {
  int largest = 1;
  for (const MapRow& row : sheet.rows)
    for (const FeatureMap& map : row.maps) largest = std::max({largest, map.width, map.height});
  Layout layout;
  layout.block = (kCell + largest - 1) / largest;
  layout.cell = layout.block * largest;
  layout.first_map = sheet.photographs ? 1 : 0;
  layout.columns = static_cast<int>(sheet.columns().size()) + layout.first_map;
  return layout;
}

void draw_absent(Canvas& canvas, int x, int y, int side, const std::string& why) {
  canvas.fill(x, y, side, side, {244, 245, 247});
  canvas.text(x + side / 2.0, y + side / 2.0 + 5, why, kSmallText, kFaint, Align::kCentre);
}

// As large as fits in the cell in whole pixels per value, in its middle.
void draw_map(Canvas& canvas, const FeatureMap& map, double scale, int x, int y, int side) {
  if (map.values.empty()) return draw_absent(canvas, x, y, side, "no such channel");
  const int block = std::max(1, side / std::max(map.width, map.height));
  const Image image = coloured(map, scale, block);
  const int left = x + (side - image.width) / 2;
  const int top = y + (side - image.height) / 2;
  canvas.frame(left, top, image.width, image.height, kLine);
  canvas.paste(left, top, image);
  double largest = 0;
  for (const float value : map.values) largest = std::max(largest, std::abs(double{value}));
  canvas.text(x + side / 2.0, top + image.height + kExtreme - 4,
              fmt::format("up to {:.3g}", largest), kSmallText, kFaint, Align::kCentre);
}

void draw_scale(Canvas& canvas, double scale, int x, int y, int height) {
  for (int row = 0; row < height; ++row)
    canvas.fill(x, y + row, kScaleWidth, 1, diverging(1 - 2.0 * row / (height - 1)));
  canvas.frame(x, y, kScaleWidth, height, kLine);
  const double text_x = x + kScaleWidth + 8;
  canvas.text(text_x, y + height / 2.0 + kText / 2, "0", kText, kInk);
  if (scale == 0) return;
  canvas.text(text_x, y + kText, fmt::format("+{:.3g}", scale), kText, kInk);
  canvas.text(text_x, y + height, fmt::format("-{:.3g}", scale), kText, kInk);
}

void draw_photograph(Canvas& canvas, const MapRow& row, const Layout& layout, int y) {
  const int left = layout.column_x(0);
  if (row.photograph.width == 0) return draw_absent(canvas, left, y, layout.cell, "give --data");
  canvas.paste(left, y, resize_bilinear(row.photograph, layout.cell, layout.cell));
  canvas.frame(left, y, layout.cell, layout.cell, kLine);
}

void draw_row(Canvas& canvas, const MapSheet& sheet, const MapRow& row, const Layout& layout,
              int y) {
  const std::string channel = row.channel == kAllChannels ? "all channels, root mean square"
                                                          : fmt::format("channel {}", row.channel);
  const double baseline = y - 10;
  const double end = layout.column_x(layout.columns) - kGap;
  double x = layout.column_x(0);
  canvas.text(x, baseline, channel, kText, kInk);
  x += text_width(channel, kText) + 18;
  const std::string label = fitted(row.label, kText, (end - x) / 2);
  canvas.text(x, baseline, label, kText, kInk);
  if (!label.empty()) x += text_width(label, kText) + 18;
  canvas.text(x, baseline, fitted(row.image, kText, end - x, true), kText, kFaint);

  if (sheet.photographs) draw_photograph(canvas, row, layout, y);
  const double scale = row.scale();
  for (std::size_t i = 0; i < row.maps.size(); ++i)
    draw_map(canvas, row.maps[i], scale, layout.column_x(static_cast<int>(i) + layout.first_map), y,
             layout.cell);
  draw_scale(canvas, scale, layout.column_x(layout.columns), y, layout.cell);
}

void draw_column_names(Canvas& canvas, const MapSheet& sheet, const Layout& layout) {
  const double baseline = kMargin + kTitle + 16;
  const auto name = [&](int column, const std::string& title, const std::string& note) {
    const double centre = layout.column_x(column) + layout.cell / 2.0;
    const double room = layout.cell + kGap - 4;
    canvas.text(centre, baseline, fitted(title, kNameText, room), kNameText, kInk, Align::kCentre);
    canvas.text(centre, baseline + 22, fitted(note, kSmallText, room), kSmallText, kFaint,
                Align::kCentre);
  };
  if (sheet.photographs) name(0, "image", "scaled to a square");
  int column = layout.first_map;
  for (const auto& [title, note] : sheet.columns()) name(column++, title, note);
}

void draw_bars(Canvas& canvas, const MapSheet& sheet, const Layout& layout, int top) {
  const int base = top + 30 + kBarHeight;
  const int first = layout.first_map + (sheet.input ? 3 : 2);  // the column of x(0)
  const int width = layout.cell / 3;
  const double text_end = layout.column_x(first) - kGap - 8;
  canvas.text(text_end, base - 22, "gates: an order passes its", kText, kFaint, Align::kRight);
  canvas.text(text_end, base, "own and those to its left", kText, kFaint, Align::kRight);
  for (std::size_t k = 0; k < sheet.orders(); ++k) {
    const int column = layout.column_x(first + static_cast<int>(k));
    const int height = std::max(1, static_cast<int>(std::lround(sheet.bar(k) * kBarHeight)));
    const int x = column + (layout.cell - width) / 2;
    canvas.fill(x, base - kBarHeight, width, kBarHeight, {238, 240, 243});
    canvas.fill(x, base - height, width, height, {67, 147, 195});
    canvas.text(column + layout.cell / 2.0, base + 25, sheet.bar_name(k), kText, kInk,
                Align::kCentre);
  }
  canvas.fill(layout.column_x(first), base,
              static_cast<int>(sheet.orders()) * (layout.cell + kGap) - kGap, 1, kFaint);
}

}  // namespace

Image draw_panel(const MapSheet& sheet) {
  const Layout layout = layout_of(sheet);
  const int rows = static_cast<int>(sheet.rows.size());
  Canvas canvas(layout.width(), layout.height(rows));
  const double room = layout.width() - 2 * kMargin;
  canvas.text(kMargin, kMargin + 21, fitted(sheet.title, kTitleText, room), kTitleText, kInk);
  canvas.text(kMargin, kMargin + 48, fitted(sheet.subtitle, kText, room), kText, kFaint);
  draw_column_names(canvas, sheet, layout);
  for (int row = 0; row < rows; ++row)
    draw_row(canvas, sheet, sheet.rows[static_cast<std::size_t>(row)], layout, layout.row_y(row));
  draw_bars(canvas, sheet, layout, layout.row_y(rows) - kRowLabel);
  return canvas.image();
}

}  // namespace concord::tool
