// concord-born-again as a user runs it. Losses and accuracies are computed again from logits that
// concord-train writes, orders by concord-variance.

#include <cmath>
#include <nlohmann/json.hpp>
#include <sstream>

#include "engine/checkpoint.h"
#include "tests/tools/small_data.h"

namespace concord::test {
namespace {

using Words = std::vector<std::string>;
using Json = nlohmann::json;
using std::chrono::milliseconds;

Words operator+(Words words, const Words& more) {
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

Json json_of(const fs::path& file) { return Json::parse(text_of(file)); }

// The lines of metrics.jsonl.
std::vector<Json> metrics_of(const fs::path& folder) {
  std::vector<Json> metrics;
  std::istringstream text(text_of(folder / "metrics.jsonl"));
  for (std::string line; std::getline(text, line);) metrics.push_back(Json::parse(line));
  return metrics;
}

// softmax of a row of three logits.
std::vector<double> softmax(const double* z, double tau = 1) {
  std::vector<double> p = {std::exp(z[0] / tau), std::exp(z[1] / tau), std::exp(z[2] / tau)};
  const double sum = p[0] + p[1] + p[2];
  for (double& value : p) value /= sum;
  return p;
}

struct Logits {
  std::vector<double> values;  // rows of three
  std::vector<std::int64_t> labels;
};

// One folder of pictures and one undisturbed run of three generations for all tests of this file.
class ConcordBornAgain : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    shared_ = new TemporaryFolder;
    write_pictures(data());
  }
  static void TearDownTestSuite() {
    delete reference_;
    reference_ = nullptr;
    delete shared_;
  }

  static std::string data() { return (*shared_ / "data").string(); }
  // The folder of the reference run, which is made when a test first asks for it.
  static std::string reference() {
    const std::string path = (*shared_ / "reference").string();
    if (reference_ == nullptr) {
      reference_ = new ProgramResult(run(path, {"--generations", "3"}));
      EXPECT_EQ(reference_->code, 0) << reference_->err;
    }
    return path;
  }

  // Generations of 2 epochs of 3 steps on 24 images.
  static Words words(const std::string& output, const Words& more = {}) {
    const std::vector<Words> defaults = {{"--data", data()},       {"--arch", "resnet18"},
                                         {"--image-size", "32"},   {"--epochs", "2"},
                                         {"--batch-size", "8"},    {"--lr", "0.003"},
                                         {"--output-dir", output}, {"--threads", "2"}};
    Words all;
    for (const Words& option : defaults)
      if (std::find(more.begin(), more.end(), option[0]) == more.end()) all = all + option;
    return all + more;
  }
  static ProgramResult run(const std::string& output, const Words& more = {},
                           const ProgramLimits& limits = {}) {
    return run_program("concord-born-again", words(output, more), limits);
  }

  Logits logits_of(const std::string& weights, const std::string& split) const {
    const std::string file = (folder_ / "logits.safetensors").string();
    const ProgramResult evaluated =
        run_program("concord-train", {"--evaluate", "--weights", weights, "--data", data(),
                                      "--split", split, "--dump-logits", file});
    EXPECT_EQ(evaluated.code, 0) << evaluated.err;
    const SafetensorsFile read(file);
    return {read.tensor("logits").to_vector<double>(),
            read.tensor("labels").to_vector<std::int64_t>()};
  }

  // Checkpoints and logs of the generations of both folders are the same to the bit.
  static void expect_same(const std::string& actual, const std::string& expected, int generations) {
    for (int g = 0; g < generations; ++g) {
      const std::string name = fmt::format("/generation-{}/", g);
      for (const char* file : {"last.safetensors", "best.safetensors"})
        EXPECT_TRUE(text_of(actual + name + file) == text_of(expected + name + file))
            << name << file;
      EXPECT_EQ(untimed(actual + name + "metrics.jsonl"),
                untimed(expected + name + "metrics.jsonl"));
    }
    Json a = json_of(actual + "/born-again.json");
    Json b = json_of(expected + "/born-again.json");
    for (Json* json : {&a, &b}) {
      json->erase("command");
      for (Json& generation : (*json)["generations"]) generation.erase("weights");
    }
    EXPECT_EQ(a, b);
  }

