#pragma once
// What concord-visualize shows: rows of maps, and their colours.

#include <cstdint>
#include <string>
#include <vector>

#include "data/image.h"
#include "engine/tensor.h"
#include "tools/common/canvas.h"

namespace concord::tool {

inline constexpr std::int64_t kAllChannels = -1;

// One channel of one image.
struct FeatureMap {
  int width = 0;
  int height = 0;
  std::vector<float> values;  // empty where there is no such map

  FeatureMap() = default;
  // Channel `channel` of sample `row` of maps [N,C,H,W], or of all of them the root mean square;
  // empty when there is no such channel.
  FeatureMap(const Tensor& maps, std::int64_t row, std::int64_t channel);
};

struct MapRow {
  std::string image;             // name
  std::string label;             // class name; may be empty
  std::int64_t channel = 0;      // kAllChannels: root mean squares over all of them
  Image photograph;              // width 0 where it was not found
  std::vector<FeatureMap> maps;  // A (MapSheet::input), B, y, x(0) .. x(K-1), x_delta
  // The largest |value| of all maps: the end of the row's colour scale.
  double scale() const;
};

struct MapSheet {
  std::string title;
  std::string subtitle;
  std::vector<MapRow> rows;
  std::vector<double> gates;  // p_0 .. p_{K-2}
  // What the networks are called: the one that is asked and, where A's maps are shown, A. Channels
  // of networks of two architectures have nothing to do with each other, so theirs are not.
  std::string target = "net B";
  bool input = true;
  bool photographs = true;  // whether there is a column for them

  std::size_t orders() const { return gates.size() + 1; }
  // Of MapRow::maps: {"net A", "input"}, {"net B", "target"}, {"y", "rebuilt from A"}, ...
  std::vector<std::pair<std::string, std::string>> columns() const;
  // The bar under x(k): 1, then the gates from the last to the first (x(k) is the part of y that
  // passes the last k gates).
  double bar(std::size_t order) const;
  std::string bar_name(std::size_t order) const;
};

// "no ReLU", "one ReLU", "two ReLUs", ...
std::string relus(std::size_t count);

// Blue for -1, white for 0, red for +1; clamped beyond.
Colour diverging(double value);

// The map in colours, every value a block of `block` x `block` equal pixels: nothing is smoothed.
Image coloured(const FeatureMap& map, double scale, int block);

}  // namespace concord::tool
