#include "tools/reproduce/suite.h"

#include <algorithm>
#include <map>

#include "engine/text.h"

namespace concord::reproduce {
namespace {

// A step of the plan with one combination of its for_each, before it is repeated.
struct Instance {
  const StepTemplate* made_of = nullptr;
  std::string name;
  Json variables;
  std::string where;  // for errors
  References used;    // by its options, arguments, inputs and needs
  bool repeated = false;
};

// What a step has once its texts are whole.
struct Evaluated {
  std::string program;
  Json options, arguments, inputs, needs;
};

void check_step_name(const std::string& name) {
  const bool plain = std::all_of(name.begin(), name.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '-' || c == '_' || c == '.';
  });
  check(!name.empty() && name.size() <= 100 && plain && name[0] != '.' && name[0] != '-',
        "the name \"{}\" becomes a folder's: letters, digits, - _ and . are allowed, up to 100",
        name);
}

// "0" of {"seed": 0}, "0-5" of {"seed_a": 0, "seed_b": 5}.
std::string suffix_of(const Json& repetition) {
  std::string text;
  for (const auto& [name, value] : repetition.items()) {
    text += text.empty() ? "" : "-";
    for (const char c : value.is_string() ? value.get<std::string>() : value.dump())
      text += std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' ? c : '_';
  }
  return text;
}

// An option's value as a word of the command line.
std::string word_of(const Json& value, const std::string& option) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_array()) {
    std::string text;
    for (const Json& element : value) {
      check(element.is_string() || element.is_number(),
            "{} holds {}; texts and numbers are expected", option, element.dump().substr(0, 60));
      text += (text.empty() ? "" : ",") + word_of(element, option);
    }
    return text;
  }
  check(value.is_number(),
        "{} is {}; a text, a number, a list of these, true, false or null is "
        "expected",
        option, value.dump().substr(0, 60));
  return value.dump();
}

// Whether a word of this option may be a path in the working directory without a slash in it: a
// folder there that happens to be called alexnet is no input of --arch alexnet.
bool names_files(const std::string& option) {
  for (const char* part : {"data", "source", "weights", "features", "file", "table", "variance",
                           "continue-from", "decode"})
    if (option.find(part) != std::string::npos) return true;
  return false;
}

// paths_in, added to those that are there.
void add_paths(const Json& value, bool bare, std::vector<std::string>& paths) {
  if (value.is_array())
    for (const Json& element : value) add_paths(element, bare, paths);
  if (!value.is_string()) return;
  const std::string word = value.get<std::string>();
  const auto add = [&](const std::string& path) {
    const bool step = !steps_in(path).empty();
    if (path.empty() || !(bare || step || path.find('/') != std::string::npos)) return;
    if (std::find(paths.begin(), paths.end(), path) == paths.end()) paths.push_back(path);
  };
  add(word);
  const std::size_t kind = word.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-");
  const bool has_kind = kind != std::string::npos && kind > 0 && word[kind] == ':';
  std::string rest = has_kind ? word.substr(kind + 1) : word;
  for (std::size_t comma = rest.find(','); comma != std::string::npos; comma = rest.find(',')) {
    add(rest.substr(0, comma));
    rest.erase(0, comma + 1);
  }
  add(rest);
}

class Expansion {
 public:
  Expansion(const PlanFile& plan, std::optional<std::size_t> count)
      : plan_(plan), scope_(plan.variables), repetitions_(plan.repetitions) {
    if (count && *count < repetitions_.size()) repetitions_.resize(*count);
    if (!repetitions_.empty())
      for (const auto& [name, value] : repetitions_.front().items())
        repetition_variables_.insert(name);
  }

  Suite run() {
    suite_.name = plan_.name;
    make_instances();
    find_references();
    make_steps();
    make_results();
    put_in_order();
    make_tables();
    return std::move(suite_);
  }