  static TemporaryFolder* shared_;
  static ProgramResult* reference_;
  TemporaryFolder folder_;
  std::string out_ = (folder_ / "run").string();
};
TemporaryFolder* ConcordBornAgain::shared_ = nullptr;
ProgramResult* ConcordBornAgain::reference_ = nullptr;

TEST_F(ConcordBornAgain, WritesAndPrintsGenerations) {
  const auto names = file_names(reference());
  EXPECT_EQ(names, (Words{"born-again.json", "config.json", "generation-0", "generation-1",
                          "generation-2"}));
  const Json result = json_of(reference() + "/born-again.json");
  EXPECT_EQ(result["version"], CONCORD_VERSION);
  EXPECT_EQ(result["arch"], "resnet18");
  EXPECT_TRUE(result["consistency"].is_null());
  EXPECT_NE(reference_->err.find("--layer"), std::string::npos) << "says what was left out";
  ASSERT_EQ(result["generations"].size(), 3U);
  std::vector<double> mean[2];  // over all generations, and those that had a teacher
  std::vector<std::int64_t> labels;
  for (int g = 0; g < 3; ++g) {
    const Json& generation = result["generations"][static_cast<std::size_t>(g)];
    EXPECT_EQ(generation["generation"], g);
    EXPECT_EQ(generation["seed"], 10 * g);
    EXPECT_EQ(generation["lambda"], g == 0 ? Json() : Json(0.5));
    const std::string folder = reference() + fmt::format("/generation-{}", g);
    EXPECT_EQ(generation["weights"], folder + "/best.safetensors");
    EXPECT_EQ(file_names(folder).size(), 5U) << "a run as of concord-train";
    const auto metrics = metrics_of(folder);
    ASSERT_EQ(metrics.size(), 2U);
    for (const Json& epoch : metrics) {
      EXPECT_EQ(epoch.contains("kd"), g > 0);
      if (g == 0) continue;
      EXPECT_NEAR(epoch["loss"].get<double>(),
                  epoch["ce"].get<double>() + 0.5 * epoch["kd"].get<double>(), 1e-5);
    }
    const auto best = static_cast<std::size_t>(generation["train"]["epoch"].get<int>() - 1);
    EXPECT_EQ(generation["train"]["loss"], metrics[best]["loss"]);
    EXPECT_EQ(generation["val"]["top1"], metrics[best]["val_top1"]);
    EXPECT_EQ(generation["val"]["loss"], metrics[best]["val_loss"]);
    EXPECT_NE(reference_->out.find(
                  fmt::format("{:.2f} %", 100 * generation["val"]["top1"].get<double>())),
              std::string::npos)
        << reference_->out;
    const Logits logits = logits_of(folder + "/best.safetensors", "val");
    labels = logits.labels;
    for (std::size_t row = 0; row < labels.size(); ++row) {
      const auto p = softmax(&logits.values[3 * row]);
      for (const int students : {0, 1}) {
        if (students == 1 && g == 0) continue;
        mean[students].resize(3 * labels.size());
        for (std::size_t i = 0; i < 3; ++i) mean[students][3 * row + i] += p[i] / (3 - students);
      }
    }
  }
  ASSERT_EQ(result["ensembles"].size(), 2U);
  for (const int students : {0, 1}) {
    const Json& ensemble = result["ensembles"][static_cast<std::size_t>(students)];
    EXPECT_EQ(ensemble["first"], students);
    EXPECT_EQ(ensemble["last"], 2);
    double hits = 0;
    double loss = 0;
    for (std::size_t row = 0; row < labels.size(); ++row) {
      const double* p = &mean[students][3 * row];
      hits += std::max_element(p, p + 3) - p == labels[row];
      loss -= std::log(p[labels[row]]);
    }
    const double images = static_cast<double>(labels.size());
    EXPECT_DOUBLE_EQ(ensemble["val"]["top1"].get<double>(), hits / images);
    EXPECT_NEAR(ensemble["val"]["loss"].get<double>(), loss / images, 1e-6);
  }
  const Json config = json_of(reference() + "/config.json");
  EXPECT_EQ(config["options"]["generations"], 3);
  EXPECT_EQ(config["generations"][2]["seed"], 20);
}

// With a learning rate that changes no bit and batch norms in evaluation mode the losses of an
// epoch are those of the checkpoints' logits on the training images.
TEST_F(ConcordBornAgain, LossIsCrossEntropyAndLambdaKd) {
  const ProgramResult done =
      run(out_, {"--generations", "2", "--epochs", "1", "--lr", "1e-30", "--freeze-batch-norm",
                 "--lambda", "0.3", "--tau", "2.5", "--half", "b", "--seed", "3"});
  ASSERT_EQ(done.code, 0) << done.err;
  const Logits teacher = logits_of(out_ + "/generation-0/best.safetensors", "train");
  const Logits student = logits_of(out_ + "/generation-1/best.safetensors", "train");
  ASSERT_EQ(teacher.labels.size(), 24U);
  double ce = 0;
  double kd = 0;
  double apart = 0;
  for (std::size_t row = 0; row < 24; ++row) {
    if (row % 8 < 4) continue;  // half a of its class
    const double* s = &student.values[3 * row];
    const double* t = &teacher.values[3 * row];
    ce -= std::log(softmax(s)[static_cast<std::size_t>(student.labels[row])]) / 12;
    for (std::size_t i = 0; i < 3; ++i) {
      kd -= 2.5 * 2.5 * softmax(t, 2.5)[i] * std::log(softmax(s, 2.5)[i]) / 12;
      apart = std::max(apart, std::abs(s[i] - t[i]));
    }
  }
  EXPECT_GT(apart, 0.1) << "two seeds";
  const Json epoch = metrics_of(out_ + "/generation-1").at(0);
  EXPECT_NEAR(epoch["ce"].get<double>(), ce, 1e-5 * std::abs(ce));
  EXPECT_NEAR(epoch["kd"].get<double>(), kd, 1e-5 * std::abs(kd));
  EXPECT_NEAR(epoch["loss"].get<double>(), ce + 0.3 * kd, 1e-5 * std::abs(ce + 0.3 * kd));
  const Json result = json_of(out_ + "/born-again.json");
  EXPECT_EQ(result["generations"][1]["seed"], 13);
  EXPECT_EQ(result["generations"][1]["tau"], 2.5);
}

TEST_F(ConcordBornAgain, GoesOnToTheSameBitsAfterAKill) {
  reference();
  const ProgramResult killed = run(out_, {"--generations", "3"},
                                   {.meanwhile = signal_after(out_ + "/generation-1/metrics.jsonl",
                                                              1, SIGKILL, milliseconds(30))});
  ASSERT_EQ(killed.code, -SIGKILL) << killed.err;
  EXPECT_FALSE(fs::exists(out_ + "/born-again.json"));
  const auto before = file_names(out_ + "/generation-0");
  const ProgramResult resumed = run(out_, {"--generations", "3", "--resume"});
  ASSERT_EQ(resumed.code, 0) << resumed.err;
  expect_same(out_, reference(), 3);
  EXPECT_EQ(resumed.out, reference_->out);
  EXPECT_EQ(file_names(out_ + "/generation-0"), before) << "what is done is left as it is";
}

TEST_F(ConcordBornAgain, GoesOnToTheSameBitsAfterCtrlC) {
  reference();
  const ProgramResult stopped = run(out_, {"--generations", "3"},
                                    {.meanwhile = signal_after(out_ + "/generation-0/metrics.jsonl",
                                                               2, SIGINT, milliseconds(200))});
  expect_failure(stopped, 130, {"interrupted", "--resume"});
  const ProgramResult resumed = run(out_, {"--generations", "3", "--resume"});
  ASSERT_EQ(resumed.code, 0) << resumed.err;
  expect_same(out_, reference(), 3);
}

TEST_F(ConcordBornAgain, FurtherGenerationsFollowAFinishedRun) {
  reference();
  ASSERT_EQ(run(out_, {"--generations", "2"}).code, 0);
  const ProgramResult extended = run(out_, {"--generations", "3", "--resume"});
  ASSERT_EQ(extended.code, 0) << extended.err;
  expect_same(out_, reference(), 3);

  // Where the weights depend on how many generations there are, those that are done would differ.
  fs::remove_all(out_);
  const Words fading = {"--epochs", "1", "--lambda", "0.8:0.2"};
  ASSERT_EQ(run(out_, fading + Words{"--generations", "1"}).code, 0);
  expect_failure(run(out_, fading + Words{"--generations", "3", "--resume"}), 1,
                 {"--generations was 1", "is 3 now"});
}

TEST_F(ConcordBornAgain, LambdaRunsOverGenerationsOrEpochs) {
  ASSERT_EQ(run(out_, {"--generations", "3", "--epochs", "1", "--lambda", "0.8:0.2"}).code, 0);
  const auto lambda = [](const Json& epoch) {
    return (epoch["loss"].get<double>() - epoch["ce"].get<double>()) / epoch["kd"].get<double>();
  };
  const double expected[] = {0.8, 0.2};
  for (int g = 1; g < 3; ++g)
    EXPECT_NEAR(lambda(metrics_of(out_ + fmt::format("/generation-{}", g)).at(0)), expected[g - 1],
                1e-5);
  const Json result = json_of(out_ + "/born-again.json");
  EXPECT_EQ(result["generations"][1]["lambda"], 0.8);
  EXPECT_NEAR(result["generations"][2]["lambda"].get<double>(), 0.2, 1e-15);

  const ProgramResult over_epochs = run(out_, {"--generations", "2", "--epochs", "3", "--lambda",
                                               "0.8:0.2", "--lambda-over", "epochs", "--force"});
  ASSERT_EQ(over_epochs.code, 0) << over_epochs.err;
  EXPECT_NE(over_epochs.out.find("0.8 to 0.2"), std::string::npos) << over_epochs.out;
  EXPECT_FALSE(fs::exists(out_ + "/generation-2")) << "of the run that was replaced";
  const auto metrics = metrics_of(out_ + "/generation-1");
  ASSERT_EQ(metrics.size(), 3U);
  for (std::size_t epoch = 0; epoch < 3; ++epoch)
    EXPECT_NEAR(lambda(metrics[epoch]), 0.8 * std::pow(0.5, static_cast<double>(epoch)), 1e-5);
}

TEST_F(ConcordBornAgain, GenerationZeroMayBeGiven) {
  const std::string given = reference() + "/generation-0/best.safetensors";
  Words all = words(out_, {"--generations", "2", "--weights", given});
  const auto arch = std::find(all.begin(), all.end(), "--arch");
  all.erase(arch, arch + 2);  // that of the file
  const ProgramResult done = run_program("concord-born-again", all);
  ASSERT_EQ(done.code, 0) << done.err;
  EXPECT_FALSE(fs::exists(out_ + "/generation-0"));
  EXPECT_EQ(untimed(out_ + "/generation-1/metrics.jsonl"),
            untimed(reference() + "/generation-1/metrics.jsonl"));
  const Json generation = json_of(out_ + "/born-again.json")["generations"][0];
  EXPECT_TRUE(generation["seed"].is_null());
  EXPECT_EQ(generation["weights"], given);
  EXPECT_EQ(generation["val"], json_of(reference() + "/born-again.json")["generations"][0]["val"]);

  // The last checkpoint of generation 1 teaches another generation 2 than its best.
  ASSERT_EQ(run_program("concord-born-again", all + Words{"--resume"}).code, 0);
  expect_failure(run_program("concord-born-again", all + Words{"--resume", "--teacher", "last"}), 1,
                 {"--teacher was \"best\"", "is \"last\" now"});
  // Another file under the same name.
  const std::string copy = (folder_ / "teacher.safetensors").string();
  fs::copy_file(given, copy);
  *std::find(all.begin(), all.end(), given) = copy;
  *std::find(all.begin(), all.end(), out_) = out_ + "2";
  ASSERT_EQ(run_program("concord-born-again", all).code, 0);
  fs::copy_file(reference() + "/generation-1/best.safetensors", copy,
                fs::copy_options::overwrite_existing);
  expect_failure(run_program("concord-born-again", all + Words{"--resume"}), 1,
                 {"the teacher's SHA-256", "generation-1"});
  // Of a run that is to be replaced.
  const std::string own = out_ + "2/generation-1/best.safetensors";
  *std::find(all.begin(), all.end(), copy) = own;
  expect_failure(run_program("concord-born-again", all + Words{"--force"}), 1, {own, "--force"});
  EXPECT_TRUE(fs::exists(own));
}

TEST_F(ConcordBornAgain, MeasuresTheConsistencyBetweenGenerations) {
  // Into the run that is done: generations stay as they are.
  reference();
  fs::copy(reference(), out_, fs::copy_options::recursive);
  const ProgramResult done =
      run(out_, {"--generations", "3", "--layer", "layer2", "--transnet-epochs", "2",
                 "--transnet-batch-size", "8", "--resume"});
  ASSERT_EQ(done.code, 0) << done.err;
  const Json consistency = json_of(out_ + "/born-again.json")["consistency"];
  EXPECT_EQ(consistency["layer"], "layer2");
  const std::pair<int, int> expected[] = {{0, 1}, {1, 2}, {0, 2}};
  ASSERT_EQ(consistency["pairs"].size(), 3U);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(consistency["pairs"][i]["from"], expected[i].first);
    EXPECT_EQ(consistency["pairs"][i]["to"], expected[i].second);
  }
  // The last of them once more, by the programs for each part.
  for (const char* g : {"0", "2"}) {
    const ProgramResult stored = run_program(
        "concord-features", {"--weights", out_ + "/generation-" + g + "/best.safetensors", "--data",
                             data(), "--split", "val", "--layer", "layer2", "--batch-size", "8",
                             "--threads", "2", "--output-dir", (folder_ / g).string()});
    ASSERT_EQ(stored.code, 0) << stored.err;
  }
  const ProgramResult variance = run_program(
      "concord-variance",
      {"--weights", out_ + "/generation-0-to-generation-2/last.safetensors", "--features-a",
       (folder_ / "0").string(), "--features-b", (folder_ / "2").string(), "--threads", "2",
       "--output-dir", (folder_ / "variance").string()});
  ASSERT_EQ(variance.code, 0) << variance.err;
  const Json report = json_of(folder_ / "variance/variance.json");
  const Json& pair = consistency["pairs"][2];
  EXPECT_NEAR(pair["instability"].get<double>(), report["instability"].get<double>(), 1e-6);
  for (std::size_t k = 0; k < 3; ++k)
    EXPECT_NEAR(pair["var_orders"][k].get<double>(), report["var_orders"][k].get<double>(),
                1e-5 * report["var_orders"][0].get<double>());
  EXPECT_NE(done.out.find(fmt::format("{:.2f} %", 100 * pair["instability"].get<double>())),
            std::string::npos)
      << done.out;
}

