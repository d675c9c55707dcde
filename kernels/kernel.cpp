#include "kernels/kernel.h"

#include <algorithm>

namespace concord::kernels {
namespace {

using Names = std::array<std::vector<std::string_view>, kDeviceTypes>;

// Made when first used: kernels are defined by static initialisers, in no order.
Names& names() {
  static Names instance;
  return instance;
}

}  // namespace

std::vector<std::string_view> kernels_of(DeviceType type) {
  std::vector<std::string_view> sorted = names()[static_cast<std::size_t>(type)];
  std::sort(sorted.begin(), sorted.end());
  return sorted;
}

void remember_kernel(DeviceType type, std::string_view name) {
  names()[static_cast<std::size_t>(type)].push_back(name);
}

}  // namespace concord::kernels
