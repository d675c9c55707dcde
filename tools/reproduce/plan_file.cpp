#include "tools/reproduce/plan_file.h"

#include <algorithm>
#include <cmath>

#include "data/files.h"
#include "engine/text.h"

namespace concord::reproduce {
namespace {

std::string shown(const Json& value) { return value.dump().substr(0, 80); }

// The members of an object, taken out one by one; a key that is not known throws.
class Members {
 public:
  Members(const Json& object, std::vector<std::string> known)
      : object_(object), known_(std::move(known)) {
    check(object.is_object(), "{} stands where an object is expected", shown(object));
    for (const auto& [key, value] : object.items())
      check(std::find(known_.begin(), known_.end(), key) != known_.end(),
            "the key \"{}\" is unknown here; there are {}", key,
            nearest_names(key, known_, known_.size()));
  }

  std::string text(const std::string& key) const {
    check(object_.contains(key), "the key \"{}\" is missing", key);
    return text(key, "");
  }
  std::string text(const std::string& key, const std::string& otherwise) const {
    if (!object_.contains(key)) return otherwise;
    const Json& value = object_[key];
    check(value.is_string(), "{} is {}, a text is expected", key, shown(value));
    return value.get<std::string>();
  }
  bool flag(const std::string& key, bool otherwise) const {
    if (!object_.contains(key)) return otherwise;
    check(object_[key].is_boolean(), "{} is {}, true or false is expected", key,
          shown(object_[key]));
    return object_[key].get<bool>();
  }
  double number(const std::string& key, double otherwise) const {
    if (!object_.contains(key)) return otherwise;
    check(object_[key].is_number(), "{} is {}, a number is expected", key, shown(object_[key]));
    return object_[key].get<double>();
  }
  Json list(const std::string& key) const {
    if (!object_.contains(key)) return Json::array();
    check(object_[key].is_array(), "{} is {}, a list is expected", key, shown(object_[key]));
    return object_[key];
  }
  Json texts(const std::string& key) const {
    for (const Json& value : list(key))
      check(value.is_string(), "{} holds {}, texts are expected", key, shown(value));
    return list(key);
  }
  Json object(const std::string& key) const {
    if (!object_.contains(key)) return Json::object();
    check(object_[key].is_object(), "{} is {}, an object is expected", key, shown(object_[key]));
    return object_[key];
  }
  Json any(const std::string& key) const { return object_.contains(key) ? object_[key] : Json(); }

