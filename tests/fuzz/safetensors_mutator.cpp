// Keeps the header's length, and mostly the data's, in step with a header that was changed: hardly
// an input else gets past the first eight bytes.

#include <charconv>
#include <random>
#include <string>

#include "tests/fuzz/mutation.h"

namespace {

// The largest end of data_offsets, for which "," and "]" stand around it; 0 where there is none.
std::size_t end_of_data(const std::string& header) {
  std::size_t end = 0;
  for (std::size_t at = header.find(','); at != std::string::npos; at = header.find(',', at + 1)) {
    std::size_t value = 0;
    const char* last = header.data() + header.size();
    const auto [stop, error] = std::from_chars(header.data() + at + 1, last, value);
    if (error == std::errc() && stop != last && *stop == ']') end = std::max(end, value);
  }
  return end;
}

}  // namespace

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size,
                                               std::size_t max_size, unsigned seed) {
  constexpr std::size_t kLength = 8, kMostData = 4096;
  std::minstd_rand random(seed);
  std::string input(reinterpret_cast<const char*>(data), size);
  std::uint64_t length = 0;
  for (std::size_t i = 0; i < kLength && i < size; ++i) length |= std::uint64_t{data[i]} << (8 * i);
  if (size < kLength || length > size - kLength || random() % 8 == 0)
    return LLVMFuzzerMutate(data, size, max_size);
  std::string header = input.substr(kLength, length);
  std::string content = input.substr(kLength + length);
  if (random() % 4 != 0)
    header = concord::fuzz::mutated(header, header.size() + 64);
  else
    content = concord::fuzz::mutated(content, content.size() + 16);
  const std::size_t end = end_of_data(header);
  if (end <= kMostData && random() % 4 != 0) content.resize(end, 'x');
  std::string output;
  concord::fuzz::append_number(output, header.size(), kLength);
  return concord::fuzz::hand_back(output + header + content, data, size, max_size);
}
