#pragma once
// Concord's own letters: printable ASCII as strokes with rounded corners, so that pictures have
// legible text without a font file on the machine.

#include <vector>

namespace concord::tool {

struct Point {
  double x = 0;
  double y = 0;
};

// Strokes in units of an eighth of the height of capitals: y 0 is their top, 8 the baseline, 10 the
// lowest descender; x runs from 0. A stroke of two equal points is a dot.
struct Glyph {
  double advance = 0;
  std::vector<std::vector<Point>> strokes;
};

// A character that is not printable ASCII comes as a box.
const Glyph& glyph(char character);

}  // namespace concord::tool
