// concord-train and concord-features as a user runs them: exit codes, messages, files, resuming.

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "data/feature_store.h"
#include "engine/checkpoint.h"
#include "tests/tools/small_data.h"

namespace concord::test {
namespace {

using Words = std::vector<std::string>;
using std::chrono::milliseconds;

// One folder of pictures and one short reference run for all tests of this file.
class ConcordTrain : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    shared_ = new TemporaryFolder;
    write_pictures(data());
  }
  static void TearDownTestSuite() {
    delete reference_;
    delete shared_;
  }

  static std::string data() { return (*shared_ / "data").string(); }
  // The folder of the reference run, which is made when a test first asks for it.
  static std::string reference() {
    const std::string path = (*shared_ / "reference").string();
    if (reference_ == nullptr)
      reference_ = new ProgramResult(run_program("concord-train", words(path)));
    return path;
  }

  // A run of 3 epochs of 6 steps on 24 images.
  static Words words(const std::string& output, const Words& more = {}) {
    Words all = {"--data",       data(), "--arch",       "resnet18", "--image-size", "32",
                 "--epochs",     "3",    "--batch-size", "4",        "--lr",         "0.003",
                 "--output-dir", output, "--threads",    "2"};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }

  static TemporaryFolder* shared_;
  static ProgramResult* reference_;
  TemporaryFolder folder_;
  std::string out_ = (folder_ / "run").string();
};
TemporaryFolder* ConcordTrain::shared_ = nullptr;
ProgramResult* ConcordTrain::reference_ = nullptr;

TEST_F(ConcordTrain, WritesWhatItPromises) {
  const auto names = file_names(reference());
  ASSERT_EQ(reference_->code, 0) << reference_->err;
  EXPECT_NE(reference_->out.find("val top-1"), std::string::npos) << reference_->out;
  EXPECT_NE(reference_->err.find("epoch 3/3"), std::string::npos) << reference_->err;
  ASSERT_EQ(names.size(), 5U);
  EXPECT_EQ(names[0], "best.safetensors");
  EXPECT_EQ(names[1], "config.json");
  EXPECT_EQ(names[2].rfind("events.out.tfevents.", 0), 0U);
  EXPECT_EQ(names[3], "last.safetensors");
  EXPECT_EQ(names[4], "metrics.jsonl");

  const auto config = nlohmann::json::parse(text_of(reference() + "/config.json"));
  EXPECT_EQ(config["options"]["lr"], 0.003);
  EXPECT_EQ(config["options"]["device"], "cpu");
  EXPECT_EQ(config["options"]["momentum"], 0.9);
  EXPECT_EQ(config["version"], CONCORD_VERSION);
  std::istringstream metrics(text_of(reference() + "/metrics.jsonl"));
  double epoch = 0;
  for (std::string line; std::getline(metrics, line);) {
    const auto object = nlohmann::json::parse(line);
    EXPECT_EQ(object["epoch"], ++epoch);
    for (const char* key : {"loss", "top1", "val_loss", "val_top1", "val_top5", "lr"})
      EXPECT_TRUE(object[key].is_number()) << key;
    EXPECT_EQ(object["val_top5"], 1.0) << "three classes";
  }
  EXPECT_EQ(epoch, 3);
  const auto configuration =
      nlohmann::json::parse(read_training_state(reference() + "/best.safetensors").configuration);
  EXPECT_EQ(configuration["arch"], "resnet18");
  EXPECT_EQ(configuration["image_size"], 32);
  EXPECT_EQ(configuration["class_names"], (Words{"amber", "blue", "green"}));
}

