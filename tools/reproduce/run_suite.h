#pragma once
// Runs what of a suite has to be run, in order.

#include <map>
#include <string>
#include <vector>

#include "tools/reproduce/decision.h"
#include "tools/reproduce/program_help.h"

namespace concord::reproduce {

// The programs of a suite and what they say of their options.
class Programs {
 public:
  // Throws Error naming the step for a program that is not there, an option that it does not have,
  // one that is given a value and takes none or the reverse, and one that is required and missing.
  explicit Programs(const Suite& suite);
  const std::filesystem::path& file(const std::string& program) const;
  const ProgramHelp& help(const std::string& program) const { return help_.at(program); }
  // Whether the step's program can go on from what it saved.
  bool resumable(const Step& step) const;

 private:
  std::map<std::string, std::filesystem::path> files_;
  std::map<std::string, ProgramHelp> help_;
};

// The steps of these names (with or without their repetition) and, with `needs`, all that they
// need; all steps when there are no names. Throws UsageError for an unknown name.
std::vector<bool> chosen_steps(const Suite& suite, const std::vector<std::string>& names,
                               bool needs, const std::string& option);

struct SuiteOptions {
  std::vector<bool> chosen;  // by step
  std::vector<bool> again;   // by step
  bool keep_going = false;   // after a failure, with what does not need the failed step
  std::string command;       // to go on with, for messages
};

// Runs the chosen steps that decide() does not skip; returns which steps are done. Throws Error
// naming the step, its log and its last words when one fails (with keep_going: at the end), and
// Interrupted after Ctrl-C, when the step's program has saved what it could.
std::vector<bool> run_suite(const Suite& suite, const Workspace& workspace, ContentHashes& hashes,
                            const Programs& programs, const SuiteOptions& options,
                            std::vector<std::string>& failures);

// The file that is being read stands on the terminal's live line; Ctrl-C stops between files.
void show_reading(ContentHashes& hashes);

// By step, as far as they are known: seconds and bytes of runs with the same recipe in this folder.
struct Timing {
  double seconds = 0;
  std::uint64_t bytes = 0;
};
std::map<std::string, Timing> read_timings(const Suite& suite, const Workspace& workspace);

}  // namespace concord::reproduce
