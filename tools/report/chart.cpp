#include "tools/report/chart.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "tools/report/html.h"

namespace concord::report {
namespace {

// In units of the picture.
constexpr double kWidth = 320, kHeight = 190;
constexpr double kLargest = 1e150;  // of values: differences and their logarithms stay finite
constexpr double kLeft = 46, kRight = 310, kTop = 10, kBottom = 158;

std::string label(double value) {
  if (value == 0) return "0";
  return std::abs(value) >= 1e5 || std::abs(value) < 1e-3 ? fmt::format("{:.0e}", value)
                                                          : fmt::format("{:.4g}", value);
}

// Where values lie in the picture.
struct Axis {
  double low = 0, high = 1;  // values
  double from = 0, to = 1;   // places
  bool logarithmic = false;

  double place(double value) const {
    const auto raw = [&](double v) { return logarithmic ? std::log10(v) : v; };
    return from + (raw(value) - raw(low)) / (raw(high) - raw(low)) * (to - from);
  }
};

Axis epoch_axis(const Chart& chart) {
  Axis axis{.low = 1e300, .high = -1e300, .from = kLeft, .to = kRight};
  for (const ChartLine& line : chart.lines)
    for (const auto& [epoch, value] : line.points) {
      axis.low = std::min(axis.low, epoch);
      axis.high = std::max(axis.high, epoch);
    }
  if (axis.low == axis.high) {
    axis.low -= 0.5;
    axis.high += 0.5;
  }
  return axis;
}

Axis value_axis(const Chart& chart) {
  Axis axis{.low = 1e300, .high = -1e300, .from = kBottom, .to = kTop};
  for (const ChartLine& line : chart.lines)
    for (const auto& [epoch, value] : line.points) {
      axis.low = std::min(axis.low, value);
      axis.high = std::max(axis.high, value);
    }
  if (chart.share) {
    axis.low = std::min(axis.low, 0.0);
    axis.high = std::max(axis.high, 1.0);
    return axis;
  }
  axis.logarithmic = axis.low > 0 && axis.high / axis.low > 30;
  if (axis.logarithmic) return axis;
  if (axis.low > 0 && axis.low < axis.high / 2) axis.low = 0;
  if (axis.low == axis.high) {
    const double room = axis.low == 0 ? 1 : std::abs(axis.low) / 10;
    axis.low -= room;
    axis.high += room;
  }
  return axis;
}

std::vector<double> value_ticks(const Axis& axis) {
  if (!axis.logarithmic) return ticks(axis.low, axis.high, 4);
  std::vector<double> marks;
  const int first = static_cast<int>(std::floor(std::log10(axis.low)));
  const int last = static_cast<int>(std::ceil(std::log10(axis.high)));
  const bool few = last - first <= 3;
  for (int power = first; power <= last; ++power)
    for (const double digit : {1.0, 2.0, 5.0}) {
      if (digit > 1 && !few) continue;
      const double mark = digit * std::pow(10.0, power);
      if (mark >= axis.low && mark <= axis.high) marks.push_back(mark);
    }
  return marks;
}

// Without the points whose distance to others no double holds.
Chart drawable(Chart chart) {
  for (ChartLine& line : chart.lines)
    std::erase_if(line.points, [](const auto& point) {
      return !(std::abs(point.first) < kLargest && std::abs(point.second) < kLargest);
    });
  return chart;
}

std::vector<std::pair<double, double>> thinned(const std::vector<std::pair<double, double>>& all) {
  if (all.size() <= kChartPoints) return all;
  std::vector<std::pair<double, double>> some;
  for (std::size_t i = 0; i < kChartPoints; ++i)
    some.push_back(all[i * (all.size() - 1) / (kChartPoints - 1)]);
  return some;
}

}  // namespace

std::vector<double> ticks(double low, double high, int count) {
  const double rough = (high - low) / std::max(1, count);
  const double power = std::pow(10.0, std::floor(std::log10(rough)));
  double step = 10 * power;
  for (const double digit : {1.0, 2.0, 2.5, 5.0})
    if (digit * power >= rough * 0.999) {
      step = digit * power;
      break;
    }
  // Counted by whole numbers: a double beyond 2^53 would stay where it is.
  const double first = std::ceil(low / step - 1e-9);
  std::vector<double> marks;
  for (int i = 0; i <= 2 * count + 2; ++i) {
    const double mark = (first + i) * step;
    if (!(mark <= high + step * 1e-9)) break;
    if (marks.empty() || mark > marks.back()) marks.push_back(mark);
  }
  return marks;
}

std::string draw_chart(const Chart& given, const std::string& run) {
  const Chart chart = drawable(given);
  const Axis x = epoch_axis(chart);
  const Axis y = value_axis(chart);
  std::string svg, legend;
  for (const double mark : value_ticks(y)) {
    const std::string text =
        chart.share ? fmt::format("{:.0f} %", std::abs(100 * mark)) : label(mark);
    svg += fmt::format(
        "<line class=\"grid\" x1=\"{}\" x2=\"{}\" y1=\"{:.1f}\" y2=\"{:.1f}\"/>"
        "<text x=\"{}\" y=\"{:.1f}\" text-anchor=\"end\">{}</text>",
        kLeft, kRight, y.place(mark), y.place(mark), kLeft - 5, y.place(mark) + 4, text);
  }
  for (const double mark : ticks(x.low, x.high, 5))
    if (mark == std::round(mark))
      svg += fmt::format("<text x=\"{:.1f}\" y=\"{}\" text-anchor=\"middle\">{:.0f}</text>",
                         x.place(mark), kBottom + 15, mark);
  svg +=
      fmt::format("<text x=\"{}\" y=\"{}\" text-anchor=\"end\">epoch</text>", kRight, kBottom + 29);
  Json data = Json::array();
  for (const ChartLine& line : chart.lines) {
    std::string path;
    Json points = Json::array();
    for (const auto& [epoch, value] : thinned(line.points)) {
      path += fmt::format("{:.1f},{:.1f} ", x.place(epoch), y.place(value));
      points.push_back({epoch, six_digits(value)});
      if (line.points.size() <= 12)
        svg += fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"2.5\" style=\"fill:{}\"/>",
                           x.place(epoch), y.place(value), line.colour);
    }
    svg += fmt::format("<polyline points=\"{}\" style=\"stroke:{}\"/>", path, line.colour);
    legend += fmt::format("<li><i class=\"key\" style=\"background:{}\"></i>{}</li>", line.colour,
                          escaped(line.name));
    data.push_back({{"name", line.name}, {"points", points}});
  }
  const Json frame = {{"low", x.low},
                      {"high", x.high},
                      {"left", kLeft / kWidth},
                      {"right", kRight / kWidth},
                      {"share", chart.share}};
  const std::string title = chart.title + (chart.unit.empty() ? "" : ", " + chart.unit) +
                            (y.logarithmic ? " (logarithmic)" : "");
  return fmt::format(
      "<figure class=\"chart\" tabindex=\"0\" role=\"group\" aria-label=\"{}: {} by epoch\" "
      "data-lines=\"{}\" data-frame=\"{}\">\n<figcaption><b>{}</b><ul "
      "class=\"legend\">{}</ul></figcaption>\n<svg viewBox=\"0 0 {} {}\" aria-hidden=\"true\">{}"
      "<line class=\"cursor\" x1=\"0\" x2=\"0\" y1=\"{}\" y2=\"{}\" visibility=\"hidden\"/></svg>\n"
      "<output>&nbsp;</output></figure>\n",
      escaped(run), escaped(chart.title), escaped(data.dump()), escaped(frame.dump()),
      escaped(title), legend, kWidth, kHeight, svg, kTop, kBottom);
}

}  // namespace concord::report