TEST_F(ConcordBornAgain, SeveralLabelsAnImage) {
  const std::string several = (folder_ / "several").string();
  write_multi_label_pictures(several);
  const ProgramResult done = run(out_, {"--data", several, "--generations", "2", "--epochs", "1"});
  ASSERT_EQ(done.code, 0) << done.err;
  EXPECT_NE(done.out.find("val labels right"), std::string::npos) << done.out;
  const Json epoch = metrics_of(out_ + "/generation-1").at(0);
  EXPECT_NEAR(epoch["loss"].get<double>(),
              epoch["bce"].get<double>() + 0.5 * epoch["kd"].get<double>(), 1e-5);
  const Json result = json_of(out_ + "/born-again.json");
  EXPECT_EQ(result["generations"][1]["val"]["accuracy"], epoch["val_accuracy"]);
  EXPECT_TRUE(result["ensembles"][0]["val"]["accuracy"].is_number());
}

TEST_F(ConcordBornAgain, GroupsOfClassesAndNoImagesToValidateOn) {
  const std::string grouped = (folder_ / "grouped").string();
  write_grouped_pictures(grouped, 4, 2);
  const ProgramResult done = run(out_, {"--data", grouped, "--generations", "2", "--epochs", "1"});
  ASSERT_EQ(done.code, 0) << done.err;
  for (const char* name : {"\nbirds ", "\ndogs "})
    EXPECT_NE(done.out.find(name), std::string::npos) << done.out;
  const Json groups = json_of(out_ + "/born-again.json")["generations"][1]["val"]["groups"];
  EXPECT_EQ(groups["dogs"]["images"], 4);
  EXPECT_EQ(groups["birds"]["top1"], metrics_of(out_ + "/generation-1").at(0)["val_birds_top1"]);

  const std::string alone = (folder_ / "alone").string();
  fs::create_directories(alone);
  fs::copy(data() + "/train", alone, fs::copy_options::recursive);
  const ProgramResult trained =
      run(out_, {"--data", alone, "--generations", "2", "--epochs", "1", "--force"});
  ASSERT_EQ(trained.code, 0) << trained.err;
  EXPECT_NE(trained.out.find("train top-1"), std::string::npos) << trained.out;
  const Json result = json_of(out_ + "/born-again.json");
  EXPECT_TRUE(result["ensembles"].empty());
  EXPECT_FALSE(result["generations"][0].contains("val"));
}

