// concord-train on images with several labels each, and on groups of classes counted apart. What it
// prints is computed again from the logits that it writes.

#include <cmath>
#include <nlohmann/json.hpp>

#include "engine/safetensors.h"
#include "tests/tools/small_data.h"

namespace concord::test {
namespace {

using Words = std::vector<std::string>;

class Labels : public ::testing::Test {
 protected:
  std::string path(const std::string& name) const { return (folder_ / name).string(); }

  ProgramResult train(const Words& more) const {
    Words words = {"--data", path("data"), "--image-size", "32", "--epochs",     "4",
                   "--lr",   "0.01",       "--batch-size", "8",  "--output-dir", path("run")};
    words.insert(words.end(), more.begin(), more.end());
    return run_program("concord-train", words);
  }
  ProgramResult evaluate(const Words& more = {}) const {
    Words words = {"--evaluate", "--weights",     path("run/last.safetensors"), "--data",
                   path("data"), "--dump-logits", path("logits.safetensors")};
    words.insert(words.end(), more.begin(), more.end());
    return run_program("concord-train", words);
  }

  nlohmann::json last_epoch() const {
    const std::string text = text_of(path("run/metrics.jsonl"));
    const std::size_t begin = text.rfind('\n', text.size() - 2) + 1;
    return nlohmann::json::parse(text.substr(begin));
  }

  TemporaryFolder folder_;
};

void expect_contains(const std::string& text, const std::string& part) {
  EXPECT_NE(text.find(part), std::string::npos) << part << " is not in:\n" << text;
}

TEST_F(Labels, SeveralAnImage) {
  write_multi_label_pictures(path("data"));
  const ProgramResult run = train({"--arch", "resnet18"});
  ASSERT_EQ(run.code, 0) << run.err;
  expect_contains(run.out, "val accuracy");
  const ProgramResult evaluated = evaluate();
  ASSERT_EQ(evaluated.code, 0) << evaluated.err;

  const SafetensorsFile file(path("logits.safetensors"));
  ASSERT_EQ(file.tensor("logits").shape(), Shape({10, 3}));
  const auto logits = file.tensor("logits").to_vector<double>();
  const auto targets = file.tensor("targets").to_vector<double>();
  double loss = 0, right = 0;
  for (std::size_t i = 0; i < logits.size(); ++i) {
    EXPECT_EQ(targets[i], static_cast<double>((i / 3 % 8) >> (i % 3) & 1)) << i;
    const double p = 1 / (1 + std::exp(-logits[i]));
    loss -= (targets[i] == 1 ? std::log(p) : std::log(1 - p)) / 30;
    right += (p > 0.5) == (targets[i] == 1);
  }
  expect_contains(evaluated.out, fmt::format("{:.2f} %", 100 * right / 30));
  expect_contains(evaluated.out, fmt::format("{:.4f}", loss));
  EXPECT_NEAR(last_epoch()["val_loss"].get<double>(), loss, 1e-5);
  EXPECT_NEAR(last_epoch()["val_accuracy"].get<double>(), right / 30, 1e-9);
  EXPECT_GT(right / 30, 0.6) << "of colours this plain more than chance are told";

  const ProgramResult again = train({"--arch", "resnet18", "--force", "--half", "a"});
  EXPECT_EQ(again.code, 0) << again.err;
  expect_contains(again.err, "12 images to train on");
}

TEST_F(Labels, SeveralAnImageNeedTheSameLabels) {
  write_multi_label_pictures(path("data"));
  ASSERT_EQ(train({"--arch", "resnet18"}).code, 0);
  std::string labels = text_of(path("data/labels.json"));
  labels.replace(labels.find("\"green\""), 7, "\"lemon\"");
  write_file(path("data/labels.json"), labels);
  const ProgramResult run = evaluate();
  EXPECT_EQ(run.code, 1);
  expect_contains(run.err, "its labels are not the 3");
}

TEST_F(Labels, GroupsOfClassesAreCountedApart) {
  write_grouped_pictures(path("data"), 8, 5);
  const ProgramResult run = train({"--arch", "resnet18"});
  ASSERT_EQ(run.code, 0) << run.err;
  expect_contains(run.out, "\nclasses  val loss  val top-1  val top-5\nbirds ");
  expect_contains(run.out, "\ndogs ");
  const ProgramResult evaluated = evaluate();
  ASSERT_EQ(evaluated.code, 0) << evaluated.err;

  const SafetensorsFile file(path("logits.safetensors"));
  const auto logits = file.tensor("logits").to_vector<double>();
  const auto labels = file.tensor("labels").to_vector<double>();
  for (const bool dogs : {false, true}) {
    double loss = 0, hits = 0, count = 0;
    for (std::size_t i = 0; i < labels.size(); ++i) {
      if ((labels[i] > 0) != dogs) continue;
      const auto row = logits.begin() + static_cast<std::ptrdiff_t>(3 * i);
      const auto label = static_cast<std::ptrdiff_t>(labels[i]);
      double sum = 0;
      for (int k = 0; k < 3; ++k) sum += std::exp(row[k]);
      loss += std::log(sum) - row[label];
      hits += std::max_element(row, row + 3) - row == label;
      ++count;
    }
    const std::string name = dogs ? "dogs" : "birds";
    const std::size_t begin = evaluated.out.find("val, " + name);
    ASSERT_NE(begin, std::string::npos) << evaluated.out;
    const std::string line = evaluated.out.substr(begin, evaluated.out.find('\n', begin) - begin);
    expect_contains(line, fmt::format(" {} ", count));
    expect_contains(line, fmt::format("{:.2f} %", 100 * hits / count));
    expect_contains(line, fmt::format("{:.4f}", loss / count));
    EXPECT_NEAR(last_epoch()["val_" + name + "_top1"].get<double>(), hits / count, 1e-9);
  }
}

}  // namespace
}  // namespace concord::test
