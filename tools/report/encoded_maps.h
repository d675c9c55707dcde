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

  void add(std::span<const float> map);

  const std::vector<std::int8_t>& values() const { return values_; }
  const std::vector<float>& steps() const { return steps_; }  // one a map
  // As text: the values, and the steps as little-endian float32.
  std::string values_base64() const;
  std::string steps_base64() const;
  // What values_base64() and steps_base64() take, in bytes.
  static std::int64_t text_bytes(std::int64_t maps, std::int64_t pixels);

 private:
  std::vector<std::int8_t> values_;
  std::vector<float> steps_;
};

}  // namespace concord::report
