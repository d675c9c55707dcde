#pragma once
// Texts: names that are not there, and characters.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace concord {

// The few of `known` nearest to `wanted` by edit distance (substring matches first), for "did you
// mean" in errors: at most `most`, joined by ", ".
std::string nearest_names(std::string_view wanted, const std::vector<std::string>& known,
                          std::size_t most = 4);

// Appends the character with this Unicode number, at most 0x10FFFF, in UTF-8.
void append_utf8(std::string& text, std::uint32_t code);

}  // namespace concord
