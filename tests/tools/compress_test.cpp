// concord-compress as a user runs it: its stages, files and tables, resuming, decoding, refusals.

#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "analysis/compression/compact_file.h"
#include "tests/tools/small_data.h"

namespace concord::test {
namespace {

using Words = std::vector<std::string>;
using std::chrono::milliseconds;

// One folder of pictures, one network and one compression of it for all tests of this file.
class ConcordCompress : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    shared_ = new TemporaryFolder;
    write_pictures(data());
    const ProgramResult run = run_program(
        "concord-train", {"--data", data(), "--arch", "resnet18", "--image-size", "32", "--epochs",
                          "2", "--batch-size", "4", "--lr", "0.01", "--output-dir",
                          (*shared_ / "net").string(), "--threads", "2", "--quiet"});
    ASSERT_EQ(run.code, 0) << run.err;
  }
  static void TearDownTestSuite() {
    delete reference_;
    delete shared_;
  }

  static std::string data() { return (*shared_ / "data").string(); }
  static std::string weights() { return (*shared_ / "net").string() + "/best.safetensors"; }
  // The folder of the reference run, which is made when a test first asks for it.
  static std::string reference() {
    const std::string path = (*shared_ / "reference").string();
    if (reference_ == nullptr)
      reference_ = new ProgramResult(run_program("concord-compress", words(path)));
    return path;
  }

  static Words words(const std::string& output, const Words& more = {}) {
    Words all = {"--weights",      weights(), "--data",       data(),
                 "--epochs",       "2",       "--batch-size", "6",
                 "--share-epochs", "2",       "--lr",         "0.003",
                 "--share-lr",     "1e-4",    "--prune",      "layer1.0.conv1=0.7",
                 "--output-dir",   output,    "--threads",    "2"};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }

  // Of these the shortest run.
  static Words brief(Words all) {
    for (const char* name : {"--epochs", "--share-epochs"})
      *(std::find(all.begin(), all.end(), name) + 1) = "1";
    return all;
  }

  static std::vector<float> weight(const std::string& file, const std::string& layer) {
    return SafetensorsFile(file).tensor(layer + ".weight").to_vector<float>();
  }

  // All that a run leaves behind, but for what tells of the clock or the command.
  static std::map<std::string, std::string> results(const std::string& folder) {
    std::map<std::string, std::string> files;
    for (const char* name : {"pruned", "shared", "compressed", "compact", "retrain/best",
                             "retrain/last", "share/best", "share/last"})
      files[name] = text_of(folder + "/" + name + ".safetensors");
    for (const char* part : {"retrain", "share"})
      files[part] = untimed(folder + "/" + part + "/metrics.jsonl");
    auto json = nlohmann::json::parse(text_of(folder + "/compress.json"));
    json.erase("command");
    files["compress.json"] = json.dump();
    return files;
  }
  static void expect_same_results(const std::string& folder) {
    const auto expected = results(reference());
    for (const auto& [name, bytes] : results(folder))
      EXPECT_TRUE(bytes == expected.at(name)) << name << " differs";
  }

  static TemporaryFolder* shared_;
  static ProgramResult* reference_;
  TemporaryFolder folder_;
  std::string out_ = (folder_ / "run").string();
};
TemporaryFolder* ConcordCompress::shared_ = nullptr;
ProgramResult* ConcordCompress::reference_ = nullptr;