 private:
  const Json& object_;
  std::vector<std::string> known_;
};

Json parse(const std::string& text) {
  std::vector<std::set<std::string>> open;
  std::string twice;
  const Json::parser_callback_t watch = [&](int, Json::parse_event_t event, Json& parsed) {
    if (event == Json::parse_event_t::object_start) open.emplace_back();
    if (event == Json::parse_event_t::object_end) open.pop_back();
    if (event == Json::parse_event_t::key && !open.back().insert(parsed.get<std::string>()).second)
      twice = parsed.get<std::string>();
    return true;
  };
  Json plan;
  try {
    plan = Json::parse(text, watch, true, true);
  } catch (const Json::parse_error& error) {
    // "[json.exception.parse_error.101] parse error at line 3, column 5: ..."
    const std::string what = error.what();
    fail("is no JSON: {}", what.substr(what.find(']') + 2));
  }
  check(twice.empty(), "the key \"{}\" stands twice in one object", twice);
  return plan;
}

void check_variables(const Json& values) {
  for (const auto& [name, value] : values.items())
    check(!name.empty() && name.find_first_of("${}:, ") == std::string::npos && name != "out",
          "\"{}\" cannot be the name of a variable{}", name,
          name == "out" ? ": ${out} is a step's own folder" : "");
}

std::vector<Json> repetitions_of(const Json& list) {
  std::vector<Json> result;
  for (const Json& given : list) {
    check(given.is_number() || given.is_string() || (given.is_object() && !given.empty()),
          "repetitions holds {}; give seeds, or objects of variables", shown(given));
    Json values = given.is_object() ? given : Json{{"seed", given}};
    check_variables(values);
    for (const auto& [name, value] : values.items())
      check(value.is_primitive() && !value.is_null(),
            "repetitions: {} is {}; numbers, texts, true or false are expected", name,
            shown(value));
    check(std::find(result.begin(), result.end(), values) == result.end(),
          "repetitions holds {} twice", shown(given));
    const auto names = [](const Json& object) {
      std::set<std::string> keys;
      for (const auto& [name, value] : object.items()) keys.insert(name);
      return keys;
    };
    if (!result.empty())
      check(names(result.front()) == names(values), "repetitions: {} has other variables than {}",
            shown(given), shown(result.front()));
    result.push_back(std::move(values));
  }
  return result;
}

StepTemplate step_of(const Json& json) {
  const Members members(json, {"name", "program", "options", "arguments", "needs", "inputs",
                               "for_each", "output_dir", "when_needed", "estimate", "comment"});
  StepTemplate step;
  step.name = members.text("name");
  step.program = members.text("program");
  step.options = members.object("options");
  step.arguments = members.list("arguments");
  step.needs = members.texts("needs");
  step.inputs = members.texts("inputs");
  step.for_each = members.any("for_each");
  step.gives_output_dir = members.flag("output_dir", true);
  step.when_needed = members.flag("when_needed", false);
  step.estimate = members.object("estimate");
  const Members estimate(step.estimate, {"seconds", "bytes"});
  for (const char* key : {"seconds", "bytes"})
    check(estimate.number(key, 0) >= 0, "estimate: {} is negative", key);
  for (const auto& [name, value] : step.options.items()) {
    check(name.size() > 2 && name.starts_with("--"),
          "options: \"{}\" is no name of an option; they start with --", name);
    for (const char* own : {"--output-dir", "--resume", "--force", "--help", "--version"})
      check(name != own, "options: {} is not for plans: concord-reproduce gives it where needed{}",
            name,
            name == "--output-dir"
                ? "; ${step:NAME} is that folder in other steps, ${out} in this one"
                : "");
  }
  return step;
}

ResultTemplate result_of(const Json& json) {
  const Members members(json, {"name", "from", "where", "value", "for_each", "comment"});
  ResultTemplate result{.name = members.text("name"),
                        .from = members.text("from"),
                        .where = members.text("where", ""),
                        .value = members.text("value"),
                        .for_each = members.any("for_each")};
  return result;
}

Column column_of(const Json& json) {
  if (json.is_string()) return {.title = json.get<std::string>(), .decimals = {}, .unit = {}};
  const Members members(json, {"title", "decimals", "scale", "unit"});
  Column column;
  column.title = members.text("title");
  column.scale = members.number("scale", 1);
  column.unit = members.text("unit", "");
  if (!members.any("decimals").is_null()) {
    const double decimals = members.number("decimals", 0);
    check(decimals >= 0 && decimals <= 15 && decimals == std::floor(decimals),
          "decimals is {}, a whole number from 0 to 15 is expected", decimals);
    column.decimals = static_cast<int>(decimals);
  }
  return column;
}

TableTemplate table_of(const Json& json) {
  const Members members(json, {"title", "note", "columns", "rows", "comment"});
  TableTemplate table;
  table.title = members.text("title");
  table.note = members.text("note", "");
  for (const Json& column : members.list("columns"))
    table.columns.push_back(located("columns", [&] { return column_of(column); }));
  check(!table.columns.empty(), "a table without columns");
  for (const Json& given : members.list("rows"))
    located("rows", [&] {
      const Members row(given, {"title", "results", "paper", "for_each"});
      table.rows.push_back({.title = row.text("title"),
                            .results = row.list("results"),
                            .paper = row.list("paper"),
                            .for_each = row.any("for_each")});
      const RowTemplate& last = table.rows.back();
      for (const Json& cells : {last.results, last.paper})
        check(cells.empty() || cells.size() == table.columns.size(), "{}: {} values for {} columns",
              last.title, cells.size(), table.columns.size());
    });
  check(!table.rows.empty(), "a table without rows");
  return table;
}

// "step 3 (train-a)"
std::string place(const std::string& kind, std::size_t index, const Json& element,
                  const std::string& key) {
  const bool named = element.is_object() && element.contains(key) && element[key].is_string();
  return fmt::format("{} {}{}", kind, index + 1,
                     named ? " (" + element[key].get<std::string>() + ")" : "");
}

PlanFile plan_of(const Json& json) {
  const Members members(json, {"name", "description", "variables", "repetitions", "steps",
                               "results", "tables", "comment"});
  PlanFile plan;
  plan.name = members.text("name");
  check(!plan.name.empty(), "name is empty");
  plan.description = members.text("description", "");
  plan.variables = members.object("variables");
  located("variables", [&] { check_variables(plan.variables); });
  plan.repetitions = repetitions_of(members.list("repetitions"));
  const auto each = [&](const std::string& kind, const std::string& list, const std::string& key,
                        auto make) {
    const Json elements = members.list(list);
    for (std::size_t i = 0; i < elements.size(); ++i)
      located(place(kind, i, elements[i], key), [&] { make(elements[i]); });
  };
  each("step", "steps", "name", [&](const Json& step) { plan.steps.push_back(step_of(step)); });
  each("result", "results", "name",
       [&](const Json& result) { plan.results.push_back(result_of(result)); });
  each("table", "tables", "title",
       [&](const Json& table) { plan.tables.push_back(table_of(table)); });
  check(!plan.steps.empty(), "there are no steps");
  return plan;
}

}  // namespace

PlanFile read_plan(const std::filesystem::path& path) {
  const auto bytes = read_file(path);
  return located(path.string(), [&] {
    const std::string text(bytes.begin(), bytes.end());
    PlanFile plan = plan_of(parse(text));
    plan.path = path.string();
    plan.text = text;
    return plan;
  });
}

void set_variable(PlanFile& plan, const std::string& assignment) {
  const std::size_t equals = assignment.find('=');
  check(equals != std::string::npos && equals > 0, "--set {}: NAME=VALUE is expected", assignment);
  const std::string name = assignment.substr(0, equals);
  const std::string text = assignment.substr(equals + 1);
  std::vector<std::string> names;
  for (const auto& [known, value] : plan.variables.items()) names.push_back(known);
  check(plan.variables.contains(name), "--set {}: {} is no variable of {}; there are {}",
        assignment, name, plan.path, names.empty() ? "none" : nearest_names(name, names, 8));
  try {
    Json(text).dump();
  } catch (const Json::exception&) {
    fail("--set {}: the value is not UTF-8, as plans and records are; rename the file", name);
  }
  Json& variable = plan.variables[name];
  if (variable.is_string()) {
    variable = text;
    return;
  }
  const Json value = Json::parse(text, nullptr, false);
  // Null stands for what is not given: anything can take its place, a text without quotes too.
  if (variable.is_null()) {
    variable = value.is_discarded() ? Json(text) : value;
    return;
  }
  const bool same_kind = !value.is_discarded() &&
                         (value.is_number() ? variable.is_number()
                                            : value.is_null() || value.type() == variable.type());
  check(same_kind, "--set {}: {} is {} in the plan; give a value of that kind", assignment, name,
        shown(variable));
  variable = value;
}

}  // namespace concord::reproduce
