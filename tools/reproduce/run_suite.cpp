#include "tools/reproduce/run_suite.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <fstream>

#include "data/files.h"
#include "engine/text.h"
#include "tools/common/interrupt.h"
#include "tools/common/program.h"
#include "tools/common/progress.h"
#include "tools/common/run_directory.h"
#include "tools/common/terminal.h"
#include "tools/reproduce/child.h"
#include "tools/reproduce/child_log.h"

namespace concord::reproduce {
namespace fs = std::filesystem;
using tool::note;

namespace {

void check_options(const Step& step, const ProgramHelp& help) {
  const auto names = [&] {
    std::vector<std::string> known;
    for (const auto& [name, option] : help) known.push_back(name);
    return known;
  };
  for (const auto& [name, value] : step.options.items()) {
    if (value.is_null() || value == false) continue;
    const auto found = help.find(name);
    check(found != help.end(), "options: {} is no option of concord-{}; near it are {}", name,
          step.program, nearest_names(name, names()));
    check(found->second.takes_value != (value == true),
          "options: {} of concord-{} {}, and is given {}", name, step.program,
          found->second.takes_value ? "takes a value" : "takes none, only true or false",
          value.dump().substr(0, 60));
  }
  for (const auto& [name, option] : help) {
    const bool given = step.options.contains(name) && !step.options[name].is_null();
    check(!option.required || given || name == "--output-dir",
          "options: {} is missing, which concord-{} requires", name, step.program);
  }
  check(!step.gives_output_dir || help.contains("--output-dir"),
        "concord-{} has no --output-dir; give \"output_dir\": false, and name its files with "
        "${{out}}/FILE",
        step.program);
}

Json read_timings_file(const fs::path& file) {
  std::ifstream stream(file);
  Json json = Json::parse(stream, nullptr, false);
  return json.is_object() && json.contains("steps") && json["steps"].is_object()
             ? json
             : Json{{"steps", Json::object()}};
}

using Clock = std::chrono::steady_clock;
double since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

class Runner {
 public:
  Runner(const Suite& suite, const Workspace& workspace, ContentHashes& hashes,
         const Programs& programs, const SuiteOptions& options, std::vector<std::string>& failures)
      : suite_(suite),
        workspace_(workspace),
        hashes_(hashes),
        programs_(programs),
        options_(options),
        failures_(failures),
        done_(suite.steps.size()) {}

  std::vector<bool> run() {
    show_reading(hashes_);
    const auto count = std::count(options_.chosen.begin(), options_.chosen.end(), true);
    std::ptrdiff_t number = 0;
    for (std::size_t i = 0; i < suite_.steps.size(); ++i) {
      if (!options_.chosen[i]) continue;
      const Step& step = suite_.steps[i];
      label_ = fmt::format("[{}/{}] {}", ++number, count, step.name);
      try {
        tool::stop_if_interrupted();
        one(i);
      } catch (const tool::Interrupted&) {
        tool::write_live("");
        hashes_.save();
        throw tool::Interrupted(
            fmt::format("interrupted at step {}, {} of {}; what is done is kept. To go on:\n  {}",
                        step.name, number, count, options_.command));
      } catch (const Error& error) {
        failures_.push_back(fmt::format("step {}: {}", step.name, error.what()));
        if (!options_.keep_going) break;
        tool::write_error(failures_.back());
      }
      hashes_.save();
    }
    tool::write_live("");
    return done_;
  }

 private:
  void one(std::size_t index) {
    const Step& step = suite_.steps[index];
    for (const std::size_t other : step.needs)
      check(done_[other], "not run, for it needs the step {}", suite_.steps[other].name);
    const bool resumable = programs_.resumable(step);
    const Decision decision = decide(step, workspace_, hashes_, resumable, options_.again[index]);
    if (decision.action == Action::kSkip) {
      note("{}: unchanged", label_);
    } else {
      note("{}: {}", label_, decision.reason);
      carry_out(step, decision);
    }
    done_[index] = true;
  }

  void carry_out(const Step& step, const Decision& decision) {
    StepRecord record;
    // Before anything is removed: reading them may take long, and be interrupted.
    record.inputs = hashes_of_inputs(step, workspace_, hashes_);
    const auto before = read_record(workspace_.record(step.name));
    const bool resumes = decision.action == Action::kResume;
    if (resumes && before) {
      record.seconds = before->seconds;
      record.continued = true;
    } else {
      workspace_.clear(step);
    }
    record.status = "running";
    record.recipe = recipe_of(step);
    record.folder = workspace_.root().string();
    write_record(workspace_.record(step.name), record);

    const Clock::time_point start = Clock::now();
    int code = run_program_of(step, resumes);
    // Some programs go on from what others of their options made only.
    if (resumes && code == tool::kWrongUsage) {
      workspace_.clear(step);
      code = run_program_of(step, false);
    }
    record.seconds += since(start);
    if (tool::interrupted() && code != 0) {
      write_record(workspace_.record(step.name), record);
      tool::stop_if_interrupted();
    }
    if (code != 0) {
      record.status = "failed";
      write_record(workspace_.record(step.name), record);
      const std::string words = end_of_log(workspace_.log(step.name), 4);
      fail("concord-{} {}; the end of {}:\n{}", step.program,
           code > 0 ? fmt::format("failed with exit code {}", code)
                    : fmt::format("was ended by signal {}", -code),
           workspace_.log(step.name).string(), words);
    }
    record.output = hashes_.of(workspace_.folder(step.name), Records::kCounted);
    check(record.output.files > 0, "concord-{} wrote nothing into {}", step.program,
          workspace_.folder(step.name).string());
    record.status = "done";
    write_record(workspace_.record(step.name), record);
    keep_timing(step, record);
    note("{}: done in {}", label_, tool::duration(record.seconds));
  }