TEST_F(ConcordCompress, WritesWhatItPromises) {
  const std::string path = reference();
  ASSERT_EQ(reference_->code, 0) << reference_->err;
  EXPECT_EQ(file_names(path),
            (Words{"compact.safetensors", "compress.json", "compressed.safetensors", "config.json",
                   "pruned.safetensors", "retrain", "share", "shared.safetensors"}));
  for (const char* text : {"original", "pruned", "retrained", "shared", "centroids trained",
                           "layer1.0.conv1", "compact.safetensors", "give --layer"})
    EXPECT_NE(reference_->out.find(text), std::string::npos) << text << reference_->out;
  const auto json = nlohmann::json::parse(text_of(path + "/compress.json"));
  EXPECT_EQ(json["version"], CONCORD_VERSION);
  EXPECT_EQ(json["dense_bytes"], fs::file_size(path + "/compressed.safetensors"));
  EXPECT_EQ(json["compact_bytes"], fs::file_size(path + "/compact.safetensors"));
  EXPECT_GT(json["ratio"], 5.0);
  ASSERT_EQ(json["layers"].size(), 21U);
  ASSERT_EQ(json["stages"].size(), 5U);
  for (const auto& stage : json["stages"]) EXPECT_EQ(stage["images"], 12);
  EXPECT_EQ(json["stages"][0]["stage"], "original");
  EXPECT_FALSE(json.contains("original_from_compressed"));
  // config.json tells how it was done.
  EXPECT_EQ(nlohmann::json::parse(text_of(path + "/config.json"))["options"]["centroids"], 32);
}

// The threshold, and what is below it, once more from the files.
TEST_F(ConcordCompress, PrunesBelowTheThresholdAndKeepsItSo) {
  const std::string path = reference();
  const auto json = nlohmann::json::parse(text_of(path + "/compress.json"));
  std::int64_t kept_in_all = 0;
  for (const auto& layer : json["layers"]) {
    const std::string name = layer["layer"];
    const auto before = weight(weights(), name);
    double mean = 0;
    for (const float w : before) mean += w / static_cast<double>(before.size());
    double square = 0;
    for (const float w : before) square += (w - mean) * (w - mean);
    const double deviation = std::sqrt(square / static_cast<double>(before.size()));
    const double sensitivity = name == "fc" ? 1 : name == "layer1.0.conv1" ? 0.7 : 0.2;
    EXPECT_EQ(layer["sensitivity"], sensitivity);
    EXPECT_NEAR(layer["threshold"].get<double>(), sensitivity * deviation, 1e-9 * deviation);
    EXPECT_EQ(layer["kind"], name == "fc" ? "fully connected" : "convolution");
    const auto pruned = weight(path + "/pruned.safetensors", name);
    const auto retrained = weight(path + "/retrain/best.safetensors", name);
    const auto compressed = weight(path + "/compressed.safetensors", name);
    std::int64_t kept = 0;
    std::int64_t moved = 0;
    std::set<float> values;
    for (std::size_t i = 0; i < before.size(); ++i) {
      const bool keep = std::abs(before[i]) >= sensitivity * deviation;
      ASSERT_EQ(pruned[i], keep ? before[i] : 0) << name << " " << i;
      kept += keep;
      moved += retrained[i] != before[i] && keep;
      if (keep) values.insert(compressed[i]);
      ASSERT_TRUE(keep || (retrained[i] == 0 && compressed[i] == 0)) << name << " " << i;
    }
    EXPECT_EQ(layer["kept"], kept);
    EXPECT_GT(moved, kept * 9 / 10) << name << " was not trained on";
    EXPECT_LE(values.size(), 32U) << name;
    EXPECT_GE(values.size(), 8U) << name;
    EXPECT_EQ(layer["centroids"], values.size()) << name;
    kept_in_all += kept;
  }
  EXPECT_EQ(json["kept"], kept_in_all);
}

TEST_F(ConcordCompress, TheCompressedNetworkIsACheckpointLikeAnyOther) {
  const std::string path = reference();
  const ProgramResult run =
      run_program("concord-train", {"--evaluate", "--weights", path + "/compressed.safetensors",
                                    "--data", data(), "--threads", "2", "--batch-size", "6"});
  ASSERT_EQ(run.code, 0) << run.err;
  const auto json = nlohmann::json::parse(text_of(path + "/compress.json"));
  const auto& last = json["stages"].back();
  EXPECT_EQ(last["stage"], "centroids trained");
  EXPECT_NE(run.out.find(fmt::format("{:.2f} %", 100 * last["top1"].get<double>())),
            std::string::npos)
      << run.out;
  EXPECT_NE(run.out.find(fmt::format("{:.4f}", last["loss"].get<double>())), std::string::npos)
      << run.out;
}

