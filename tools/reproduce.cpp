// concord-reproduce: runs a suite of experiments from a plan, skipping what is done already.

#include <algorithm>
#include <cstdio>
#include <optional>

#include "data/files.h"
#include "data/sha256.h"
#include "tools/common/options.h"
#include "tools/common/program.h"
#include "tools/common/run_directory.h"
#include "tools/common/terminal.h"
#include "tools/reproduce/dry_run.h"
#include "tools/reproduce/report.h"
#include "tools/reproduce/results.h"
#include "tools/reproduce/run_suite.h"

namespace concord::tool {
namespace {

using namespace reproduce;
namespace fs = std::filesystem;

struct Options {
  std::string plan;
  RunOptions run;
  std::vector<std::string> set, only, again;
  std::size_t repetitions = 0;
  bool keep_going = false;
  bool dry_run = false;
  bool measure = false;
  bool no_report = false;
};

std::string sha256_of(const std::string& text) {
  Sha256 hash;
  hash.add({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
  return hash.digest();
}

// What --set said; of what names inputs of steps ("FOLDER", "mix320:CUB,DOGS") what lies there, for
// results are the same wherever the data is.
Json settings_of(const std::vector<std::string>& assignments, const PlanFile& plan,
                 const Suite& suite, ContentHashes& hashes) {
  const auto is_input = [&](const std::string& path) {
    return std::any_of(suite.steps.begin(), suite.steps.end(), [&](const Step& step) {
      return std::find(step.inputs.begin(), step.inputs.end(), path) != step.inputs.end();
    });
  };
  Json settings = Json::object();
  for (const std::string& assignment : assignments) {
    const std::string name = assignment.substr(0, assignment.find('='));
    const Json& value = plan.variables[name];
    Json found = Json::array();
    for (const std::string& path : reproduce::paths_in(value, true))
      if (is_input(path))
        if (const std::string hash = hashes.of(path, Records::kLeftOut).hash; hash != kAbsent)
          found.push_back(hash);
    const std::string text = value.is_string() ? value.get<std::string>() : "";
    const std::size_t colon = text.find(':');
    if (found.empty() && text.find('/') == std::string::npos)
      settings[name] = value;
    else if (found.empty())
      settings[name] = {{"sha256", sha256_of(text)}};
    else if (is_input(text) || colon == std::string::npos)
      settings[name] = {{"sha256", found.size() == 1 ? found[0] : found}};
    else
      settings[name] = {{"kind", text.substr(0, colon)},
                        {"sha256", found.size() == 1 ? found[0] : found}};
  }
  return settings;
}

void write_results(const Options& options, const PlanFile& plan, const Suite& suite,
                   const Workspace& workspace, ContentHashes& hashes, const std::vector<bool>& done,
                   std::vector<std::string>& failures) {
  const std::vector<Measured> measured = reproduce::measure(
      suite,
      [&](const ResultSource& source) {
        return done[source.step] ? std::optional<fs::path>(workspace.resolve(source.from))
                                 : std::nullopt;
      },
      failures);
  Json json;
  json["plan"] = plan.name;
  json["plan_sha256"] = sha256_of(plan.text);
  json["set"] = settings_of(options.set, plan, suite, hashes);
  json["version"] = CONCORD_VERSION;
  json.update(results_json(suite, measured));
  write_file(workspace.root() / "results.json", text_of_json(json, 2) + "\n");
  write_file(workspace.root() / "tables.md", markdown_of(plan, suite, measured));
  print_results(suite, measured);
}

void reproduce_plan(Options& options, const CommandLine& line) {
  check_usage(!options.run.output_dir.empty(), "--output-dir is required");
  PlanFile plan = read_plan(options.plan);
  for (const std::string& assignment : options.set) set_variable(plan, assignment);
  const Suite suite =
      expand(plan, line.given("--repetitions") ? std::optional(options.repetitions) : std::nullopt);
  const Programs programs(suite);
  SuiteOptions running{.chosen = chosen_steps(suite, options.only, true, "--only"),
                       .again = chosen_steps(suite, options.again, false, "--again"),
                       .keep_going = options.keep_going,
                       .command = line.command()};
  Workspace workspace(options.run.output_dir);
  if (options.dry_run) return print_dry_run(suite, workspace, programs, running, options.measure);

  workspace.claim(plan, options.run.force,
                  {{"program", line.text().name},
                   {"version", CONCORD_VERSION},
                   {"plan", plan.name},
                   {"command", line.command()},
                   {"options", line.values()}});
  ContentHashes hashes(workspace.hashes());
  std::vector<std::string> failures;
  const std::vector<bool> done = run_suite(suite, workspace, hashes, programs, running, failures);
  if (options.only.empty())
    write_results(options, plan, suite, workspace, hashes, done, failures);
  else if (failures.empty())
    note("results are written by a run without --only");
  hashes.save();
  if (options.only.empty() && !options.no_report) make_report(suite, workspace);
  std::string text;
  for (const std::string& failure : failures) text += (text.empty() ? "" : "\n") + failure;
  check(failures.empty(), "{}\nwhat is done is kept; the same command goes on from there", text);
  note("all done; what the steps wrote is in {}", (workspace.root() / "steps").string());
}

}  // namespace
}  // namespace concord::tool

int main(int argc, char** argv) {
  using namespace concord::tool;
  Options options;
  CommandLine line(
      {.name = "concord-reproduce",
       .summary = "Runs the experiments of a plan, each step once: what is done and unchanged is "
                  "skipped, what was stopped goes on.",
       .example = "  concord-reproduce plans/small.json --output-dir small --dry-run\n"
                  "  concord-reproduce plans/small.json --output-dir small\n"
                  "  concord-reproduce plans/small.json --output-dir mine --set data=photographs\n"
                  "The first prints the commands, the second runs them and prints the tables, "
                  "measured\nbeside the paper's values; given again it skips every step.",
       .footnote =
           "Writes into the output folder: steps/STEP (what each step's program writes), "
           "logs/STEP.log,\nresults.json (values, means, deviations; the same bits from the same "
           "runs), tables.md,\ntimings.json, report/index.html (concord-visualize --report: "
           "everything in one page). A "
           "folder of the same plan goes on without a flag. The "
           "plan's format is in\ndocs/reproduce.md."});
  line.option("plan", options.plan, "the plan, a JSON file").required();
  // One word each: the plan may stand behind them, and a value may hold commas.
  line.option("--set", options.set,
              "NAME=VALUE: another value of a variable of the plan; repeat it for several")
      .one_word()
      .keeping_commas();
  line.option("--repetitions", options.repetitions,
              "the first so many of the plan's repetitions (default: all)", in_range(1, 1e6));
  line.at("--repetitions").without_default();
  line.option("--only", options.only, "these steps and what they need, by name, apart by commas")
      .one_word();
  line.option("--again", options.again, "these steps are run though they are done").one_word();
  line.flag("--keep-going", options.keep_going,
            "after a failure, run the steps that do not need the failed one");
  line.flag("--dry-run", options.dry_run,
            "print each step's command, why it would run, and the time and disk it needs; run and "
            "write nothing");
  line.flag("--measure", options.measure,
            "of --dry-run: time a training step (concord-bench) where no earlier run tells the "
            "time");
  line.flag("--no-report", options.no_report, "make no page of the results at the end");
  line.option("--output-dir", options.run.output_dir, "folder for everything");
  line.flag("--force", options.run.force,
            "take a folder that holds another plan's suite or anything else; only files of this "
            "plan's steps are replaced");
  add_quiet_option(line, options.run);
  return run_program(line, argc, argv, [&] {
    if (!options.dry_run) line.refuse({"--measure"}, "needs --dry-run");
    reproduce_plan(options, line);
  });
}
