#pragma once
// What a plan comes to: every step with its command, in the order in which they run, and where each
// result is read.

#include <optional>
#include <string>
#include <vector>

#include "tools/reproduce/plan_file.h"

namespace concord::reproduce {

// Texts here are whole but for ${step:NAME}, the folder of the step NAME (resolve_steps): what a
// step is does not depend on where the suite lies.
struct Step {
  std::string name;  // "train-a.0": the plan's name, and the repetition's values where it has one
  std::string base;  // "train-a"
  std::string program;                 // "train"
  std::vector<std::string> arguments;  // without --output-dir
  bool gives_output_dir = true;
  // Files and folders that the step may read: of what stands in its options those with a
  // ${step:NAME} are paths, the others only where there is a file of that name.
  std::vector<std::string> inputs;
  std::vector<std::size_t> needs;        // into Suite::steps, all before this step
  Json options;                          // as in the plan, evaluated
  std::optional<double> seconds, bytes;  // as the plan estimates them
};

struct ResultSource {
  Json repetition;   // the values of its variables; null where the result has none
  std::size_t step;  // into Suite::steps
  std::string from, where, value;
};

struct Result {
  std::string name;
  std::vector<ResultSource> sources;  // one for each repetition
};

struct Cell {
  std::optional<std::size_t> result;  // into Suite::results
  std::optional<double> paper;
};
struct Row {
  std::string title;
  std::vector<Cell> cells;  // one for each column
};
struct ResultTable {
  std::string title, note;
  std::vector<Column> columns;
  std::vector<Row> rows;
};

struct Suite {
  std::string name;
  std::vector<Step> steps;
  std::vector<Result> results;
  std::vector<ResultTable> tables;
};

// The paths that may stand in a word or in the words of a list: itself, and after KIND: each
// between commas ("mix320:CUB,DOGS" has two). `bare`: also those without a slash and without a
// step.
std::vector<std::string> paths_in(const Json& value, bool bare);

// Expands for_each and the first `repetitions` repetitions (absent: all). A step or result that
// uses a variable of the repetitions, or a step that does, is there once for each of them; the
// others once. Steps with when_needed are left out where nothing needs them. Throws Error naming
// the plan's file, the step and the key for unknown variables and steps, names that stand twice,
// steps that need each other in a circle, and values of another kind.
Suite expand(const PlanFile& plan, std::optional<std::size_t> repetitions = {});

}  // namespace concord::reproduce