TEST_F(ConcordCompress, DecodesToTheBit) {
  const std::string path = reference();
  const ProgramResult run = run_program(
      "concord-compress", {"--decode", path + "/compact.safetensors", "--output-dir", out_});
  ASSERT_EQ(run.code, 0) << run.err;
  EXPECT_EQ(file_names(out_), Words{"compressed.safetensors"});
  EXPECT_TRUE(text_of(out_ + "/compressed.safetensors") ==
              text_of(path + "/compressed.safetensors"));
  EXPECT_NE(run.out.find("sha256"), std::string::npos);
}

TEST_F(ConcordCompress, RefusesADamagedCompactFile) {
  const std::string good = text_of(reference() + "/compact.safetensors");
  const std::string file = (folder_ / "damaged.safetensors").string();
  const auto refuses = [&](const std::string& bytes, const Words& parts) {
    write_bytes(file, bytes);
    const ProgramResult run =
        run_program("concord-compress", {"--decode", file, "--output-dir", out_});
    expect_failure(run, 1, parts);
    EXPECT_FALSE(fs::exists(out_));
  };
  std::string bytes = good;
  bytes[bytes.size() * 3 / 4] = static_cast<char>(bytes[bytes.size() * 3 / 4] ^ 16);
  refuses(bytes, {file, "tensor layer4"});
  refuses(good.substr(0, good.size() / 2), {file});
  refuses("", {file});
  refuses(text_of(weights()), {file, "no compact file"});

  // Whole, but not of the network that it names: found before there is room made for its tensors.
  const auto refuses_network = [&](const std::string& configuration, const Words& parts) {
    const fs::path checkpoint = folder_ / "odd.safetensors";
    write_safetensors(checkpoint, {{"fc.weight", Tensor::zeros({3, 500})}},
                      {{"configuration", configuration}});
    write_compact(file, SafetensorsFile(checkpoint), {});
    refuses(text_of(file), parts);
  };
  refuses_network("{}", {file, "does not say of which architecture"});
  refuses_network(R"({"arch":"resnet17","classes":3})", {"resnet17"});
  refuses_network(R"({"arch":"resnet18","classes":3})", {file, "no tensor conv1.weight"});
}

// One run that is stopped in the first training and killed in the second.
TEST_F(ConcordCompress, ResumesToTheSameBitsInEitherTraining) {
  reference();
  const ProgramResult stopped = run_program(
      "concord-compress", words(out_),
      {.meanwhile = signal_after(out_ + "/retrain/metrics.jsonl", 1, SIGINT, milliseconds(0))});
  expect_failure(stopped, 130, {"interrupted", "--resume"});
  EXPECT_TRUE(fs::exists(out_ + "/pruned.safetensors"));
  const ProgramResult killed = run_program(
      "concord-compress", words(out_, {"--resume"}),
      {.meanwhile = signal_after(out_ + "/share/metrics.jsonl", 1, SIGKILL, milliseconds(20))});
  ASSERT_EQ(killed.code, -SIGKILL) << killed.err;
  EXPECT_FALSE(fs::exists(out_ + "/compress.json"));
  const ProgramResult resumed = run_program("concord-compress", words(out_, {"--resume"}));
  ASSERT_EQ(resumed.code, 0) << resumed.err;
  expect_same_results(out_);
}

// One run that is killed again and again, at moments that no stage chooses.
TEST_F(ConcordCompress, ResumesToTheSameBitsAfterKillsAtAnyMoment) {
  reference();
  int killed = 0;
  for (const int delay : {40, 400, 900, 1600, 2500}) {
    const auto begun = std::chrono::steady_clock::now();
    const bool kill = delay < 2500;
    const ProgramResult run =
        run_program("concord-compress", words(out_, {"--resume"}), {.meanwhile = [&](pid_t child) {
                      if (kill && std::chrono::steady_clock::now() - begun > milliseconds(delay))
                        ::kill(child, SIGKILL);
                    }});
    killed += run.code == -SIGKILL;
    ASSERT_TRUE(kill || run.code == 0) << run.err;
  }
  expect_same_results(out_);
  EXPECT_GT(killed, 1);
}

