#include "tools/common/stroke_font.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>

namespace concord::tool {
namespace {

constexpr double kSpacing = 2.2;
constexpr double kCornerRadius = 2;
constexpr int kCornerSteps = 6;

// One text per character from '!' to '~'. Strokes are separated by ' '; a point is two digits x y
// (a = 10); '~' rounds the corner at the point before it, 'z' closes the stroke.
constexpr std::array<std::string_view, 94> kStrokes = {
    "0005 0808",                         // !
    "0002 2022",                         // "
    "2018 5048 0363 0565",               // #
    "4240~00~04~44~48~08~06 2028",       // $
    "00~20~22~02~z 46~66~68~48~z 6008",  // %
    "5812~10~30~33~06~08~38~55",         // &
    "0002",                              // '
    "2002~06~28",                        // (
    "0022~26~08",                        // )
    "2024 0143 4103",                    // *
    "0545 2327",                         // +
    "1809",                              // ,
    "0535",                              // -
    "0808",                              // .
    "0840",                              // /
    "00~40~48~08~z",                     // 0
    "022028",                            // 1
    "0200~40~44~0848",                   // 2
    "0100~40~44~14 1444~48~08~07",       // 3
    "38300646",                          // 4
    "40000343~48~08",                    // 5
    "4000~08~48~44~04",                  // 6
    "004018",                            // 7
    "00~40~44~04~z 04~44~48~08~z",       // 8
    "4404~00~40~48~08",                  // 9
    "0404 0808",                         // :
    "1414 1809",                         // ;
    "420548",                            // <
    "0444 0646",                         // =
    "024508",                            // >
    "0100~40~44~2425 2828",              // ?
    "6808~00~60~65~35~32~62",            // @
    "083068 1555",                       // A
    "0800 0040~44~04 0454~58~08",        // B
    "5250~00~08~58~56",                  // C
    "0050~58~08z",                       // D
    "40000848 0434",                     // E
    "400008 0434",                       // F
    "5250~00~08~58~5434",                // G
    "0008 5058 0454",                    // H
    "0008",                              // I
    "4048~08~06",                        // J
    "0008 5005 2358",                    // K
    "000848",                            // L
    "0800356068",                        // M
    "08005850",                          // N
    "00~50~58~08~z",                     // O
    "080050~54~04",                      // P
    "00~50~58~08~z 3669",                // Q
    "080050~54~04 3458",                 // R
    "5250~00~04~54~58~08~06",            // S
    "0060 3038",                         // T
    "0008~58~50",                        // U
    "003860",                            // V
    "0028426880",                        // W
    "0058 5008",                         // X
    "003460 3438",                       // Y
    "00500858",                          // Z
    "20000828",                          // [
    "0048",                              // backslash
    "00202808",                          // ]
    "022042",                            // ^
    "0959",                              // _
    "0012",                              // `
    "0343~48 4505~08~48",                // a
    "0008 0343~48~08",                   // b
    "4303~08~48",                        // c
    "4048 4303~08~48",                   // d
    "054543~03~08~48",                   // e
    "3010~18 0333",                      // f
    "4303~08~48 434a~0a",                // g
    "0008 0343~48",                      // h
    "0308 0101",                         // i
    "131a~0a 1111",                      // j
    "0008 4306 1548",                    // k
    "0008~18",                           // l
    "080363~68 3338",                    // m
    "080343~48",                         // n
    "03~43~48~08~z",                     // o
    "0a0343~48~08",                      // p
    "4a4303~08~48",                      // q
    "080333~34",                         // r
    "4303~05~45~48~08",                  // s
    "1118~38 0333",                      // t
    "0308~48 4348",                      // u
    "032843",                            // v
    "0318345863",                        // w
    "0348 4308",                         // x
    "0328 431a",                         // y
    "03430848",                          // z
    "3010~14~04 0414~18~38",             // {
    "000a",                              // |
    "0020~24~34 3424~28~08",             // }
    "06143544",                          // ~
};
constexpr std::string_view kUnknown = "00500858z 0058";

double digit(char c) { return c == 'a' ? 10 : c - '0'; }

struct Corner {
  Point at;
  bool round = false;
};

double distance(Point a, Point b) { return std::hypot(a.x - b.x, a.y - b.y); }
Point toward(Point from, Point to, double length) {
  const double t = length / distance(from, to);
  return {from.x + t * (to.x - from.x), from.y + t * (to.y - from.y)};
}

// Replaces round corners by quadratic curves.
std::vector<Point> flatten(const std::vector<Corner>& corners, bool closed) {
  const std::size_t count = corners.size();
  std::vector<Point> points;
  for (std::size_t i = 0; i < count; ++i) {
    const bool end = !closed && (i == 0 || i + 1 == count);
    if (!corners[i].round || end) {
      points.push_back(corners[i].at);
      continue;
    }
    const Corner& before = corners[(i + count - 1) % count];
    const Corner& after = corners[(i + 1) % count];
    const double room_before = distance(before.at, corners[i].at) * (before.round ? 0.5 : 1.0);
    const double room_after = distance(after.at, corners[i].at) * (after.round ? 0.5 : 1.0);
    const double radius = std::min({kCornerRadius, room_before, room_after});
    const Point a = toward(corners[i].at, before.at, radius);
    const Point b = toward(corners[i].at, after.at, radius);
    for (int step = 0; step <= kCornerSteps; ++step) {
      const double t = static_cast<double>(step) / kCornerSteps;
      const double u = 1 - t;
      // Nearer to a circle's quarter than the plain quadratic: the control point weighs 1/sqrt(2).
      const double w = 0.7071067811865476;
      const double sum = u * u + 2 * w * u * t + t * t;
      points.push_back({(u * u * a.x + 2 * w * u * t * corners[i].at.x + t * t * b.x) / sum,
                        (u * u * a.y + 2 * w * u * t * corners[i].at.y + t * t * b.y) / sum});
    }
  }
  if (closed) points.push_back(points.front());
  return points;
}

Glyph parse(std::string_view text) {
  Glyph result;
  double right = 0;
  while (!text.empty()) {
    const std::string_view stroke = text.substr(0, text.find(' '));
    text.remove_prefix(std::min(text.size(), stroke.size() + 1));
    std::vector<Corner> corners;
    bool closed = false;
    for (std::size_t i = 0; i < stroke.size();) {
      if (stroke[i] == '~') {
        corners.back().round = true;
        ++i;
      } else if (stroke[i] == 'z') {
        closed = true;
        ++i;
      } else {
        corners.push_back({{digit(stroke[i]), digit(stroke[i + 1])}, false});
        right = std::max(right, corners.back().at.x);
        i += 2;
      }
    }
    result.strokes.push_back(flatten(corners, closed));
  }
  result.advance = right + kSpacing;
  return result;
}

std::array<Glyph, 96> parse_all() {
  std::array<Glyph, 96> glyphs;
  glyphs[0].advance = 4.2;  // the space
  for (std::size_t i = 0; i < kStrokes.size(); ++i) glyphs[i + 1] = parse(kStrokes[i]);
  glyphs[95] = parse(kUnknown);
  return glyphs;
}

}  // namespace

const Glyph& glyph(char character) {
  static const std::array<Glyph, 96> glyphs = parse_all();
  const bool known = character >= ' ' && character <= '~';
  return glyphs[known ? static_cast<std::size_t>(character - ' ') : 95];
}

}  // namespace concord::tool
