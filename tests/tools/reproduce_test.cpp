#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <random>
#include <sstream>

#include "engine/descriptor.h"
#include "tests/tools/small_data.h"

namespace concord::test {
namespace {

using Json = nlohmann::ordered_json;
using Words = std::vector<std::string>;

// Two networks, their features, the Trans-Net between them, how alike they are, and the table.
const std::string kPlan = R"({
  "name": "tiny",
  "variables": {"data": "", "epochs": 2, "layer": "layer1", "transnet_epochs": 2},
  "repetitions": [3],
  "steps": [
    {"name": "net-${net}", "program": "train", "for_each": {"net,add": [["a", ""], ["b", "1"]]},
     "options": {"--data": "${data}", "--arch": "resnet18", "--image-size": 32, "--batch-size": 8,
                 "--epochs": "${epochs}", "--seed": "${add}${seed}", "--threads": 1,
                 "--workers": 1}},
    {"name": "maps-${net}", "program": "features", "for_each": {"net": ["a", "b"]},
     "options": {"--weights": "${step:net-${net}}/last.safetensors", "--data": "${data}",
                 "--layer": "${layer}", "--threads": 1}},
    {"name": "trans", "program": "transnet",
     "options": {"--features-a": "${step:maps-a}", "--features-b": "${step:maps-b}",
                 "--epochs": "${transnet_epochs}", "--lr": 1e-3, "--threads": 1,
                 "--tensorboard": "scalars"}},
    {"name": "variance", "program": "variance",
     "options": {"--weights": "${step:trans}/last.safetensors", "--features-a": "${step:maps-a}",
                 "--features-b": "${step:maps-b}", "--threads": 1}},
    {"name": "similarity", "program": "similarity",
     "options": {"--features-a": "${step:maps-a}", "--features-b": "${step:maps-b}",
                 "--measures": "cka", "--rows": "mean", "--threads": 1}}
  ],
  "results": [
    {"name": "cka", "from": "${step:similarity}/similarity.json", "value": "/measures/0/value"},
    {"name": "instability", "from": "${step:variance}/variance.json", "value": "/instability"},
    {"name": "loss", "from": "${step:net-b}/metrics.jsonl", "where": "lowest loss",
     "value": "/loss"}
  ],
  "tables": [{"title": "Tiny", "columns": ["instability"],
              "rows": [{"title": "measured here", "results": ["instability"], "paper": [0.124]}]},
             {"title": "Apart", "columns": ["instability"],
              "rows": [{"title": "ours", "results": ["instability"]},
                       {"title": "theirs", "paper": [0.776]}]}]
})";
const Words kAllSteps = {"net-a.3", "net-b.3",    "maps-a.3",    "maps-b.3",
                         "trans.3", "variance.3", "similarity.3"};

