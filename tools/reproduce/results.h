#pragma once
// What a suite found: numbers out of the steps' files, their mean and deviation over the
// repetitions, and the tables beside the paper's values.

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "tools/reproduce/suite.h"

namespace concord::reproduce {

// The number at the JSON pointer `value` of a JSON file, or of the line of a .jsonl file that
// `where` chooses: "last" (or empty), "highest KEY", "lowest KEY" (the first of equals). Throws
// Error naming file and pointer when there is none.
double read_value(const std::filesystem::path& file, const std::string& where,
                  const std::string& value);

struct Measured {
  std::vector<std::optional<double>> values;  // of the result's sources; absent: not to be had
  std::size_t count() const;
  std::optional<double> mean() const;  // over those that are there
  // sqrt(sum (v - mean)^2 / (n - 1)); absent for fewer than two values
  std::optional<double> deviation() const;
};

// Every result of the suite, in its order. `file` gives the path of a source's file, or nothing
// where its step was not done. What else is missing is said in `problems`.
std::vector<Measured> measure(
    const Suite& suite,
    const std::function<std::optional<std::filesystem::path>(const ResultSource&)>& file,
    std::vector<std::string>& problems);

// The parts "results" and "tables" of results.json.
Json results_json(const Suite& suite, const std::vector<Measured>& measured);

// A table as rows of text, the first its header: beside each column that has values of the paper
// these stand apart. "-" is a value that is not there; "a ± b" a mean and its deviation.
std::vector<std::vector<std::string>> rows_of(const ResultTable& table,
                                              const std::vector<Measured>& measured);
// Each result with the number of its values, mean and deviation.
std::vector<std::vector<std::string>> rows_of(const Suite& suite,
                                              const std::vector<Measured>& measured);
// To stdout: the tables, or where the plan has none the results.
void print_results(const Suite& suite, const std::vector<Measured>& measured);
// Tables and results in Markdown.
std::string markdown_of(const PlanFile& plan, const Suite& suite,
                        const std::vector<Measured>& measured);

}  // namespace concord::reproduce
