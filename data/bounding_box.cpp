#include "data/bounding_box.h"

#include <algorithm>

#include "kernels/error.h"

namespace concord {

std::array<int, 4> crop_rectangle(const BoundingBox& box, int width, int height,
                                  const std::string& name) {
  check(box.x < width && box.y < height && box.x + box.width > 0.0 && box.y + box.height > 0.0,
        "{}: its box (x {}, y {}, {} x {}) lies outside the image of {}x{}", name, box.x, box.y,
        box.width, box.height, width, height);
  // Clamped as double first: a huge number must not overflow an int.
  const auto pixel = [](double v, int low, int high) {
    return static_cast<int>(std::clamp(v, static_cast<double>(low), static_cast<double>(high)));
  };
  const int left = pixel(box.x, 0, width - 1), top = pixel(box.y, 0, height - 1);
  return {left, top, pixel(box.x + box.width, left + 1, width),
          pixel(box.y + box.height, top + 1, height)};
}

}  // namespace concord
