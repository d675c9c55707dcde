// Unpacks a compressed variable of a .mat file, changes it and packs it again: a change of the
// packed bytes gives no more than a damaged file.

#include <zlib.h>

#include <cstring>
#include <random>

#include "tests/fuzz/mutation.h"

namespace {

constexpr std::size_t kHeader = 128, kTag = 8, kMostUnpacked = 8192;
constexpr std::uint32_t kCompressed = 15;

// Little-endian, as the seeds are.
std::uint32_t word(const std::string& text, std::size_t at) {
  std::uint32_t value = 0;
  std::memcpy(&value, text.data() + at, sizeof value);
  return value;
}

std::string unpacked(const std::string& packed) {
  std::string result(kMostUnpacked, '\0');
  uLongf size = result.size();
  const int code = ::uncompress(reinterpret_cast<Bytef*>(result.data()), &size,
                                reinterpret_cast<const Bytef*>(packed.data()), packed.size());
  result.resize(code == Z_OK ? size : 0);
  return result;
}

std::string packed(const std::string& text) {
  uLongf size = ::compressBound(text.size());
  std::string result(size, '\0');
  ::compress(reinterpret_cast<Bytef*>(result.data()), &size,
             reinterpret_cast<const Bytef*>(text.data()), text.size());
  result.resize(size);
  return result;
}

}  // namespace

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size,
                                               std::size_t max_size, unsigned seed) {
  std::minstd_rand random(seed);
  const std::string input(reinterpret_cast<const char*>(data), size);
  if (random() % 4 == 0) return LLVMFuzzerMutate(data, size, max_size);
  for (std::size_t at = kHeader; at + kTag <= size;) {
    const std::size_t length = word(input, at + 4);
    if (length > size - at - kTag) break;
    const std::size_t end = at + kTag + length;
    const std::string content =
        word(input, at) == kCompressed ? unpacked(input.substr(at + kTag, length)) : "";
    // Of several variables any may be the one.
    if (!content.empty() && (random() % 2 == 0 || end == size)) {
      const std::string changed = packed(concord::fuzz::mutated(content, content.size() + 64));
      std::string output = input.substr(0, at + 4);
      concord::fuzz::append_number(output, changed.size(), 4);
      return concord::fuzz::hand_back(output + changed + input.substr(end), data, size, max_size);
    }
    at = end;
  }
  return LLVMFuzzerMutate(data, size, max_size);
}
