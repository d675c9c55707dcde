#pragma once
// What programs left in folders, for a report of it.

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "kernels/error.h"
#include "tools/report/html.h"
#include "tools/report/paths.h"

namespace concord::report {

// A JSON file of ours.
struct Finding {
  std::string name;              // of its folder, as the report calls it: "variance-init.0-5"
  std::filesystem::path folder;  // that it lies in
  std::string file;              // its name: "variance.json"
  Json json;                     // an object
};

// metrics.jsonl: an object per epoch.
struct MetricsFile {
  std::string name;
  std::filesystem::path folder;
  std::vector<Json> epochs;
};

struct Damage {
  std::string file;
  std::string what;
};

struct Findings {
  std::vector<Finding> configs;  // config.json of every run
  std::vector<Finding> variances, refinements, diagnoses, compressions, generations, similarities;
  std::vector<Finding> suites;      // results.json of concord-reproduce
  std::vector<Finding> trans_nets;  // configs of runs whose checkpoint is a Trans-Net
  std::vector<MetricsFile> metrics;
  std::vector<Damage> damages;
  std::vector<std::string> notes;  // what the report leaves out, a sentence each

  // The config.json of a folder; null where there is none.
  const Finding* config_of(const std::filesystem::path& folder) const;
  // The paths of a run as they are now.
  RunPaths paths_of(const std::filesystem::path& folder) const;
  // Names a damaged file in a warning and on the page.
  void damaged(const std::string& file, const std::string& what);
};

// Looks through the folders and those below them, in the order of their names; a folder may be a
// run, a suite, or hold any number of them. Files that are not ours are passed over; damaged ones
// are in `damages`, and a warning names them. Throws Error for a folder that is not there, and when
// nothing is found, saying what is looked for.
Findings find(const std::vector<std::string>& folders);

// Calls `show` with each; what its JSON lacks or has of another kind is a damage of its file, and
// nothing else is lost by it.
void each(Findings& findings, const std::vector<Finding>& some,
          const std::function<void(const Finding&)>& show);

// The member as text; empty where it is missing or no text.
std::string text_of(const Json& json, const std::string& key);
// The member as a finite number; absent where it is missing or none.
std::optional<double> number_of(const Json& json, const std::string& key);
// An option of a config.json; null where it is missing.
Json option_of(const Json& config, const std::string& name);

}  // namespace concord::report