  int run_program_of(const Step& step, bool resumes) {
    std::vector<std::string> words = workspace_.command(step);
    if (resumes) words.emplace_back("--resume");
    const fs::path log = workspace_.log(step.name);
    begin_log(log, step.program, words);
    if (!step.gives_output_dir) {
      std::error_code error;
      fs::create_directories(workspace_.folder(step.name), error);
      check(!error, "{}: cannot be created: {}", workspace_.folder(step.name).string(),
            error.message());
    }
    ChildOptions child;
    child.standard_output = workspace_.standard_output(step);
    child.standard_error = log;
    child.kept_open = workspace_.lock();
    tool::write_live("");
    const ChildLine shown(label_, log, start_);
    return run_child(programs_.file(step.program), words, child);
  }

  void keep_timing(const Step& step, const StepRecord& record) const {
    Json timings = read_timings_file(workspace_.timings());
    timings["steps"][step.name] = {{"seconds", std::round(record.seconds * 1000) / 1000},
                                   {"bytes", record.output.bytes},
                                   {"continued", record.continued},
                                   {"recipe", record.recipe}};
    write_file(workspace_.timings(), tool::text_of_json(timings, 2) + "\n");
  }

  const Suite& suite_;
  const Workspace& workspace_;
  ContentHashes& hashes_;
  const Programs& programs_;
  const SuiteOptions& options_;
  std::vector<std::string>& failures_;
  std::vector<bool> done_;
  std::string label_;
  Clock::time_point start_ = Clock::now();
};

}  // namespace

void show_reading(ContentHashes& hashes) {
  hashes.set_watch([shown = Clock::time_point{}](const fs::path& file) mutable {
    tool::stop_if_interrupted();
    if (since(shown) < 0.1) return;
    shown = Clock::now();
    tool::write_live(tool::without_controls("reading " + file.string()));
  });
}

Programs::Programs(const Suite& suite) {
  for (const Step& step : suite.steps)
    located("step " + step.name, [&] {
      if (!files_.contains(step.program)) {
        files_[step.program] = program_file(step.program);
        help_[step.program] = help_of(files_[step.program]);
      }
      check_options(step, help_[step.program]);
    });
}

const fs::path& Programs::file(const std::string& program) const { return files_.at(program); }

bool Programs::resumable(const Step& step) const {
  return step.gives_output_dir && help_.at(step.program).contains("--resume");
}

std::vector<bool> chosen_steps(const Suite& suite, const std::vector<std::string>& names,
                               bool needs, const std::string& option) {
  std::vector<bool> chosen(suite.steps.size(), names.empty() && needs);
  for (const std::string& name : names) {
    bool found = false;
    std::vector<std::string> known;
    for (std::size_t i = 0; i < suite.steps.size(); ++i) {
      const Step& step = suite.steps[i];
      known.push_back(step.name);
      if (step.name != name && step.base != name) continue;
      chosen[i] = found = true;
    }
    tool::check_usage(found, "{} {}: there is no such step; near it are {}", option, name,
                      nearest_names(name, known));
  }
  // Every step stands behind those that it needs.
  for (std::size_t i = suite.steps.size(); needs && i-- > 0;)
    if (chosen[i])
      for (const std::size_t other : suite.steps[i].needs) chosen[other] = true;
  return chosen;
}

std::vector<bool> run_suite(const Suite& suite, const Workspace& workspace, ContentHashes& hashes,
                            const Programs& programs, const SuiteOptions& options,
                            std::vector<std::string>& failures) {
  return Runner(suite, workspace, hashes, programs, options, failures).run();
}

std::map<std::string, Timing> read_timings(const Suite& suite, const Workspace& workspace) {
  const Json json = read_timings_file(workspace.timings());
  std::map<std::string, Timing> timings;
  for (const Step& step : suite.steps) {
    const Json known = json["steps"].value(step.name, Json());
    if (!known.is_object() || known.value("recipe", Json()) != recipe_of(step) ||
        known.value("continued", true))
      continue;
    timings[step.name] = {.seconds = known.value("seconds", 0.0),
                          .bytes = known.value("bytes", std::uint64_t{0})};
  }
  return timings;
}

}  // namespace concord::reproduce
