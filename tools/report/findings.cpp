#include "tools/report/findings.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "data/files.h"
#include "tools/common/interrupt.h"
#include "tools/common/terminal.h"

namespace concord::report {
namespace fs = std::filesystem;

namespace {

constexpr int kDepth = 16;  // of folders within folders

// A kind of file: where it is kept, and what it must have to be of that kind.
struct Kind {
  std::vector<Finding> Findings::*list;
  std::vector<std::string> members;
};

const std::map<std::string, Kind>& kinds() {
  static const std::map<std::string, Kind> kKinds = {
      {"config.json", {&Findings::configs, {"program", "command", "options"}}},
      {"variance.json", {&Findings::variances, {"var_orders", "var_delta", "share_delta"}}},
      {"refine.json", {&Findings::refinements, {"subsets"}}},
      {"diagnose.json", {&Findings::diagnoses, {"unreliable", "blind-spots"}}},
      {"compress.json", {&Findings::compressions, {"stages"}}},
      {"born-again.json", {&Findings::generations, {"generations"}}},
      {"similarity.json", {&Findings::similarities, {"measures"}}},
      {"results.json", {&Findings::suites, {"results", "plan"}}}};
  return kKinds;
}

std::string read_text(const fs::path& file) {
  const auto bytes = read_file(file);
  return {bytes.begin(), bytes.end()};
}

// Ours by its first words: other programs write files of these names, too.
bool is_ours(const std::string& file, const Json& json) {
  if (file == "config.json") return text_of(json, "program").starts_with("concord-");
  return json.contains("version") || file == "variance.json";
}

// Discarded where the text is no JSON. Nests no deeper than our files do, for the library copies
// values by recursion, which a hostile file could drive through the stack.
constexpr int kDeepest = 64;
Json parsed(const std::string& text) {
  return Json::parse(
      text,
      [](int depth, Json::parse_event_t, Json&) {
        check(depth <= kDeepest, "values lie more than {} deep in each other", kDeepest);
        return true;
      },
      false);
}

class Finder {
 public:
  explicit Finder(const std::vector<std::string>& folders) : several_(folders.size() > 1) {
    for (const std::string& folder : folders) {
      std::error_code error;
      check(fs::is_directory(folder, error), "{}: is no folder", folder);
      root_ = fs::canonical(folder, error);
      check(!error, "{}: cannot be read: {}", folder, error.message());
      search(root_, 0);
    }
    // What the paper asks first stands first.
    std::stable_partition(found_.variances.begin(), found_.variances.end(), [](const Finding& one) {
      return text_of(one.json, "kind") == "initialisation";
    });
    for (const Finding& config : found_.configs)
      if (config.json.contains("network") && text_of(config.json["network"], "kind") == "trans-net")
        found_.trans_nets.push_back(config);
  }

  Findings result() { return std::move(found_); }

 private:
  void search(const fs::path& folder, int depth) {
    tool::stop_if_interrupted();
    if (depth > kDepth || !seen_.insert(folder).second) return;
    std::error_code error;
    std::vector<fs::path> files, folders;
    for (const auto& entry : fs::directory_iterator(folder, error)) {
      std::error_code ignored;
      const std::string name = entry.path().filename().string();
      // A link could lead anywhere, and back.
      if (name.starts_with('.') || entry.is_symlink(ignored)) continue;
      if (entry.is_directory(ignored))
        folders.push_back(entry.path());
      else if (name == "metrics.jsonl" || kinds().contains(name))
        files.push_back(entry.path());
    }
    if (error) found_.damaged(folder.string(), "cannot be read: " + error.message());
    std::sort(files.begin(), files.end());
    std::sort(folders.begin(), folders.end());
    for (const fs::path& file : files) take(file);
    for (const fs::path& below : folders) search(below, depth + 1);
  }

  void take(const fs::path& file) {
    try {
      if (file.filename() == "metrics.jsonl")
        take_metrics(file);
      else
        take_json(file);
    } catch (const Error& error) {
      const std::string what = error.what();
      const std::string start = file.string() + ": ";
      found_.damaged(file.string(), what.starts_with(start) ? what.substr(start.size()) : what);
    }
  }

  void take_json(const fs::path& file) {
    const std::string name = file.filename().string();
    Json json = parsed(read_text(file));
    check(!json.is_discarded(), "is no JSON; was it cut short?");
    if (!json.is_object() || !is_ours(name, json)) return;
    const Kind& kind = kinds().at(name);
    for (const std::string& member : kind.members)
      check(json.contains(member), "has no \"{}\"", member);
    (found_.*kind.list)
        .push_back({name_of(file.parent_path()), file.parent_path(), name, std::move(json)});
  }

