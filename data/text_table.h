#pragma once
// Lists of the published data sets: lines of fields apart by blanks.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace concord {

struct TextLine {
  std::string file;
  std::int64_t number_in_file = 0;  // from 1
  std::vector<std::string> fields;

  // Throws Error "FILE:LINE: WHAT".
  [[noreturn]] void refuse(const std::string& what) const;
  // The field as a number; refuses what is not wholly one, and NaN and infinities.
  std::int64_t integer(std::size_t field) const;
  double number(std::size_t field) const;
};

// The lines of a text that are not blank; `file` stands in the messages. Throws Error with file and
// line when one does not have exactly `fields` fields; the ends of lines may be those of any
// system.
std::vector<TextLine> read_text_table(std::span<const std::uint8_t> bytes, const std::string& file,
                                      std::size_t fields);

}  // namespace concord
