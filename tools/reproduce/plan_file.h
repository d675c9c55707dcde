#pragma once
// A plan as it is written: a suite of experiments as steps, results and tables. docs/reproduce.md
// describes the file.

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "tools/reproduce/template.h"

namespace concord::reproduce {

// Texts may hold ${...} until the plan is expanded (tools/reproduce/suite.h).
struct StepTemplate {
  std::string name;
  std::string program;             // without "concord-"
  Json options = Json::object();   // "--name": value
  Json arguments = Json::array();  // those without a name, before the options
  Json needs = Json::array();      // steps that it follows without naming their files
  Json inputs = Json::array();     // files and folders that it reads beside its options
  Json for_each;                   // null: once
  bool gives_output_dir = true;    // the program is given --output-dir
  bool when_needed = false;        // run only where another step or a result uses it
  Json estimate = Json::object();  // "seconds", "bytes"
};

struct ResultTemplate {
  std::string name;
  std::string from;   // a JSON file, or .jsonl
  std::string where;  // of .jsonl: "last", "highest KEY", "lowest KEY"
  std::string value;  // JSON pointer to a number
  Json for_each;
};

struct Column {
  std::string title;
  std::optional<int> decimals;  // absent: four significant digits
  double scale = 1;             // what is shown is the value times this
  std::string unit;             // after each value
};

struct RowTemplate {
  std::string title;
  Json results = Json::array();  // names, or null
  Json paper = Json::array();    // numbers, or null
  Json for_each;
};

struct TableTemplate {
  std::string title;
  std::string note;
  std::vector<Column> columns;
  std::vector<RowTemplate> rows;
};

struct PlanFile {
  std::string path;
  std::string text;
  std::string name;
  std::string description;
  Json variables = Json::object();
  // Each an object of variables; a number or text n in the file is {"seed": n}. Empty: none.
  std::vector<Json> repetitions;
  std::vector<StepTemplate> steps;
  std::vector<ResultTemplate> results;
  std::vector<TableTemplate> tables;
};

// Throws Error naming the file and the place in it for what is no JSON (comments are allowed), a
// key that is unknown or stands twice, a value of another kind, a missing key, and a plan without
// steps.
PlanFile read_plan(const std::filesystem::path& path);

// NAME=VALUE replaces a variable's value. VALUE is read as what the plan has there: a text as it
// is, a number, true or false, a list or an object as JSON. Throws for an unknown variable, naming
// those near it, and for a value of another kind.
void set_variable(PlanFile& plan, const std::string& assignment);

}  // namespace concord::reproduce
