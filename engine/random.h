#pragma once
// The source of random numbers of a run, and initialisers of parameters.

#include <cstdint>

#include "engine/tensor.h"
#include "kernels/philox.h"

namespace concord::random {

// Hands out Philox streams: (seed, 0), (seed, 1), ... Its whole state is two integers, which a
// checkpoint holds.
class Generator {
 public:
  explicit Generator(std::uint64_t seed = 0) : seed_(seed) {}
  std::uint64_t seed() const { return seed_; }
  // The offset that the next stream will have.
  std::uint64_t offset() const { return offset_; }
  std::uint64_t next_offset() { return offset_++; }
  void set_state(std::uint64_t seed, std::uint64_t offset) {
    seed_ = seed;
    offset_ = offset;
  }

 private:
  std::uint64_t seed_;
  std::uint64_t offset_ = 0;
};

// Element i of a parameter depends on the generator's seed, the offset it took, and i alone.
// N(mean, deviation^2)
void fill_normal(Tensor& tensor, Generator& generator, double mean, double deviation);
// U[low, high)
void fill_uniform(Tensor& tensor, Generator& generator, double low, double high);
// N(0, 2 / fan_out), fan_out = O * R * S of a weight [O,I,R,S] (gain of ReLU). Source: He et al.,
// Delving Deep into Rectifiers, ICCV 2015.
void fill_kaiming_normal_fan_out(Tensor& tensor, Generator& generator);
// U(-b, b), b = 1 / sqrt(fan_in): PyTorch's default for Conv2d and Linear weights (kaiming uniform
// with a = sqrt(5)), and for their biases with the weight's fan_in.
void fill_default_uniform(Tensor& tensor, Generator& generator, std::int64_t fan_in);

}  // namespace concord::random
