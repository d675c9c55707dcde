#pragma once
// Philox4x32-10, a counter-based random generator: the i-th number of stream (seed, offset) is a
// pure function of (seed, offset, i), the same on host and device and for any number of threads.
// Source: Salmon, Moraes, Dror, Shaw, "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011.

#include <array>
#include <cmath>
#include <cstdint>

#include "kernels/host_device.h"

namespace concord::random {

struct PhiloxBlock {
  std::uint32_t v[4];
};

inline constexpr int kPhiloxRounds = 10;

// One round on the 128-bit counter v with the round's key: (seed's halves) + round * (the Weyl
// constants).
CONCORD_HOST_DEVICE inline void philox_round(std::uint64_t seed, int round, std::uint32_t& v0,
                                             std::uint32_t& v1, std::uint32_t& v2,
                                             std::uint32_t& v3) {
  const auto step = static_cast<std::uint32_t>(round);
  const std::uint32_t k0 = static_cast<std::uint32_t>(seed) + step * 0x9E3779B9U;
  const std::uint32_t k1 = static_cast<std::uint32_t>(seed >> 32) + step * 0xBB67AE85U;
  const std::uint64_t a = std::uint64_t{0xD2511F53U} * v0;
  const std::uint64_t b = std::uint64_t{0xCD9E8D57U} * v2;
  v0 = static_cast<std::uint32_t>(b >> 32) ^ v1 ^ k0;
  v2 = static_cast<std::uint32_t>(a >> 32) ^ v3 ^ k1;
  v1 = static_cast<std::uint32_t>(b);
  v3 = static_cast<std::uint32_t>(a);
}

// The four 32-bit numbers at `counter` of the 128-bit counter (counter, offset) under key `seed`.
CONCORD_HOST_DEVICE inline PhiloxBlock philox(std::uint64_t seed, std::uint64_t offset,
                                              std::uint64_t counter) {
  PhiloxBlock block{{static_cast<std::uint32_t>(counter), static_cast<std::uint32_t>(counter >> 32),
                     static_cast<std::uint32_t>(offset), static_cast<std::uint32_t>(offset >> 32)}};
  for (int round = 0; round < kPhiloxRounds; ++round)
    philox_round(seed, round, block.v[0], block.v[1], block.v[2], block.v[3]);
  return block;
}

// Uniform in [0, 1) with 24 bits, the resolution of float32.
CONCORD_HOST_DEVICE inline float uniform_float(std::uint32_t bits) {
  return static_cast<float>(bits >> 8) * 0x1.0p-24F;
}

// Uniform in [0, 1) with 53 bits.
CONCORD_HOST_DEVICE inline double uniform_double(std::uint32_t high, std::uint32_t low) {
  const std::uint64_t bits = (static_cast<std::uint64_t>(high) << 32) | low;
  return static_cast<double>(bits >> 11) * 0x1.0p-53;
}

// A stream of random numbers for host code. Its whole state is (seed, offset, position); two
// streams of one seed and different offsets are independent.
class Stream {
 public:
  explicit Stream(std::uint64_t seed, std::uint64_t offset = 0) : seed_(seed), offset_(offset) {}

  std::uint32_t next() {
    if (position_ % 4 == 0) block_ = philox(seed_, offset_, position_ / 4);
    return block_.v[position_++ % 4];
  }
  double uniform() {
    const std::uint32_t high = next();
    return uniform_double(high, next());
  }
  double uniform(double low, double high) { return low + (high - low) * uniform(); }
  // Standard normal by Box and Muller; two uniforms a number.
  double normal() {
    const double radius = std::sqrt(-2.0 * std::log(1.0 - uniform()));
    return radius * std::cos(6.283185307179586476925286766559 * uniform());
  }
  // Uniform in 0 .. bound-1 without bias (rejection); bound > 0.
  std::uint64_t below(std::uint64_t bound) {
    const std::uint64_t limit = ~std::uint64_t{0} - ~std::uint64_t{0} % bound;
    for (;;) {
      const std::uint64_t high = next();
      const std::uint64_t value = (high << 32) | next();
      if (value < limit) return value % bound;
    }
  }

 private:
  std::uint64_t seed_;
  std::uint64_t offset_;
  std::uint64_t position_ = 0;
  PhiloxBlock block_{};
};

}  // namespace concord::random
