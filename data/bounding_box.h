#pragma once
// The rectangle around an object, as the lists of data sets give it.

#include <array>
#include <string>

namespace concord {

// x, y of the left top corner, width and height, in pixels.
struct BoundingBox {
  double x = 0.0;
  double y = 0.0;
  double width = 0.0;
  double height = 0.0;
};

// The pixels of a box as (left, top, right, bottom), half open: int(x), int(y), int(x + w),
// int(y + h), as Pillow's crop((int(x), int(y), int(x + w), int(y + h))) has them, clipped to the
// picture and at least one pixel wide and high. Throws Error naming `name` when the box lies wholly
// outside.
std::array<int, 4> crop_rectangle(const BoundingBox& box, int width, int height,
                                  const std::string& name);

}  // namespace concord