class Reproduce : public ::testing::Test {
 protected:
  void SetUp() override {
    write_pictures(folder_ / "data", 4, 2);
    write_bytes(plan(), kPlan);
  }
  std::string plan() const { return (folder_ / "plan.json").string(); }
  Words words(const std::string& out, const Words& more = {}) const {
    Words all = {plan(), "--output-dir", (folder_ / out).string(), "--set",
                 "data=" + (folder_ / "data").string()};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  ProgramResult run(const std::string& out, const Words& more = {},
                    const ProgramLimits& limits = {}) const {
    return run_program("concord-reproduce", words(out, more), limits);
  }
  std::string results(const std::string& out) const {
    return text_of(folder_ / out / "results.json");
  }
  // The steps that were run, not skipped.
  static Words ran(const ProgramResult& result) {
    Words names;
    std::istringstream lines(result.err);
    for (std::string line; std::getline(lines, line);) {
      const std::size_t close = line.find("] ");
      if (!line.starts_with("[") || line.find(": done in") == std::string::npos) continue;
      names.push_back(line.substr(close + 2, line.find(':') - close - 2));
    }
    return names;
  }

  // The suite of "out" is done: its page is there, stays while nothing changes, and is never what
  // a suite fails by.
  void expect_report(double instability) const {
    const fs::path page = folder_ / "out/report/index.html";
    const std::string text = text_of(page);
    EXPECT_NE(text.find(fmt::format("<b>{:.4f}</b>", instability)), std::string::npos);
    EXPECT_NE(text.find("id=\"gallery-data\""), std::string::npos) << "the maps";
    EXPECT_NE(text.find("measured here"), std::string::npos) << "the plan's table";
    const auto made = fs::last_write_time(page);
    expect_failure(run("out"), 0, {"the report is unchanged", page.string()});
    EXPECT_EQ(fs::last_write_time(page), made);

    fs::remove(page);
    fs::create_directories(page / "in-its-way");
    expect_failure(
        run("out"), 0,
        {"warning: the report was not made", "to make it by hand", "concord-visualize --report"});
    fs::remove_all(page);
    EXPECT_EQ(run("out", {"--no-report"}).code, 0);
    EXPECT_FALSE(fs::exists(page));
    EXPECT_EQ(run("out").code, 0);
    EXPECT_EQ(text_of(page), text);
  }

  const TemporaryFolder folder_;
};

TEST_F(Reproduce, RunsEachStepOnceAndAgainWhatChanged) {
  const ProgramResult first = run("out");
  ASSERT_EQ(first.code, 0) << first.err;
  EXPECT_EQ(ran(first), kAllSteps);
  const Json found = Json::parse(results("out"));
  const Json variance = Json::parse(text_of(folder_ / "out/steps/variance.3/variance.json"));
  EXPECT_EQ(found["results"][1]["values"][0]["value"], variance["instability"]);
  EXPECT_EQ(found["results"][1]["values"][0]["repetition"], (Json{{"seed", 3}}));
  EXPECT_EQ(found["tables"][0]["rows"][0]["cells"][0]["paper"], 0.124);
  EXPECT_EQ(results("out").find(folder_.path().string()), std::string::npos)
      << "results.json holds a path";
  EXPECT_NE(first.out.find("0.124"), std::string::npos) << first.out;
  EXPECT_NE(text_of(folder_ / "out/tables.md").find("| measured here | 0.124 |"),
            std::string::npos);
  // Rows of the paper alone need no column of their own.
  EXPECT_NE(text_of(folder_ / "out/tables.md").find("\n| theirs | 0.776 |\n"), std::string::npos);
  // Where the data lies does not matter, what lies there does.
  const std::string here = found["set"]["data"]["sha256"];
  EXPECT_EQ(here.size(), 64U) << found["set"];
  const Json seed_of_b = Json::parse(text_of(folder_ / "out/steps/net-b.3/config.json"));
  EXPECT_EQ(seed_of_b["options"]["seed"], 13);

  const std::string before = results("out");
  const auto expect_run = [&](const Words& steps, const Words& more = {}) {
    const ProgramResult again = run("out", more);
    ASSERT_EQ(again.code, 0) << again.err;
    EXPECT_EQ(ran(again), steps) << again.err;
  };
  expect_run({});
  EXPECT_EQ(results("out"), before);
  expect_report(variance["instability"]);

  fs::remove(folder_ / "out/steps/variance.3/variance.json");
  expect_run({"variance.3"});
  EXPECT_EQ(results("out"), before);

  // Made again to the same bits: what follows from them is still right.
  fs::remove_all(folder_ / "out/steps/maps-a.3");
  expect_run({"maps-a.3"});
  expect_run({"net-b.3"}, {"--again", "net-b"});
  EXPECT_EQ(results("out"), before);

  expect_run({"trans.3", "variance.3"}, {"--set", "transnet_epochs=3"});
  EXPECT_NE(results("out"), before);
  expect_run({"trans.3", "variance.3"});
  EXPECT_EQ(results("out"), before);

  // One picture to learn from, of the same size and time: its content decides.
  const fs::path picture = folder_ / "data/train/blue/02.png";
  fs::copy_file(folder_ / "data/train/amber/01.png", picture, fs::copy_options::overwrite_existing);
  expect_run(kAllSteps);
  EXPECT_NE(results("out"), before);

  // A folder that was moved is the same suite.
  fs::rename(folder_ / "out", folder_ / "moved");
  const ProgramResult moved = run("moved");
  EXPECT_EQ(moved.code, 0) << moved.err;
  EXPECT_EQ(ran(moved), Words{}) << moved.err;
}

TEST_F(Reproduce, KilledAtTenMomentsEndsWithTheSameBits) {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point start = Clock::now();
  ASSERT_EQ(run("undisturbed").code, 0);
  const double whole = std::chrono::duration<double>(Clock::now() - start).count();

  const unsigned seed = std::random_device()();
  RecordProperty("seed", std::to_string(seed));
  std::mt19937 random(seed);
  int unfinished = 0;
  for (int kill = 0; kill < 10; ++kill) {
    // Each kill comes this long after the start, most before the end of what is left to do.
    const double delay = whole * 0.4 * static_cast<double>(random() % 1000) / 1000;
    const Clock::time_point begun = Clock::now();
    const ProgramResult result =
        run("killed", {}, {.meanwhile = [&, sent = false](pid_t child) mutable {
              if (!sent && std::chrono::duration<double>(Clock::now() - begun).count() > delay) {
                ::kill(child, SIGKILL);
                sent = true;
              }
            }});
    ASSERT_TRUE(result.code == -SIGKILL || result.code == 0)
        << "seed " << seed << ", kill " << kill << " after " << delay << " s: " << result.err;
    unfinished += result.code == -SIGKILL ? 1 : 0;
  }
  std::printf("seed %u: %d of 10 runs were killed before their end\n", seed, unfinished);
  std::fflush(stdout);
  const ProgramResult last = run("killed");
  ASSERT_EQ(last.code, 0) << "seed " << seed << ": " << last.err;
  EXPECT_EQ(results("killed"), results("undisturbed")) << "seed " << seed;
  EXPECT_EQ(text_of(folder_ / "killed/steps/trans.3/last.safetensors").size(),
            text_of(folder_ / "undisturbed/steps/trans.3/last.safetensors").size());
  for (const auto& entry : fs::recursive_directory_iterator(folder_ / "killed"))
    EXPECT_NE(entry.path().extension(), ".tmp") << entry.path();
}

TEST_F(Reproduce, InterruptedLetsTheStepSaveItself) {
  const Words many = {"--set", "epochs=2000"};
  const ProgramResult stopped =
      run("out", many,
          {.meanwhile = signal_after(folder_ / "out/steps/net-a.3/metrics.jsonl", 1, SIGINT,
                                     std::chrono::milliseconds(10))});
  EXPECT_EQ(stopped.code, 130) << stopped.err;
  EXPECT_NE(stopped.err.find("interrupted at step net-a.3, 1 of 7"), std::string::npos)
      << stopped.err;
  EXPECT_NE(stopped.err.find("concord-reproduce " + plan()), std::string::npos) << stopped.err;
  EXPECT_TRUE(fs::exists(folder_ / "out/steps/net-a.3/last.safetensors"));

  // The same command goes on; another one starts the step anew.
  const fs::path log = folder_ / "out/logs/net-a.3.log";
  const ProgramResult on =
      run("out", many, {.meanwhile = [&, sent = false](pid_t child) mutable {
            if (sent || text_of(log).find("resuming at epoch") == std::string::npos) return;
            ::kill(child, SIGTERM);
            sent = true;
          }});
  EXPECT_EQ(on.code, 130);
  EXPECT_NE(on.err.find("net-a.3: it was stopped, and goes on"), std::string::npos) << on.err;
  const ProgramResult anew = run("out", {"--only", "net-a"});
  EXPECT_EQ(anew.code, 0) << anew.err;
  EXPECT_NE(anew.err.find("its command changed: --epochs 2, it was 2000"), std::string::npos)
      << anew.err;
  EXPECT_EQ(ran(anew), Words{"net-a.3"});
}

TEST_F(Reproduce, AFailureIsNamedAndMended) {
  const ProgramResult failed = run("out", {"--set", "layer=layer9", "--keep-going"});
  expect_failure(failed, 1,
                 {"step maps-a.3: concord-features failed with exit code 1", "layer9",
                  "logs/maps-a.3.log", "step trans.3: not run, for it needs the step maps-a.3"});
  EXPECT_EQ(ran(failed), (Words{"net-a.3", "net-b.3"}));
  const Json found = Json::parse(results("out"));
  EXPECT_TRUE(found["results"][1]["mean"].is_null());
  EXPECT_TRUE(found["results"][2]["mean"].is_number());
  EXPECT_NE(failed.out.find("-"), std::string::npos);

  const ProgramResult mended = run("out");
  EXPECT_EQ(mended.code, 0) << mended.err;
  EXPECT_EQ(ran(mended), (Words{"maps-a.3", "maps-b.3", "trans.3", "variance.3", "similarity.3"}));
}

// An input that is no longer there is told before anything of the suite is removed.
TEST_F(Reproduce, AnInputThatIsGoneLosesNothing) {
  ASSERT_EQ(run("out", {"--only", "net-a"}).code, 0);
  const std::string before = text_of(folder_ / "out/steps/net-a.3/last.safetensors");
  fs::rename(folder_ / "data", folder_ / "moved");
  expect_failure(run("out", {"--only", "net-a"}), 1,
                 {"step net-a.3", (folder_ / "data").string(), "bring it back"});
  EXPECT_EQ(text_of(folder_ / "out/steps/net-a.3/last.safetensors"), before);
  fs::rename(folder_ / "moved", folder_ / "data");
  EXPECT_EQ(ran(run("out", {"--only", "net-a"})), Words{});
}

TEST_F(Reproduce, WhoseFolderItIs) {
  fs::create_directories(folder_ / "papers");
  write_bytes(folder_ / "papers/thesis.txt", "x");
  expect_failure(run("papers"), 1, {(folder_ / "papers").string(), "is not empty", "--force"});

  ASSERT_EQ(run("out", {"--only", "net-a"}).code, 0);
  write_bytes(folder_ / "other.json", R"({"name": "other", "steps": [
      {"name": "net-a.3", "program": "prepare", "arguments": ["synthetic"]}]})");
  const Words other = {(folder_ / "other.json").string(), "--output-dir",
                       (folder_ / "out").string()};
  expect_failure(run_program("concord-reproduce", other), 1,
                 {"holds the suite of the plan tiny", "--force"});

  const Descriptor lock(::open((folder_ / "out/lock").c_str(), O_RDWR | O_CLOEXEC));
  ASSERT_EQ(::flock(lock.get(), LOCK_EX), 0);
  expect_failure(run("out"), 1, {"another concord-reproduce is working in it"});
  ASSERT_EQ(::flock(lock.get(), LOCK_UN), 0);

  // A folder that no step of the suite made.
  fs::create_directories(folder_ / "out/steps/net-b.3");
  write_bytes(folder_ / "out/steps/net-b.3/mine.txt", "x");
  expect_failure(run("out", {"--only", "net-b"}), 1, {"net-b.3", "move it away"});
  EXPECT_TRUE(fs::exists(folder_ / "out/steps/net-b.3/mine.txt"));
}

