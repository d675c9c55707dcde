#pragma once
// The time and disk that a step needs, as far as anything tells.

#include <optional>
#include <string>

#include "tools/reproduce/run_suite.h"

namespace concord::reproduce {

struct Amount {
  std::optional<double> value;  // seconds or bytes; absent: unknown
  std::string source;           // "measured here", "as the plan says", ...
};

struct Estimate {
  Amount seconds;
  Amount bytes;
};

class Estimator {
 public:
  Estimator(const Suite& suite, const Workspace& workspace, const Programs& programs, bool measure);
  Estimate of(std::size_t step);

 private:
  const Suite& suite_;
  const Programs& programs_;
  bool measure_;
  std::map<std::string, Timing> timings_;
};

}  // namespace concord::reproduce