TEST_F(ConcordTrain, EvaluatesWithTheFileAlone) {
  const std::string logits_file = (folder_ / "logits.safetensors").string();
  const ProgramResult run =
      run_program("concord-train", {"--evaluate", "--weights", reference() + "/last.safetensors",
                                    "--data", data(), "--dump-logits", logits_file});
  ASSERT_EQ(run.code, 0) << run.err;
  const SafetensorsFile file(logits_file);
  EXPECT_EQ(file.shape("logits"), (Shape{12, 3}));
  EXPECT_EQ(file.tensor("labels").to_vector<std::int64_t>(),
            (std::vector<std::int64_t>{0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2}));
  // Top-1 and loss once more from the logits, against what the run logged after its last epoch.
  const auto logits = file.tensor("logits").to_vector<float>();
  double hits = 0;
  double loss = 0;
  for (std::size_t row = 0; row < 12; ++row) {
    const float* z = &logits[row * 3];
    double sum = 0;
    for (int i = 0; i < 3; ++i) sum += std::exp(double{z[i]});
    loss += (std::log(sum) - z[row / 4]) / 12;
    hits += std::max_element(z, z + 3) - z == static_cast<std::ptrdiff_t>(row / 4);
  }
  const std::string metrics = text_of(reference() + "/metrics.jsonl");
  const auto last = nlohmann::json::parse(metrics.substr(metrics.find("{\"epoch\":3")));
  EXPECT_NEAR(last["val_loss"].get<double>(), loss, 1e-5);
  EXPECT_DOUBLE_EQ(last["val_top1"].get<double>(), hits / 12);
  EXPECT_NE(run.out.find(fmt::format("{:.2f} %", 100 * hits / 12)), std::string::npos) << run.out;
}

TEST_F(ConcordTrain, SameSeedSameBitsForAnyNumberOfWorkers) {
  const ProgramResult run =
      run_program("concord-train", words(out_, {"--workers", "4", "--quiet"}));
  ASSERT_EQ(run.code, 0) << run.err;
  EXPECT_EQ(run.err, "") << "--quiet";
  EXPECT_TRUE(text_of(out_ + "/last.safetensors") == text_of(reference() + "/last.safetensors"));
  EXPECT_EQ(untimed(out_ + "/metrics.jsonl"), untimed(reference() + "/metrics.jsonl"));
}

TEST_F(ConcordTrain, ResumesToTheSameBitsAfterCtrlC) {
  // Interrupted at different moments, until one of them lies within an epoch.
  bool within = false;
  for (const int delay : {150, 250, 350, 50, 500, 100, 800, 0}) {
    fs::remove_all(out_);
    const ProgramResult stopped = run_program(
        "concord-train", words(out_, {"--tensorboard", "none"}),  // the steps come sooner
        {.meanwhile = signal_after(out_ + "/metrics.jsonl", 1, SIGINT, milliseconds(delay))});
    if (stopped.code == 0) continue;  // it was done before the signal
    expect_failure(stopped, 130, {"interrupted in epoch", "--resume"});
    within = read_training_state(out_ + "/last.safetensors").step > 0;
    if (!within) continue;
    const ProgramResult resumed = run_program("concord-train", words(out_, {"--resume"}));
    ASSERT_EQ(resumed.code, 0) << resumed.err;
    EXPECT_NE(resumed.err.find("resuming at epoch"), std::string::npos) << resumed.err;
    EXPECT_TRUE(text_of(out_ + "/last.safetensors") == text_of(reference() + "/last.safetensors"));
    EXPECT_TRUE(text_of(out_ + "/best.safetensors") == text_of(reference() + "/best.safetensors"));
    EXPECT_EQ(untimed(out_ + "/metrics.jsonl"), untimed(reference() + "/metrics.jsonl"));
    break;
  }
  EXPECT_TRUE(within) << "no signal came within an epoch";
}

TEST_F(ConcordTrain, ResumesToTheSameBitsAfterAKill) {
  const ProgramResult killed = run_program(
      "concord-train", words(out_),
      {.meanwhile = signal_after(out_ + "/metrics.jsonl", 2, SIGKILL, milliseconds(30))});
  ASSERT_EQ(killed.code, -SIGKILL) << killed.err;
  // As a crash between the log and the checkpoint would leave it, with a torn line.
  std::ofstream(out_ + "/metrics.jsonl", std::ios::app) << "{\"epoch\":3,\"lo";
  write_file(out_ + "/last.safetensors.77.tmp", std::string("half"));
  const ProgramResult resumed = run_program("concord-train", words(out_, {"--resume"}));
  ASSERT_EQ(resumed.code, 0) << resumed.err;
  EXPECT_TRUE(text_of(out_ + "/last.safetensors") == text_of(reference() + "/last.safetensors"));
  EXPECT_EQ(untimed(out_ + "/metrics.jsonl"), untimed(reference() + "/metrics.jsonl"));
  for (const std::string& name : file_names(out_)) EXPECT_EQ(name.find(".tmp"), std::string::npos);
}

