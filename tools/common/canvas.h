#pragma once
// A picture to draw on: rectangles, other pictures, text. Coordinates in pixels from the top left.

#include <cstdint>
#include <string>

#include "data/image.h"

namespace concord::tool {

struct Colour {
  std::uint8_t red = 0;
  std::uint8_t green = 0;
  std::uint8_t blue = 0;
};

inline constexpr Colour kInk{32, 36, 42};
inline constexpr Colour kFaint{120, 126, 134};
inline constexpr Colour kLine{200, 204, 210};
inline constexpr Colour kPaper{255, 255, 255};

enum class Align : std::uint8_t { kLeft, kCentre, kRight };

class Canvas {
 public:
  Canvas(int width, int height, Colour background = kPaper);

  int width() const { return image_.width; }
  int height() const { return image_.height; }
  const Image& image() const { return image_; }

  // What lies outside the picture is left out.
  void fill(int x, int y, int width, int height, Colour colour);
  // A frame of one pixel just outside the rectangle.
  void frame(int x, int y, int width, int height, Colour colour);
  void paste(int x, int y, const Image& image);
  // Text whose capitals are `size` pixels high and stand on `baseline`, from, around or up to x.
  void text(double x, double baseline, const std::string& text, double size, Colour colour,
            Align align = Align::kLeft);

 private:
  void blend(int x, int y, Colour colour, double part);

  Image image_;
};

// The width in pixels of a text whose capitals are `size` pixels high.
double text_width(const std::string& text, double size);
// The text, or its beginning or (where `keep_end`) its end with "..", at most `width` pixels wide.
std::string fitted(const std::string& text, double size, double width, bool keep_end = false);

}  // namespace concord::tool
