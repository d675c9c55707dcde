#pragma once
// What the mutators share. A mutator changes an input within its format: LLVMFuzzerMutate alone
// knows bytes only.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>

// Of libFuzzer: changes `size` bytes in place and returns their new number, at most `max_size`.
extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t max_size);

namespace concord::fuzz {

// `value` in `width` bytes, little-endian; those above the eighth are 0.
inline void append_number(std::string& text, std::uint64_t value, int width) {
  for (int i = 0; i < width; ++i) text += static_cast<char>(i < 8 ? (value >> (8 * i)) & 0xFF : 0);
}

// `text` changed by libFuzzer.
inline std::string mutated(std::string text, std::size_t max_size) {
  const std::size_t size = text.size();
  text.resize(std::max(max_size, size));
  text.resize(LLVMFuzzerMutate(reinterpret_cast<std::uint8_t*>(text.data()), size, text.size()));
  return text;
}

// Puts `text` in the place of the input; one that is too long leaves it to libFuzzer's bytes.
inline std::size_t hand_back(const std::string& text, std::uint8_t* data, std::size_t size,
                             std::size_t max_size) {
  if (text.size() > max_size) return LLVMFuzzerMutate(data, size, max_size);
  std::copy(text.begin(), text.end(), data);
  return text.size();
}

}  // namespace concord::fuzz
