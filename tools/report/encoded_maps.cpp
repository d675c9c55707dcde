#include "tools/report/encoded_maps.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "tools/report/html.h"

namespace concord::report {

void EncodedMaps::add(std::span<const float> map) {
  float largest = 0;
  for (const float value : map)
    if (std::isfinite(value)) largest = std::max(largest, std::abs(value));
  const float step = largest / 127;
  steps_.push_back(step);
  for (const float value : map) {
    if (!std::isfinite(value))
      values_.push_back(kNoNumber);
    else
      values_.push_back(static_cast<std::int8_t>(
          step > 0 ? std::clamp(std::lround(double{value} / step), -127L, 127L) : 0));
  }
}

std::string EncodedMaps::values_base64() const {
  return base64({reinterpret_cast<const std::uint8_t*>(values_.data()), values_.size()});
}

std::string EncodedMaps::steps_base64() const {
  std::vector<std::uint8_t> bytes;
  for (const float step : steps_) {
    const auto bits = std::bit_cast<std::uint32_t>(step);
    for (int shift = 0; shift < 32; shift += 8)
      bytes.push_back(static_cast<std::uint8_t>(bits >> shift));
  }
  return base64(bytes);
}

std::int64_t EncodedMaps::text_bytes(std::int64_t maps, std::int64_t pixels) {
  const auto text = [](std::int64_t bytes) { return (bytes + 2) / 3 * 4; };
  return text(maps * pixels) + text(maps * 4);
}

}  // namespace concord::report
