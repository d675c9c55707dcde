// concord-similarity as a user runs it. What the measures are is tested in tests/analysis.

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <sstream>

#include "engine/autograd.h"
#include "tests/tools/event_file.h"
#include "tests/tools/small_data.h"
#include "tools/common/classification.h"
#include "tools/common/feature_pairs.h"

namespace concord::test {
namespace {

using Words = std::vector<std::string>;

class ConcordSimilarity : public ::testing::Test {
 protected:
  std::string store(const std::string& name, const Shape& shape, std::uint64_t seed) {
    return write_features(folder_ / (name + ".safetensors"), random_features(shape, seed));
  }
  ProgramResult run(Words words) {
    words.insert(words.end(), {"--threads", "1"});
    return run_program("concord-similarity", words);
  }
  // Runs into a new folder; the parsed similarity.json.
  nlohmann::json json_of(Words words) {
    const std::string out = (folder_ / fmt::format("out{}", ++runs_)).string();
    words.insert(words.end(), {"--output-dir", out});
    const ProgramResult result = run(words);
    EXPECT_EQ(result.code, 0) << result.err;
    return nlohmann::json::parse(text_of(out + "/similarity.json"));
  }
  static nlohmann::json measure(const nlohmann::json& json, const std::string& name) {
    for (const auto& one : json["measures"])
      if (one["measure"] == name) return one;
    ADD_FAILURE() << name << " is not in " << json.dump();
    return {};
  }

