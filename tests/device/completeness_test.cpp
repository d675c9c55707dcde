// Every operation of the engine on CUDA, none falling back: what the CPU defines, CUDA must define.

#include <algorithm>

#include "tests/device/support.h"

namespace concord {
namespace {

CONCORD_ON_EVERY_DEVICE(Kernels);

TEST_P(Kernels, AreAsMany) {
  const auto cpu = kernels::kernels_of(DeviceType::kCpu);
  const auto own = kernels::kernels_of(GetParam());
  EXPECT_GT(cpu.size(), 50U);
  for (const std::string_view name : cpu)
    EXPECT_TRUE(std::ranges::binary_search(own, name)) << name << " has no definition";
}

}  // namespace
}  // namespace concord
