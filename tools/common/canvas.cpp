#include "tools/common/canvas.h"

#include <algorithm>
#include <cmath>

#include "tools/common/stroke_font.h"

namespace concord::tool {
namespace {

constexpr double kUnits = 8;           // of a capital's height in stroke_font.h
constexpr double kDescent = 3;         // below the baseline, in these units
constexpr double kStroke = 1.0 / 6.2;  // width of a stroke, in heights of capitals

double distance_to_segment(Point p, Point a, Point b) {
  const double dx = b.x - a.x;
  const double dy = b.y - a.y;
  const double length = dx * dx + dy * dy;
  const double t =
      length == 0 ? 0 : std::clamp(((p.x - a.x) * dx + (p.y - a.y) * dy) / length, 0.0, 1.0);
  return std::hypot(p.x - a.x - t * dx, p.y - a.y - t * dy);
}

double distance_to(const Glyph& letter, Point p) {
  double least = 1e9;
  for (const auto& stroke : letter.strokes)
    for (std::size_t i = 1; i < stroke.size(); ++i)
      least = std::min(least, distance_to_segment(p, stroke[i - 1], stroke[i]));
  return least;
}

}  // namespace

Canvas::Canvas(int width, int height, Colour background) : image_(width, height) {
  fill(0, 0, width, height, background);
}

void Canvas::blend(int x, int y, Colour colour, double part) {
  if (x < 0 || y < 0 || x >= width() || y >= height()) return;
  std::uint8_t* pixel = image_.pixel(x, y);
  const std::uint8_t target[3] = {colour.red, colour.green, colour.blue};
  for (int i = 0; i < 3; ++i)
    pixel[i] = static_cast<std::uint8_t>(std::lround(pixel[i] + part * (target[i] - pixel[i])));
}

void Canvas::fill(int x, int y, int width, int height, Colour colour) {
  for (int row = std::max(0, y); row < std::min(image_.height, y + height); ++row)
    for (int column = std::max(0, x); column < std::min(image_.width, x + width); ++column)
      blend(column, row, colour, 1);
}

void Canvas::frame(int x, int y, int width, int height, Colour colour) {
  fill(x - 1, y - 1, width + 2, 1, colour);
  fill(x - 1, y + height, width + 2, 1, colour);
  fill(x - 1, y, 1, height, colour);
  fill(x + width, y, 1, height, colour);
}

void Canvas::paste(int x, int y, const Image& image) {
  for (int row = 0; row < image.height; ++row)
    for (int column = 0; column < image.width; ++column) {
      const std::uint8_t* pixel = image.pixel(column, row);
      blend(x + column, y + row, {pixel[0], pixel[1], pixel[2]}, 1);
    }
}

void Canvas::text(double x, double baseline, const std::string& text, double size, Colour colour,
                  Align align) {
  const double unit = size / kUnits;
  const double half_stroke = std::max(0.55, size * kStroke / 2);  // pixels
  if (align != Align::kLeft) x -= text_width(text, size) * (align == Align::kCentre ? 0.5 : 1.0);
  for (const char character : text) {
    const Glyph& letter = glyph(character);
    const int left = static_cast<int>(std::floor(x - 2));
    const int right = static_cast<int>(std::ceil(x + letter.advance * unit + 2));
    const int top = static_cast<int>(std::floor(baseline - size - 2));
    const int bottom = static_cast<int>(std::ceil(baseline + kDescent * unit + 2));
    for (int row = top; row < bottom && !letter.strokes.empty(); ++row)
      for (int column = left; column < right; ++column) {
        const Point p = {(column + 0.5 - x) / unit, (row + 0.5 - baseline) / unit + kUnits};
        const double part = half_stroke + 0.5 - distance_to(letter, p) * unit;
        if (part > 0) blend(column, row, colour, std::min(1.0, part));
      }
    x += letter.advance * unit;
  }
}

double text_width(const std::string& text, double size) {
  double units = 0;
  for (const char character : text) units += glyph(character).advance;
  return units * size / kUnits;
}

std::string fitted(const std::string& text, double size, double width, bool keep_end) {
  if (text_width(text, size) <= width) return text;
  for (std::size_t kept = text.size(); kept-- > 0;) {
    const std::string shorter =
        keep_end ? ".." + text.substr(text.size() - kept) : text.substr(0, kept) + "..";
    if (text_width(shorter, size) <= width) return shorter;
  }
  return "";
}

}  // namespace concord::tool