  TemporaryFolder folder_;
  int runs_ = 0;
};

// B = A turned by 90 degrees in each pair of channels, times 3, plus 5.
Tensor turned(const Tensor& a) {
  const auto x = a.to_vector<float>();
  const auto pixels = static_cast<std::size_t>(a.dim(2) * a.dim(3));
  std::vector<float> y(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) {
    const bool odd = i / pixels % 2 == 1;
    y[i] = (odd ? -3 : 3) * x[odd ? i - pixels : i + pixels] + 5;
  }
  return Tensor::of(a.shape(), y);
}

TEST_F(ConcordSimilarity, OneForTurnedFeaturesWhateverTheRows) {
  const Tensor features = random_features({40, 4, 2, 2}, 1);
  const std::string a = write_features(folder_ / "a.safetensors", features);
  const std::string b = write_features(folder_ / "b.safetensors", turned(features));
  for (const char* rows : {"flatten", "mean", "positions"}) {
    const auto json =
        json_of({"--features-a", a, "--features-b", b, "--rows", rows, "--batch-size", "16"});
    EXPECT_EQ(json["measures"].size(), 13U);
    for (const auto& one : json["measures"])
      EXPECT_NEAR(one["value"].get<double>(), 1, 1e-5) << rows << " " << one.dump();
    EXPECT_EQ(json["images"], 40);
    EXPECT_EQ(json["rows"], rows);
    EXPECT_TRUE(json["command"].is_string());
    EXPECT_TRUE(json["version"].is_string());
  }
}

// The same features by second moments (few features) and by kernels (few images), and stores of
// unequal maps and channels.
TEST_F(ConcordSimilarity, UnequalStores) {
  const std::string a = store("a", {30, 6, 4, 4}, 1);
  const std::string b = store("b", {30, 3, 2, 3}, 2);
  for (const char* rows : {"flatten", "mean", "positions"}) {
    const auto json = json_of({"--features-a", a, "--features-b", b, "--rows", rows, "--measures",
                               "cka,cka-debiased,procrustes,rbf-cka,cka-debiased-minibatch"});
    for (const auto& one : json["measures"]) {
      EXPECT_LE(std::abs(one["value"].get<double>()), 0.9) << rows << one.dump();
    }
    EXPECT_NEAR(measure(json, "cka-debiased")["value"].get<double>(), 0, 0.2);
  }
}

TEST_F(ConcordSimilarity, TableNamesMeasuresAndNotes) {
  const std::string a = store("a", {40, 4, 2, 2}, 1);
  const std::string b = store("b", {40, 4, 2, 2}, 2);
  const ProgramResult result = run(
      {"--features-a", a, "--features-b", b, "--rows", "mean", "--batch-size", "16", "--quiet"});
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.err, "");
  for (const char* part : {"measure", "cka-debiased-minibatch", "batches of 13 or 14 images: 3",
                           "pwcca-a", "r2-ba", "4 and 4 directions", "distance"})
    EXPECT_NE(result.out.find(part), std::string::npos) << part << " not in\n" << result.out;
  // No measure leaves a NaN.
  EXPECT_EQ(result.out.find("nan"), std::string::npos);
}

TEST_F(ConcordSimilarity, MatricesOfStores) {
  const std::string a = store("a", {40, 4, 2, 2}, 1);
  const std::string b = store("b", {40, 5, 2, 2}, 2);
  const std::string c = store("c", {40, 2, 1, 1}, 3);
  const Words common = {"--rows", "mean", "--measures", "cka,r2"};
  const auto with = [&](Words words) {
    words.insert(words.end(), common.begin(), common.end());
    return words;
  };
  const auto all = json_of(with({"--features", a, b, c}));
  const auto lists = json_of(with({"--features-a", a + "," + b, "--features-b", b + "," + c}));
  const auto pair = json_of(with({"--features-a", a, "--features-b", c}));
  const auto cka = measure(all, "cka")["values"];
  const auto r2 = measure(all, "r2-ab")["values"];
  ASSERT_EQ(cka.size(), 3U);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_NEAR(cka[i][i].get<double>(), 1, 1e-12);
    EXPECT_NEAR(r2[i][i].get<double>(), 1, 1e-9);
    for (std::size_t j = 0; j < 3; ++j) EXPECT_EQ(cka[i][j], cka[j][i]);
  }
  EXPECT_NE(r2[0][2], r2[2][0]);
  EXPECT_EQ(measure(lists, "cka")["values"][0][1], cka[0][2]);
  EXPECT_EQ(measure(lists, "r2-ab")["values"][1][1], r2[1][2]);
  EXPECT_EQ(measure(lists, "r2-ba")["values"][1][1], r2[2][1]);
  EXPECT_EQ(measure(pair, "r2-ba")["value"], r2[2][0]);
  EXPECT_EQ(all["features_a"][2]["shape"], "40x2x1x1");
}

TEST_F(ConcordSimilarity, SameBitsEachTime) {
  const std::string a = store("a", {50, 6, 3, 3}, 1);
  const std::string b = store("b", {50, 6, 3, 3}, 2);
  const Words words = {"--features-a", a, "--features-b", b, "--rows", "mean", "--batch-size", "8"};
  const auto first = json_of(words);
  EXPECT_EQ(json_of(words)["measures"], first["measures"]);
  Words other = words;
  other.insert(other.end(), {"--seed", "3"});
  const auto moved = json_of(other);
  EXPECT_NE(measure(moved, "cka-minibatch")["value"], measure(first, "cka-minibatch")["value"]);
  EXPECT_EQ(measure(moved, "cka")["value"], measure(first, "cka")["value"]);
}

