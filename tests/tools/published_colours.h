#pragma once
// The colours that ColorBrewer published for RdBu (11 classes), with white in the middle, and the
// pixels of a picture to compare with them.

#include <array>

#include "data/image.h"

namespace concord::test {

using Rgb = std::array<int, 3>;
inline constexpr Rgb kMost = {103, 0, 31};
inline constexpr Rgb kLeast = {5, 48, 97};
inline constexpr Rgb kWhite = {255, 255, 255};

inline Rgb colour_at(const Image& image, int x, int y) {
  const std::uint8_t* pixel = image.pixel(x, y);
  return {pixel[0], pixel[1], pixel[2]};
}

}  // namespace concord::test