 private:
  void make_instances() {
    for (const StepTemplate& step : plan_.steps)
      located("step " + step.name, [&] {
        for (const Json& variables : combinations(step.for_each, scope_)) {
          Instance instance{
              .made_of = &step, .name = {}, .variables = variables, .where = {}, .used = {}};
          instance.name = located("name", [&] { return scope_.with(variables).text(step.name); });
          check_step_name(instance.name);
          instance.where = "step " + instance.name;
          check(by_name_.emplace(instance.name, instances_.size()).second,
                "there are two steps {}; with for_each, put its variables into the name: "
                "\"{}-${{VARIABLE}}\"",
                instance.name, step.name);
          instances_.push_back(std::move(instance));
        }
      });
  }

  const Instance& instance(const std::string& name) const {
    const auto found = by_name_.find(name);
    if (found == by_name_.end()) {
      std::vector<std::string> names;
      for (const auto& [known, index] : by_name_) names.push_back(known);
      fail("there is no step {}; near it are {}", name, nearest_names(name, names));
    }
    return instances_[found->second];
  }

  Scope scope_of(const Instance& step, const Json& repetition) const {
    Scope scope = scope_.with(step.variables);
    if (!repetition.is_null()) scope = scope.with(repetition);
    return scope.with({{"out", "${step:.}"}});
  }

  // `used` may be null.
  Evaluated evaluate(const Instance& step, const Json& repetition,
                     const Scope::StepNames& step_names, References* used) const {
    const Scope scope = scope_of(step, repetition);
    const StepTemplate& made_of = *step.made_of;
    Evaluated result;
    result.program = located("program", [&] { return scope.text(made_of.program); });
    for (const auto& [name, value] : made_of.options.items())
      result.options[name] =
          located("options, " + name, [&] { return scope.evaluate(value, step_names, used); });
    const auto list = [&](const char* key, const Json& values) {
      return located(key, [&] { return scope.evaluate(values, step_names, used); });
    };
    result.arguments = list("arguments", made_of.arguments);
    result.inputs = list("inputs", made_of.inputs);
    Json needed = Json::array();
    for (const Json& name : made_of.needs)
      needed.push_back("${step:" + name.get<std::string>() + "}");
    result.needs = list("needs", needed);
    return result;
  }

  bool uses_repetition(const References& used) const {
    const auto is_repeated = [&](const std::string& name) {
      return name != "." && instance(name).repeated;
    };
    return std::any_of(
               used.variables.begin(), used.variables.end(),
               [&](const std::string& name) { return repetition_variables_.contains(name); }) ||
           std::any_of(used.steps.begin(), used.steps.end(), is_repeated);
  }

  void find_references() {
    const Json first = repetitions_.empty() ? Json() : repetitions_.front();
    for (Instance& step : instances_)
      located(step.where, [&] {
        evaluate(
            step, first,
            [&](const std::string& name) { return name == "." ? name : instance(name).name; },
            &step.used);
        for (const std::string& name : step.used.steps)
          check(name != step.name, "it needs itself; ${{out}} is its own folder");
      });
    for (bool changed = true; changed;) {
      changed = false;
      for (Instance& step : instances_)
        if (!step.repeated && uses_repetition(step.used)) step.repeated = changed = true;
    }
  }

  static std::string name_in(const Instance& step, const Json& repetition) {
    return step.repeated ? step.name + "." + suffix_of(repetition) : step.name;
  }

  Scope::StepNames names_in(const Json& repetition, const std::string& self) const {
    return [&repetition, self, this](const std::string& name) {
      return name == "." ? self : name_in(instance(name), repetition);
    };
  }

  void make_steps() {
    for (const Instance& step : instances_)
      if (!step.repeated) add_step(step, Json());
    for (const Json& repetition : repetitions_)
      for (const Instance& step : instances_)
        if (step.repeated) add_step(step, repetition);
  }