TEST_F(Reproduce, MistakesAreFoundBeforeAnythingRuns) {
  expect_failure(run("out", {"--set", "epoch=3"}), 1, {"epoch is no variable", "epochs"});
  expect_failure(run("out", {"--only", "net-c"}), 2, {"--only net-c", "net-a.3"});
  expect_failure(run("out", {"--measure"}), 2, {"--measure", "--dry-run"});
  expect_failure(run_program("concord-reproduce", {"--set", "epochs=1,2", plan()}), 2,
                 {"--output-dir is required"});
  expect_failure(run("out", {"--set", "epochs=1,2"}), 1, {"--set epochs=1,2: epochs is 2"});
  const auto with_step = [&](const std::string& step) {
    write_bytes(plan(), R"({"name": "p", "variables": {"data": ""}, "steps": [)" + step + "]}");
    return run("out");
  };
  expect_failure(with_step(R"({"name": "a", "program": "trian"})"), 1,
                 {"step a", "there is no concord-trian", "train"});
  expect_failure(
      with_step(R"({"name": "a", "program": "train", "options": {"--data": "x", "--epoch": 1}})"),
      1, {"step a", "--epoch is no option of concord-train", "--epochs"});
  expect_failure(with_step(R"({"name": "a", "program": "train", "options": {"--epochs": 1}})"), 1,
                 {"step a", "--data is missing"});
  expect_failure(
      with_step(R"({"name": "a", "program": "train", "options": {"--data": "x", "--strict": 1}})"),
      1, {"step a", "--strict of concord-train takes none"});
  expect_failure(with_step(R"({"name": "a", "program": "inspect"})"), 1,
                 {"step a", "no --output-dir", "output_dir"});
  EXPECT_FALSE(fs::exists(folder_ / "out"));
}

