#pragma once
// What can be measured: a name, and how to set it up.

#include <functional>
#include <string>
#include <vector>

#include "kernels/kernel.h"

namespace concord::bench {

// A piece of work, ready to run again and again.
struct Work {
  std::function<void()> run;
  // Of one run. A convolution counts 2 N O P Q C/groups R S, whatever algorithm computes it
  // (direct-equivalent); other kernels their nominal additions, multiplications and comparisons.
  double flops = 0;
  double bytes = 0;   // what must be read and written at least: every operand once
  double images = 0;  // of a whole step
};

struct Case {
  std::string name;  // "cpu/relu_forward/8x512x28x28/blocked16", "step/train:resnet18/8x3x224x224"
  std::string used_by;  // networks and layers with this shape
  std::function<Work()> prepare;
  Device device = {};  // by whose clock it is measured
};

// Every kernel of the device at the shapes of the experiments, in the memory formats of the
// networks; some also in others, for comparison. Names start with "DEVICE/KERNEL/", those
// of another library's kernels, to compare with, with "LIBRARY/".
// `batch_size` is N of the maps.
std::vector<Case> kernel_cases(Device device, std::int64_t batch_size, std::uint64_t seed);

}  // namespace concord::bench
