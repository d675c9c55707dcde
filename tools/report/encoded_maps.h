#pragma once
// Maps in 8 bits, small enough to lie in a page.

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace concord::report {

// Maps of one size in a row. Each has a step of its own, max |v| / 127 over its finite values, and
// its values v are stored as round(v / step): what is read back, q step, is v to within step / 2.
// -128 stands for a value that is no finite number.
class EncodedMaps {
 public:
  static constexpr std::int8_t kNoNumber = -128;

  // Throws Error unless both are above 0.
  EncodedMaps(std::int64_t width, std::int64_t height);

  // Throws Error unless it has width times height values.
  void add(std::span<const float> map);

  std::size_t count() const { return steps_.size(); }
  const std::vector<std::int8_t>& values() const { return values_; }
  const std::vector<float>& steps() const { return steps_; }  // one a map

  // The maps of these numbers as base85 (html.h): of the steps as little-endian float32; and of the
  // values, each less what its neighbours foretell (modulo 256), in zlib's format. What is foretold
  // is the floor of the mean of the value to the left and the one above, the other alone in the
  // first row or column, and 0 at the first place: PNG's filter "average" but for the edges. Throws
  // Error for a number that no map has.
  std::string steps_text(std::span<const std::size_t> numbers) const;
  std::string values_text(std::span<const std::size_t> numbers) const;

 private:
  void check_number(std::size_t number) const;

  std::size_t width_, height_;
  std::vector<std::int8_t> values_;
  std::vector<float> steps_;
};

}  // namespace concord::report
