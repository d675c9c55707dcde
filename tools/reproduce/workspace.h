#pragma once
// The folder of a suite:
//
//   config.json             the plan's name, the command, the version
//   plan.json               the plan as it was given
//   steps/STEP/             what a step's program writes (its --output-dir)
//   logs/STEP.log .stdout   what it says
//   state/STEP.json         what it was made with (StepRecord)
//   hashes                  ContentHashes
//   timings.json            seconds and bytes of each step
//   results.json tables.md  written when all steps are done
//   report/                 the page of all this (make_report)

#include <filesystem>
#include <optional>
#include <string>

#include "engine/descriptor.h"
#include "tools/reproduce/content_hashes.h"
#include "tools/reproduce/suite.h"

namespace concord::reproduce {

class Workspace {
 public:
  // Touches nothing.
  explicit Workspace(const std::filesystem::path& root);

  // Makes the folder this plan's, for this process alone. Throws Error naming it when it holds
  // another plan's suite or anything else and `force` is not given, when another process works in
  // it (after waiting two seconds for one that is ending), and when it cannot be written.
  void claim(const PlanFile& plan, bool force, const Json& config);
  // Of the lock, for programs to hold it too: a step that has outlived its suite keeps others out.
  int lock() const { return lock_ ? lock_->get() : -1; }

  const std::filesystem::path& root() const { return root_; }
  std::filesystem::path folder(const std::string& step) const { return root_ / "steps" / step; }
  std::filesystem::path log(const std::string& step) const {
    return root_ / "logs" / (step + ".log");
  }
  std::filesystem::path standard_output(const Step& step) const;
  std::filesystem::path record(const std::string& step) const {
    return root_ / "state" / (step + ".json");
  }
  std::filesystem::path hashes() const { return root_ / "hashes"; }
  std::filesystem::path timings() const { return root_ / "timings.json"; }

  // The text with ${step:NAME} as folders.
  std::string resolve(const std::string& text) const;
  // The words after the program's name.
  std::vector<std::string> command(const Step& step) const;
  // Removes what a step has written, and what its program left hidden beside it when it was killed.
  void clear(const Step& step) const;

 private:
  std::filesystem::path root_;
  std::optional<Descriptor> lock_;
};

// What a step was made with, kept in state/.
struct StepRecord {
  std::string status;            // "running" (also when it was stopped or killed), "failed", "done"
  Json recipe;                   // recipe_of()
  std::string folder;            // of the suite, when the step began
  Json inputs = Json::object();  // hashes by path, with ${step:NAME}
  Content output;                // of a step that is done
  double seconds = 0;            // of the times that it ran, where they are known
  bool continued = false;        // it was resumed, so that `seconds` may lack a killed run's
};

// Absent where there is none, or one that makes no sense.
std::optional<StepRecord> read_record(const std::filesystem::path& file);
void write_record(const std::filesystem::path& file, const StepRecord& record);

// The program, its words and Concord's version: what else but its inputs decides a step's output.
Json recipe_of(const Step& step);

}  // namespace concord::reproduce