  void add_step(const Instance& from, const Json& repetition) {
    located(from.where, [&] {
      Step step;
      step.base = from.name;
      step.name = name_in(from, repetition);
      // A step that is not repeated uses nothing of them, but is in scope of the first.
      const Json in_scope =
          repetition.is_null() && !repetitions_.empty() ? repetitions_.front() : repetition;
      const Evaluated whole = evaluate(from, in_scope, names_in(in_scope, step.name), nullptr);
      check(index_.emplace(step.name, suite_.steps.size()).second, "two steps come to the name {}",
            step.name);
      step.program = whole.program;
      step.options = whole.options.is_null() ? Json::object() : whole.options;
      step.gives_output_dir = from.made_of->gives_output_dir;
      for (const Json& value : whole.arguments) {
        step.arguments.push_back(word_of(value, "arguments"));
        add_paths(value, false, step.inputs);
      }
      for (const auto& [name, value] : step.options.items()) {
        if (value.is_null() || value == false) continue;
        step.arguments.push_back(name);
        if (value == true) continue;
        step.arguments.push_back(word_of(value, "options, " + name));
        add_paths(value, names_files(name), step.inputs);
      }
      add_paths(whole.inputs, true, step.inputs);
      add_paths(whole.needs, true, step.inputs);
      std::erase_if(step.inputs, [&](const std::string& input) {  // what stands in ${out}
        const std::vector<std::string> steps = steps_in(input);
        return std::find(steps.begin(), steps.end(), step.name) != steps.end();
      });
      const Json& estimate = from.made_of->estimate;
      if (estimate.contains("seconds")) step.seconds = estimate["seconds"].get<double>();
      if (estimate.contains("bytes")) step.bytes = estimate["bytes"].get<double>();
      needed_.push_back(!from.made_of->when_needed);
      suite_.steps.push_back(std::move(step));
    });
  }

  void make_results() {
    for (const ResultTemplate& made_of : plan_.results)
      located("result " + made_of.name, [&] {
        for (const Json& variables : combinations(made_of.for_each, scope_))
          add_result(made_of, variables);
      });
  }

  void add_result(const ResultTemplate& made_of, const Json& variables) {
    Result result;
    result.name = located("name", [&] { return scope_.with(variables).text(made_of.name); });
    for (const Result& other : suite_.results)
      check(other.name != result.name,
            "there are two results {}; with for_each, put its variables "
            "into the name: \"{}-${{VARIABLE}}\"",
            result.name, made_of.name);
    const auto source = [&](const Json& repetition, References* used) {
      Scope scope = scope_.with(variables);
      const Json in_scope =
          repetition.is_null() && !repetitions_.empty() ? repetitions_.front() : repetition;
      if (!in_scope.is_null()) scope = scope.with(in_scope);
      const Scope::StepNames names = names_in(in_scope, "");
      ResultSource found{.repetition = repetition, .step = 0, .from = {}, .where = {}, .value = {}};
      found.from = located("from", [&] { return scope.text(made_of.from, names, used); });
      found.where = located("where", [&] { return scope.text(made_of.where, {}, used); });
      found.value = located("value", [&] { return scope.text(made_of.value, {}, used); });
      const std::vector<std::string> steps = steps_in(found.from);
      check(steps.size() == 1 && found.from.starts_with("${step:"),
            "from: {} is no file of a step; ${{step:NAME}}/FILE is expected", made_of.from);
      found.step = index_.at(steps.front());
      check(found.value.empty() || found.value.starts_with('/'),
            "value: {} is no JSON pointer; /NAME or /NAME/NAME is expected", found.value);
      return found;
    };
    References used;
    result.sources.push_back(source(Json(), &used));
    if (uses_repetition(used)) {
      result.sources.clear();
      for (const Json& repetition : repetitions_)
        result.sources.push_back(source(repetition, nullptr));
    }
    for (const ResultSource& from : result.sources) needed_[from.step] = true;
    suite_.results.push_back(std::move(result));
  }

