// concord-diagnose, and concord-variance on networks, as a user runs them.

#include <cmath>
#include <nlohmann/json.hpp>

#include "tests/tools/small_data.h"

namespace concord::test {
namespace {

using Words = std::vector<std::string>;

Words joined(Words first, const Words& second) {
  first.insert(first.end(), second.begin(), second.end());
  return first;
}

nlohmann::json json_of(const fs::path& file) { return nlohmann::json::parse(text_of(file)); }

std::size_t lines_of(const std::string& text) {
  return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
}

class ConcordDiagnose : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = std::make_unique<TemporaryFolder>();
    write_pictures(*folder_ / "data");
    const auto train = [](const std::string& arch, const std::string& name, const Words& more) {
      const ProgramResult run = run_program(
          "concord-train",
          joined({"--data", data(), "--arch", arch, "--image-size", "32", "--epochs", "1",
                  "--batch-size", "8", "--threads", "1", "--output-dir", path(name), "--quiet"},
                 more));
      ASSERT_EQ(run.code, 0) << run.err;
    };
    train("resnet18", "strong", {"--half", "a"});
    train("resnet18", "weak", {"--half", "b", "--seed", "1"});
  }
  static void TearDownTestSuite() { folder_.reset(); }

  static std::string path(const std::string& name) { return (*folder_ / name).string(); }
  static std::string data() { return path("data"); }
  static std::string weights(const std::string& name) { return path(name) + "/last.safetensors"; }
  // layer2 has 128 channels of 4x4, layer1 64 of 8x8.
  static Words diagnose(const std::string& output, const Words& more = {},
                        const std::string& epochs = "2") {
    return joined({"--weights-strong",
                   weights("strong"),
                   "--layer-strong",
                   "layer2",
                   "--weights-weak",
                   weights("weak"),
                   "--layer-weak",
                   "layer1",
                   "--data",
                   data(),
                   "--epochs",
                   epochs,
                   "--batch-size",
                   "8",
                   "--lr",
                   "1e-3",
                   "--threads",
                   "1",
                   "--output-dir",
                   output},
                  more);
  }

  static std::unique_ptr<TemporaryFolder> folder_;
};
std::unique_ptr<TemporaryFolder> ConcordDiagnose::folder_;

// Both directions across layers of other channels and sizes; what is written is what
// concord-variance finds with the Trans-Nets that are left.
TEST_F(ConcordDiagnose, MeasuresBothDirections) {
  const std::string out = path("diagnosis");
  const ProgramResult run = run_program("concord-diagnose", diagnose(out, {"--channels", "3"}));
  ASSERT_EQ(run.code, 0) << run.err;
  EXPECT_NE(run.out.find("blind spots"), std::string::npos) << run.out;
  const auto json = json_of(out + "/diagnose.json");
  EXPECT_EQ(json["unreliable"]["channels"]["delta"].size(), 64U);
  EXPECT_EQ(json["blind-spots"]["channels"]["delta"].size(), 128U);
  EXPECT_EQ(json["blind-spots"]["channels_by_share"].size(), 128U);
  EXPECT_EQ(lines_of(text_of(out + "/unreliable.csv")), 65U);
  EXPECT_TRUE(fs::exists(out + "/unreliable.png") && fs::exists(out + "/blind-spots.png"));
  for (const auto& entry : fs::directory_iterator(out))
    EXPECT_FALSE(entry.path().filename().string().starts_with("features-")) << entry.path();

  const std::pair<std::string, Words> directions[] = {
      {"unreliable",
       {"--weights", out + "/strong-to-weak/last.safetensors", "--weights-a", weights("strong"),
        "--layer-a", "layer2", "--weights-b", weights("weak"), "--layer-b", "layer1"}},
      {"blind-spots",
       {"--weights", out + "/weak-to-strong/last.safetensors", "--weights-a", weights("weak"),
        "--layer-a", "layer1", "--weights-b", weights("strong"), "--layer-b", "layer2"}}};
  for (const auto& [key, words] : directions) {
    const std::string again = path("again-" + key);
    const ProgramResult measured = run_program(
        "concord-variance", joined(words, {"--data", data(), "--threads", "1", "--batch-size", "5",
                                           "--channels", "2", "--output-dir", again}));
    ASSERT_EQ(measured.code, 0) << measured.err;
    const auto variance = json_of(again + "/variance.json");
    EXPECT_EQ(variance["kind"], "data");
    EXPECT_EQ(variance["a"]["half"], key == "unreliable" ? "a" : "b");
    const double instability = variance["instability"];
    EXPECT_GT(instability, 0);
    EXPECT_NEAR(instability, json[key]["instability"].get<double>(), 1e-5);
    EXPECT_NEAR(variance["var_orders"][0].get<double>(), json[key]["var_orders"][0].get<double>(),
                1e-4 * json[key]["var_orders"][0].get<double>());
    EXPECT_TRUE(variance["top1_a"].is_number());
    EXPECT_GT(variance["var_target"].get<double>(), 0);
  }
  const ProgramResult table =
      run_program("concord-variance", {"--table", path("again-unreliable") + "/variance.json",
                                       path("again-blind-spots") + "/variance.json"});
  ASSERT_EQ(table.code, 0) << table.err;
  EXPECT_NE(table.out.find("resnet18 layer2 to resnet18 layer1"), std::string::npos) << table.out;
  EXPECT_NE(table.out.find("data"), std::string::npos) << table.out;
}

