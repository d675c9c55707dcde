#include "tools/reproduce/dry_run.h"

#include <algorithm>

#include "tools/common/interrupt.h"
#include "tools/common/progress.h"
#include "tools/common/shell_word.h"
#include "tools/common/terminal.h"
#include "tools/reproduce/estimate.h"

namespace concord::reproduce {
namespace {

std::string bytes_text(double bytes) {
  if (bytes < 1 << 20) return fmt::format("{:.0f} KiB", bytes / (1 << 10));
  if (bytes < 1 << 30) return fmt::format("{:.1f} MiB", bytes / (1 << 20));
  return fmt::format("{:.1f} GiB", bytes / (1 << 30));
}

std::string described(const Amount& amount, bool time) {
  if (!amount.value) return "unknown" + (amount.source.empty() ? "" : " (" + amount.source + ")");
  return (time ? tool::duration(*amount.value) : bytes_text(*amount.value)) + " (" + amount.source +
         ")";
}

struct Sum {
  double known = 0;
  int unknown = 0;
  void add(const Amount& amount) {
    known += amount.value.value_or(0);
    unknown += amount.value ? 0 : 1;
  }
  std::string text(bool time) const {
    const std::string sum = time ? tool::duration(known) : bytes_text(known);
    return unknown == 0 ? sum : fmt::format("{} and {} steps that are unknown", sum, unknown);
  }
};

}  // namespace

void print_dry_run(const Suite& suite, const Workspace& workspace, const Programs& programs,
                   const SuiteOptions& options, bool measure) {
  ContentHashes hashes(workspace.hashes());
  show_reading(hashes);
  Estimator estimator(suite, workspace, programs, measure);
  std::vector<std::string> because(suite.steps.size());  // empty: would be skipped
  Sum time;
  Sum disk;
  double temporary = 0;
  int running = 0;
  for (std::size_t i = 0; i < suite.steps.size(); ++i) {
    if (!options.chosen[i]) continue;
    tool::stop_if_interrupted();
    const Step& step = suite.steps[i];
    for (const std::size_t other : step.needs)
      if (!because[other].empty() && because[i].empty())
        because[i] = "after " + suite.steps[other].name;
    if (because[i].empty()) {
      const Decision decision =
          decide(step, workspace, hashes, programs.resumable(step), options.again[i]);
      if (decision.action != Action::kSkip) because[i] = decision.reason;
    }
    std::string text = fmt::format("{}: {}\n", step.name,
                                   because[i].empty() ? "done, would be skipped" : because[i]);
    std::string command = "concord-" + step.program;
    for (const std::string& word : workspace.command(step)) command += " " + tool::quoted(word);
    text += "    " + command + "\n";
    if (!because[i].empty()) {
      const Estimate estimate = estimator.of(i);
      time.add(estimate.seconds);
      disk.add(estimate.bytes);
      temporary = std::max(temporary, estimate.temporary_bytes);
      ++running;
      text += fmt::format("    time {}, disk {}", described(estimate.seconds, true),
                          described(estimate.bytes, false));
      if (estimate.temporary_bytes > 0)
        text += fmt::format(", and {} while it runs", bytes_text(estimate.temporary_bytes));
      text += "\n";
    }
    tool::write_result(tool::without_controls(text));
  }
  std::string sum = fmt::format("{} steps would run: time {}, disk {}", running, time.text(true),
                                disk.text(false));
  if (temporary > 0) sum += fmt::format(", and up to {} while a step runs", bytes_text(temporary));
  tool::write_result(sum + "\n");
}

}  // namespace concord::reproduce
