#include "tools/reproduce/estimate.h"

#include "tools/common/terminal.h"

namespace concord::reproduce {

Estimator::Estimator(const Suite& suite, const Workspace& workspace, const Programs& programs,
                     bool measure)
    : suite_(suite),
      measure_(measure),
      timings_(read_timings(suite, workspace)),
      facts_(suite, workspace, programs) {}

const Timing* Estimator::timing_of(const Step& step, std::string& source) const {
  if (const auto known = timings_.find(step.name); known != timings_.end()) {
    source = "measured here";
    return &known->second;
  }
  for (const Step& other : suite_.steps)
    if (other.base == step.base && other.program == step.program)
      if (const auto known = timings_.find(other.name); known != timings_.end()) {
        source = "as " + other.name + ", measured here";
        return &known->second;
      }
  return nullptr;
}

Estimate Estimator::of(std::size_t index) {
  const Step& step = suite_.steps[index];
  const StepCost cost = cost_of(step, facts_);
  Estimate estimate;
  estimate.temporary_bytes = cost.temporary_bytes;
  std::string source;
  if (const Timing* known = timing_of(step, source)) {
    estimate.seconds = {known->seconds, source};
    estimate.bytes = {static_cast<double>(known->bytes), source};
    return estimate;
  }
  if (step.seconds)
    estimate.seconds = {step.seconds, "as the plan says"};
  else
    estimate.seconds = measured_seconds(cost.work);
  if (step.bytes)
    estimate.bytes = {step.bytes, "as the plan says"};
  else if (cost.bytes)
    estimate.bytes = {cost.bytes, "computed"};
  return estimate;
}

Amount Estimator::measured_seconds(const std::vector<Work>& work) {
  if (work.empty()) return {};
  if (!measure_) return {.value = {}, .source = "--measure times it"};
  double seconds = 0;
  try {
    for (const Work& part : work)
      if (part.images > 0) seconds += part.images / rate_of(part);
  } catch (const Error& error) {
    return {.value = {}, .source = error.what()};
  }
  return {.value = seconds, .source = "timed now, without reading images"};
}

double Estimator::rate_of(const Work& work) {
  std::string key = work.step;
  for (const std::string& word : work.arguments) key += " " + word;
  if (const auto known = rates_.find(key); known != rates_.end()) return known->second;
  tool::write_live("timing " + key);
  std::vector<std::string> words = {"--step",        work.step, "--format",   "json",
                                    "--repetitions", "1",       "--min-time", "0.1"};
  words.insert(words.end(), work.arguments.begin(), work.arguments.end());
  const Json json = Json::parse(output_of(program_file("bench"), words), nullptr, false);
  tool::write_live("");
  const Json::json_pointer rate("/benchmarks/0/images_per_second");
  check(!json.is_discarded() && json.contains(rate) && json[rate].is_number() && json[rate] > 0,
        "concord-bench --step {} told no rate", work.step);
  return rates_[key] = json[rate].get<double>();
}

}  // namespace concord::reproduce
