#pragma once
// Which Python objects a pickle may name: a fixed list, so that reading a file calls nothing.

#include <cstdint>
#include <optional>
#include <string_view>

namespace concord {

// What may be done with a global.
enum class GlobalUse : std::uint8_t {
  kName,  // stands for itself; no call
  kDict,  // called: a dict
  kSize,  // called: the tuple it is given
  kCall,  // called: kept as a call
};

// Of "module.name"; absent for one that is not on the list, which a file is refused for.
std::optional<GlobalUse> use_of_global(std::string_view name);

}  // namespace concord