TEST_F(ConcordBornAgain, ExitsWithTwoOnWrongUsage) {
  for (const Words& more : std::vector<Words>{{"--generations", "0"},
                                              {"--lambda", "-1"},
                                              {"--lambda", "0:1"},
                                              {"--lambda", "0.5:"},
                                              {"--lambda-over", "steps"},
                                              {"--tau", "0"},
                                              {"--teacher", "first"},
                                              {"--teacher-device", "gpu"},
                                              {"--half", "c"},
                                              {"--arch", "resnet19"},
                                              {"--arch", "resnet18_ft"},
                                              {"--transnet-epochs", "3"},
                                              {"--orders", "2"},
                                              {"--layer", "layer2", "--padding", "0"},
                                              {"--layer", "layer2", "--alpha", "1,2,3"},
                                              {"--resume", "--force"}}) {
    const ProgramResult refused = run(out_, more);
    EXPECT_EQ(refused.code, 2) << more.front() << " " << more.back() << ": " << refused.err;
    EXPECT_FALSE(fs::exists(out_));
  }
  expect_failure(run_program("concord-born-again", {"--data", data(), "--output-dir", out_}), 2,
                 {"--arch is required"});
  expect_failure(run_program("concord-born-again", {"--data", data(), "--arch", "resnet18"}), 2,
                 {"--output-dir is required"});
  const ProgramResult help = run_program("concord-born-again", {"--help"});
  EXPECT_EQ(help.code, 0);
  for (const char* text : {"--generations INT=5", "--lambda TEXT=0.5", "--seed-step UINT=10",
                           "Example", "CE + lambda KD"})
    EXPECT_NE(help.out.find(text), std::string::npos) << text;
}

