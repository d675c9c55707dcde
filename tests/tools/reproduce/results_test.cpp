#include "tools/reproduce/results.h"

#include <gtest/gtest.h>

#include "tests/expect_error.h"
#include "tests/temporary_folder.h"

namespace concord::reproduce {
namespace {

using test::expect_error;
using test::TemporaryFolder;
using test::write_bytes;

TEST(Results, NumbersOutOfFiles) {
  const TemporaryFolder folder;
  const auto json = folder / "a.json";
  write_bytes(json, R"({"x": {"y": [1, 2.5]}, "text": "3"})");
  EXPECT_EQ(read_value(json, "", "/x/y/1"), 2.5);
  expect_error([&] { read_value(json, "", "/x/z"); }, {json.string(), "has no /x/z"});
  expect_error([&] { read_value(json, "", "/x/y/7"); }, {json.string(), "has no /x/y/7"});
  expect_error([&] { read_value(json, "", "/text"); }, {"/text is \"3\"", "a number"});
  expect_error([&] { read_value(json, "last", "/x"); }, {"where is for .jsonl"});
  expect_error([&] { read_value(folder / "b.json", "", "/x"); }, {"b.json"});

  const auto lines = folder / "m.jsonl";
  write_bytes(lines, R"({"epoch": 1, "top1": 0.25, "loss": 3}
{"epoch": 2, "top1": 0.5, "loss": 1}
{"epoch": 3, "top1": 0.5, "loss": 2}
)");
  EXPECT_EQ(read_value(lines, "", "/epoch"), 3);
  EXPECT_EQ(read_value(lines, "last", "/loss"), 2);
  EXPECT_EQ(read_value(lines, "highest top1", "/epoch"), 2) << "the first of equals";
  EXPECT_EQ(read_value(lines, "lowest loss", "/epoch"), 2);
  EXPECT_EQ(read_value(lines, "lowest epoch", "/epoch"), 1);
  expect_error([&] { read_value(lines, "highest top5", "/epoch"); }, {"m.jsonl", "\"top5\""});
  expect_error([&] { read_value(lines, "best top1", "/epoch"); }, {"best top1", "highest KEY"});
  write_bytes(folder / "torn.jsonl", "{\"epoch\": 1}\n{\"epo");
  expect_error([&] { read_value(folder / "torn.jsonl", "", "/epoch"); }, {"torn.jsonl", "no JSON"});
}

TEST(Results, MeanAndSampleDeviation) {
  // numpy: np.mean([1, 2, 4.5]), np.std([1, 2, 4.5], ddof=1)
  const Measured three{.values = {1.0, 2.0, 4.5}};
  EXPECT_DOUBLE_EQ(*three.mean(), 2.5);
  EXPECT_DOUBLE_EQ(*three.deviation(), 1.8027756377319946);
  const Measured gap{.values = {1.0, std::nullopt, 3.0}};
  EXPECT_EQ(gap.count(), 2U);
  EXPECT_DOUBLE_EQ(*gap.mean(), 2.0);
  EXPECT_DOUBLE_EQ(*gap.deviation(), 1.4142135623730951);
  EXPECT_EQ((Measured{.values = {2.0}}).deviation(), std::nullopt);
  EXPECT_EQ((Measured{.values = {std::nullopt}}).mean(), std::nullopt);
}

TEST(Results, TablesBesideThePaper) {
  Suite suite;
  suite.results = {{.name = "r", .sources = {}}, {.name = "lost", .sources = {}}};
  ResultTable table{.title = "T", .note = {}, .columns = {}, .rows = {}};
  table.columns = {{.title = "top-1", .decimals = 1, .scale = 100, .unit = " %"},
                   {.title = "var", .decimals = {}, .unit = {}}};
  table.rows = {
      {.title = "one", .cells = {{.result = 0, .paper = 43.22}, {.result = 0, .paper = {}}}},
      {.title = "a|b", .cells = {{.result = 1, .paper = {}}, {}}}};
  suite.tables = {table};
  const std::vector<Measured> measured = {{.values = {0.5, 0.25}}, {.values = {std::nullopt}}};
  const std::vector<std::vector<std::string>> expected = {
      {"", "top-1, paper", "top-1", "var"},
      {"one", "43.22 %", "37.5 ± 17.7 %", "0.375 ± 0.1768"},
      {"a|b", "-", "-", "-"}};
  EXPECT_EQ(rows_of(table, measured), expected);
  PlanFile plan;
  plan.name = "p";
  const std::string markdown = markdown_of(plan, suite, measured);
  EXPECT_NE(markdown.find("| one | 43.22 % | 37.5 ± 17.7 % | 0.375 ± 0.1768 |\n"),
            std::string::npos)
      << markdown;
  EXPECT_NE(markdown.find("| a\\|b | - | - | - |"), std::string::npos) << markdown;
  EXPECT_NE(markdown.find("| lost | 0 | - | - |"), std::string::npos) << markdown;
}

}  // namespace
}  // namespace concord::reproduce
