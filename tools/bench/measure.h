#pragma once
// Runs cases under Google Benchmark.

#include <string>
#include <vector>

#include "tools/bench/case.h"

namespace concord::bench {

struct MeasureOptions {
  double min_time = 0.2;  // seconds that a repetition runs at least
  int repetitions = 3;
};

struct Result {
  std::string name;
  std::string used_by;
  Device device = {};
  std::vector<double> seconds;  // of one run; one value a repetition
  std::int64_t iterations = 0;  // of the last repetition
  double flops = 0;             // of one run, as in Work
  double bytes = 0;
  double images = 0;
  // Resident memory while it ran, with what the program holds besides; on another device than the
  // CPU what tensors took there.
  std::size_t peak_bytes = 0;

  double median() const;
};

// In the order given. Throws what a case throws, with the case's name in an Error's message, and
// Interrupted on a signal.
std::vector<Result> measure(const std::vector<Case>& cases, const MeasureOptions& options);

}  // namespace concord::bench