TEST_F(ConcordCompress, RefusesAFolderInUseAndAChangedResume) {
  const std::string path = reference();
  const auto before = results(path);
  expect_failure(run_program("concord-compress", words(path)), 1, {path, "not empty", "--force"});
  expect_failure(run_program("concord-compress", words(path, {"--resume", "--prune-conv", "0.3"})),
                 1, {"--prune", "0.3", "start anew"});
  expect_failure(run_program("concord-compress", words(path, {"--resume", "--momentum", "0.8"})), 1,
                 {"--momentum", "0.8"});
  expect_failure(run_program("concord-compress", words(path, {"--resume", "--centroids", "16"})), 1,
                 {"--centroids", "16"});
  // Not EXPECT_EQ, which would print the files.
  EXPECT_TRUE(results(path) == before);
}

TEST_F(ConcordCompress, ForceBeginsAnewAndLeavesWhatIsNotItsOwn) {
  reference();
  fs::create_directories(out_ + "/share");
  write_file(out_ + "/notes.txt", std::string("mine"));
  // Of another run, half-done: nothing of it may be gone on from.
  for (const char* name : {"share/last.safetensors", "share/best.safetensors"})
    fs::copy(reference() + "/" + name, out_ + "/" + name);
  const ProgramResult run = run_program("concord-compress", words(out_, {"--force"}));
  ASSERT_EQ(run.code, 0) << run.err;
  expect_same_results(out_);
  EXPECT_EQ(text_of(out_ + "/notes.txt"), "mine");

  // Not where that would take its own input away.
  for (const char* input : {"/compressed.safetensors", "/retrain/best.safetensors"}) {
    Words all = words(out_, {"--force"});
    *(std::find(all.begin(), all.end(), "--weights") + 1) = out_ + input;
    expect_failure(run_program("concord-compress", all), 1, {out_ + input, "is an input"});
    expect_same_results(out_);
  }
}

TEST_F(ConcordCompress, MeasuresTheKnowledgeDiscarded) {
  const ProgramResult run =
      run_program("concord-compress", brief(words(out_, {"--layer", "layer2", "--transnet-epochs",
                                                         "1", "--transnet-batch-size", "8"})));
  ASSERT_EQ(run.code, 0) << run.err;
  for (const char* text : {"at layer2", "Var(x_delta)", "original from compressed"})
    EXPECT_NE(run.out.find(text), std::string::npos) << run.out;
  const auto json = nlohmann::json::parse(text_of(out_ + "/compress.json"));
  EXPECT_EQ(json["layer"], "layer2");
  for (const char* way : {"original_from_compressed", "compressed_from_original"}) {
    // Again by concord-variance: the right networks, the right way round.
    const bool discarded = way == std::string("original_from_compressed");
    const std::string compressed = out_ + "/compressed.safetensors";
    const std::string run_of =
        out_ + (discarded ? "/compressed-to-original" : "/original-to-compressed");
    const ProgramResult measured = run_program(
        "concord-variance", {"--weights", run_of + "/last.safetensors", "--weights-a",
                             discarded ? compressed : weights(), "--weights-b",
                             discarded ? weights() : compressed, "--layer", "layer2", "--data",
                             data(), "--threads", "1", "--output-dir", run_of + "-again"});
    ASSERT_EQ(measured.code, 0) << measured.err;
    const auto again = nlohmann::json::parse(text_of(run_of + "-again/variance.json"));
    for (const char* variance : {"var_delta", "var_target"})
      EXPECT_NEAR(json[way][variance].get<double>(), again[variance].get<double>(),
                  1e-5 * again[variance].get<double>())
          << way << " " << variance;
  }
}