TEST_F(ConcordTrain, RefusesAFolderInUseAndAChangedResume) {
  expect_failure(run_program("concord-train", words(reference())), 1,
                 {reference(), "not empty", "--resume", "--force"});
  Words changed = words(reference(), {"--resume"});
  changed[static_cast<std::size_t>(std::find(changed.begin(), changed.end(), "0.003") -
                                   changed.begin())] = "0.004";
  expect_failure(run_program("concord-train", changed), 1, {"--lr", "0.003", "0.004"});
  changed = words(reference(), {"--resume"});
  *std::find(changed.begin(), changed.end(), "2") = "1";
  expect_failure(run_program("concord-train", changed), 1, {"--threads was 2", "is 1 now"});
  expect_failure(
      run_program("concord-train", words(reference(), {"--resume", "--convolution", "direct"})), 1,
      {"--convolution"});
  const auto config = nlohmann::json::parse(text_of(reference() + "/config.json"));
  EXPECT_EQ(config["options"]["convolution"], "auto") << "a refused run rewrites the configuration";
  // What is done stays done.
  const ProgramResult done = run_program("concord-train", words(reference(), {"--resume"}));
  EXPECT_EQ(done.code, 0) << done.err;
  EXPECT_NE(done.err.find("all 3 epochs are done"), std::string::npos) << done.err;

  fs::create_directories(out_);
  write_file(out_ + "/notes.txt", std::string("mine"));
  write_file(out_ + "/metrics.jsonl", std::string("old\n"));
  const ProgramResult forced = run_program(
      "concord-train", {"--data", data(), "--arch", "resnet18", "--image-size", "32", "--epochs",
                        "1", "--output-dir", out_, "--force", "--quiet", "--half", "a"});
  ASSERT_EQ(forced.code, 0) << forced.err;
  EXPECT_EQ(text_of(out_ + "/notes.txt"), "mine");
  EXPECT_EQ(text_of(out_ + "/metrics.jsonl").find("old"), std::string::npos);
}

TEST_F(ConcordTrain, ExitsWithTwoOnWrongUsage) {
  for (const Words& more : std::vector<Words>{{"--no-such-option"},
                                              {"--optimizer", "rmsprop"},
                                              {"--weight-decay", "-1"},
                                              {"--momentum", "nan"},
                                              {"--device", "gpu"},
                                              {"--lr-schedule", "cosine"},
                                              {"--half", "c"},
                                              {"--workers", "0"},
                                              {"--seed", "-1"},
                                              {"--split", "train"},
                                              {"--dump-logits", "logits.safetensors"},
                                              {"--resume", "--force"},
                                              {"--evaluate"}}) {
    const ProgramResult run = run_program("concord-train", words(out_, more));
    EXPECT_EQ(run.code, 2) << more.front() << ": " << run.err;
    EXPECT_EQ(run.err.rfind("error: ", 0), 0U) << run.err;
    EXPECT_FALSE(fs::exists(out_));
  }
  expect_failure(run_program("concord-train",
                             {"--evaluate", "--weights", "x", "--data", data(), "--half", "a"}),
                 2, {"--half does not apply to --evaluate"});
  expect_failure(run_program("concord-train", words(out_, {"--device", "cpu", "--cuda-graph"})), 2,
                 {"--cuda-graph", "needs a CUDA device"});
  EXPECT_FALSE(fs::exists(out_));
  expect_failure(run_program("concord-train", {"--arch", "resnet18"}), 2, {"--data"});
  expect_failure(run_program("concord-train", {"--data", data(), "--arch", "resnet19"}), 2,
                 {"resnet19", "resnet18"});
  expect_failure(run_program("concord-train", {"--epoch", "3"}), 2, {"--epoch is no", "--epochs"});
  const ProgramResult help = run_program("concord-train", {"--help"});
  EXPECT_EQ(help.code, 0);
  for (const char* text : {"--image-size INT=224", "--lr FLOAT=0.01", "logspace:2", "Example",
                           "vgg16_bn", "Exit codes"})
    EXPECT_NE(help.out.find(text), std::string::npos) << text;
  EXPECT_EQ(run_program("concord-train", {"--version"}).out, "concord-train " CONCORD_VERSION "\n");
}

