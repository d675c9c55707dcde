// Plans as people write them, and what they come to.

#include <gtest/gtest.h>

#include "tests/expect_error.h"
#include "tests/temporary_folder.h"
#include "tools/reproduce/suite.h"

namespace concord::reproduce {
namespace {

using test::expect_error;
using test::TemporaryFolder;

class Plan : public ::testing::Test {
 protected:
  PlanFile read(const std::string& text) const {
    test::write_bytes(folder_ / "plan.json", text);
    return read_plan(folder_ / "plan.json");
  }
  Suite expanded(const std::string& text) const { return expand(read(text)); }
  // A plan with these further members.
  static std::string with(const std::string& members) {
    return R"({"name": "p", )" + members + "}";
  }
  void refuses(const std::string& text, const std::vector<std::string>& parts) const {
    std::vector<std::string> all = parts;
    all.push_back((folder_ / "plan.json").string());
    expect_error([&] { expanded(text); }, all);
  }

 private:
  TemporaryFolder folder_;
};

const std::string kOneStep = R"("steps": [{"name": "one", "program": "train"}])";

std::vector<std::string> names_of(const Suite& suite) {
  std::vector<std::string> names;
  for (const Step& step : suite.steps) names.push_back(step.name);
  return names;
}

const Step& step_of(const Suite& suite, const std::string& name) {
  for (const Step& step : suite.steps)
    if (step.name == name) return step;
  throw Error("no step " + name);
}

TEST_F(Plan, OptionsBecomeWords) {
  const Suite suite = expanded(with(R"(
    "variables": {"epochs": 3, "lr": 1e-3, "data": "a folder", "half": null, "deep": "${epochs}"},
    "steps": [{"name": "one", "program": "train", "arguments": ["first", 2],
               "options": {"--epochs": "${deep}", "--lr": "${lr}", "--data": "${data}/x",
                           "--strict": true, "--quiet": false, "--half": "${half}",
                           "--alpha": [0.5, "${epochs}"], "--name": "${epochs}-${lr}"}}])"));
  const std::vector<std::string> expected = {"first", "2",      "--epochs",   "3",        "--lr",
                                             "0.001", "--data", "a folder/x", "--strict", "--alpha",
                                             "0.5,3", "--name", "3-0.001"};
  EXPECT_EQ(suite.steps.at(0).arguments, expected);
}

TEST_F(Plan, CombinationsAndWhatTheyNeed) {
  const Suite suite = expanded(with(R"(
    // the last step stands first: order is found, not taken
    "variables": {"cases": [["alexnet", "conv4"], ["vgg16_bn", "conv4_3"]]},
    "steps": [
      {"name": "map-${arch}-${net}", "program": "features",
       "for_each": {"arch,layer": "${cases}", "net": ["a", "b"]},
       "options": {"--weights": "${step:train-${arch}-${net}}/last.safetensors",
                   "--layer": "${layer}"}},
      {"name": "train-${arch}-${net}", "program": "train",
       "for_each": {"arch": ["alexnet", "vgg16_bn"], "net": ["a", "b"]},
       "options": {"--arch": "${arch}"}}])"));
  EXPECT_EQ(names_of(suite),
            (std::vector<std::string>{"train-alexnet-a", "map-alexnet-a", "train-alexnet-b",
                                      "map-alexnet-b", "train-vgg16_bn-a", "map-vgg16_bn-a",
                                      "train-vgg16_bn-b", "map-vgg16_bn-b"}));
  const Step& map = step_of(suite, "map-vgg16_bn-b");
  EXPECT_EQ(map.arguments,
            (std::vector<std::string>{"--weights", "${step:train-vgg16_bn-b}/last.safetensors",
                                      "--layer", "conv4_3"}));
  ASSERT_EQ(map.needs.size(), 1U);
  EXPECT_EQ(suite.steps[map.needs[0]].name, "train-vgg16_bn-b");
}

TEST_F(Plan, RepetitionsReachWhatUsesThem) {
  const std::string text = with(R"(
    "repetitions": [{"seed_a": 0, "seed_b": 5}, {"seed_a": 1, "seed_b": -6}],
    "variables": {"data": "${step:data}"},
    "steps": [
      {"name": "data", "program": "prepare", "when_needed": true},
      {"name": "never", "program": "prepare", "when_needed": true},
      {"name": "train-${net}", "program": "train",
       "for_each": {"net,seed": [["a", "${seed_a}"], ["b", "${seed_b}"]]},
       "options": {"--seed": "${seed}", "--data": "${data}"}},
      {"name": "compare", "program": "transnet",
       "options": {"--features-a": "${step:train-a}", "--features-b": "${step:train-b}"}},
      {"name": "other", "program": "bench", "output_dir": false,
       "options": {"--data": "${data}", "--scratch": "${out}/x"}}],
    "results": [
      {"name": "top1", "from": "${step:train-a}/metrics.jsonl", "where": "last", "value": "/top1"},
      {"name": "rate", "from": "${step:other}/stdout.txt", "value": "/rate"}])");
  const Suite suite = expanded(text);
  EXPECT_EQ(names_of(suite),
            (std::vector<std::string>{"data", "other", "train-a.0-5", "train-b.0-5", "compare.0-5",
                                      "train-a.1-_6", "train-b.1-_6", "compare.1-_6"}));
  EXPECT_EQ(step_of(suite, "train-b.1-_6").arguments,
            (std::vector<std::string>{"--seed", "-6", "--data", "${step:data}"}));
  EXPECT_EQ(step_of(suite, "compare.1-_6").arguments[1], "${step:train-a.1-_6}");
  EXPECT_EQ(step_of(suite, "other").arguments[3], "${step:other}/x");
  EXPECT_EQ(step_of(suite, "other").inputs, std::vector<std::string>{"${step:data}"})
      << "what it writes is no input";
  ASSERT_EQ(suite.results[0].sources.size(), 2U);
  EXPECT_EQ(suite.results[0].sources[1].repetition, (Json{{"seed_a", 1}, {"seed_b", -6}}));
  EXPECT_EQ(suite.results[0].sources[1].from, "${step:train-a.1-_6}/metrics.jsonl");
  EXPECT_EQ(suite.results[1].sources.size(), 1U);

  EXPECT_EQ(expand(read(text), 1).steps.size(), 5U);

  PlanFile other_data = read(text);
  set_variable(other_data, "data=mix320:/birds,/dogs");
  const Suite without = expand(other_data);
  EXPECT_EQ(without.steps.size(), 7U) << "the data set is not drawn when nothing uses it";
  EXPECT_EQ(without.steps[0].inputs,
            (std::vector<std::string>{"mix320:/birds,/dogs", "/birds", "/dogs"}));
}

TEST_F(Plan, TablesFindTheirResults) {
  const Suite suite = expanded(with(kOneStep + R"(,
    "results": [{"name": "r-${k}", "for_each": {"k": [0, 1]},
                 "from": "${step:one}/a.json", "value": "/v/${k}"}],
    "tables": [{"title": "t", "columns": ["x", {"title": "y", "decimals": 2, "scale": 100}],
                "rows": [{"title": "row ${k}", "for_each": {"k,p": [[0, 0.5], [1, null]]},
                          "results": ["r-${k}", null], "paper": ["${p}", 3]}]}])"));
  ASSERT_EQ(suite.tables.at(0).rows.size(), 2U);
  const Row& row = suite.tables[0].rows[1];
  EXPECT_EQ(row.title, "row 1");
  EXPECT_EQ(row.cells[0].result, 1U);
  EXPECT_EQ(row.cells[0].paper, std::nullopt);
  EXPECT_EQ(row.cells[1].result, std::nullopt);
  EXPECT_EQ(row.cells[1].paper, 3.0);
  EXPECT_EQ(suite.tables[0].rows[0].cells[0].paper, 0.5);
  EXPECT_EQ(suite.results[1].sources[0].value, "/v/1");
}

TEST_F(Plan, SetKeepsTheKind) {
  PlanFile plan = read(with(kOneStep + R"(,
    "variables": {"text": "a", "number": 1, "flag": false, "list": [1], "none": null})"));
  set_variable(plan, "text=5");
  set_variable(plan, "number=0.25");
  set_variable(plan, "flag=true");
  set_variable(plan, "list=[2, 3]");
  set_variable(plan, "none=a=b");
  EXPECT_EQ(
      plan.variables,
      (Json{{"text", "5"}, {"number", 0.25}, {"flag", true}, {"list", {2, 3}}, {"none", "a=b"}}));
  expect_error([&] { set_variable(plan, "number=many"); }, {"number=many", "is 0.25 in the plan"});
  expect_error([&] { set_variable(plan, "list=2"); }, {"list=2", "a value of that kind"});
  expect_error([&] { set_variable(plan, "nubmer=2"); }, {"nubmer", "number"});
  expect_error([&] { set_variable(plan, "number"); }, {"NAME=VALUE"});
  expect_error([&] { set_variable(plan, "text=\xff"); }, {"text", "not UTF-8"});
}

TEST_F(Plan, MistakesAreNamed) {
  refuses("{", {"is no JSON", "line 1"});
  refuses(R"({"name": "p", "name": "q", "steps": []})", {"\"name\" stands twice"});
  refuses(with(R"("steps": [])"), {"no steps"});
  refuses(R"({"steps": []})", {"\"name\" is missing"});
  refuses(with(kOneStep + R"(, "step": 1)"), {"\"step\" is unknown", "steps"});
  refuses(with(kOneStep + R"(, "variables": [])"), {"variables is []"});
  refuses(with(kOneStep + R"(, "variables": {"out": 1})"), {"\"out\"", "own folder"});
  refuses(with(R"("steps": [{"name": "a", "programm": "train"}])"),
          {"step 1 (a)", "\"programm\" is unknown", "program"});
  refuses(with(R"("steps": [{"name": "a", "program": "train", "options": {"lr": 1}}])"),
          {"step 1 (a)", "\"lr\" is no name of an option"});
  refuses(with(R"("steps": [{"name": "a", "program": "train", "options": {"--resume": true}}])"),
          {"step 1 (a)", "--resume is not for plans"});
  refuses(with(R"("steps": [{"name": "a/b", "program": "train"}])"), {"a/b", "folder"});
  refuses(with(R"("steps": [{"name": "..", "program": "train"}])"), {"..", "folder"});
  refuses(with(R"("steps": [{"name": "a", "program": "train"}, {"name": "a", "program": "x"}])"),
          {"two steps a"});
  refuses(with(R"("steps": [{"name": "a", "program": "t", "for_each": {"k": [1, 2]}}])"),
          {"two steps a", "a-${VARIABLE}"});
  refuses(with(R"("steps": [{"name": "a", "program": "t", "for_each": {"k": 1}}])"),
          {"step a", "k is 1", "list"});
  refuses(with(R"("steps": [{"name": "a", "program": "t", "for_each": {"k,l": [[1]]}}])"),
          {"step a", "[1]", "k,l"});
}

TEST_F(Plan, MistakesInTextsAreNamed) {
  const auto option = [](const std::string& value) {
    return with(R"("variables": {"epochs": 1, "list": [1], "p": "${q}", "q": "${p}"},
      "steps": [{"name": "a", "program": "train", "options": {"--x": ")" +
                value + "\"}}]");
  };
  refuses(option("${epoch}"), {"step a", "options, --x", "${epoch} is no variable", "epochs"});
  refuses(option("${epochs"), {"step a", "--x", "without its }"});
  refuses(option("${p}"), {"step a", "--x", "refers to itself"});
  refuses(option("n ${list}"), {"step a", "--x", "[1]", "longer text"});
  refuses(option("${step:b}"), {"step a", "--x", "no step b"});
  refuses(option("${step:a}"), {"step a", "it needs itself", "${out}"});
  refuses(with(R"("steps": [{"name": "a", "program": "t", "needs": ["b"]},
                            {"name": "b", "program": "t", "options": {"--x": "${step:a}/f"}}])"),
          {"circle", "a needs b"});
  refuses(with(R"("repetitions": [0], "steps": [{"name": "a-${seed}", "program": "t"}])"),
          {"step a-${seed}", "name", "${seed} is no variable"});
  refuses(with(R"("repetitions": [0, 0], )" + kOneStep), {"repetitions", "0 twice"});
  refuses(with(R"("repetitions": [{"a": 1}, {"b": 1}], )" + kOneStep), {"other variables"});
  refuses(with(R"("repetitions": [0], "variables": {"seed": 1}, )" + kOneStep),
          {"variable seed is there already"});
}

TEST_F(Plan, MistakesInResultsAndTablesAreNamed) {
  const auto result = [](const std::string& members) {
    return with(kOneStep + R"(, "results": [{"name": "r", )" + members + "}]");
  };
  refuses(result(R"("from": "x.json", "value": "/v")"),
          {"result r", "x.json", "no file of a step"});
  refuses(result(R"("from": "${step:two}/x.json", "value": "/v")"), {"result r", "no step two"});
  refuses(result(R"("from": "${step:one}/x.json", "value": "v")"), {"result r", "JSON pointer"});
  refuses(result(R"("from": "${step:one}/x.json")"), {"result 1 (r)", "\"value\" is missing"});
  const auto table = [](const std::string& row) {
    return with(kOneStep + R"(, "tables": [{"title": "t", "columns": ["a"], "rows": [)" + row +
                "]}]");
  };
  refuses(table(R"({"title": "x", "results": ["r"]})"), {"table t", "row x", "\"r\" is no result"});
  refuses(table(R"({"title": "x", "results": ["r", "s"]})"), {"x: 2 values for 1 columns"});
  refuses(table(R"({"title": "x", "paper": ["0.5"]})"), {"row x", "numbers and null"});
}

}  // namespace
}  // namespace concord::reproduce
