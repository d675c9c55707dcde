#pragma once
// Classes that belong together, such as the birds and the dogs of MIX320.

#include <cstdint>
#include <string>

namespace concord {

// The classes [first, first + count).
struct ClassGroup {
  std::string name;
  std::int64_t first = 0;  // label
  std::int64_t count = 0;
};

}  // namespace concord
