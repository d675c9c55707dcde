// The report: concord-visualize --report as a user runs it, what it finds, and what is in the page.

#include <cmath>
#include <limits>

#include "tests/tools/report_support.h"
#include "tools/common/trans_net_file.h"
#include "tools/report/encoded_maps.h"
#include "tools/report/html.h"
#include "tools/report/paths.h"

namespace concord::test {
namespace {

using report::EncodedMaps;

TEST(EncodedMaps, AreExactToHalfAStep) {
  const std::vector<float> ramp = {-3.0F, -1.7F, -0.011F, 0.0F, 0.4F, 2.999F};
  const std::vector<float> small = {1e-30F, -2e-30F, 0, 0, 0, 0};
  EncodedMaps maps(3, 2);
  maps.add(ramp);
  maps.add(small);
  ASSERT_EQ(maps.steps().size(), 2U);
  EXPECT_FLOAT_EQ(maps.steps()[0], 3.0F / 127);
  EXPECT_FLOAT_EQ(maps.steps()[1], 2e-30F / 127);
  EXPECT_EQ(maps.values()[0], -127);
  EXPECT_EQ(maps.values()[7], -127);
  for (std::size_t i = 0; i < 12; ++i) {
    const double step = maps.steps()[i / 6];
    const double value = i < 6 ? ramp[i] : small[i - 6];
    EXPECT_LE(std::abs(maps.values()[i] * step - value), step / 2 * (1 + 1e-5)) << i;
  }
}

TEST(EncodedMaps, WhatIsNoNumberStaysNone) {
  const float infinity = std::numeric_limits<float>::infinity();
  EncodedMaps maps(1, 3);
  maps.add(std::vector<float>{std::nanf(""), 2.0F, -infinity});
  maps.add(std::vector<float>{0.0F, -0.0F, 0.0F});
  maps.add(std::vector<float>{infinity, std::nanf(""), infinity});
  EXPECT_EQ(maps.values(), (std::vector<std::int8_t>{-128, 127, -128, 0, 0, 0, -128, -128, -128}));
  EXPECT_FLOAT_EQ(maps.steps()[0], 2.0F / 127);
  EXPECT_EQ(maps.steps()[1], 0.0F);
}

// What is read back from the text is what was stored, of any size of map and some of the maps.
TEST(EncodedMaps, AsText) {
  random::Stream noise(3, 4);
  const std::pair<std::int64_t, std::int64_t> sizes[] = {{1, 1}, {1, 7}, {5, 1}, {3, 2}, {14, 14}};
  for (const auto& [width, height] : sizes) {
    EncodedMaps maps(width, height);
    for (int i = 0; i < 5; ++i) {
      std::vector<float> map(static_cast<std::size_t>(width * height));
      for (float& value : map) value = static_cast<float>(noise.below(2001)) - 1000.0F;
      if (i == 2) map.back() = std::nanf("");
      if (i == 3) std::fill(map.begin(), map.end(), 0.0F);
      maps.add(map);
    }
    for (const std::vector<std::size_t>& numbers :
         {std::vector<std::size_t>{0, 1, 2, 3, 4}, {4, 1}, {2}, {}}) {
      const Block block =
          unpacked(maps.steps_text(numbers), maps.values_text(numbers), width, height);
      ASSERT_EQ(block.steps.size(), numbers.size());
      for (std::size_t i = 0; i < numbers.size(); ++i) {
        EXPECT_EQ(block.steps[i], maps.steps()[numbers[i]]);
        for (std::size_t at = 0; at < block.pixels(); ++at)
          EXPECT_EQ(block.values[i * block.pixels() + at],
                    maps.values()[numbers[i] * block.pixels() + at]);
      }
    }
    EXPECT_THROW(maps.values_text(std::vector<std::size_t>{5}), Error);
    EXPECT_THROW(maps.steps_text(std::vector<std::size_t>{5}), Error);
    EXPECT_THROW(maps.add(std::vector<float>(static_cast<std::size_t>(width * height) + 1)), Error);
  }
  EXPECT_THROW(EncodedMaps(0, 3), Error);
}

// Smooth maps, as networks have them, take less than their bytes would as base64.
TEST(EncodedMaps, SmoothMapsArePacked) {
  EncodedMaps maps(14, 14);
  std::vector<std::size_t> numbers;
  random::Stream noise(3, 5);
  for (std::size_t i = 0; i < 200; ++i) {
    std::vector<float> map;
    const double phase = static_cast<double>(noise.below(1000)) / 159.0;
    for (int y = 0; y < 14; ++y)
      for (int x = 0; x < 14; ++x)
        map.push_back(static_cast<float>(std::sin(phase + 0.4 * x) + std::cos(0.3 * y - phase)));
    maps.add(map);
    numbers.push_back(i);
  }
  EXPECT_LT(static_cast<double>(maps.values_text(numbers).size()), 0.8 * 200 * 196 * 4 / 3);
}

// The example of Z85 (RFC 32 of ZeroMQ), whose letters have the other case: "HelloWorld".
TEST(ReportHtml, Base85) {
  using Bytes = std::vector<std::uint8_t>;
  EXPECT_EQ(report::base85(Bytes{}), "");
  EXPECT_EQ(report::base85(Bytes{0, 0, 0, 0}), "00000");
  EXPECT_EQ(report::base85(Bytes{0, 0, 0, 84}), "0000~");
  EXPECT_EQ(report::base85(Bytes{0, 0, 1, 0}), "00031");  // 256 = 3 * 85 + 1
  EXPECT_EQ(report::base85(Bytes{255, 255, 255, 255}), "|NsC0");
  EXPECT_EQ(report::base85(Bytes{255}), "{{");
  EXPECT_EQ(report::base85(Bytes{0x86, 0x4F, 0xD2, 0x6F, 0xB5, 0x59, 0xF7, 0x5B}), "hELLOwORLD");
  for (std::size_t count = 0; count < 9; ++count) {
    Bytes bytes;
    for (std::size_t i = 0; i < count; ++i)
      bytes.push_back(static_cast<std::uint8_t>(251 * (i + 1)));
    EXPECT_EQ(decoded_base85(report::base85(bytes)), bytes);
  }
}

TEST(ReportHtml, NothingIsTakenForMarkup) {
  EXPECT_EQ(report::escaped("<a href=\"x\" title='y'>&"),
            "&lt;a href=&quot;x&quot; title=&#39;y&#39;&gt;&amp;");
  EXPECT_EQ(report::escaped(std::string("a\x01\xff", 3)), "a\xEF\xBF\xBD\xEF\xBF\xBD");
  const report::Json json = {{"</script>", "<!--"}, {"b", "&amp;"}};
  const std::string text = report::script_json(json);
  EXPECT_EQ(text.find('<'), std::string::npos) << text;
  EXPECT_EQ(report::Json::parse(text), json);
}

TEST(ReportPaths, FollowAFolderThatWasMoved) {
  const TemporaryFolder folder;
  fs::create_directories(folder / "new/suite/steps/maps");
  fs::create_directories(folder / "new/suite/steps/variance");
  const fs::path now = folder / "new/suite/steps/variance";
  const std::string maps = (folder / "new/suite/steps/maps").string();
  const report::RunPaths moved("/old/suite/steps/variance", now);
  EXPECT_EQ(moved.now("/old/suite/steps/maps"), maps);
  EXPECT_EQ(moved.now("/elsewhere/maps"), "/elsewhere/maps");
  EXPECT_EQ(moved.now("/old/suite/steps/gone"), "/old/suite/steps/gone");
  EXPECT_EQ(moved.now("cub200:/old/suite/steps/maps"), "cub200:/old/suite/steps/maps");
  EXPECT_EQ(moved.now(""), "");
  // Paths that were relative to a folder that the user is not in now.
  const report::RunPaths relative("suite/steps/variance", now);
  EXPECT_EQ(relative.now("suite/steps/maps"), maps);
  EXPECT_EQ(relative.now("./suite/steps/maps"), maps);
}

class Report : public ReportTest {};

// The maps in the page are those of the stores and of the Trans-Net, to half a step of 8 bits.
TEST_F(Report, MapsAreWhatTheStoresAndTheTransNetHave) {
  const std::string page = make("page");
  const Json gallery = gallery_of(page);
  ASSERT_EQ(gallery["directions"].size(), 2U) << "A to B and B to A";
  EXPECT_EQ(gallery["pairs"].size(), 1U);
  EXPECT_NE(gallery["directions"][0]["forward"], gallery["directions"][1]["forward"]);
  for (const Json& direction : gallery["directions"]) {
    const bool forward = direction["forward"];
    const Json& from = gallery["sides"][direction["from"].get<std::size_t>()];
    const Json& to = gallery["sides"][direction["to"].get<std::size_t>()];
    const Tensor& source = forward ? a() : b();
    const Tensor& target = forward ? b() : a();
    ASSERT_EQ(to["channels"].size(), static_cast<std::size_t>(target.dim(1)));
    const tool::SavedTransNet saved = tool::load_trans_net(
        path(forward ? "runs/ab/last.safetensors" : "runs/ba/last.safetensors"), {});
    const Orders expected = saved.net->disentangle(source);
    const Block sources = block_of(page, from["block"], from);
    const Block targets = block_of(page, to["block"], to);
    const Block parts = block_of(page, direction["block"], to);
    const std::size_t images = direction["photos"].size();
    ASSERT_EQ(images, static_cast<std::size_t>(kImages));
    std::size_t map = 0;
    for (std::size_t image = 0; image < images; ++image)
      for (std::size_t c = 0; c < to["channels"].size(); ++c) {
        const auto channel = to["channels"][c].get<std::int64_t>();
        const auto row = static_cast<std::int64_t>(image);
        const std::size_t place = image * to["channels"].size() + c;
        expect_map(targets, place, target, row, channel);
        for (const Tensor& order : expected.orders) expect_map(parts, map++, order, row, channel);
        // y is what the target has beside x_delta.
        const std::vector<double> b = values_of(targets, place);
        const std::vector<double> delta = values_of(parts, map);
        const double rounding = (parts.steps[map] + targets.steps[place]) / 2 + 1e-5;
        for (std::size_t i = 0; i < b.size(); ++i)
          EXPECT_NEAR(b[i] - delta[i], value_at(expected.y, row, channel, i), rounding);
        ++map;
      }
    EXPECT_EQ(map, parts.steps.size());
    for (std::size_t image = 0; image < images; ++image)
      for (std::size_t c = 0; c < from["channels"].size(); ++c)
        expect_map(sources, image * from["channels"].size() + c, source,
                   static_cast<std::int64_t>(image), from["channels"][c].get<std::int64_t>());
  }
}

// Channels stand by their variance, and the shares are those of variance.json.
TEST_F(Report, ChannelsAreRankedByWhatWasMeasured) {
  const Json gallery = gallery_of(make("ranked"));
  const Json variance = Json::parse(text_of(path("runs/variance-ab/variance.json")));
  for (const Json& direction : gallery["directions"]) {
    if (!direction["forward"].get<bool>()) continue;
    const Json& to = gallery["sides"][direction["to"].get<std::size_t>()];
    double before = std::numeric_limits<double>::infinity();
    for (std::size_t c = 0; c < to["channels"].size(); ++c) {
      const auto channel = to["channels"][c].get<std::size_t>();
      const double energy = to["energy"][c];
      EXPECT_LE(energy, before);
      before = energy;
      EXPECT_NEAR(energy, variance["channels"]["target"][channel].get<double>(), 1e-4 * energy);
      EXPECT_NEAR(direction["variance"]["delta"][c].get<double>(),
                  variance["channels"]["delta"][channel].get<double>(), 1e-5);
    }
  }
}

TEST_F(Report, TellsTheAnswerTheTablesAndTheCommands) {
  const std::string page = make("told");
  const Json variance = Json::parse(text_of(path("runs/variance-ab/variance.json")));
  const std::string known = fmt::format("<b>{:.1f}\u00a0%</b> was computed from A",
                                        100 * (1 - variance["share_delta"].get<double>()));
  EXPECT_NE(page.find(known), std::string::npos) << known;
  for (const Json& order : variance["var_orders"])
    EXPECT_NE(page.find(fmt::format("<td>{:.4g}</td>", order.get<double>())), std::string::npos);
  EXPECT_NE(page.find(fmt::format("<b>{:.4f}</b>", variance["instability"].get<double>())),
            std::string::npos);
  const Json config = Json::parse(text_of(path("runs/variance-ab/config.json")));
  EXPECT_NE(page.find(report::escaped(config["command"])), std::string::npos);
  EXPECT_NE(page.find("unfinished: 2 of 7 epochs"), std::string::npos);
  for (const char* section :
       {"variance", "gates", "accuracy", "curves", "pictures", "channels", "runs"}) {
    EXPECT_NE(page.find(fmt::format("<section id=\"{}\"", section)), std::string::npos) << section;
    EXPECT_NE(page.find(fmt::format("<a href=\"#{}\">", section)), std::string::npos) << section;
  }
  for (const char* section : {"compression", "distillation", "similarity", "left-out"})
    EXPECT_EQ(page.find(fmt::format("<section id=\"{}\"", section)), std::string::npos) << section;
}

TEST_F(Report, NeedsNothingButItself) {
  const std::string page = make("alone");
  for (const char* text : {"http://", "https://", "<link", "@import", "url(", "<iframe", "fetch(",
                           "XMLHttpRequest", "<base"})
    EXPECT_EQ(page.find(text), std::string::npos) << text;
  for (std::size_t at = page.find("src=\""); at != std::string::npos;
       at = page.find("src=\"", at + 1))
    EXPECT_EQ(page.substr(at + 5, 5), "data:");
  EXPECT_NE(page.find("default-src 'none'"), std::string::npos);
}

TEST_F(Report, SameInputsGiveTheSameBytes) { EXPECT_EQ(make("once"), make("twice")); }

// Names from files reach the page as text, in markup and in scripts.
TEST_F(Report, HostileNamesAreText) {
  const std::string page = make("hostile");
  EXPECT_EQ(page.find("<img src=x"), std::string::npos);
  EXPECT_EQ(page.find("</script><script>pwned"), std::string::npos);
  EXPECT_NE(page.find(report::escaped(kHostile)), std::string::npos) << "it is told, as text";
  bool shown = false;
  const Json gallery = gallery_of(page);
  for (const Json& photo : gallery["photos"])
    shown = shown || photo["name"].get<std::string>().find(kHostile) != std::string::npos;
  EXPECT_TRUE(shown);
}

TEST_F(Report, DamagedFilesAreNamedAndTheRestIsShown) {
  const fs::path runs = path("damaged-runs");
  fs::copy(path("runs"), runs, fs::copy_options::recursive);
  const std::string variance = text_of(runs / "variance-ab/variance.json");
  write_file(runs / "variance-ab/variance.json", variance.substr(0, variance.size() / 2));
  write_file(runs / "train/metrics.jsonl", text_of(runs / "train/metrics.jsonl") + "{\"epoch\":3,");
  write_run(runs / "odd", "concord-refine");
  write_file(runs / "odd/refine.json",
             std::string(R"({"subsets": [{"orders": "all"}], "version": "1"})"));
  write_run(runs / "none", "concord-diagnose");
  write_file(runs / "none/diagnose.json", std::string(R"({"version": "1"})"));
  write_file(runs / "none/similarity.json", std::string(R"([1, 2)"));
  fs::create_directories(runs / "foreign");
  write_file(runs / "foreign/config.json", std::string(R"({"name": "another program's"})"));
  write_file(runs / "foreign/results.json", std::string(R"({"results": 3})"));
  Json config = Json::parse(text_of(runs / "variance-ba/config.json"));
  config["options"]["weights"] = "gone/last.safetensors";
  write_file(runs / "variance-ba/config.json", config.dump());
  const ProgramResult run = visualize({"--report", runs.string(), "--output-dir", path("damaged")});
  expect_failure(run, 0,
                 {"warning: " + (runs / "variance-ab/variance.json").string(),
                  (runs / "odd/refine.json").string(), (runs / "none/diagnose.json").string(),
                  "\"unreliable\"", (runs / "none/similarity.json").string()});
  EXPECT_EQ(run.err.find("foreign"), std::string::npos) << run.err;
  EXPECT_EQ(run.err.find("metrics"), std::string::npos) << "a torn last line is an unfinished run";
  const std::string page = text_of(path("damaged/index.html"));
  EXPECT_NE(page.find("<section id=\"left-out\""), std::string::npos);
  EXPECT_NE(page.find("odd/refine.json"), std::string::npos);
  EXPECT_NE(page.find("gone/last.safetensors is not there"), std::string::npos);
  // Trans-Nets that nobody measured, as far as is known, are shown by their own runs.
  EXPECT_EQ(gallery_of(page)["directions"].size(), 2U);
  EXPECT_NE(page.find("unfinished: 2 of 7 epochs"), std::string::npos);
}

// What no program of ours writes: nothing of it ends the report, or takes for ever.
TEST_F(Report, HostileNumbersAndNestingAreSurvived) {
  const fs::path runs = path("hostile-runs");
  const auto metrics = [&](const std::string& name, const std::string& lines) {
    write_run(runs / name, "concord-train");
    write_file(runs / name / "metrics.jsonl", lines);
  };
  metrics("far", "{\"epoch\":1e16,\"loss\":1}\n{\"epoch\":10000000000000002,\"loss\":2}\n");
  metrics("alike", "{\"epoch\":1,\"loss\":1e16}\n{\"epoch\":2,\"loss\":10000000000000002}\n");
  metrics("tiny", "{\"epoch\":1,\"loss\":1e-310}\n{\"epoch\":2,\"loss\":5e-324}\n");
  metrics("huge", "{\"epoch\":1,\"loss\":1e308}\n\n{\"epoch\":2,\"loss\":-1e308}\n");
  metrics("whole", "{\"epoch\":1,\"loss\":2}\n\n{\"epoch\":2,\"loss\":1}\n");
  write_run(runs / "deep", "concord-train");
  write_file(runs / "deep/config.json", "{\"options\":{\"seed\":" + std::string(300'000, '[') +
                                            std::string(300'000, ']') + "}}");
  write_run(runs / "odd", "concord-similarity");
  write_file(
      runs / "odd/similarity.json",
      std::string(R"({"version": "1", "features_a": 7, "features_b": [1], "measures": []})"));
  const ProgramResult run =
      visualize({"--report", runs.string(), "--output-dir", path("hostile-numbers")});
  expect_failure(run, 0,
                 {(runs / "deep/config.json").string() + ": values lie more than",
                  (runs / "odd/similarity.json").string()});
  const std::string page = text_of(path("hostile-numbers/index.html"));
  for (const char* name : {"far", "alike", "tiny", "whole"})
    EXPECT_NE(page.find(fmt::format("aria-label=\"{}: loss by epoch\"", name)), std::string::npos)
        << name;
  for (const char* wrong : {"=\"nan", "\"inf", ",nan", " nan", "-nan"})
    EXPECT_EQ(page.find(wrong), std::string::npos) << wrong;
}

TEST_F(Report, SizeIsLimited) {
  const std::string whole = make("whole");
  EXPECT_LT(whole.size(), 15'000'000U);
  for (const double megabytes : {0.35, 0.15}) {
    const std::string name = fmt::format("small-{}", megabytes);
    const ProgramResult run = visualize({"--report", path("runs"), "--output-dir", path(name),
                                         "--max-size", fmt::format("{}", megabytes)});
    ASSERT_EQ(run.code, 0) << run.err;
    const std::string page = text_of(path(name) + "/index.html");
    EXPECT_LE(page.size(), static_cast<std::size_t>(megabytes * 1e6));
    EXPECT_NE(page.find("larger than its limit"), std::string::npos);
    EXPECT_NE(run.err.find("larger than its limit"), std::string::npos) << run.err;
  }
}

TEST_F(Report, SaysWhereNoListedChannelIs) {
  const ProgramResult run =
      visualize({"--report", path("runs"), "--output-dir", path("none"), "--channels", "3,9"});
  expect_failure(run, 0, {"--channels 3,9", "has channels 0 to 2", "vary most"});
  EXPECT_EQ(run.err.find("0 to 3"), std::string::npos) << "channel 3 is one of the other's four";
}

TEST_F(Report, SaysWhereTheLimitCannotBeKept) {
  write_run(path("long/train"), "concord-train", Json::object(),
            {{"command", std::string(150'000, 'x')}});
  const ProgramResult run = visualize(
      {"--report", path("long"), "--output-dir", path("over"), "--max-size", "0.1", "--quiet"});
  expect_failure(run, 0, {"warning: ", "more than --max-size 0.10"});
  EXPECT_GT(text_of(path("over/index.html")).size(), 150'000U);
}

TEST_F(Report, ShowsWhatIsAskedFor) {
  const Json gallery = gallery_of(make(
      "asked", {"--images", "1,val/blue/02.png", "--channels", "3,0", "--title", "Mine & yours"}));
  EXPECT_EQ(gallery["photos"].size(), 2U);
  EXPECT_EQ(gallery["photos"][1]["name"], "val/blue/02.png");
  EXPECT_TRUE(
      gallery["photos"][1]["picture"].get<std::string>().starts_with("data:image/jpeg;base64,"));
  for (const Json& side : gallery["sides"])
    EXPECT_EQ(side["channels"], side["of"] == 4 ? Json({3, 0}) : Json(std::vector<int>{0}));
  EXPECT_NE(text_of(path("asked/index.html")).find("<title>Mine &amp; yours</title>"),
            std::string::npos);
}

// One run, several folders, and a suite's tables.
TEST_F(Report, FindsWhateverLiesThere) {
  const auto page_of = [&](const std::string& folders, const std::string& out) {
    const ProgramResult run = visualize({"--report", folders, "--output-dir", path(out)});
    EXPECT_EQ(run.code, 0) << run.err;
    return text_of(path(out) + "/index.html");
  };
  EXPECT_NE(page_of(path("runs/train"), "single").find("unfinished: 2 of 7"), std::string::npos);
  const std::string two = page_of(path("runs/train") + "," + path("runs/variance-ab"), "two");
  EXPECT_NE(two.find("<section id=\"variance\""), std::string::npos);
  EXPECT_NE(two.find("<section id=\"curves\""), std::string::npos);
  fs::create_directories(path("suite"));
  write_file(path("suite/results.json"),
             std::string(R"({"plan": "mine", "version": "1", "results": [
    {"name": "r", "n": 2, "mean": 0.5, "deviation": 0.01}], "tables": [{"title": "T", "note": "What it says <here>", "columns": [{"title": "share", "scale": 100, "decimals": 1, "unit": " %"},
    {"title": "plain", "scale": 1, "decimals": null, "unit": ""}], "rows": [{"title": "row",
    "cells": [{"paper": 77.6, "result": "r", "n": 2, "mean": 0.5, "deviation": 0.01},
    {"paper": null, "result": "r", "n": 1, "mean": 0.25, "deviation": null}]}]},
    {"title": "U", "columns": [{"title": "alone", "scale": 1, "unit": ""}], "rows": [
    {"title": "ours", "cells": [{"paper": null, "result": "r", "n": 1, "mean": 0.125}]},
    {"title": "theirs", "cells": [{"paper": 0.375, "result": null}]}]}]})"));
  const std::string suite = page_of(path("suite"), "of-suite");
  EXPECT_NE(suite.find("<td>50.0 \u00b1 1.0 %</td>"), std::string::npos);
  EXPECT_NE(suite.find("<span class=\"faint\">77.6 %</span>"), std::string::npos);
  EXPECT_NE(suite.find("<td>0.25</td>"), std::string::npos)
      << "four digits where none are asked for";
  EXPECT_NE(suite.find("share<span class=\"faint\">, paper</span>"), std::string::npos);
  EXPECT_EQ(suite.find("alone<span"), std::string::npos)
      << "rows of the paper alone share a column";
  EXPECT_NE(suite.find("<td>0.125</td>"), std::string::npos);
  EXPECT_NE(suite.find("<td><span class=\"faint\">0.375</span></td>"), std::string::npos);
  EXPECT_NE(suite.find("What it says &lt;here&gt;"), std::string::npos);
  EXPECT_NE(suite.find("Not measured yet"), std::string::npos);
}

TEST_F(Report, SaysWhatIsWrong) {
  fs::create_directories(path("empty/below"));
  write_bytes(path("empty/below/notes.txt"), "nothing of ours");
  expect_failure(visualize({"--report", path("empty"), "--output-dir", path("x")}), 1,
                 {"empty", "nothing to report", "variance.json"});
  expect_failure(visualize({"--report", path("gone"), "--output-dir", path("x")}), 1,
                 {"is no folder"});
  expect_failure(visualize({"--output-dir", path("x")}), 2, {"--report", "--weights"});
  expect_failure(visualize({"--report", path("runs"), "--features-a", path("maps-a"),
                            "--output-dir", path("x")}),
                 2, {"--features-a", "--report"});
  expect_failure(
      visualize({"--report", path("runs"), "--channels", "some", "--output-dir", path("x")}), 2,
      {"best:N"});
  EXPECT_FALSE(fs::exists(path("x")));
  make("full");
  expect_failure(visualize({"--report", path("runs"), "--output-dir", path("full")}), 1,
                 {"not empty", "--force"});
  EXPECT_EQ(visualize({"--report", path("runs"), "--output-dir", path("full"), "--force"}).code, 0);
}

}  // namespace
}  // namespace concord::test
