// concord-train --finetune and --continue-from, and concord-convert to PyTorch and back.

#include <nlohmann/json.hpp>
#include <sstream>

#include "engine/weights_file.h"
#include "tests/tools/small_data.h"

namespace concord::test {
namespace {

using Words = std::vector<std::string>;

// Pictures of three classes and, of two of them, another set; a network trained on the first.
class FineTuning : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    shared_ = new TemporaryFolder;
    write_pictures(data());
    write_pictures(two());
    for (const char* split : {"train", "val"}) fs::remove_all(fs::path(two()) / split / "green");
    const ProgramResult run = train(
        {"--data", data(), "--arch", "resnet18", "--output-dir", (*shared_ / "base").string()});
    ASSERT_EQ(run.code, 0) << run.err;
  }
  static void TearDownTestSuite() { delete shared_; }

  static std::string data() { return (*shared_ / "data").string(); }
  static std::string two() { return (*shared_ / "two").string(); }
  static std::string last() { return (*shared_ / "base/last.safetensors").string(); }

  static ProgramResult train(Words words) {
    const Words common = {"--image-size",  "32",       "--batch-size", "8", "--lr", "0.01",
                          "--lr-schedule", "constant", "--threads",    "2"};
    if (std::find(words.begin(), words.end(), "--epochs") == words.end())
      words.insert(words.end(), {"--epochs", "2"});
    words.insert(words.end(), common.begin(), common.end());
    return run_program("concord-train", words);
  }

  static std::vector<double> values(const WeightsFile& file, const std::string& name) {
    return file.tensor(name).to_vector<double>();
  }

  static TemporaryFolder* shared_;
  TemporaryFolder folder_;
  std::string out_ = (folder_ / "run").string();
};
TemporaryFolder* FineTuning::shared_ = nullptr;

void expect_told(const ProgramResult& run, int code, const Words& parts) {
  EXPECT_EQ(run.code, code) << run.err;
  for (const std::string& part : parts)
    EXPECT_NE(run.err.find(part), std::string::npos) << part << " is not in:\n" << run.err;
}

bool trains_in_resnet(const std::string& name) {
  return name.starts_with("layer3") || name.starts_with("layer4") || name.starts_with("fc");
}

TEST_F(FineTuning, KeepsTheFirstLayersOfAResNetAndStartsTheOthersAnew) {
  const ProgramResult run =
      train({"--data", two(), "--weights", last(), "--arch", "resnet18_ft", "--output-dir", out_});
  expect_told(run, 0, {"layer3 and what follows start anew", "30 of 62", "before layer3"});
  const WeightsFile before(last()), after(out_ + "/last.safetensors");
  EXPECT_EQ(after.shape("fc.weight"), Shape({2, 512}));
  for (const std::string& name : after.names()) {
    if (name.starts_with("optimizer/")) {
      const std::string parameter = name.substr(name.rfind('/') + 1);
      EXPECT_TRUE(parameter == "step" || trains_in_resnet(parameter)) << name;
    } else if (!trains_in_resnet(name)) {
      const bool statistic = name.find("running") != std::string::npos ||
                             name.find("num_batches") != std::string::npos;
      EXPECT_EQ(values(after, name) == values(before, name), !statistic) << name;
    } else if (name.find("conv") != std::string::npos) {
      EXPECT_NE(values(after, name), values(before, name)) << name;
    }
  }
  // The file alone says what it holds.
  EXPECT_EQ(run_program("concord-train",
                        {"--evaluate", "--weights", out_ + "/last.safetensors", "--data", two()})
                .code,
            0);
}

TEST_F(FineTuning, FrozenBatchNormsKeepTheirStatistics) {
  ASSERT_EQ(train({"--data", two(), "--weights", last(), "--finetune", "--freeze-batch-norm",
                   "--train-from", "fc", "--reset-from", "none", "--output-dir", out_})
                .code,
            0);
  const WeightsFile before(last()), after(out_ + "/last.safetensors");
  for (const std::string& name : before.names())
    if (!name.starts_with("optimizer/") && !name.starts_with("fc")) {
      EXPECT_EQ(values(after, name), values(before, name)) << name;
    }
}

