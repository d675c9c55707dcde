#include "tools/bench/interactive.h"

#include <charconv>
#include <chrono>
#include <cstdio>
#include <iostream>
#include <nlohmann/json.hpp>

#include "kernels/device.h"
#include "kernels/memory.h"
#include "tools/bench/peak_memory.h"
#include "tools/common/interrupt.h"
#include "tools/common/terminal.h"

namespace concord::bench {
namespace {

void answer(const nlohmann::ordered_json& json) {
  tool::write_result(json.dump() + "\n");
  std::fflush(stdout);
}

// N of "run N".
std::int64_t count_of(const std::string& line) {
  std::int64_t count = 0;
  const char* end = line.data() + line.size();
  const bool run = line.starts_with("run ");
  const auto [at, error] = std::from_chars(line.data() + (run ? 4 : line.size()), end, count);
  check(run && error == std::errc() && at == end && count > 0,
        "\"{}\" on standard input: \"run N\" with N > 0, or \"quit\" expected", line);
  return count;
}

}  // namespace

void serve_step(const std::string& name, const StepOptions& options) {
  using Clock = std::chrono::steady_clock;
  const std::size_t baseline = resident_bytes();
  const std::unique_ptr<WholeStep> step = make_step(name, options);
  const bool reset = reset_peak();
  answer({{"ready", name},
          {"images", step->images()},
          {"baseline_bytes", baseline},
          {"resident_bytes", resident_bytes()},
          {"peak_is_of_steps", reset}});
  for (std::string line; std::getline(std::cin, line) && line != "quit";) {
    nlohmann::ordered_json seconds = nlohmann::ordered_json::array();
    nlohmann::ordered_json values = nlohmann::ordered_json::array();
    for (std::int64_t left = count_of(line); left > 0; --left) {
      tool::stop_if_interrupted();
      const Clock::time_point start = Clock::now();
      step->run();
      if (options.device.type != DeviceType::kCpu) kernels::synchronize(options.device);
      seconds.push_back(std::chrono::duration<double>(Clock::now() - start).count());
      values.push_back(step->value());
    }
    answer({{"seconds", seconds},
            {"values", values},
            {"peak_bytes", peak_resident_bytes()},
            {"device_peak_bytes", kernels::memory_statistics(options.device).peak_in_use}});
  }
}

}  // namespace concord::bench