TEST_F(Reproduce, DryRunSaysWhatItWouldDoAndWritesNothing) {
  const ProgramResult fresh = run("out", {"--dry-run"});
  ASSERT_EQ(fresh.code, 0) << fresh.err;
  EXPECT_NE(fresh.out.find("net-a.3: not run yet"), std::string::npos) << fresh.out;
  EXPECT_NE(fresh.out.find("concord-train --data " + (folder_ / "data").string()),
            std::string::npos);
  EXPECT_NE(fresh.out.find("maps-a.3: after net-a.3"), std::string::npos);
  EXPECT_NE(fresh.out.find("7 steps would run"), std::string::npos);
  EXPECT_FALSE(fs::exists(folder_ / "out"));

  ASSERT_EQ(run("out", {"--only", "net-a"}).code, 0);
  const auto computed_mib = [&] {
    const std::size_t at = fresh.out.find("disk ", fresh.out.find("net-a.3:"));
    return std::stod(fresh.out.substr(at + 5));
  };
  const fs::path net = folder_ / "out/steps/net-a.3";
  const auto written = static_cast<double>(fs::file_size(net / "last.safetensors") +
                                           fs::file_size(net / "best.safetensors"));
  EXPECT_NEAR(computed_mib(), written / (1 << 20), 0.01 * written / (1 << 20)) << fresh.out;
  const ProgramResult begun = run("out", {"--dry-run", "--again", "net-a"});
  EXPECT_NE(begun.out.find("net-a.3: --again asks for it"), std::string::npos) << begun.out;
  EXPECT_NE(begun.out.find("(measured here)"), std::string::npos) << begun.out;
  const ProgramResult rest = run("out", {"--dry-run"});
  EXPECT_NE(rest.out.find("net-a.3: done, would be skipped"), std::string::npos) << rest.out;
  EXPECT_NE(rest.out.find("6 steps would run"), std::string::npos) << rest.out;
}

