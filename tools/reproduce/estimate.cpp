#include "tools/reproduce/estimate.h"

namespace concord::reproduce {

Estimator::Estimator(const Suite& suite, const Workspace& workspace, const Programs& programs,
                     bool measure)
    : suite_(suite),
      programs_(programs),
      measure_(measure),
      timings_(read_timings(suite, workspace)) {}

Estimate Estimator::of(std::size_t index) {
  const Step& step = suite_.steps[index];
  Estimate estimate;
  if (const auto known = timings_.find(step.name); known != timings_.end()) {
    estimate.seconds = {known->second.seconds, "measured here"};
    estimate.bytes = {static_cast<double>(known->second.bytes), "measured here"};
    return estimate;
  }
  if (step.seconds) estimate.seconds = {step.seconds, "as the plan says"};
  if (step.bytes) estimate.bytes = {step.bytes, "as the plan says"};
  (void)programs_;
  (void)measure_;
  return estimate;
}

}  // namespace concord::reproduce
