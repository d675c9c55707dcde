#pragma once
// The time and disk that a step needs, as far as anything tells.

#include <optional>
#include <string>

#include "tools/reproduce/run_suite.h"
#include "tools/reproduce/step_cost.h"

namespace concord::reproduce {

struct Amount {
  std::optional<double> value;  // seconds or bytes; absent: unknown
  std::string source;           // "measured here", "as the plan says", ...
};

struct Estimate {
  Amount seconds;
  Amount bytes;                // that stay
  double temporary_bytes = 0;  // more, while the step runs
};

// The best that is known, in this order: what an earlier run of the same command in the same folder
// took, or of the same step in another repetition; what the plan says; what follows from the step's
// options (step_cost.h), the time of it, with `measure`, at the rates at which concord-bench runs
// its parts here.
class Estimator {
 public:
  Estimator(const Suite& suite, const Workspace& workspace, const Programs& programs, bool measure);
  Estimate of(std::size_t step);

 private:
  // Null where it has not run; `source` says where.
  const Timing* timing_of(const Step& step, std::string& source) const;
  Amount measured_seconds(const std::vector<Work>& work);
  // Images a second; measured once for the same step and arguments.
  double rate_of(const Work& work);

  const Suite& suite_;
  bool measure_;
  std::map<std::string, Timing> timings_;
  Facts facts_;
  std::map<std::string, double> rates_;
};

}  // namespace concord::reproduce