TEST_F(ConcordTrain, SaysWhatThisBuildLacks) {
  expect_failure(run_program("concord-train", words(out_, {"--device", "cuda:0"})), 1,
                 {"cuda:0", "CUDA"});
  expect_failure(run_program("concord-train", words(out_, {"--precision", "bf16"})), 1,
                 {"bf16", "CUDA"});
  // What only cuDNN heeds is not taken and forgotten.
  for (const Words& option : {Words{"--cudnn-search", "measure"}, Words{"--deterministic", "true"},
                              Words{"--cudnn-workspace", "64"}})
    expect_failure(
        run_program("concord-train", words(out_, {"--device", "cpu", option.at(0), option.at(1)})),
        2, {option.at(0), "CUDA", "CPU"});
  expect_failure(run_program("concord-train", words(out_, {"--cudnn-search", "fastest"})), 2,
                 {"--cudnn-search", "heuristic", "measure"});
  EXPECT_FALSE(fs::exists(out_));
}

TEST_F(ConcordTrain, NamesTheDataThatIsWrong) {
  const auto fails = [&](const fs::path& root, const Words& parts) {
    expect_failure(run_program("concord-train", {"--data", root.string(), "--arch", "resnet18",
                                                 "--output-dir", out_}),
                   1, parts);
    EXPECT_FALSE(fs::exists(out_));
  };
  fails(folder_ / "none", {"none", "no such folder"});
  fs::create_directories(folder_ / "empty");
  fails(folder_ / "empty", {"empty"});
  write_pictures(folder_ / "hole", 2, 1);
  fs::create_directories(folder_ / "hole/train/white");
  fails(folder_ / "hole", {"hole/train/white", "no images"});
}

TEST_F(ConcordTrain, NamesNeedNotBeUtf8ButThoseOfClasses) {
  const fs::path root = folder_ / "pictures \xff";
  write_pictures(root, 2, 1);
  const Words all = {"--data", root.string(), "--arch", "resnet18",     "--image-size",
                     "32",     "--epochs",    "1",      "--output-dir", out_};
  ASSERT_EQ(run_program("concord-train", all).code, 0);
  const auto config = nlohmann::json::parse(text_of(out_ + "/config.json"));
  EXPECT_NE(config["options"]["data"].get<std::string>().find("pictures"), std::string::npos);
  for (const char* split : {"train", "val"})
    fs::rename(root / split / "amber", root / split / "amb\xe9r");
  fs::remove_all(out_);
  expect_failure(run_program("concord-train", all), 1, {"amb\xe9r", "UTF-8", "rename"});
}

TEST_F(ConcordTrain, CountsBrokenImagesOrStopsAtThem) {
  const std::string broken = (folder_ / "broken").string();
  write_pictures(broken, 4, 2);
  write_file(broken + "/train/blue/00.png", std::string());
  const std::string picture = text_of(broken + "/train/green/00.png");
  write_file(broken + "/train/green/00.png", picture.substr(0, picture.size() / 2));
  write_file(broken + "/val/amber/01.png", std::string("no picture"));
  const Words all = {"--data",   broken, "--arch",       "resnet18", "--image-size", "32",
                     "--epochs", "1",    "--batch-size", "4",        "--output-dir", out_};
  const ProgramResult run = run_program("concord-train", all);
  expect_failure(run, 0,
                 {"warning: ", "train/blue/00.png", "train/green/00.png", "2 of 12", "1 of 6"});
  fs::remove_all(out_);
  Words strict = all;
  strict.push_back("--strict");
  expect_failure(run_program("concord-train", strict), 1, {"error: ", ".png"});
  EXPECT_FALSE(fs::exists(out_)) << "the mended command must work";
}

TEST_F(ConcordTrain, ALastBatchOfOneImageIsLeftOut) {
  // 24 images in batches of 23; at 32 px the last maps are single pixels.
  const ProgramResult run =
      run_program("concord-train", {"--data", data(), "--arch", "resnet18", "--image-size", "32",
                                    "--epochs", "1", "--batch-size", "23", "--output-dir", out_});
  expect_failure(run, 0, {"leave one over"});
}

TEST_F(ConcordTrain, NamesWhereANanAppears) {
  Words wild = words(out_);
  wild[static_cast<std::size_t>(std::find(wild.begin(), wild.end(), "0.003") - wild.begin())] =
      "1e30";
  const ProgramResult run = run_program("concord-train", wild);
  expect_failure(run, 1, {"error: ", "epoch 1", "NaN or infinity", "lower --lr"});
  // A parameter or a layer, by name.
  EXPECT_TRUE(run.err.find("conv1") != std::string::npos ||
              run.err.find("layer") != std::string::npos ||
              run.err.find("bn1") != std::string::npos)
      << run.err;
  EXPECT_FALSE(fs::exists(out_));
}

