#pragma once
// Help with names that are not there.

#include <string>
#include <string_view>
#include <vector>

namespace concord {

// The few of `known` nearest to `wanted` by edit distance (substring matches first), for "did you
// mean" in errors: at most `most`, joined by ", ".
std::string nearest_names(std::string_view wanted, const std::vector<std::string>& known,
                          std::size_t most = 4);

}  // namespace concord