// What is not trained is never drawn anew, whatever the architecture's default.
TEST_F(FineTuning, ALaterLayerToTrainFromIsTheFirstToStartAnew) {
  const ProgramResult run = train({"--data", two(), "--weights", last(), "--finetune",
                                   "--train-from", "layer4", "--output-dir", out_});
  expect_told(run, 0, {"layer4 and what follows start anew"});
  const WeightsFile before(last()), after(out_ + "/last.safetensors");
  for (const std::string& name : before.names())
    if (name.starts_with("layer3") && name.ends_with("weight")) {
      EXPECT_EQ(values(after, name), values(before, name)) << name;
    }
}

TEST_F(FineTuning, ForceKeepsTheFilesThatARunBeginsFrom) {
  fs::create_directories(out_);
  fs::copy_file(last(), out_ + "/last.safetensors");
  for (const char* option : {"--continue-from", "--weights"}) {
    expect_told(train({"--data", data(), option, out_ + "/last.safetensors", "--epochs", "3",
                       "--force", "--output-dir", out_}),
                1, {"is an input of this run", "copy it elsewhere"});
    EXPECT_EQ(text_of(out_ + "/last.safetensors"), text_of(last()));
  }
}

TEST_F(FineTuning, ResumesToTheSameBits) {
  const Words words = {"--data", two(), "--weights", last(), "--finetune", "--output-dir"};
  const auto with = [&](const std::string& out, const Words& more) {
    Words all = words;
    all.push_back(out);
    all.insert(all.end(), more.begin(), more.end());
    return train(all);
  };
  ASSERT_EQ(with(out_, {"--epochs", "3"}).code, 0);
  const std::string cut = (folder_ / "cut").string();
  ASSERT_EQ(with(cut, {"--epochs", "1"}).code, 0);
  const ProgramResult other = with(cut, {"--epochs", "3", "--resume", "--train-from", "layer4"});
  expect_told(other, 1, {"--train-from was", "layer3"});
  ASSERT_EQ(with(cut, {"--epochs", "3", "--resume"}).code, 0);
  EXPECT_EQ(untimed(cut + "/metrics.jsonl"), untimed(out_ + "/metrics.jsonl"));
}

TEST_F(FineTuning, SaysWhatIsWrong) {
  const auto out = [&](Words words) {
    words.insert(words.end(), {"--output-dir", out_});
    return train(words);
  };
  expect_told(out({"--data", two(), "--weights", last()}), 1,
              {"last.safetensors", "3 classes", "has 2", "--finetune"});
  expect_told(out({"--data", two(), "--arch", "resnet18_ft"}), 2, {"--weights"});
  expect_told(out({"--data", data(), "--weights", last(), "--train-from", "layer3"}), 2,
              {"--train-from", "--finetune"});
  expect_told(out({"--data", two(), "--weights", last(), "--finetune", "--train-from", "layr3"}), 1,
              {"no layer layr3", "layer3"});
  expect_told(
      out({"--data", two(), "--weights", last(), "--finetune", "--train-from", "layer3.0.conv1"}),
      1, {"lies inside layer3.0"});
  expect_told(out({"--data", data(), "--weights", last(), "--continue-from", last()}), 2,
              {"exclude each other"});
  expect_told(out({"--data", two(), "--weights", last(), "--finetune", "--train-from", "fc",
                   "--reset-from", "layer4"}),
              2, {"--reset-from layer4", "frozen"});
  EXPECT_FALSE(fs::exists(out_));
}