TEST_F(ConcordSimilarity, ImagesAreTakenEvenly) {
  const Tensor features = random_features({40, 4, 2, 2}, 1);
  std::vector<float> thinned;
  const auto values = features.to_vector<float>();
  for (std::size_t i = 0; i < 40; i += 2)
    thinned.insert(thinned.end(), values.begin() + static_cast<std::ptrdiff_t>(i * 16),
                   values.begin() + static_cast<std::ptrdiff_t>((i + 1) * 16));
  const std::string whole = write_features(folder_ / "whole.safetensors", features);
  const std::string half =
      write_features(folder_ / "half.safetensors", Tensor::of({20, 4, 2, 2}, thinned));
  const std::string b = store("b", {40, 4, 2, 2}, 2);
  const auto a_20 = json_of({"--features", whole, b, "--images", "20", "--measures", "cka"});
  EXPECT_EQ(a_20["images"], 20);
  const auto self = json_of(
      {"--features-a", whole, "--features-b", whole, "--images", "20", "--measures", "cka"});
  EXPECT_NEAR(measure(self, "cka")["value"].get<double>(), 1, 1e-12);
  const std::string small_b = store("sb", {20, 3, 1, 1}, 9);
  std::vector<float> spread(120);
  const auto small = random_features({20, 3, 1, 1}, 9).to_vector<float>();
  for (std::size_t i = 0; i < 20; ++i)
    for (std::size_t c = 0; c < 3; ++c) spread[i * 6 + c] = small[i * 3 + c];
  const std::string wide_b =
      write_features(folder_ / "wb.safetensors", Tensor::of({40, 3, 1, 1}, spread));
  const Words cka = {"--measures", "cka-debiased", "--images", "20"};
  const auto from_whole =
      json_of({"--features-a", whole, "--features-b", wide_b, cka[0], cka[1], cka[2], cka[3]});
  const auto from_half = json_of({"--features-a", half, "--features-b", small_b, cka[0], cka[1]});
  EXPECT_NEAR(measure(from_whole, "cka-debiased")["value"].get<double>(),
              measure(from_half, "cka-debiased")["value"].get<double>(), 1e-12);
}

TEST_F(ConcordSimilarity, DegenerateFeaturesAreNamedNeverNaN) {
  const std::string a = store("a", {12, 20, 1, 1}, 1);
  const std::string b = store("b", {12, 3, 1, 1}, 2);
  const std::string constant =
      write_features(folder_ / "constant.safetensors", Tensor::full({12, 3, 1, 1}, 0.1));
  // More features than images: the CCA kind has no value, the others have.
  const std::string out = (folder_ / "wide").string();
  const ProgramResult wide = run({"--features-a", a, "--features-b", b, "--output-dir", out});
  EXPECT_EQ(wide.code, 0);
  EXPECT_NE(wide.err.find("no value of pwcca-a, pwcca-b: pwcca: the features of " + a +
                          " span 11 directions, all that 12 samples have"),
            std::string::npos)
      << wide.err;
  EXPECT_NE(wide.out.find("cka-debiased"), std::string::npos);
  const auto json = nlohmann::json::parse(text_of(out + "/similarity.json"));
  EXPECT_TRUE(measure(json, "cca")["value"].is_null());
  EXPECT_TRUE(measure(json, "r2-ab")["value"].is_null());
  EXPECT_TRUE(measure(json, "r2-ba")["value"].is_number());
  EXPECT_TRUE(measure(json, "cka")["value"].is_number());

  expect_failure(
      run({"--features-a", constant, "--features-b", b}), 1,
      {"nothing could be measured", "features A are constant", "no value of cka, cka-debiased",
       "no value of cca, svcca, pwcca-a, pwcca-b, r2-ab, r2-ba", "no value of rbf-cka",
       "median distance"});
  const std::string few_a = store("few_a", {3, 2, 1, 1}, 1);
  const std::string few_b = store("few_b", {3, 2, 1, 1}, 2);
  expect_failure(
      run({"--features-a", few_a, "--features-b", few_b, "--measures",
           "cka-debiased,cka-debiased-minibatch"}),
      1, {"3 samples", "HSIC_1", "needs 4", "batches of 3 images have 3 samples", "--batch-size"});

  Tensor broken = random_features({12, 3, 2, 1}, 5);
  broken.data<float>()[3 * 6 + 4] = std::numeric_limits<float>::quiet_NaN();
  const std::string nan = write_features(folder_ / "nan.safetensors", broken);
  expect_failure(run({"--features-a", b, "--features-b", nan}), 1,
                 {"nan.safetensors", "image 3", "nan in channel 2"});
}

