#pragma once
// The texts of a plan: ${variable} and ${step:NAME}, and the lists of for_each.

#include <functional>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "kernels/error.h"

namespace concord::reproduce {

using Json = nlohmann::ordered_json;

// What an evaluation used.
struct References {
  std::set<std::string> variables;
  std::vector<std::string> steps;  // by the names that the plan gives them
};

// Variables by name; their values may refer to each other.
class Scope {
 public:
  // From a step's name in the plan to that of the step that is run; throws for an unknown one.
  using StepNames = std::function<std::string(const std::string&)>;

  // `values` is an object of variables.
  explicit Scope(Json values = Json::object()) : values_(std::move(values)) {}
  // With further variables. Throws for a name that is there already.
  Scope with(const Json& values) const;

  // The value with every ${...} in its texts replaced, in lists and objects too (not in their
  // keys). A text that is one ${variable} and nothing else takes the variable's value with its
  // type; within a longer text numbers are written out. ${step:NAME} becomes ${step:N}, N being
  // step_names(NAME), and is left for the end (resolve_steps). NAME may hold ${variable}. Throws
  // for an unknown variable, naming those near it, for variables that go in a circle, for a ${
  // without }, and for a list, object or null within a longer text.
  Json evaluate(const Json& value, const StepNames& step_names, References* used = nullptr) const;
  // Likewise where a text must result. `where` may not refer to steps when `step_names` is empty.
  std::string text(const std::string& value, const StepNames& step_names = {},
                   References* used = nullptr) const;

  // Of a text that is one ${variable} the variable's value as it is written, its own texts not
  // evaluated; anything else as it is.
  Json unfolded(const Json& value) const;

  const Json& values() const { return values_; }

 private:
  class Evaluation;
  Json values_;
};

// The text with every ${step:NAME} replaced by folder(NAME).
std::string resolve_steps(const std::string& text,
                          const std::function<std::string(const std::string&)>& folder);
// The names in ${step:NAME}, in order.
std::vector<std::string> steps_in(const std::string& text);

// The combinations that a for_each stands for, each an object of variables: of an object of lists
// every combination of their values, the first key changing slowest; "a,b": [[1, 2], [3, 4]] varies
// both together; a list of objects is taken as it is. Null stands for one combination without
// variables. The whole and each list may be a ${variable} of `scope`; the values themselves are
// evaluated where they are used. Throws for anything else.
std::vector<Json> combinations(const Json& for_each, const Scope& scope);

// Runs `action` and puts "WHERE: " before the message of an Error.
template <class Action>
auto located(const std::string& where, Action action) {
  try {
    return action();
  } catch (const Error& error) {
    throw Error(where + ": " + error.what());
  }
}

}  // namespace concord::reproduce