// Of each program that writes checkpoints.
TEST_F(Reproduce, TheDiskThatIsForeseenIsTheDiskThatIsTaken) {
  std::string plan_text = kPlan;
  const std::string last = R"("--measures": "cka", "--rows": "mean", "--threads": 1}})";
  ASSERT_NE(plan_text.find(last), std::string::npos);
  plan_text.replace(plan_text.find(last), last.size(), last + R"(,
    {"name": "refine", "program": "refine",
     "options": {"--weights-a": "${step:net-a}/last.safetensors", "--layer": "layer1",
                 "--weights-b": "${step:net-b}/last.safetensors", "--data": "${data}",
                 "--transnet-weights": "${step:trans}/last.safetensors", "--orders": ["0", "02"],
                 "--epochs": 1, "--batch-size": 8, "--threads": 1}},
    {"name": "diagnose", "program": "diagnose",
     "options": {"--weights-strong": "${step:net-a}/last.safetensors", "--layer-strong": "layer3",
                 "--weights-weak": "${step:net-b}/last.safetensors", "--layer-weak": "layer4",
                 "--data": "${data}", "--epochs": 1, "--orders": 2, "--threads": 1}},
    {"name": "compress", "program": "compress",
     "options": {"--weights": "${step:net-a}/last.safetensors", "--data": "${data}", "--epochs": 1,
                 "--share-epochs": 0, "--batch-size": 8, "--prune-conv": 0, "--prune-fc": 0,
                 "--layer": "layer2", "--transnet-epochs": 1, "--threads": 1}},
    {"name": "born-again", "program": "born-again",
     "options": {"--weights": "${step:net-a}/last.safetensors", "--data": "${data}",
                 "--generations": 2, "--epochs": 1, "--batch-size": 8, "--layer": "layer3",
                 "--transnet-epochs": 1, "--threads": 1}})");
  write_bytes(plan(), plan_text);
  const ProgramResult foreseen = run("out", {"--dry-run"});
  ASSERT_EQ(foreseen.code, 0) << foreseen.err;
  const auto bytes_of = [&](const std::string& step) {
    const std::size_t at = foreseen.out.find("disk ", foreseen.out.find("\n" + step + ":"));
    std::istringstream text(foreseen.out.substr(at + 5));
    double value = 0;
    std::string unit;
    text >> value >> unit;
    return value * (unit == "KiB" ? 1 << 10 : unit == "MiB" ? 1 << 20 : 1 << 30);
  };
  const ProgramResult done = run("out");
  ASSERT_EQ(done.code, 0) << done.err;
  const Json timings = Json::parse(text_of(folder_ / "out/timings.json"));
  for (const char* step :
       {"net-b.3", "trans.3", "refine.3", "diagnose.3", "compress.3", "born-again.3"}) {
    const double taken = timings["steps"][step]["bytes"];
    // Reports, logs, pictures and what is for TensorBoard are small beside the checkpoints, and
    // guessed.
    EXPECT_NEAR(bytes_of(step), taken, 0.03 * taken) << step << "\n" << foreseen.out;
  }
  for (const char* step : {"diagnose.3", "compress.3", "born-again.3"}) {
    const std::size_t at = foreseen.out.find("disk ", foreseen.out.find("\n" + std::string(step)));
    const std::string line = foreseen.out.substr(at, foreseen.out.find('\n', at) - at);
    EXPECT_TRUE(line.ends_with(" while it runs")) << line;
  }
}

