#include "tools/common/feature_maps.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace concord::tool {
namespace {

// ColorBrewer's RdBu, with pure white in the middle.
constexpr std::array<Colour, 11> kDiverging = {{{5, 48, 97},
                                                {33, 102, 172},
                                                {67, 147, 195},
                                                {146, 197, 222},
                                                {209, 229, 240},
                                                {255, 255, 255},
                                                {253, 219, 199},
                                                {244, 165, 130},
                                                {214, 96, 77},
                                                {178, 24, 43},
                                                {103, 0, 31}}};

}  // namespace

FeatureMap::FeatureMap(const Tensor& maps, std::int64_t row, std::int64_t channel) {
  if (channel >= maps.dim(1)) return;
  height = static_cast<int>(maps.dim(2));
  width = static_cast<int>(maps.dim(3));
  const Tensor plain = maps.to(Device{}).in_format(MemoryFormat::kPlain);
  const std::int64_t pixels = std::int64_t{width} * height;
  if (channel == kAllChannels) {
    const float* value = plain.data<float>() + row * maps.dim(1) * pixels;
    std::vector<double> squares(static_cast<std::size_t>(pixels), 0.0);
    for (std::int64_t i = 0; i < maps.dim(1) * pixels; ++i)
      squares[static_cast<std::size_t>(i % pixels)] += double{value[i]} * value[i];
    for (const double square : squares)
      values.push_back(static_cast<float>(std::sqrt(square / static_cast<double>(maps.dim(1)))));
    return;
  }
  const float* begin = plain.data<float>() + (row * maps.dim(1) + channel) * pixels;
  values.assign(begin, begin + pixels);
}

double MapRow::scale() const {
  double scale = 0;
  for (const FeatureMap& map : maps)
    for (const float value : map.values) scale = std::max(scale, std::abs(double{value}));
  return scale;
}

std::vector<std::pair<std::string, std::string>> MapSheet::columns() const {
  std::vector<std::pair<std::string, std::string>> columns;
  if (input) columns.emplace_back("net A", "one of the inputs");
  columns.emplace_back(target, "target");
  columns.emplace_back("y", input ? "rebuilt from A" : "rebuilt");
  for (std::size_t k = 0; k < orders(); ++k)
    columns.emplace_back(fmt::format("x({})", k), "needs " + relus(k));
  columns.emplace_back("x_delta", input ? "not in A" : "not rebuilt");
  return columns;
}

double MapSheet::bar(std::size_t order) const {
  return order == 0 ? 1.0 : gates[gates.size() - order];
}

std::string MapSheet::bar_name(std::size_t order) const {
  return order == 0 ? "1" : fmt::format("p_{} = {:.3f}", gates.size() - order, bar(order));
}

std::string relus(std::size_t count) {
  constexpr std::array kWords = {"no ReLU", "one ReLU", "two ReLUs", "three ReLUs"};
  return count < kWords.size() ? kWords[count] : fmt::format("{} ReLUs", count);
}

Colour diverging(double value) {
  if (std::isnan(value)) return {128, 128, 128};
  const double place = (std::clamp(value, -1.0, 1.0) + 1) / 2 * (kDiverging.size() - 1);
  const std::size_t below = std::min(static_cast<std::size_t>(place), kDiverging.size() - 2);
  const double part = place - static_cast<double>(below);
  const auto mix = [&](std::uint8_t a, std::uint8_t b) {
    return static_cast<std::uint8_t>(std::lround(a + part * (b - a)));
  };
  const Colour a = kDiverging[below];
  const Colour b = kDiverging[below + 1];
  return {mix(a.red, b.red), mix(a.green, b.green), mix(a.blue, b.blue)};
}

Image coloured(const FeatureMap& map, double scale, int block) {
  Image image(map.width * block, map.height * block);
  for (int y = 0; y < image.height; ++y)
    for (int x = 0; x < image.width; ++x) {
      const auto at = static_cast<std::size_t>(y / block) * static_cast<std::size_t>(map.width) +
                      static_cast<std::size_t>(x / block);
      const Colour colour = diverging(scale > 0 ? map.values[at] / scale : 0);
      std::uint8_t* pixel = image.pixel(x, y);
      pixel[0] = colour.red;
      pixel[1] = colour.green;
      pixel[2] = colour.blue;
    }
  return image;
}

}  // namespace concord::tool