// Through PyTorch's form and a new folder: to the bits of a run that was never stopped.
TEST_F(FineTuning, ARunContinuesFromItsFileInEitherForm) {
  ASSERT_EQ(
      train({"--data", data(), "--arch", "resnet18", "--epochs", "4", "--output-dir", out_}).code,
      0);
  const std::string pth = (folder_ / "last.pth").string();
  const ProgramResult converted = run_program("concord-convert", {last(), pth});
  ASSERT_EQ(converted.code, 0) << converted.err;
  const auto lines_of = [](const std::string& folder) {
    std::vector<nlohmann::json> lines;
    std::istringstream text(text_of(folder + "/metrics.jsonl"));
    for (std::string line; std::getline(text, line);) lines.push_back(nlohmann::json::parse(line));
    return lines;
  };
  const auto whole = lines_of(out_);
  ASSERT_EQ(whole.size(), 4U);
  for (const std::string& file : {last(), pth}) {
    const std::string out = (folder_ / ("from" + fs::path(file).extension().string())).string();
    const ProgramResult run =
        train({"--data", data(), "--continue-from", file, "--epochs", "4", "--output-dir", out});
    expect_told(run, 0, {"going on", "epoch 3 of 4"});
    const auto rest = lines_of(out);
    ASSERT_EQ(rest.size(), 2U);
    for (std::size_t i = 0; i < 2; ++i) {
      EXPECT_EQ(rest[i]["epoch"], whole[i + 2]["epoch"]);
      EXPECT_EQ(rest[i]["loss"], whole[i + 2]["loss"]);
      EXPECT_EQ(rest[i]["val_loss"], whole[i + 2]["val_loss"]);
    }
  }
  expect_told(train({"--data", data(), "--continue-from", pth, "--epochs", "2", "--output-dir",
                     (folder_ / "over").string()}),
              1, {"last.pth", "2 epochs", "--epochs"});
}

// Its optimiser's state is that of some layers only: going on needs to know which.
TEST_F(FineTuning, AFineTunedNetworkIsGoneOnWithAsSuch) {
  ASSERT_EQ(train({"--data", two(), "--weights", last(), "--finetune", "--output-dir", out_}).code,
            0);
  const WeightsFile own(out_ + "/last.safetensors");
  std::vector<Named<Tensor>> tensors;
  for (const std::string& name : own.names()) tensors.emplace_back(name, own.tensor(name));
  auto metadata = own.metadata();
  metadata["configuration"] = R"({"arch": "resnet18_ft", "classes": 2, "image_size": 32})";
  const std::string named = (folder_ / "named.safetensors").string();
  write_safetensors(named, tensors, metadata);
  for (const std::string& file : {out_ + "/last.safetensors", named}) {
    const Words words = {"--data",   two(), "--continue-from", file,
                         "--epochs", "3",   "--output-dir",    (folder_ / "on").string()};
    expect_told(train(words), 2, {file, "was fine-tuned", "--finetune", "--weights"});
    EXPECT_FALSE(fs::exists(folder_ / "on"));
    Words on = words;
    on.insert(on.end(), {"--finetune", "--force"});
    expect_told(train(on), 0, {"epoch 3 of 3"});
    fs::remove_all(folder_ / "on");
  }
}

TEST_F(FineTuning, ConvertsThereAndBack) {
  const auto convert = [&](const Words& words) {
    const ProgramResult run = run_program("concord-convert", words);
    ASSERT_EQ(run.code, 0) << run.err;
  };
  const std::string pth = (folder_ / "a.pth.tar").string();
  const std::string back = (folder_ / "b.safetensors").string();
  convert({last(), pth});
  convert({pth, back});
  EXPECT_EQ(text_of(back), text_of(last()));
  convert({"--state-dict", last(), "--force", pth});
  const WeightsFile bare(pth);
  for (const std::string& name : bare.names()) EXPECT_FALSE(name.starts_with("optimizer/")) << name;
  EXPECT_EQ(bare.names().size(), 122U);
  EXPECT_EQ(run_program("concord-convert", {last(), (folder_ / "a.onnx").string()}).code, 2);
}

}  // namespace
}  // namespace concord::test