TEST_F(ConcordSimilarity, MemoryIsALimit) {
  const std::string a = store("a", {600, 64, 2, 2}, 1);
  const std::string b = store("b", {600, 64, 2, 2}, 2);
  const ProgramResult refused =
      run({"--features-a", a, "--features-b", b, "--memory", "4", "--batch-size", "32",
           "--measures", "rbf-cka,cca,cka-debiased-minibatch"});
  ASSERT_EQ(refused.code, 0) << refused.err;
  for (const char* part :
       {"rbf-cka: needs", "kernels of 600 x 600 samples", "more than --memory 4 MiB", "--rows mean",
        "cka-debiased-minibatch", "principal directions of 600 x 256 features"})
    EXPECT_NE(refused.err.find(part), std::string::npos) << part << " not in " << refused.err;
  // What needs less is measured.
  const auto little = json_of(
      {"--features-a", a, "--features-b", b, "--memory", "10", "--measures", "cka,procrustes"});
  const auto much = json_of({"--features-a", a, "--features-b", b, "--measures", "cka,procrustes"});
  EXPECT_TRUE(measure(little, "procrustes")["value"].is_null());
  EXPECT_TRUE(measure(much, "procrustes")["value"].is_number());
  EXPECT_NEAR(measure(little, "cka")["value"].get<double>(),
              measure(much, "cka")["value"].get<double>(), 1e-12);
  expect_failure(run({"--features-a", a, "--features-b", b, "--memory", "4", "--measures", "cca"}),
                 1, {"nothing could be measured", "--memory 4 MiB"});
}

// Five images do not go into batches of at most four that HSIC_1 could be made of.
TEST_F(ConcordSimilarity, EveryImageIsInABatch) {
  const std::string a = store("a", {9, 3, 1, 1}, 1);
  const std::string b = store("b", {9, 2, 1, 1}, 2);
  const auto note = [&](const char* measure_name, const char* batch) {
    const auto json = json_of(
        {"--features-a", a, "--features-b", b, "--measures", measure_name, "--batch-size", batch});
    return measure(json, measure_name)["notes"][0][0].get<std::string>();
  };
  EXPECT_EQ(note("cka-debiased-minibatch", "4"), "batches of 4 or 5 images: 2");
  EXPECT_EQ(note("cka-debiased-minibatch", "8"), "batches of 4 or 5 images: 2");
  EXPECT_EQ(note("cka-minibatch", "4"), "batches of 3 images: 3");
  EXPECT_EQ(note("cka-minibatch", "100"), "batches of 9 images: 1");
  // One batch of all is the whole.
  const auto whole = json_of({"--features-a", a, "--features-b", b, "--measures",
                              "cka,cka-debiased,cka-minibatch,cka-debiased-minibatch"});
  EXPECT_NEAR(measure(whole, "cka-minibatch")["value"].get<double>(),
              measure(whole, "cka")["value"].get<double>(), 1e-12);
  EXPECT_NEAR(measure(whole, "cka-debiased-minibatch")["value"].get<double>(),
              measure(whole, "cka-debiased")["value"].get<double>(), 1e-12);
}

TEST_F(ConcordSimilarity, WrongUsage) {
  const std::string a = store("a", {12, 3, 1, 1}, 1);
  const std::string other = store("other", {13, 3, 1, 1}, 1);
  expect_failure(run({}), 2, {"--features"});
  expect_failure(run({"--features-a", a}), 2, {"--features-a and --features-b belong together"});
  expect_failure(run({"--features", a, "--features-a", a, "--features-b", a}), 2, {"--features"});
  expect_failure(run({"--features", a, "--measures", "ckb"}), 2, {"ckb"});
  expect_failure(run({"--features", a, "--rows", "pixels"}), 2, {"pixels"});
  expect_failure(run({"--features-a", a, "--features-b", other}), 1,
                 {"different numbers of images", "12", "13"});
  expect_failure(run({"--features", a, "--images", "13"}), 1, {"holds 12 images", "13"});
  expect_failure(run({"--features", (folder_ / "none").string()}), 1, {"none"});
}

