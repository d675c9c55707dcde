#pragma once
// The time and disk that a step needs, as far as anything tells.

#include <optional>
#include <string>

#include "tools/reproduce/facts.h"

namespace concord::reproduce {

struct Amount {
  std::optional<double> value;  // seconds or bytes; absent: unknown
  std::string source;           // "measured here", "as the plan says", ...
};

struct Estimate {
  Amount seconds;
  Amount bytes;
};

// The best that is known, in this order: what an earlier run of the same command in the same folder
// took; what the plan says; for the programs train, features and transnet, the sizes of what they
// write (the last and the best checkpoint; stores of features) and, with `measure`, images times
// epochs over the rate at which concord-bench runs their step here.
class Estimator {
 public:
  Estimator(const Suite& suite, const Workspace& workspace, const Programs& programs, bool measure);
  Estimate of(std::size_t step);

 private:
  // Work on images: how many pass through which step of concord-bench.
  struct Work {
    double images = 0;
    std::string step;  // "train:resnet18"
    std::vector<std::string> arguments;
  };
  std::optional<double> computed_bytes(const Step& step);
  std::vector<Work> work_of(const Step& step);
  Amount measured_seconds(const Step& step);
  // Images a second; measured once for the same step and arguments.
  double rate_of(const Work& work);

  const Suite& suite_;
  bool measure_;
  std::map<std::string, Timing> timings_;
  Facts facts_;
  std::map<std::string, double> rates_;
};

}  // namespace concord::reproduce