  // Finds what each step needs, leaves out what nothing needs, and sorts the rest.
  void put_in_order() {
    std::vector<Step> steps = std::move(suite_.steps);
    for (Step& step : steps)
      for (const std::string& input : step.inputs)
        for (const std::string& name : steps_in(input)) {
          const std::size_t other = index_.at(name);
          if (name != step.name &&
              std::find(step.needs.begin(), step.needs.end(), other) == step.needs.end())
            step.needs.push_back(other);
        }
    std::vector<std::size_t> order;
    std::vector<std::size_t> path;
    std::vector<bool> done(steps.size());
    const std::function<void(std::size_t)> visit = [&](std::size_t index) {
      if (const auto begin = std::find(path.begin(), path.end(), index); begin != path.end()) {
        std::string circle;
        for (auto at = begin; at != path.end(); ++at) circle += steps[*at].name + " needs ";
        fail("steps need each other in a circle: {}{}", circle, steps[index].name);
      }
      if (done[index]) return;
      path.push_back(index);
      for (const std::size_t other : steps[index].needs) visit(other);
      path.pop_back();
      done[index] = true;
      order.push_back(index);
    };
    for (std::size_t i = 0; i < steps.size(); ++i)
      if (needed_[i]) visit(i);
    check(!order.empty(), "no step is left to run: all are when_needed, and no result uses one");
    std::map<std::size_t, std::size_t> moved;
    for (const std::size_t index : order) {
      moved[index] = suite_.steps.size();
      Step& step = steps[index];
      for (std::size_t& other : step.needs) other = moved.at(other);
      suite_.steps.push_back(std::move(step));
    }
    for (Result& result : suite_.results)
      for (ResultSource& source : result.sources) source.step = moved.at(source.step);
  }

  void make_tables() {
    std::map<std::string, std::size_t> results;
    std::vector<std::string> names;
    for (const Result& result : suite_.results) {
      results[result.name] = names.size();
      names.push_back(result.name);
    }
    for (const TableTemplate& made_of : plan_.tables)
      located("table " + made_of.title, [&] {
        ResultTable table{.title = scope_.text(made_of.title),
                          .note = scope_.text(made_of.note),
                          .columns = made_of.columns,
                          .rows = {}};
        for (const RowTemplate& row : made_of.rows)
          for (const Json& variables : combinations(row.for_each, scope_))
            table.rows.push_back(
                row_of(row, scope_.with(variables), table.columns.size(), results, names));
        suite_.tables.push_back(std::move(table));
      });
  }

  static Row row_of(const RowTemplate& made_of, const Scope& scope, std::size_t columns,
                    const std::map<std::string, std::size_t>& results,
                    const std::vector<std::string>& names) {
    Row row{.title = scope.text(made_of.title), .cells = std::vector<Cell>(columns)};
    for (std::size_t i = 0; i < made_of.results.size(); ++i) {
      const Json name = scope.evaluate(made_of.results[i], {});
      if (name.is_null()) continue;
      check(name.is_string() && results.contains(name.get<std::string>()),
            "row {}: {} is no result of this plan; near it are {}", row.title, name.dump(),
            nearest_names(name.is_string() ? name.get<std::string>() : "", names));
      row.cells[i].result = results.at(name.get<std::string>());
    }
    for (std::size_t i = 0; i < made_of.paper.size(); ++i) {
      const Json value = scope.evaluate(made_of.paper[i], {});
      if (value.is_null()) continue;
      check(value.is_number(), "row {}: paper holds {}, numbers and null are expected", row.title,
            value.dump().substr(0, 60));
      row.cells[i].paper = value.get<double>();
    }
    return row;
  }

  const PlanFile& plan_;
  Scope scope_;
  std::vector<Json> repetitions_;
  std::set<std::string> repetition_variables_;
  std::vector<Instance> instances_;
  std::map<std::string, std::size_t> by_name_;  // into instances_
  std::map<std::string, std::size_t> index_;    // into suite_.steps, before they are in order
  std::vector<bool> needed_;                    // of these
  Suite suite_;
};

}  // namespace

std::vector<std::string> paths_in(const Json& value, bool bare) {
  std::vector<std::string> paths;
  add_paths(value, bare, paths);
  return paths;
}

Suite expand(const PlanFile& plan, std::optional<std::size_t> repetitions) {
  return located(plan.path, [&] { return Expansion(plan, repetitions).run(); });
}

}  // namespace concord::reproduce
