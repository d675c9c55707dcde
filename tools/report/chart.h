#pragma once
// A small chart as SVG: lines over epochs.

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace concord::report {

struct ChartLine {
  std::string name;    // "training"
  std::string colour;  // of the style sheet: "var(--o0)"
  // Epoch and value, epochs ascending, values finite.
  std::vector<std::pair<double, double>> points;
};

struct Chart {
  std::string title;      // "loss"
  std::string unit = {};  // of the values, behind the title; may be empty
  bool share = false;     // values are shares, shown in per cent on an axis from 0 to 100
  std::vector<ChartLine> lines = {};
};

// Axes with numbers, at most kChartPoints points of each line (the first, the last, and those
// between evenly apart), and beside the figure what a script needs to read values out: data-lines,
// a JSON of names and points, and data-frame, where epochs and values lie. Values that are all
// positive and differ more than thirtyfold are on a logarithmic axis, which the title says.
std::string draw_chart(const Chart& chart, const std::string& run);

inline constexpr std::size_t kChartPoints = 240;

// Round numbers to mark between low and high, about `count`.
std::vector<double> ticks(double low, double high, int count);

}  // namespace concord::report
