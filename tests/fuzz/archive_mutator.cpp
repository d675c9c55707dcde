// Gives the headers of a tar true checksums after a change, else hardly one would get past them.

#include <cstdio>
#include <cstring>
#include <random>

#include "tests/fuzz/mutation.h"

namespace {

constexpr std::size_t kBlock = 512, kChecksum = 148, kDigits = 8, kMagic = 257;

void write_checksums(std::uint8_t* data, std::size_t size) {
  for (std::size_t at = 0; at + kBlock <= size; at += kBlock) {
    if (std::memcmp(data + at + kMagic, "ustar", 5) != 0) continue;
    std::memset(data + at + kChecksum, ' ', kDigits);
    unsigned sum = 0;
    for (std::size_t i = 0; i < kBlock; ++i) sum += data[at + i];
    char digits[kDigits + 1];
    std::snprintf(digits, sizeof digits, "%06o", sum);
    std::memcpy(data + at + kChecksum, digits, 7);  // six digits and a zero byte
  }
}

}  // namespace

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size,
                                               std::size_t max_size, unsigned seed) {
  std::minstd_rand random(seed);
  size = LLVMFuzzerMutate(data, size, max_size);
  if (random() % 8 != 0) write_checksums(data, size);
  return size;
}
