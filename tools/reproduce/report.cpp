#include "tools/reproduce/report.h"

#include <fstream>
#include <iterator>

#include "data/files.h"
#include "data/sha256.h"
#include "tools/common/interrupt.h"
#include "tools/common/shell_word.h"
#include "tools/common/terminal.h"
#include "tools/reproduce/child.h"
#include "tools/reproduce/child_log.h"
#include "tools/reproduce/program_help.h"

namespace concord::reproduce {
namespace fs = std::filesystem;

namespace {

std::string text_of(const fs::path& file) {
  std::ifstream stream(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

// Changes when the results do, what a step wrote, or the program that makes the report.
std::string fingerprint(const Suite& suite, const Workspace& workspace) {
  std::string text = "results " + sha256_of_file(workspace.root() / "results.json") + "\n";
  text += "concord-visualize " + sha256_of_file(program_file("visualize")) + "\n";
  for (const Step& step : suite.steps)
    if (const auto record = read_record(workspace.record(step.name)))
      text += fmt::format("{} {} {}\n", step.name, record->status, record->output.hash);
  return text;
}

void run_visualize(const Workspace& workspace, const std::vector<std::string>& words) {
  const fs::path log = workspace.root() / "logs" / "report.log";
  ChildOptions child;
  child.standard_output = workspace.root() / "logs" / "report.stdout";
  child.standard_error = log;
  child.kept_open = workspace.lock();
  begin_log(log, "visualize", words);
  tool::write_live("");
  const int code = [&] {
    const ChildLine shown("making the report", log);
    return run_child(program_file("visualize"), words, child);
  }();
  if (code != 0) tool::stop_if_interrupted();
  check(code == 0, "concord-visualize {}; what it said is in {}",
        code > 0 ? fmt::format("failed with exit code {}", code)
                 : fmt::format("was ended by signal {}", -code),
        log.string());
}

}  // namespace

void make_report(const Suite& suite, const Workspace& workspace) {
  const fs::path folder = workspace.root() / "report";
  const fs::path page = folder / "index.html";
  const fs::path made_of = folder / "made-of";
  const std::vector<std::string> words = {"--report", workspace.root().string(), "--output-dir",
                                          folder.string(), "--force"};
  try {
    const std::string results = fingerprint(suite, workspace);
    std::error_code error;
    if (fs::is_regular_file(page, error) && text_of(made_of) == results) {
      tool::note("the report is unchanged: {}", page.string());
      return;
    }
    run_visualize(workspace, words);
    write_file(made_of, results);
    tool::note("the report: {}", page.string());
  } catch (const tool::Interrupted&) {
    throw;
  } catch (const Error& error) {
    std::string command = "concord-visualize";
    for (const std::string& word : words) command += " " + tool::quoted(word);
    tool::warn("the report was not made: {}\nto make it by hand:\n  {}", error.what(), command);
  }
}

}  // namespace concord::reproduce