TEST_F(Reproduce, ResultsTellTheDataByItsContent) {
  write_bytes(plan(), R"({
    "name": "copy", "variables": {"data": "", "size": 32},
    "steps": [{"name": "net", "program": "train",
               "options": {"--data": "${data}", "--arch": "resnet18", "--image-size": "${size}",
                           "--epochs": 1, "--batch-size": 8, "--threads": 1}}],
    "results": [{"name": "loss", "from": "${step:net}/metrics.jsonl", "where": "last",
                 "value": "/loss"}]})");
  const auto set = [&](const std::string& out, const std::string& data) {
    ProgramLimits here;
    here.directory = folder_.path().string();
    const ProgramResult result = run_program("concord-reproduce",
                                             {plan(), "--output-dir", (folder_ / out).string(),
                                              "--set", "data=" + data, "--set", "size=33"},
                                             here);
    EXPECT_EQ(result.code, 0) << result.err;
    return Json::parse(results(out))["set"];
  };
  const Json absolute = set("absolute", (folder_ / "data").string());
  EXPECT_EQ(absolute["size"], 33);
  EXPECT_EQ(set("relative", "data"), absolute);
  fs::rename(folder_ / "data", folder_ / "elsewhere");
  EXPECT_EQ(set("renamed", "elsewhere"), absolute);
  fs::remove(folder_ / "elsewhere/train/blue/01.png");
  EXPECT_NE(set("fewer", "elsewhere"), absolute);
}