TEST_F(ConcordCompress, OnlyCodebooksLeavesTheRestAlone) {
  const ProgramResult run = run_program(
      "concord-compress",
      brief(words(out_, {"--only-codebooks", "--bits", "3", "--share-optimizer", "sgd"})));
  ASSERT_EQ(run.code, 0) << run.err;
  const SafetensorsFile before(out_ + "/shared.safetensors");
  const SafetensorsFile after(out_ + "/compressed.safetensors");
  int trained = 0;
  for (const std::string& name : before.names()) {
    const bool same =
        before.tensor(name).to_vector<double>() == after.tensor(name).to_vector<double>();
    if (before.shape(name).rank() >= 2)
      trained += !same;
    else
      EXPECT_TRUE(same) << name;
  }
  EXPECT_GT(trained, 15);
  const auto fc = weight(out_ + "/compressed.safetensors", "layer4.1.conv1");
  EXPECT_LE(std::set<float>(fc.begin(), fc.end()).size(), 9U) << "2^3 and 0";
}

TEST_F(ConcordCompress, WithoutTrainingTheCodebooksAndWithoutValidation) {
  const std::string images = (folder_ / "images").string();
  fs::copy(data() + "/train", images, fs::copy_options::recursive);
  Words all = brief(words(out_));
  *(std::find(all.begin(), all.end(), "--data") + 1) = images;
  *(std::find(all.begin(), all.end(), "--share-epochs") + 1) = "0";
  all.erase(std::find(all.begin(), all.end(), "--share-lr"),
            std::find(all.begin(), all.end(), "--share-lr") + 2);
  const ProgramResult run = run_program("concord-compress", all);
  ASSERT_EQ(run.code, 0) << run.err;
  EXPECT_NE(run.err.find("no val/"), std::string::npos) << run.err;
  EXPECT_TRUE(text_of(out_ + "/compressed.safetensors") == text_of(out_ + "/shared.safetensors"));
  EXPECT_FALSE(fs::exists(out_ + "/share"));
  const auto json = nlohmann::json::parse(text_of(out_ + "/compress.json"));
  EXPECT_EQ(json["stages"].back()["stage"], "shared");
  EXPECT_EQ(json["stages"].back()["images"], 24);
  EXPECT_EQ(json["split"], "all");
}

TEST_F(ConcordCompress, ExitsWithTwoOnWrongUsage) {
  const std::vector<std::pair<Words, Words>> cases = {
      {{"--prune-conv", "-1"}, {"--prune-conv", "-1"}},
      {{"--prune", "layer1.0.conv1"}, {"layer1.0.conv1", "LAYER=SENSITIVITY"}},
      {{"--prune", "layer1.0.conf1=1"}, {"layer1.0.conf1", "layer1.0.conv1"}},
      {{"--prune", "fc=much"}, {"fc=much"}},
      {{"--prune", "bn1=1"}, {"no convolution or fully connected layer bn1"}},
      {{"--centroids", "0"}, {"--centroids"}},
      {{"--bits", "16"}, {"--bits"}},
      {{"--bits", "4", "--centroids", "16"}, {"exclude"}},
      {{"--transnet-epochs", "3"}, {"--transnet-epochs needs --layer"}},
      {{"--resume", "--force"}, {"exclude"}},
      {{"--decode", "x"}, {"does not apply to --decode"}}};
  for (const auto& [more, parts] : cases) {
    expect_failure(run_program("concord-compress", words(out_, more)), 2, parts);
    EXPECT_FALSE(fs::exists(out_)) << more.front();
  }
  expect_failure(run_program("concord-compress", {"--data", data(), "--output-dir", out_}), 2,
                 {"--weights"});
  expect_failure(run_program("concord-compress", words(out_, {"--layer", "layer9"})), 1,
                 {"layer9", "layer"});
  EXPECT_FALSE(fs::exists(out_));
  const ProgramResult help = run_program("concord-compress", {"--help"});
  EXPECT_EQ(help.code, 0);
  for (const char* text : {"--prune-conv FLOAT=0.2", "--prune-fc FLOAT=1", "--centroids INT=32",
                           "Example", "compact.safetensors"})
    EXPECT_NE(help.out.find(text), std::string::npos) << text;
}

}  // namespace
}  // namespace concord::test