  void take_metrics(const fs::path& file) {
    const std::string text = read_text(file);
    MetricsFile metrics{name_of(file.parent_path()), file.parent_path(), {}};
    std::size_t number = 0;
    for (std::size_t begin = 0; begin < text.size();) {
      const std::size_t end = std::min(text.find('\n', begin), text.size());
      const std::string words = text.substr(begin, end - begin);
      ++number;
      if (words.find_first_not_of(" \t\r") == std::string::npos) {
        begin = end + 1;
        continue;
      }
      Json line = parsed(words);
      // The last line of a run that is being written, or was killed while it was.
      if (!line.is_object() && end == text.size()) break;
      check(line.is_object(), "line {} is no JSON object", number);
      if (number_of(line, "epoch")) metrics.epochs.push_back(std::move(line));
      begin = end + 1;
    }
    if (!metrics.epochs.empty()) found_.metrics.push_back(std::move(metrics));
  }

  // Below the folder that was asked for, which a suite's "steps" says nothing in.
  std::string name_of(const fs::path& folder) const {
    fs::path below = folder.lexically_relative(root_);
    if (below == ".") return root_.filename().string();
    if (*below.begin() == "steps" && std::distance(below.begin(), below.end()) > 1) {
      fs::path rest;
      for (auto part = std::next(below.begin()); part != below.end(); ++part) rest /= *part;
      below = rest;
    }
    return ((several_ ? root_.filename() : fs::path()) / below).string();
  }

  Findings found_;
  fs::path root_;
  std::set<fs::path> seen_;
  bool several_;
};

}  // namespace

const Finding* Findings::config_of(const fs::path& folder) const {
  const auto found = std::find_if(configs.begin(), configs.end(),
                                  [&](const Finding& config) { return config.folder == folder; });
  return found == configs.end() ? nullptr : &*found;
}

RunPaths Findings::paths_of(const fs::path& folder) const {
  const Finding* config = config_of(folder);
  if (config == nullptr) return {};
  const Json recorded = option_of(config->json, "output-dir");
  return recorded.is_string() ? RunPaths(recorded.get<std::string>(), folder) : RunPaths();
}

void Findings::damaged(const std::string& file, const std::string& what) {
  for (const Damage& damage : damages)
    if (damage.file == file && damage.what == what) return;
  damages.push_back({file, what});
  tool::warn("{}: {}; the report is made without it", file, what);
}

Findings find(const std::vector<std::string>& folders) {
  Findings findings = Finder(folders).result();
  std::string where;
  for (const std::string& folder : folders) where += (where.empty() ? "" : ", ") + folder;
  check(!findings.configs.empty() || !findings.variances.empty() || !findings.metrics.empty() ||
            !findings.suites.empty() || !findings.refinements.empty() ||
            !findings.diagnoses.empty() || !findings.compressions.empty() ||
            !findings.generations.empty() || !findings.similarities.empty(),
        "{}: holds nothing to report; looked for are the output folders of Concord's programs, by "
        "their config.json, metrics.jsonl, variance.json, refine.json, diagnose.json, "
        "compress.json, born-again.json, similarity.json and results.json",
        where);
  return findings;
}

void each(Findings& findings, const std::vector<Finding>& some,
          const std::function<void(const Finding&)>& show) {
  for (const Finding& finding : some) {
    const std::string file = (finding.folder / finding.file).string();
    try {
      show(finding);
    } catch (const Json::exception& error) {
      // Without the library's own number of the error.
      const std::string what = error.what();
      const std::size_t end = what.find("] ");
      findings.damaged(file, end == std::string::npos ? what : what.substr(end + 2));
    } catch (const tool::Interrupted&) {
      throw;
    } catch (const Error& error) {
      findings.damaged(file, error.what());
    }
  }
}

std::string text_of(const Json& json, const std::string& key) {
  return json.is_object() && json.contains(key) && json[key].is_string()
             ? json[key].get<std::string>()
             : "";
}

std::optional<double> number_of(const Json& json, const std::string& key) {
  if (!json.is_object() || !json.contains(key) || !json[key].is_number()) return {};
  const double value = json[key].get<double>();
  return std::isfinite(value) ? std::optional(value) : std::nullopt;
}

Json option_of(const Json& config, const std::string& name) {
  return config.contains("options") && config["options"].is_object() &&
                 config["options"].contains(name)
             ? config["options"][name]
             : Json();
}

}  // namespace concord::report