TEST_F(ConcordBornAgain, RefusesBeforeItTrains) {
  expect_failure(run(out_, {"--layer", "layer33"}), 1, {"layer33", "near"});
  expect_failure(run(out_, {"--teacher-device", "cuda:0"}), 1, {"--teacher-device cuda:0"});
  expect_failure(run(reference()), 1, {"not empty", "--resume"});
  const std::string given = reference() + "/generation-0/best.safetensors";
  const std::string others = (folder_ / "others").string();
  write_pictures(others, 4, 2);
  for (const char* split : {"train", "val"})
    fs::rename(others + "/" + split + "/blue", others + "/" + split + "/black");
  expect_failure(run(out_, {"--data", others, "--weights", given}), 1,
                 {"its class 1 is blue", "is black"});
  for (const char* split : {"train", "val"}) fs::remove_all(others + "/" + split + "/black");
  expect_failure(run(out_, {"--data", others, "--weights", given}), 1, {"3 classes", "has 2"});
  EXPECT_FALSE(fs::exists(out_));
}

TEST_F(ConcordBornAgain, AChangedResumeLeavesEverythingAsItIs) {
  fs::copy(reference(), out_, fs::copy_options::recursive);
  const std::string before = text_of(out_ + "/config.json");
  for (const Words& more : std::vector<Words>{{"--lr", "0.004"},
                                              {"--epochs", "3"},
                                              {"--tau", "2"},
                                              {"--lambda", "1"},
                                              {"--seed-step", "5"},
                                              {"--seed", "1"},
                                              {"--half", "a"}})
    expect_failure(run(out_, more + Words{"--generations", "3", "--resume"}), 1,
                   {more[0] + " was", "is ", " now"});
  EXPECT_EQ(text_of(out_ + "/config.json"), before);
  expect_same(out_, reference(), 3);
}

TEST_F(ConcordBornAgain, AFailureLeavesOnlyWhatIsOfUse) {
  const ProgramResult wild = run(out_, {"--lr", "1e30"});
  expect_failure(wild, 1, {"lower --lr"});
  EXPECT_FALSE(fs::exists(out_)) << "the mended command can be given again";
  // What is not ours survives --force.
  fs::create_directories(out_ + "/generation-7");
  write_file(out_ + "/generation-7/notes.txt", std::string("mine"));
  write_file(out_ + "/generation-7/last.safetensors", std::string("old"));
  write_file(out_ + "/notes.txt", std::string("mine"));
  const ProgramResult forced = run(out_, {"--generations", "1", "--epochs", "1", "--force"});
  ASSERT_EQ(forced.code, 0) << forced.err;
  EXPECT_EQ(file_names(out_ + "/generation-7"), Words{"notes.txt"});
  EXPECT_EQ(text_of(out_ + "/notes.txt"), "mine");
}

}  // namespace
}  // namespace concord::test