// The share of a channel by hand from its line of channels.csv, and the order of the ranking.
TEST_F(ConcordDiagnose, RanksChannelsByTheirShare) {
  const std::string a = write_features(path("a.safetensors"), random_features({9, 4, 3, 3}, 1));
  const std::string b = write_features(path("b.safetensors"), random_features({9, 4, 3, 3}, 2));
  ASSERT_EQ(run_program("concord-transnet", {"--features-a", a, "--features-b", b, "--epochs", "1",
                                             "--output-dir", path("net"), "--quiet"})
                .code,
            0);
  const std::string out = path("ranked");
  const ProgramResult run = run_program(
      "concord-variance", {"--weights", path("net") + "/last.safetensors", "--features-a", a,
                           "--features-b", b, "--channels", "4", "--output-dir", out});
  ASSERT_EQ(run.code, 0) << run.err;
  const auto channels = json_of(out + "/variance.json")["channels"];
  std::istringstream csv(text_of(out + "/channels.csv"));
  std::string line;
  std::getline(csv, line);
  EXPECT_EQ(line, "channel,var_order0,var_order1,var_order2,var_delta,share_delta");
  std::vector<std::pair<double, std::string>> shares;
  for (std::size_t c = 0; std::getline(csv, line); ++c) {
    double sum = 0;
    for (std::size_t k = 0; k < 3; ++k) sum += channels["orders"][k][c].get<double>();
    const double delta = channels["delta"][c];
    EXPECT_NEAR(std::stod(line.substr(line.rfind(',') + 1)), delta / (sum + delta), 1e-12);
    shares.emplace_back(-delta / (sum + delta), fmt::format("\n{} ", c));
  }
  ASSERT_EQ(shares.size(), 4U);
  std::sort(shares.begin(), shares.end());
  const std::string ranking = run.out.substr(run.out.find("share of x_delta"));
  std::size_t at = 0;
  for (const auto& [share, start] : shares) {
    const std::size_t next = ranking.find(start, at);
    ASSERT_NE(next, std::string::npos) << start << run.out;
    at = next;
  }
}

TEST_F(ConcordDiagnose, GoesOnAfterAKillToTheSameBits) {
  const std::string whole = path("whole");
  ASSERT_EQ(run_program("concord-diagnose", diagnose(whole, {}, "6")).code, 0);
  const std::string killed = path("killed");
  // In the second Trans-Net, whose training follows the first's.
  const ProgramResult first = run_program(
      "concord-diagnose", diagnose(killed, {}, "6"),
      {.meanwhile = signal_after(killed + "/weak-to-strong/metrics.jsonl", 2, SIGINT, {})});
  ASSERT_EQ(first.code, 130) << first.err;
  EXPECT_NE(first.err.find("--resume"), std::string::npos) << first.err;
  expect_failure(run_program("concord-diagnose", diagnose(killed, {}, "6")), 1,
                 {"is not empty", "--resume"});
  const ProgramResult rest = run_program("concord-diagnose", diagnose(killed, {"--resume"}, "6"));
  ASSERT_EQ(rest.code, 0) << rest.err;
  const auto results = [](const std::string& folder) {
    auto json = json_of(folder + "/diagnose.json");
    json.erase("command");
    return json.dump();
  };
  EXPECT_EQ(results(killed), results(whole));
}

// Without the disk the same batches are computed from the images.
TEST_F(ConcordDiagnose, ComputesFeaturesAnewWhereTheyDoNotFit) {
  ASSERT_EQ(run_program("concord-diagnose", diagnose(path("stored"))).code, 0);
  const ProgramResult run =
      run_program("concord-diagnose", diagnose(path("anew"), {"--feature-disk", "0"}));
  ASSERT_EQ(run.code, 0) << run.err;
  EXPECT_NE(run.err.find("computes them anew"), std::string::npos) << run.err;
  for (const char* key : {"unreliable", "blind-spots"})
    EXPECT_NEAR(json_of(path("anew") + "/diagnose.json")[key]["instability"].get<double>(),
                json_of(path("stored") + "/diagnose.json")[key]["instability"].get<double>(), 1e-3);
}

TEST_F(ConcordDiagnose, RefusesWhatMakesNoSense) {
  const auto without = [](Words words, const std::string& name) {
    const auto at = std::find(words.begin(), words.end(), name);
    words.erase(at, at + 2);
    return words;
  };
  expect_failure(run_program("concord-diagnose", without(diagnose(path("x")), "--layer-weak")), 2,
                 {"--layer-weak"});
  Words unknown = diagnose(path("x"));
  *(std::find(unknown.begin(), unknown.end(), "--layer-weak") + 1) = "layer9";
  expect_failure(run_program("concord-diagnose", unknown), 1, {"layer9"});
  expect_failure(run_program("concord-diagnose", diagnose(path("x"), {"--images", "nobody.png"})),
                 1, {"nobody.png", "no such image"});
  EXPECT_FALSE(fs::exists(path("x") + "/diagnose.json"));
  expect_failure(run_program("concord-variance", {"--table", data() + "/train/amber/00.png"}), 1,
                 {"00.png", "variance.json"});
  expect_failure(
      run_program("concord-variance", {"--weights", "w", "--weights-a", "a", "--features-a", "f"}),
      2, {"--features-a"});
}

}  // namespace
}  // namespace concord::test