TEST_F(ConcordTrain, LeavesNothingHalfWritten) {
  expect_failure(run_program("concord-train", words("/dev/null/run")), 1, {"/dev/null/run"});
  write_file(folder_ / "file", std::string("x"));
  expect_failure(run_program("concord-train", words((folder_ / "file").string())), 1,
                 {"file", "not a folder"});
  // Room for the configuration but not for a checkpoint.
  const ProgramResult full =
      run_program("concord-train", words(out_), {.file_bytes = rlim_t{1} << 20});
  expect_failure(full, 1, {"error: ", ".safetensors"});
  EXPECT_FALSE(fs::exists(out_));
  // A log from before the first checkpoint is begun anew.
  fs::create_directories(out_);
  write_file(out_ + "/metrics.jsonl", std::string("{\"epoch\":1}\n"));
  ASSERT_EQ(run_program("concord-train", words(out_, {"--resume"})).code, 0);
  EXPECT_EQ(untimed(out_ + "/metrics.jsonl"), untimed(reference() + "/metrics.jsonl"));
  expect_failure(
      run_program("concord-train", words((folder_ / "none").string()), {.file_bytes = 700}), 1,
      {"none/config.json"});
  EXPECT_FALSE(fs::exists(folder_ / "none")) << "an empty folder is left behind";
}

TEST_F(ConcordTrain, RefusesACheckpointOfAnotherArchitecture) {
  expect_failure(
      run_program("concord-train", {"--evaluate", "--weights", reference() + "/best.safetensors",
                                    "--arch", "resnet34", "--data", data()}),
      1, {"layer1.2.conv1.weight", "best.safetensors"});
  write_features(folder_ / "features.safetensors", random_features({2, 3, 4, 4}, 1));
  expect_failure(
      run_program("concord-train", {"--evaluate", "--weights",
                                    (folder_ / "features.safetensors").string(), "--data", data()}),
      1, {"features.safetensors", "--arch"});
}

TEST_F(ConcordTrain, FeaturesGoIntoAStore) {
  const std::string store = (folder_ / "store").string();
  const Words all = {"--weights",    reference() + "/best.safetensors",
                     "--data",       data(),
                     "--split",      "val",
                     "--output-dir", store};
  const auto with_layer = [&](const std::string& layer, const Words& more = {}) {
    Words result = all;
    result.insert(result.end(), {"--layer", layer});
    result.insert(result.end(), more.begin(), more.end());
    return result;
  };
  expect_failure(run_program("concord-features", with_layer("layer33")), 1,
                 {"layer33", "near", "layer3"});
  EXPECT_FALSE(fs::exists(store));
  const ProgramResult run = run_program("concord-features", with_layer("layer2"));
  ASSERT_EQ(run.code, 0) << run.err;
  EXPECT_NE(run.out.find("12x128x4x4"), std::string::npos) << run.out;
  const FeatureStore read(store);
  EXPECT_EQ(read.shape(), (Shape{12, 128, 4, 4}));
  EXPECT_EQ(read.names().front(), "val/amber/00.png");
  EXPECT_EQ(read.labels()[11], 2);
  EXPECT_EQ(std::count(read.top3().begin(), read.top3().end(), 1), 12) << "three classes";
  const ProgramResult full = run_program("concord-features", with_layer("layer2"));
  expect_failure(full, 1, {"not empty", "--force"});
  EXPECT_EQ(full.err.find("--resume"), std::string::npos) << "concord-features has no --resume";
  EXPECT_EQ(run_program("concord-features", {"--help"}).out.find("--image-size INT=224"),
            std::string::npos)
      << "its default is what the file says";
  EXPECT_EQ(run_program("concord-features", with_layer("layer1.0.conv1", {"--force"})).code, 0);
  EXPECT_EQ(FeatureStore(store).shape(), (Shape{12, 64, 8, 8}));
  // The disk fills up: neither an index nor a shard stays.
  fs::remove_all(store);
  expect_failure(run_program("concord-features", with_layer("layer2"), {.file_bytes = 10000}), 1,
                 {"shard"});
  EXPECT_FALSE(fs::exists(store));
}

}  // namespace
}  // namespace concord::test