// A network and stores of its maps at two layers, A and B, made once.
class ConcordStitch : public ConcordSimilarity {
 protected:
  static void SetUpTestSuite() {
    made_ = new TemporaryFolder;
    write_pictures(*made_ / "data", 16, 8);
    const ProgramResult trained =
        run_program("concord-train", {"--data", path("data"), "--arch", "resnet18", "--image-size",
                                      "32", "--epochs", "1", "--batch-size", "8", "--lr", "0.01",
                                      "--threads", "1", "--output-dir", path("net")});
    ASSERT_EQ(trained.code, 0) << trained.err;
    for (const std::string name : {"a", "b"})
      for (const std::string split : {"train", "val"}) {
        const ProgramResult stored =
            run_program("concord-features",
                        {"--weights", weights(), "--layer", name == "a" ? "layer2" : "layer3",
                         "--data", path("data"), "--split", split, "--threads", "1", "--output-dir",
                         path(name + "-" + split)});
        ASSERT_EQ(stored.code, 0) << stored.err;
      }
  }
  static void TearDownTestSuite() {
    delete made_;
    made_ = nullptr;
  }
  static std::string path(const std::string& name) { return (*made_ / name).string(); }
  static std::string weights() { return path("net") + "/last.safetensors"; }
  Words words(const std::string& out, const std::string& epochs, const Words& more = {}) const {
    Words words = {"--features-a",     path("a-train"),
                   "--features-b",     path("b-train"),
                   "--val-features-a", path("a-val"),
                   "--val-features-b", path("b-val"),
                   "--weights-b",      weights(),
                   "--measures",       "cka,stitch",
                   "--batch-size",     "10",
                   "--lr-schedule",    "constant",
                   "--epochs",         epochs,
                   "--output-dir",     path(out)};
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }

 private:
  inline static TemporaryFolder* made_ = nullptr;
};

// The accuracies are computed again from the stores, with the convolution written out, and B's own
// is that of its top-1 flags.
TEST_F(ConcordStitch, AccuracyOfBsRestOnAsMaps) {
  const ProgramResult result = run(words("out", "6"));
  ASSERT_EQ(result.code, 0) << result.err;
  const auto json = nlohmann::json::parse(text_of(path("out") + "/similarity.json"));
  const auto found = measure(json, "stitch");
  EXPECT_TRUE(measure(json, "cka")["value"].is_number());

  const std::set<std::string> tags = event_tags(path("out"));
  for (const char* tag :
       {"maps/stitched", "train/loss", "val/top1", "weights/weight", "gradients/bias"})
    EXPECT_TRUE(tags.contains(tag)) << tag;

  const FeatureStore a(path("a-val")), b(path("b-val"));
  const auto own = std::count(b.top1().begin(), b.top1().end(), std::uint8_t{1});
  EXPECT_NE(found["notes"][0][0].get<std::string>().find(
                fmt::format("24 validation images; B's own {:.6f}", static_cast<double>(own) / 24)),
            std::string::npos)
      << found.dump();

  const SafetensorsFile file(path("out") + "/best.safetensors");
  const auto weight = file.tensor("weight").to_vector<double>();
  const auto bias = file.tensor("bias").to_vector<double>();
  const Tensor maps = tool::at_size(a.rows(0, 24), b.shape()[2], b.shape()[3]);
  const auto x = maps.to_vector<double>();
  const auto inputs = static_cast<std::size_t>(a.shape()[1]);
  const auto outputs = static_cast<std::size_t>(b.shape()[1]);
  const auto pixels = static_cast<std::size_t>(b.shape()[2] * b.shape()[3]);
  ASSERT_EQ(weight.size(), inputs * outputs);
  std::vector<float> y(24 * outputs * pixels);
  for (std::size_t n = 0; n < 24; ++n)
    for (std::size_t o = 0; o < outputs; ++o)
      for (std::size_t s = 0; s < pixels; ++s) {
        double sum = bias[o];
        for (std::size_t i = 0; i < inputs; ++i)
          sum += weight[o * inputs + i] * x[(n * inputs + i) * pixels + s];
        y[(n * outputs + o) * pixels + s] = static_cast<float>(sum);
      }
  const NoGradGuard no_gradients;
  const tool::SavedNetwork net = tool::load_network(weights());
  const Tensor logits = net.network->from_features(Tensor::of(b.shape().with(0, 24), y), "layer3");
  std::int64_t hits = 0;
  for (std::int64_t i = 0; i < 24; ++i)
    hits += tool::rank_of_label(logits, i, a.labels()[static_cast<std::size_t>(i)]) == 0;
  EXPECT_NEAR(found["value"].get<double>(), static_cast<double>(hits) / 24, 1e-9);

  // It learns, and B is left as it is.
  std::istringstream metrics(text_of(path("out") + "/metrics.jsonl"));
  std::vector<double> losses;
  for (std::string one; std::getline(metrics, one);)
    losses.push_back(nlohmann::json::parse(one)["loss"]);
  ASSERT_EQ(losses.size(), 6U);
  EXPECT_LT(losses.back(), losses.front());
}

