// concord-bench as a user runs it. What it measures is noise here; that it measures everything, and
// computes its figures rightly, is not.

#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "data/feature_store.h"
#include "kernels/kernel.h"
#include "models/network.h"
#include "models/trans_net.h"
#include "tests/tools/small_data.h"
#include "tools/common/training_steps.h"

namespace concord::test {
namespace {

using Words = std::vector<std::string>;
using nlohmann::json;

class ConcordBench : public ::testing::Test {
 protected:
  void SetUp() override {
#ifndef CONCORD_HAS_BENCH
    GTEST_SKIP() << "built without Google Benchmark (libbenchmark-dev)";
#endif
  }
  static ProgramResult run(Words words, const std::string& input = "") {
    return run_program("concord-bench", std::move(words), {.input = input});
  }
  TemporaryFolder folder_;
};

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

TEST_F(ConcordBench, ListsEveryKernelAndEveryNetwork) {
  const ProgramResult list = run({"--list"});
  ASSERT_EQ(list.code, 0) << list.err;
  const std::vector<std::string> names = lines_of(list.out);
  EXPECT_EQ(std::set<std::string>(names.begin(), names.end()).size(), names.size())
      << "a name stands twice";
  const auto listed = [&](const std::string& start) {
    return std::any_of(names.begin(), names.end(),
                       [&](const std::string& name) { return name.starts_with(start); });
  };
  const auto kernels = kernels::kernels_of(DeviceType::kCpu);
  EXPECT_GE(kernels.size(), 50U);
  for (const std::string_view kernel : kernels)
    EXPECT_TRUE(listed(fmt::format("cpu/{}/", kernel)))
        << kernel << " has no benchmark; add one in tools/bench/*_cases.cpp";
  for (const std::string& arch : network_names()) {
    EXPECT_TRUE(listed("step/train:" + arch));
    EXPECT_TRUE(listed("step/infer:" + arch));
  }
  for (const char* step : {"transnet:512x28x28", "disentangle:", "decode", "resize",
                           "store-write:", "store-read:", "checkpoint-write:"})
    EXPECT_TRUE(listed(std::string("step/") + step)) << step;
}

// Stores of random features are written once, and trained on.
TEST_F(ConcordBench, TrainsOnStoresThatItWrites) {
  const std::string stores = (folder_ / "stores").string();
  const auto step = [&](const std::string& name, Words more) {
    for (const char* word : {"--step", name.c_str(), "--batch-size", "4", "--interactive"})
      more.emplace_back(word);
    return run(more, "run 40\n");
  };
  const ProgramResult result =
      step("transnet-store:16x4x4", {"--stores", stores, "--rows", "70", "--store-dtype", "bf16"});
  ASSERT_EQ(result.code, 0) << result.err;
  // Two epochs of 18 batches and the beginning of a third.
  const json answer = json::parse(lines_of(result.out).at(1));
  EXPECT_EQ(answer["seconds"].size(), 40U);
  EXPECT_GT(answer["values"][39], 0);
  const FeatureStore a(stores + "/a");
  EXPECT_EQ(a.shape(), Shape({70, 16, 4, 4}));
  EXPECT_EQ(a.dtype(), StoredDType::kBFloat16);
  EXPECT_NE(a.rows(0, 1).to_vector<float>(),
            FeatureStore(stores + "/b").rows(0, 1).to_vector<float>());
  const auto written = fs::last_write_time(stores + "/a/index.json");
  EXPECT_EQ(step("store-next:16x4x4", {"--stores", stores, "--read-ahead", "0"}).code, 0);
  EXPECT_EQ(fs::last_write_time(stores + "/a/index.json"), written) << "written again";
  expect_failure(step("store-next:16x5x4", {"--stores", stores}), 1, {"70x16x4x4", "16x5x4"});
  expect_failure(step("store-next:16x4x4", {}), 2, {"--stores"});
  expect_failure(step("load", {}), 2, {"--images"});
}

// One case of each kernel, run once: none fails, and its figures follow from one another.
TEST_F(ConcordBench, MeasuresEveryKernel) {
  const ProgramResult result = run({"--filter", "^cpu/", "--batch-size", "1", "--min-time", "1e-6",
                                    "--repetitions", "1", "--format", "json", "--quiet"});
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.err, "") << "--quiet";
  const json report = json::parse(result.out);
  const double peak = report["ceilings"]["fma_flops_per_second"];
  const double copy =
      std::max(report["ceilings"]["copy_bytes_per_second"].get<double>(),
               report["ceilings"]["copy_bytes_per_second_non_temporal"].get<double>());
  EXPECT_GT(peak, 1e9);
  EXPECT_GT(copy, 1e8);
  EXPECT_EQ(report["device"], "cpu");
  EXPECT_EQ(report["version"], CONCORD_VERSION);
  std::set<std::string> measured;
  for (const json& one : report["benchmarks"]) {
    const std::string name = one["name"];
    measured.insert(name.substr(4, name.find('/', 4) - 4));
    const double seconds = one["seconds"];
    EXPECT_GT(seconds, 0) << name;
    EXPECT_EQ(one["repetitions"].size(), 1U) << name;
    if (one.contains("flops_per_second")) {
      EXPECT_NEAR(one["share_of_fma_peak"].get<double>(),
                  one["flops_per_second"].get<double>() / peak, 1e-9)
          << name;
    }
    if (one.contains("bytes_per_second")) {
      EXPECT_NEAR(one["share_of_copy_bandwidth"].get<double>(),
                  one["bytes_per_second"].get<double>() / copy, 1e-9)
          << name;
    }
    if (name == "cpu/conv2d_forward/1x512x28x28/512x512x3x3") {
      EXPECT_NEAR(one["flops_per_second"].get<double>() * seconds, 2.0 * 512 * 28 * 28 * 512 * 9,
                  1);
      EXPECT_NEAR(one["bytes_per_second"].get<double>() * seconds,
                  4.0 * (2 * 512 * 28 * 28 + 512 * 512 * 9 + 512), 1);
      EXPECT_NE(one["used_by"].get<std::string>().find("Trans-Net"), std::string::npos);
    }
  }
  for (const std::string_view kernel : kernels::kernels_of(DeviceType::kCpu))
    EXPECT_TRUE(measured.contains(std::string(kernel))) << kernel;
}

TEST_F(ConcordBench, MeasuresWholeSteps) {
  const ProgramResult result =
      run({"--filter", "step/(decode|resize|store-(read|write):|transnet:256x13)", "--batch-size",
           "1", "--image-size", "32", "--min-time", "0.01", "--repetitions", "3", "--format",
           "json", "--scratch", folder_.path().string()});
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_TRUE(folder_.listing().empty()) << "files were left in --scratch";
  const json report = json::parse(result.out);
  EXPECT_EQ(report["benchmarks"].size(), 6U) << result.out;
  for (const json& one : report["benchmarks"]) {
    std::vector<double> seconds = one["repetitions"];
    ASSERT_EQ(seconds.size(), 3U) << one;
    std::sort(seconds.begin(), seconds.end());
    EXPECT_EQ(one["seconds"], seconds[1]) << "the median";
    EXPECT_GT(one["images_per_second"], 0) << one;
    EXPECT_GT(one["peak_bytes"], 1 << 20) << one;
    if (one["name"] == "step/transnet:256x13x13") {
      // Three convolutions of three passes, without the gradient of the input.
      EXPECT_NEAR(one["flops_per_second"].get<double>() * one["seconds"].get<double>(),
                  8 * 2.0 * 256 * 13 * 13 * 256 * 9, 1);
    }
  }
}

TEST_F(ConcordBench, PrintsATable) {
  const ProgramResult result = run({"--step", "infer:resnet18", "--batch-size", "2", "--image-size",
                                    "64", "--min-time", "1e-6", "--repetitions", "2"});
  ASSERT_EQ(result.code, 0) << result.err;
  for (const char* part : {"FMA peak", "copy bandwidth", "direct-equivalent", "step/infer:resnet18",
                           "images/s", "peak MiB"})
    EXPECT_NE(result.out.find(part), std::string::npos) << part << " not in:\n" << result.out;
}

// The losses of a step under the control of another program, against a loop of this test's own.
TEST_F(ConcordBench, ServesAStep) {
  const Shape maps = {3, 16, 5, 7};
  random::Generator generator(8);
  TransNet net({.channels_in = 16, .channels_out = 16}, generator);
  tool::PairBatch batch{random_features(maps, 1), random_features(maps, 2)};
  const std::string weights = (folder_ / "weights.safetensors").string();
  const std::string inputs = (folder_ / "inputs.safetensors").string();
  write_safetensors(weights, net.named_state());
  write_safetensors(inputs, {{"a", batch.a}, {"b", batch.b}});

  const Words words = {
      "--step", "transnet:16x5x7", "--weights", weights,        "--inputs", inputs, "--lr",
      "0.01",   "--threads",       "1",         "--interactive"};
  const ProgramResult result = run(words, "run 1\nrun 3\nquit\nrun 5\n");
  ASSERT_EQ(result.code, 0) << result.err;
  const std::vector<std::string> lines = lines_of(result.out);
  ASSERT_EQ(lines.size(), 3U) << result.out;
  EXPECT_EQ(json::parse(lines[0])["images"], 3);
  EXPECT_GT(json::parse(lines[0])["baseline_bytes"], 1 << 20);
  std::vector<double> losses;
  for (std::size_t line = 1; line < 3; ++line) {
    const json answer = json::parse(lines[line]);
    EXPECT_EQ(answer["seconds"].size(), line == 1 ? 1U : 3U);
    EXPECT_GE(answer["peak_bytes"], json::parse(lines[0])["baseline_bytes"]);
    for (const double loss : answer["values"]) losses.push_back(loss);
  }
  const auto adam = make_adam(net.named_parameters(), {.weight_decay = 1e-4});
  tool::TransNetStep step(net, {0.1, 0.1}, false);
  for (const double loss : losses) {
    EXPECT_NEAR(loss, tool::value_of(step.run(batch).means, "loss"), 1e-5 * loss);
    step.update(*adam, 0.01);
  }
  EXPECT_LT(losses.back(), losses.front()) << "nothing was learnt";

  expect_failure(run(words, "run 1\nrun away\n"), 1, {"run away", "run N"});
  const Words wrong = {"--step", "transnet:32x5x7", "--weights", weights, "--inputs",
                       inputs,   "--interactive"};
  expect_failure(run(wrong), 1, {"linearLayers_conv.0.weight", "16x16x3x3", "32x32x3x3"});
}

TEST_F(ConcordBench, TakesBatchesInTurn) {
  const std::string both = (folder_ / "both.safetensors").string();
  const std::string second = (folder_ / "second.safetensors").string();
  const Tensor a = random_features({6, 16, 5, 7}, 1), b = random_features({6, 16, 5, 7}, 2);
  write_safetensors(both, {{"a", a}, {"b", b}});
  write_safetensors(second, {{"a", a.rows(3, 6)}, {"b", b.rows(3, 6)}});
  const Words words = {"--step", "transnet:16x5x7", "--lr", "1e-30", "--interactive", "--inputs"};
  const auto with = [&](const Words& more) {
    Words all = words;
    all.insert(all.end(), more.begin(), more.end());
    return run(all, "run 4\n");
  };
  const auto losses = [&](const Words& more) {
    const ProgramResult result = with(more);
    EXPECT_EQ(result.code, 0) << result.err;
    return json::parse(lines_of(result.out).at(1))["values"].get<std::vector<double>>();
  };
  const auto turns = losses({both, "--input-batches", "2"});
  EXPECT_EQ(turns[0], turns[2]);
  EXPECT_NE(turns[0], turns[1]);
  EXPECT_EQ(turns[1], losses({second})[0]);
  expect_failure(with({both, "--input-batches", "4"}), 1, {"a has 6 rows", "--input-batches 4"});
  expect_failure(run({"--step", "train:resnet18", "--input-batches", "2", "--interactive"}), 2,
                 {"--input-batches 2 needs --inputs"});
}

TEST_F(ConcordBench, WithoutDropoutAStepRepeats) {
  const Words words = {
      "--step", "train:alexnet", "--batch-size", "2", "--image-size", "64", "--classes", "5",
      "--lr",   "1e-30",         "--interactive"};
  const auto losses = [&](const Words& more) {
    Words all = words;
    all.insert(all.end(), more.begin(), more.end());
    const ProgramResult result = run(all, "run 2\n");
    EXPECT_EQ(result.code, 0) << result.err;
    return json::parse(lines_of(result.out).at(1))["values"].get<std::vector<double>>();
  };
  const auto with = losses({});
  const auto without = losses({"--no-dropout"});
  EXPECT_NE(with[0], with[1]);
  EXPECT_EQ(without[0], without[1]);
}

TEST_F(ConcordBench, RefusesWrongUsage) {
  expect_failure(run({"--filter", "("}), 2, {"--filter (", "regular expression"});
  expect_failure(run({"--filter", "nothing is called so"}), 2, {"matches no benchmark", "--list"});
  expect_failure(run({"--format", "xml"}), 2, {"xml", "table, json"});
  expect_failure(run({"--min-time", "0"}), 2, {"--min-time"});
  expect_failure(run({"--repetitions", "0"}), 2, {"--repetitions"});
  expect_failure(run({"--step", "train:resnet19"}), 2, {"resnet19", "resnet18"});
  expect_failure(run({"--step", "trian"}), 2, {"trian", "train"});
  for (const char* maps : {"512", "512x28", "512x28x0", "5x5x5x5", "axbxc", "1x2x"})
    expect_failure(run({"--step", std::string("transnet:") + maps}), 2, {maps, "512x28x28"});
  expect_failure(run({"--step", "decode:224"}), 2, {"decode:224"});
  expect_failure(run({"--weights", "w.safetensors"}), 2, {"--weights", "--step"});
  expect_failure(run({"--interactive"}), 2, {"--interactive", "--step"});
  expect_failure(run({"--cuda-graph"}), 2, {"--cuda-graph", "--step"});
  expect_failure(run({"--step", "decode", "--list"}), 2, {"--list", "--step"});
  expect_failure(run({"--step", "decode", "--images", "/nowhere"}), 1, {"/nowhere"});
  expect_failure(run({"--step", "store-write:8x4x4", "--scratch", "/nowhere"}), 1,
                 {"/nowhere", "--scratch"});
}

}  // namespace
}  // namespace concord::test
