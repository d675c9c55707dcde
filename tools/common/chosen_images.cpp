#include "tools/common/chosen_images.h"

#include <algorithm>

#include "engine/text.h"
#include "kernels/error.h"

namespace concord::tool {

std::int64_t whole_number(const std::string& text) {
  const bool digits = !text.empty() && text.size() < 10 &&
                      text.find_first_not_of("0123456789") == std::string::npos;
  return digits ? std::stoll(text) : -1;
}

std::vector<std::int64_t> chosen_images(const std::vector<std::string>& wanted, std::int64_t size,
                                        const std::vector<std::string>& names,
                                        const std::string& where) {
  std::vector<std::int64_t> chosen;
  if (wanted.empty()) {
    const std::int64_t count = std::min<std::int64_t>(3, size);
    for (std::int64_t i = 0; i < count; ++i) chosen.push_back((2 * i + 1) * size / (2 * count));
    return chosen;
  }
  for (const std::string& text : wanted) {
    if (const std::int64_t number = whole_number(text); number >= 0) {
      check(number < size, "--images {}: {} has images 0 to {}", text, where, size - 1);
      chosen.push_back(number);
      continue;
    }
    const auto found = std::find_if(names.begin(), names.end(), [&](const std::string& name) {
      return name == text || (name.ends_with(text) && name[name.size() - text.size() - 1] == '/');
    });
    check(found != names.end(), "--images {}: no such image in {}; near it: {}", text, where,
          nearest_names(text, names));
    chosen.push_back(found - names.begin());
  }
  return chosen;
}

}  // namespace concord::tool