TEST_F(ConcordStitch, ResumedToTheSameBits) {
  ASSERT_EQ(run(words("whole", "4")).code, 0);
  ASSERT_EQ(run(words("half", "2")).code, 0);
  expect_failure(run(words("half", "4")), 1, {"--resume"});
  const ProgramResult rest = run(words("half", "4", {"--resume"}));
  ASSERT_EQ(rest.code, 0) << rest.err;
  EXPECT_EQ(untimed(path("half") + "/metrics.jsonl"), untimed(path("whole") + "/metrics.jsonl"));
  const auto measures = [&](const std::string& name) {
    return nlohmann::json::parse(text_of(path(name) + "/similarity.json"))["measures"];
  };
  EXPECT_EQ(measures("half"), measures("whole"));
}

TEST_F(ConcordStitch, WrongUsage) {
  const std::string a = path("a-train"), b = path("b-train");
  const Words pair = {"--features-a", a, "--features-b", b, "--measures", "stitch"};
  const auto with = [&](const Words& more) {
    Words words = pair;
    words.insert(words.end(), more.begin(), more.end());
    return run(words);
  };
  expect_failure(with({"--output-dir", path("o")}), 2, {"--weights-b"});
  expect_failure(with({"--weights-b", weights()}), 2, {"--output-dir"});
  expect_failure(with({"--weights-b", weights(), "--output-dir", path("o"), "--val-features-a", a}),
                 2, {"--val-features-b"});
  expect_failure(run({"--features", a, b, "--measures", "stitch"}), 2, {"one pair"});
  expect_failure(run({"--features", a, b, "--measures", "cka", "--epochs", "3"}), 2,
                 {"--epochs", "needs --measures stitch"});
  const std::string bare = store("bare", {48, 3, 2, 2}, 1);
  expect_failure(run({"--features-a", bare, "--features-b", b, "--measures", "stitch",
                      "--weights-b", weights(), "--output-dir", path("o")}),
                 1, {"bare.safetensors", "no labels"});
  // Features of another layer than B's rest goes on from.
  expect_failure(with({"--weights-b", weights(), "--output-dir", path("o"), "--layer-b", "layer1"}),
                 1, {"after layer1 does not take features 48x256x2x2", "--layer-b"});
  EXPECT_FALSE(fs::exists(path("o")));
}

}  // namespace
}  // namespace concord::test
