#pragma once
// The JSON header of a safetensors file: parsing, which trusts nothing, and writing.

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/shape.h"

namespace concord {

struct SafetensorsEntry {
  std::string name;
  std::string dtype;  // as the format spells it: "F32", "BF16", ...
  Shape shape;
  std::uint64_t begin = 0;  // bytes from the start of the data
  std::uint64_t end = 0;
};

struct SafetensorsHeader {
  std::vector<SafetensorsEntry> entries;  // by offset
  std::map<std::string, std::string> metadata;
};

// The longest header that the format allows, in bytes.
inline constexpr std::uint64_t kSafetensorsHeaderLimit = 100'000'000;

// Parses and validates `text` for `data_bytes` bytes of data. Throws Error with the reason, the
// offending name first (the caller adds the file): malformed JSON, another structure than
// {name: {dtype, shape, data_offsets}, "__metadata__": {text: text}}, a name given twice, a number
// that is negative, fractional or too large, a dtype unknown to the format, a shape whose bytes
// differ from its span, holes or overlaps.
SafetensorsHeader parse_safetensors_header(std::string_view text, std::uint64_t data_bytes);

// The header text, padded with spaces so that with the 8 bytes of its length it is a multiple of
// 64: the data then begin aligned for any vector. Throws for names or metadata that are not UTF-8.
std::string write_safetensors_header(const SafetensorsHeader& header);

}  // namespace concord
