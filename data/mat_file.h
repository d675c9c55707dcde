#pragma once
// Lists of names in Matlab's files (.mat, level 5, as Matlab 5 to 7 and scipy.io.savemat write
// them). Source: The MathWorks, "MAT-File Format", chapter 1. Untrusted input: every malformed file
// is an Error that names it and the offset.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace concord {

struct MatLimits {
  // Most bytes that the compressed variables of a file may unpack to, together. The lists of
  // Stanford Dogs take some 2 MiB.
  std::size_t inflated_bytes = std::size_t{1} << 26;
};

// The texts of the variable `variable`, which must be a cell array of char arrays of one row each
// (or of none: an empty text), in the order of the cells as stored (by columns), in UTF-8. A char
// array is also taken, as a single text. Both byte orders, compressed or not; other variables are
// passed over. `file` stands in the messages. Throws Error for a file of level 4 or of Matlab 7.3
// (which is HDF5), one without the variable, a variable of another class, and for whatever is
// truncated, damaged or beyond the limit.
std::vector<std::string> read_mat_texts(std::span<const std::uint8_t> bytes,
                                        const std::string& file, const std::string& variable,
                                        const MatLimits& limits = {});

}  // namespace concord
