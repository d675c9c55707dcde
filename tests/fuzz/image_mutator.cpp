// Gives the chunks of a PNG true checksums after a change, else no change would get past them. A
// JPEG has none.

#include <zlib.h>

#include <random>

#include "data/image.h"
#include "tests/fuzz/mutation.h"

namespace {

constexpr std::size_t kSignature = 8;
// Length, type and checksum around a chunk's content.
constexpr std::size_t kFrame = 12;

void write_checksums(std::uint8_t* data, std::size_t size) {
  for (std::size_t at = kSignature; size - at >= kFrame;) {
    const std::size_t length = std::size_t{data[at]} << 24 | std::size_t{data[at + 1]} << 16 |
                               std::size_t{data[at + 2]} << 8 | data[at + 3];
    if (length > size - at - kFrame) return;
    const std::size_t end = at + 8 + length;
    const uLong sum = ::crc32(0, data + at + 4, static_cast<uInt>(length + 4));
    for (std::size_t i = 0; i < 4; ++i)
      data[end + i] = static_cast<std::uint8_t>(sum >> (24 - 8 * i));
    at = end + 4;
  }
}

}  // namespace

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size,
                                               std::size_t max_size, unsigned seed) {
  std::minstd_rand random(seed);
  size = LLVMFuzzerMutate(data, size, max_size);
  const bool png = concord::image_kind({data, size}) == concord::ImageKind::kPng;
  if (png && random() % 8 != 0) write_checksums(data, size);
  return size;
}
