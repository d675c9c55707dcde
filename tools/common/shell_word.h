#pragma once

#include <string>

namespace concord::tool {

// The word as a shell takes it: in quotes where it has more than plain characters.
std::string quoted(const std::string& word);

}  // namespace concord::tool