TEST_F(Reproduce, SeveralRepetitionsAreAveraged) {
  std::string plan_text = kPlan;
  plan_text.replace(plan_text.find("[3]"), 3, "[3, 4, 6]");
  write_bytes(plan(), plan_text);
  ASSERT_EQ(run("out", {"--repetitions", "1"}).code, 0);
  EXPECT_EQ(Json::parse(results("out"))["results"][1]["deviation"], nullptr);
  const ProgramResult next = run("out", {"--dry-run"});
  EXPECT_NE(next.out.find("(as net-b.3, measured here)"), std::string::npos) << next.out;
  EXPECT_NE(next.out.find("14 steps would run"), std::string::npos) << next.out;

  const ProgramResult all = run("out");
  ASSERT_EQ(all.code, 0) << all.err;
  EXPECT_EQ(ran(all).size(), 14U) << all.err;
  const Json found = Json::parse(results("out"))["results"][1];
  double sum = 0;
  std::vector<double> values;
  for (const char* seed : {"3", "4", "6"}) {
    const Json report = Json::parse(
        text_of(folder_ / (std::string("out/steps/variance.") + seed + "/variance.json")));
    values.push_back(report["instability"]);
    sum += values.back();
    EXPECT_EQ(found["values"][values.size() - 1]["value"], values.back());
  }
  double squares = 0;
  for (const double value : values) squares += (value - sum / 3) * (value - sum / 3);
  EXPECT_EQ(found["n"], 3);
  EXPECT_NEAR(found["mean"].get<double>(), sum / 3, 1e-12);
  EXPECT_NEAR(found["deviation"].get<double>(), std::sqrt(squares / 2), 1e-12);
  EXPECT_GT(squares, 0);  // other seeds, other networks
  EXPECT_NE(all.out.find(" ± "), std::string::npos) << all.out;
}

// Every step of the plans that are shipped, against the options that the programs have.
TEST_F(Reproduce, ShippedPlansAreSound) {
  const fs::path plans = fs::path(CONCORD_SOURCE_DIR) / "plans";
  int count = 0;
  for (const auto& entry : fs::directory_iterator(plans)) {
    if (entry.path().extension() != ".json") continue;
    const std::string out = (folder_ / "out").string();
    const ProgramResult own =
        run_program("concord-reproduce", {entry.path().string(), "--output-dir", out, "--dry-run"});
    EXPECT_EQ(own.code, 0) << entry.path() << ": " << own.err;
    // Every data set that a step prepares may be another.
    Words words = {entry.path().string(), "--output-dir", out, "--dry-run"};
    const auto plan = nlohmann::json::parse(text_of(entry.path()), nullptr, true, true);
    for (const auto& [name, value] : plan["variables"].items())
      if (value.is_string() && value.get<std::string>().starts_with("${step:"))
        words.insert(words.end(), {"--set", name + "=" + (folder_ / "data").string()});
    EXPECT_GT(words.size(), 4U) << entry.path();
    const ProgramResult other = run_program("concord-reproduce", words);
    EXPECT_EQ(other.code, 0) << entry.path() << ": " << other.err;
    EXPECT_EQ(other.out.find("concord-prepare"), std::string::npos)
        << entry.path() << ": prepares a data set though another is given";
    ++count;
  }
  EXPECT_GE(count, 2);
}

}  // namespace
}  // namespace concord::test
