#include "tools/common/kd_weight.h"

#include <cmath>

namespace concord::tool {

double KdWeight::at(std::int64_t i, std::int64_t n) const {
  if (n < 2 || !varies()) return start;
  return start * std::pow(end / start, static_cast<double>(i) / static_cast<double>(n - 1));
}

double KdWeight::of_generation(std::int64_t g, std::int64_t n) const {
  return over_epochs ? start : at(g - 1, n - 1);
}

std::optional<KdWeight> kd_weight(const std::string& text) {
  const auto number = [](const std::string& word) {
    const double value = number_of(word);
    return std::isfinite(value) && value >= 0 ? std::optional(value) : std::nullopt;
  };
  const std::size_t colon = text.find(':');
  const auto start = number(text.substr(0, colon));
  const auto end = colon == std::string::npos ? start : number(text.substr(colon + 1));
  if (!start || !end || (*start != *end && (*start == 0 || *end == 0))) return std::nullopt;
  return KdWeight{.start = *start, .end = *end};
}

OptionCheck kd_weight_text() {
  return [](const std::string& text) -> std::string {
    if (kd_weight(text)) return "";
    return text +
           " is neither START nor START:END, numbers that are not negative, and above 0 where they "
           "differ";
  };
}

}  // namespace concord::tool
