#include "tools/reproduce/template.h"

#include <algorithm>
#include <iterator>

#include "engine/text.h"

namespace concord::reproduce {
namespace {

constexpr std::string_view kStep = "step:";

// The } that closes the ${ at `open`, past those that are nested.
std::size_t closing_brace(const std::string& text, std::size_t open) {
  int depth = 0;
  for (std::size_t i = open; i < text.size(); ++i) {
    if (text.compare(i, 2, "${") == 0) ++depth;
    if (text[i] == '}' && --depth == 0) return i;
  }
  fail("\"{}\" has a ${{ without its }}", text);
}

std::vector<std::string> names_of(const Json& object) {
  std::vector<std::string> names;
  for (const auto& [name, value] : object.items()) names.push_back(name);
  return names;
}

std::string written_out(const Json& value, const std::string& name) {
  if (value.is_string()) return value.get<std::string>();
  check(value.is_number() || value.is_boolean(),
        "${{{}}} is {} and stands within a longer text, where only a text, a number, true or false "
        "can be",
        name, value.dump().substr(0, 60));
  return value.dump();
}

}  // namespace

class Scope::Evaluation {
 public:
  Evaluation(const Scope& scope, const StepNames& step_names, References* used)
      : scope_(scope), step_names_(step_names), used_(used) {}

  Json value(const Json& given) {
    if (given.is_string()) return text_value(given.get<std::string>());
    if (!given.is_structured()) return given;
    Json result = given;
    for (Json& element : result) element = value(element);
    return result;
  }

 private:
  Json text_value(const std::string& text) {
    std::string result;
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t open = text.find("${", at);
      if (open == std::string::npos) return result + text.substr(at);
      const std::size_t close = closing_brace(text, open);
      const Json inner = text_value(text.substr(open + 2, close - open - 2));
      check(inner.is_string(), "\"{}\": the name within ${{}} is {}, a text is expected", text,
            inner.dump());
      const std::string name = inner.get<std::string>();
      const Json found = name.starts_with(kStep) ? step(name.substr(kStep.size())) : variable(name);
      if (open == 0 && close + 1 == text.size()) return found;
      result += text.substr(at, open - at) + written_out(found, name);
      at = close + 1;
    }
    return result;
  }

  Json step(const std::string& name) {
    check(static_cast<bool>(step_names_), "${{step:{}}} cannot stand here", name);
    if (used_ != nullptr) used_->steps.push_back(name);
    return "${step:" + step_names_(name) + "}";
  }

  Json variable(const std::string& name) {
    const auto found = scope_.values_.find(name);
    check(found != scope_.values_.end(), "${{{}}} is no variable; there are {}", name,
          scope_.values_.empty() ? "none" : nearest_names(name, names_of(scope_.values_), 8));
    if (std::find(active_.begin(), active_.end(), name) != active_.end())
      fail("the variable {} refers to itself, by way of {}", name, active_.back());
    if (used_ != nullptr) used_->variables.insert(name);
    active_.push_back(name);
    Json result = value(*found);
    active_.pop_back();
    return result;
  }

  const Scope& scope_;
  const StepNames& step_names_;
  References* used_;
  std::vector<std::string> active_;  // being evaluated, each for the one before it
};

Scope Scope::with(const Json& values) const {
  Scope wider = *this;
  for (const auto& [name, value] : values.items()) {
    check(!wider.values_.contains(name), "the variable {} is there already; give it another name",
          name);
    wider.values_[name] = value;
  }
  return wider;
}

Json Scope::evaluate(const Json& value, const StepNames& step_names, References* used) const {
  return Evaluation(*this, step_names, used).value(value);
}

std::string Scope::text(const std::string& value, const StepNames& step_names,
                        References* used) const {
  return written_out(evaluate(value, step_names, used), value);
}

Json Scope::unfolded(const Json& value) const {
  Json result = value;
  for (std::size_t steps = 0; result.is_string(); ++steps) {
    const std::string text = result.get<std::string>();
    if (!text.starts_with("${") || closing_brace(text, 0) + 1 != text.size()) return result;
    const auto found = values_.find(text.substr(2, text.size() - 3));
    if (found == values_.end() || steps > values_.size()) return evaluate(value, {});  // throws
    result = *found;
  }
  return result;
}

std::string resolve_steps(const std::string& text,
                          const std::function<std::string(const std::string&)>& folder) {
  std::string result;
  for (std::size_t at = 0;;) {
    const std::size_t open = text.find("${step:", at);
    const std::size_t close = text.find('}', open);
    if (open == std::string::npos || close == std::string::npos) return result + text.substr(at);
    result += text.substr(at, open - at) + folder(text.substr(open + 7, close - open - 7));
    at = close + 1;
  }
}

std::vector<std::string> steps_in(const std::string& text) {
  std::vector<std::string> names;
  resolve_steps(text, [&](const std::string& name) {
    names.push_back(name);
    return "";
  });
  return names;
}

namespace {

std::vector<std::string> split(const std::string& text, char at) {
  std::vector<std::string> parts(1);
  for (const char c : text) {
    if (c == at)
      parts.emplace_back();
    else if (c != ' ')
      parts.back() += c;
  }
  return parts;
}

// What one key of a for_each lets vary.
std::vector<Json> alternatives(const std::string& key, const Json& list) {
  const std::vector<std::string> names = split(key, ',');
  for (const std::string& name : names)
    check(!name.empty(), "for_each: \"{}\" names no variable", key);
  check(list.is_array() && !list.empty(),
        "for_each: {} is {}, a list of at least one value is expected", key,
        list.dump().substr(0, 60));
  std::vector<Json> result;
  for (const Json& element : list) {
    Json values = Json::object();
    if (names.size() == 1) {
      values[names.front()] = element;
    } else {
      check(element.is_array() && element.size() == names.size(),
            "for_each: {} is a value of {}, a list of {} is expected", element.dump().substr(0, 60),
            key, names.size());
      for (std::size_t i = 0; i < names.size(); ++i) {
        check(!values.contains(names[i]), "for_each: {} names {} twice", key, names[i]);
        values[names[i]] = element[i];
      }
    }
    result.push_back(std::move(values));
  }
  return result;
}

}  // namespace

std::vector<Json> combinations(const Json& for_each, const Scope& scope) {
  const Json given = scope.unfolded(for_each);
  if (given.is_null()) return {Json::object()};
  check(given.is_structured() && !given.empty(),
        "for_each is {}, an object of lists or a list of objects is expected",
        given.dump().substr(0, 60));
  if (given.is_array()) {
    for (const Json& element : given)
      check(element.is_object(), "for_each: {} is no object of variables",
            element.dump().substr(0, 60));
    return {given.begin(), given.end()};
  }
  std::vector<Json> result = {Json::object()};
  for (const auto& [key, list] : given.items()) {
    std::vector<Json> longer;
    for (const Json& begun : result)
      for (const Json& more : alternatives(key, scope.unfolded(list)))
        longer.push_back(Scope(begun).with(more).values());
    result = std::move(longer);
  }
  return result;
}

}  // namespace concord::reproduce
