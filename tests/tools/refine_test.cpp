// concord-refine as a user runs it.

#include <cmath>
#include <nlohmann/json.hpp>
#include <sstream>

#include "engine/autograd.h"
#include "engine/checkpoint.h"
#include "tests/expect_error.h"
#include "tests/tools/event_file.h"
#include "tests/tools/small_data.h"
#include "tools/common/classification.h"
#include "tools/common/refinement.h"

namespace concord::test {
namespace {

using Json = nlohmann::json;
using Words = std::vector<std::string>;
using std::chrono::milliseconds;

Words joined(Words first, const Words& second) {
  first.insert(first.end(), second.begin(), second.end());
  return first;
}

Json json_of(const fs::path& file) { return Json::parse(text_of(file)); }

// Two networks of three classes, of which the first is the group "birds" and the others "dogs", and
// a Trans-Net between them.
class Refine : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    shared_ = new TemporaryFolder;
    write_pictures(at("data"), 8, 4);
    Json manifest = {{"kind", "mix320"}, {"version", "0"}};
    for (const char* name : {"amber", "blue", "green"})
      manifest["classes"][name] = {{"train", 8}, {"val", 4}};
    manifest["groups"] = {{"birds", {{"first", 0}, {"count", 1}}},
                          {"dogs", {{"first", 1}, {"count", 2}}}};
    write_file(at("data") + "/manifest.json", manifest.dump());
    for (const char* seed : {"0", "5"})
      expect_done("concord-train", {"--data", at("data"), "--arch", "resnet18", "--image-size",
                                    "32", "--epochs", "2", "--batch-size", "8", "--lr", "0.01",
                                    "--seed", seed, "--output-dir", at("net-") + seed});
    expect_done("concord-transnet",
                {"--weights-a", weights("0"), "--weights-b", weights("5"), "--layer", "layer3",
                 "--data", at("data"), "--epochs", "2", "--batch-size", "8", "--lr", "1e-3",
                 "--output-dir", at("trans-net")});
  }
  static void TearDownTestSuite() { delete shared_; }

  static void expect_done(const std::string& program, const Words& words) {
    const ProgramResult run = run_program(program, joined(words, {"--threads", "2"}));
    ASSERT_EQ(run.code, 0) << run.err;
  }
  static std::string at(const std::string& name) { return (*shared_ / name).string(); }
  static std::string weights(const std::string& seed) {
    return at("net-" + seed + "/last.safetensors");
  }
  static Words trans_net() { return {"--transnet-weights", at("trans-net/last.safetensors")}; }
  static Words networks(const std::string& a = "0", const std::string& b = "5") {
    return {"--weights-a", weights(a), "--weights-b", weights(b),
            "--data",      at("data"), "--threads",   "2"};
  }
  // From A to B at layer3 unless said otherwise, three epochs of three steps.
  ProgramResult refine(const Words& more, const ProgramLimits& limits = {}) const {
    Words words = joined(networks(), {"--batch-size", "8"});
    if (std::find(more.begin(), more.end(), "--transnet-weights") == more.end())
      words = joined(words, trans_net());
    if (std::find(more.begin(), more.end(), "--layer") == more.end())
      words = joined(words, {"--layer", "layer3"});
    if (std::find(more.begin(), more.end(), "--evaluate") == more.end())
      words = joined(words, {"--epochs", "3", "--lr", "1e-3", "--evaluate-every", "2"});
    return run_program("concord-refine", joined(words, more), limits);
  }
  // A file of a Trans-Net [channels] whose W_i are `scales[i]` times the identity, and its gates 0.
  std::string write_identities(std::int64_t channels, const std::vector<float>& scales) const {
    std::vector<Named<Tensor>> tensors;
    for (std::size_t i = 0; i < scales.size(); ++i) {
      Tensor weight = Tensor::zeros({channels, channels, 1, 1});
      for (std::int64_t c = 0; c < channels; ++c)
        weight.data<float>()[c * (channels + 1)] = scales[i];
      tensors.emplace_back(fmt::format("linearLayers_conv.{}.weight", i), weight);
    }
    const auto gates = static_cast<std::int64_t>(scales.size()) - 1;
    if (gates > 0) tensors.emplace_back("nonLinearLayers_p_pre", Tensor::full({gates}, -200));
    write_safetensors(folder_ / "identities.safetensors", tensors);
    return (folder_ / "identities.safetensors").string();
  }

  static TemporaryFolder* shared_;
  TemporaryFolder folder_;
  std::string out_ = (folder_ / "run").string();
};
TemporaryFolder* Refine::shared_ = nullptr;

struct Counted {
  double top1 = 0;
  double loss = 0;
};
// Of logits [N,M] and labels in plain loops.
Counted count(const Tensor& logits, const std::vector<double>& labels) {
  const auto values = logits.to_vector<double>();
  const auto classes = static_cast<std::ptrdiff_t>(logits.dim(1));
  Counted result;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const auto row = values.begin() + static_cast<std::ptrdiff_t>(i) * classes;
    double sum = 0;
    for (std::ptrdiff_t k = 0; k < classes; ++k) sum += std::exp(row[k]);
    const auto label = static_cast<std::ptrdiff_t>(labels[i]);
    result.loss += (std::log(sum) - row[label]) / static_cast<double>(labels.size());
    result.top1 +=
        (std::max_element(row, row + classes) - row == label) / static_cast<double>(labels.size());
  }
  return result;
}

// At layer2 the rest has maps of its own.
TEST_F(Refine, ItsPicturesChangeNoBit) {
  expect_done("concord-transnet",
              {"--weights-a", weights("0"), "--weights-b", weights("5"), "--layer", "layer2",
               "--data", at("data"), "--epochs", "1", "--batch-size", "8", "--output-dir",
               (folder_ / "trans-net").string()});
  const Words common = {
      "--layer",  "layer2", "--transnet-weights", (folder_ / "trans-net/last.safetensors").string(),
      "--orders", "01"};
  const ProgramResult shown = refine(joined(common, {"--output-dir", out_}));
  ASSERT_EQ(shown.code, 0) << shown.err;
  const std::string bare = (folder_ / "bare").string();
  ASSERT_EQ(refine(joined(common, {"--tensorboard", "none", "--output-dir", bare})).code, 0);
  for (const char* file : {"/orders-01/last.safetensors", "/orders-01/best.safetensors"})
    EXPECT_EQ(text_of(out_ + file), text_of(bare + file)) << file;
  EXPECT_EQ(untimed(out_ + "/orders-01/metrics.jsonl"), untimed(bare + "/orders-01/metrics.jsonl"));
  EXPECT_TRUE(event_files(bare + "/orders-01").empty());
  const std::set<std::string> tags = event_tags(out_ + "/orders-01");
  for (const char* tag : {"maps/given", "maps/rest", "train/loss", "val/top1", "weights/fc.weight",
                          "gradients/layer4.1.conv2.weight", "speed/images_per_second"})
    EXPECT_TRUE(tags.contains(tag)) << tag;
  EXPECT_FALSE(tags.contains("weights/conv1.weight")) << "it is frozen";
}

TEST_F(Refine, TheTableAgreesWithTheOtherPrograms) {
  const ProgramResult run = refine({"--orders", "0,21,012", "--output-dir", out_});
  ASSERT_EQ(run.code, 0) << run.err;
  for (const char* text : {"A, resnet18 ", "B, resnet18 ", "x(0) ", "x(1)+x(2) ",
                           "x(0)+x(1)+x(2) = y ", "birds top-1", "dogs top-1"})
    EXPECT_NE(run.out.find(text), std::string::npos) << text << "\n" << run.out;
  const Json report = json_of(out_ + "/refine.json");

  // A and B by concord-train.
  std::vector<double> labels;
  for (const auto& [network, seed] : {std::pair{"a", "0"}, {"b", "5"}}) {
    const std::string logits = (folder_ / "logits.safetensors").string();
    expect_done("concord-train", {"--evaluate", "--weights", weights(seed), "--data", at("data"),
                                  "--dump-logits", logits});
    const SafetensorsFile file(logits);
    labels = file.tensor("labels").to_vector<double>();
    const Counted expected = count(file.tensor("logits"), labels);
    EXPECT_DOUBLE_EQ(report[network]["top1"].get<double>(), expected.top1) << network;
    EXPECT_NEAR(report[network]["loss"].get<double>(), expected.loss, 1e-5) << network;
  }

  // The orders by concord-transnet, fed through B here.
  for (const char* seed : {"0", "5"})
    expect_done("concord-features",
                {"--weights", weights(seed), "--layer", "layer3", "--data", at("data"),
                 "--output-dir", (folder_ / "features-").string() + seed});
  expect_done("concord-transnet",
              {"--evaluate", "--weights", at("trans-net/last.safetensors"), "--features-a",
               (folder_ / "features-0").string(), "--features-b", (folder_ / "features-5").string(),
               "--output-dir", (folder_ / "orders").string()});
  const SafetensorsFile orders(folder_ / "orders/orders.safetensors");
  const tool::SavedNetwork b = tool::load_network(weights("5"));
  const NoGradGuard no_gradients;
  ASSERT_EQ(report["subsets"].size(), 3U);
  for (const Json& subset : report["subsets"]) {
    Tensor sum = Tensor::zeros(orders.shape("y"));
    for (const Json& order : subset["orders"]) {
      const auto values =
          orders.tensor(fmt::format("order{}", order.get<int>())).to_vector<float>();
      for (std::size_t i = 0; i < values.size(); ++i) sum.data<float>()[i] += values[i];
    }
    const Counted expected = count(b.network->from_features(sum, "layer3"), labels);
    EXPECT_DOUBLE_EQ(subset["before"]["top1"].get<double>(), expected.top1) << subset["name"];
    EXPECT_NEAR(subset["before"]["loss"].get<double>(), expected.loss, 1e-4) << subset["name"];
  }
  EXPECT_EQ(report["subsets"][1]["name"], "12");

  // Without training, from the trained weights: the trained row.
  for (const Json& subset : report["subsets"]) {
    const std::string name = subset["name"];
    const std::string trained = out_ + "/orders-" + name + "/last.safetensors";
    Words words = joined(joined(networks(), trans_net()),
                         {"--evaluate", "--orders", name, "--layer", "layer3", "--batch-size", "8",
                          "--output-dir", (folder_ / ("again-" + name)).string()});
    words[3] = trained;
    const ProgramResult evaluated = run_program("concord-refine", words);
    ASSERT_EQ(evaluated.code, 0) << evaluated.err;
    EXPECT_NE(evaluated.err.find("were trained on"), std::string::npos) << evaluated.err;
    Json before = json_of(folder_ / ("again-" + name + "/refine.json"))["subsets"][0]["before"];
    before["epoch"] = 3;
    EXPECT_EQ(before, subset["last"]);
  }
}

TEST_F(Refine, OnlyTheRestOfBIsTrainedAndNowAndThenEvaluated) {
  ASSERT_EQ(refine({"--orders", "01", "--output-dir", out_}).code, 0);
  const std::string folder = out_ + "/orders-01";
  std::istringstream metrics(text_of(folder + "/metrics.jsonl"));
  std::vector<bool> evaluated;
  for (std::string line; std::getline(metrics, line);)
    evaluated.push_back(Json::parse(line).contains("val_top1"));
  EXPECT_EQ(evaluated, (std::vector<bool>{false, true, true}));

  const SafetensorsFile before(weights("5")), after(folder + "/last.safetensors");
  for (const std::string& name : after.names()) {
    const std::string parameter = name.substr(name.rfind('/') + 1);
    const bool rest = parameter.starts_with("layer4.") || parameter.starts_with("fc.");
    if (name.starts_with("optimizer/"))
      EXPECT_TRUE(rest || parameter == "step") << name;
    else
      EXPECT_EQ(before.tensor(name).to_vector<double>() != after.tensor(name).to_vector<double>(),
                rest)
          << name;
  }
  const Json configuration =
      Json::parse(read_training_state(folder + "/last.safetensors").configuration);
  EXPECT_EQ(configuration["refined"]["orders"], Json({0, 1}));
  EXPECT_EQ(configuration["refined"]["layer"], "layer3");
  const ProgramResult plain =
      run_program("concord-train",
                  {"--evaluate", "--weights", folder + "/best.safetensors", "--data", at("data")});
  EXPECT_EQ(plain.code, 0) << plain.err;
  EXPECT_NE(plain.err.find("\"layer3\" were trained on \"x(0)+x(1)\""), std::string::npos)
      << plain.err;
}

// On maps of one pixel the input is not divided by its scale: a Trans-Net of identities is one.
TEST_F(Refine, AnIdentityLeavesBAsItIs) {
  Words words = joined(networks("5", "5"), {"--evaluate", "--layer", "layer4", "--transnet-weights",
                                            write_identities(512, {1, 1}), "--output-dir", out_});
  ASSERT_EQ(run_program("concord-refine", words).code, 0);
  const Json report = json_of(out_ + "/refine.json");
  Json b = report["b"];
  b.erase("arch");
  ASSERT_EQ(report["subsets"].size(), 2U);
  EXPECT_EQ(report["subsets"][0]["before"], b);
  EXPECT_EQ(report["subsets"][1]["before"], b);
  // Nothing passes a closed gate: what is left is the bias of B's last layer.
  words.insert(words.end(), {"--orders", "1", "--force"});
  ASSERT_EQ(run_program("concord-refine", words).code, 0);
  const Json closed = json_of(out_ + "/refine.json")["subsets"][0]["before"];
  const auto bias = SafetensorsFile(weights("5")).tensor("fc.bias").to_vector<double>();
  double sum = 0, mean = 0;
  for (const double value : bias) {
    sum += std::exp(value);
    mean += value / 3;
  }
  EXPECT_NEAR(closed["loss"].get<double>(), std::log(sum) - mean, 1e-6);
  EXPECT_NEAR(closed["top1"].get<double>(), 1.0 / 3, 1e-12);
}

TEST_F(Refine, AGroupOfClassesIsTheSetOfItsImages) {
  for (const char* split : {"train", "val"})
    for (const char* name : {"blue", "green"}) {
      fs::create_directories(folder_ / "two" / split);
      fs::copy(fs::path(at("data")) / split / name, folder_ / "two" / split / name,
               fs::copy_options::recursive);
    }
  ASSERT_EQ(refine({"--classes-of", "dogs", "--orders", "0", "--output-dir", out_}).code, 0);
  const std::string two = (folder_ / "two-run").string();
  Words words = joined(joined(networks(), trans_net()),
                       {"--layer", "layer3", "--orders", "0", "--epochs", "3", "--lr", "1e-3",
                        "--evaluate-every", "2", "--batch-size", "8", "--output-dir", two});
  words[5] = (folder_ / "two").string();
  const ProgramResult run = run_program("concord-refine", words);
  ASSERT_EQ(run.code, 0) << run.err;
  const Json one = json_of(out_ + "/refine.json"), other = json_of(two + "/refine.json");
  EXPECT_EQ(one["train_images"], 16);
  EXPECT_EQ(one["val_images"], 8);
  for (const char* part : {"a", "b", "subsets"}) EXPECT_EQ(one[part], other[part]) << part;
  EXPECT_EQ(SafetensorsFile(two + "/orders-0/last.safetensors").shape("fc.weight"),
            Shape({3, 512}));

  // The whole set counts its groups apart: of B the dogs alone are these images.
  const Json all = json_of([&] {
    EXPECT_EQ(
        refine({"--evaluate", "--orders", "0", "--output-dir", (folder_ / "all").string()}).code,
        0);
    return folder_ / "all/refine.json";
  }());
  EXPECT_EQ(all["b"]["dogs_top1"], one["b"]["top1"]);
  EXPECT_EQ(all["a"]["dogs_top1"], one["a"]["top1"]);
  expect_failure(refine({"--classes-of", "cats", "--output-dir", (folder_ / "x").string()}), 1,
                 {"no group of classes cats", "birds, dogs"});
}

TEST_F(Refine, ResumesToTheSameBits) {
  const auto words = [](const std::string& output) {
    return Words{"--orders", "0,12", "--output-dir", output};
  };
  const std::string reference = (folder_ / "reference").string();
  ASSERT_EQ(refine(words(reference)).code, 0);
  // Within the second subset.
  const ProgramResult killed = refine(
      words(out_),
      {.meanwhile = signal_after(out_ + "/orders-12/metrics.jsonl", 1, SIGKILL, milliseconds(1))});
  ASSERT_EQ(killed.code, -SIGKILL) << killed.err;
  expect_failure(refine(words(out_)), 1, {"is not empty", "--resume"});
  const ProgramResult resumed = refine(joined(words(out_), {"--resume"}));
  ASSERT_EQ(resumed.code, 0) << resumed.err;
  for (const char* folder : {"/orders-0", "/orders-12"}) {
    EXPECT_EQ(untimed(out_ + folder + "/metrics.jsonl"),
              untimed(reference + folder + "/metrics.jsonl"));
    EXPECT_TRUE(text_of(out_ + folder + "/last.safetensors") ==
                text_of(reference + folder + "/last.safetensors"));
  }
  Json one = json_of(out_ + "/refine.json"), other = json_of(reference + "/refine.json");
  one.erase("command");
  other.erase("command");
  EXPECT_EQ(one, other);
  // A finished run prints its table again, and takes further subsets.
  const ProgramResult finished = refine(joined(words(reference), {"--resume"}));
  ASSERT_EQ(finished.code, 0) << finished.err;
  EXPECT_NE(finished.out.find("x(1)+x(2)"), std::string::npos) << finished.out;
  const ProgramResult more = refine({"--orders", "0,12,2", "--output-dir", reference, "--resume"});
  ASSERT_EQ(more.code, 0) << more.err;
  EXPECT_EQ(json_of(reference + "/refine.json")["subsets"].size(), 3U);
  expect_failure(refine(joined(words(reference), {"--resume", "--freeze-batch-norm"})), 1,
                 {"--freeze-batch-norm was false"});
  expect_failure(refine(joined(words(reference), {"--resume", "--image-size", "33"})), 1,
                 {"--image-size was 32", "refine.json"});
}

TEST_F(Refine, SaysWhatIsWrong) {
  const auto out = [&](const Words& words) {
    return refine(joined(words, {"--output-dir", out_}));
  };
  expect_failure(out({"--orders", "03"}), 2, {"03 asks for order 3", "0 to 2"});
  expect_failure(out({"--orders", "00"}), 2, {"order 0 twice"});
  expect_failure(out({"--orders", "01,10"}), 2, {"10 is there twice"});
  expect_failure(out({"--orders", "0x"}), 2, {"0x is no list of orders"});
  expect_failure(out({"--layer", "layer3.0.conv1"}), 1,
                 {"layer3.0.conv1 lies inside the residual block layer3.0"});
  expect_failure(out({"--layer", "fc"}), 1, {"nothing is left to train after layer fc"});
  expect_failure(out({"--layer", "layer2"}), 1,
                 {"trans-net/last.safetensors: maps 256 channels to 256", "128"});
  expect_failure(out({"--transnet-weights", weights("5")}), 1, {"not a Trans-Net"});
  expect_failure(out({"--layer", "layer3", "--epochs", "2", "--evaluate"}), 2,
                 {"--epochs does not apply to --evaluate"});
  expect_failure(refine({}), 2, {"--output-dir is required"});
  Words words = joined(joined(networks(), trans_net()), {"--output-dir", out_});
  expect_failure(run_program("concord-refine", words), 2, {"give --layer"});
  words.insert(words.end(), {"--layer", "layer3"});
  words[5] = at("data") + "/train";
  expect_failure(run_program("concord-refine", words), 1, {"has no val/ or test/ folder"});
  EXPECT_FALSE(fs::exists(out_));
}

TEST(OrderSubsets, AreReadFromDigitsOrNumbers) {
  const auto names = [](const Words& texts, std::int64_t count) {
    Words result;
    for (const tool::OrderSubset& subset : tool::order_subsets(texts, count))
      result.push_back(subset.name);
    return result;
  };
  EXPECT_EQ(names({}, 3), (Words{"0", "01", "012"}));
  EXPECT_EQ(names({}, 1), (Words{"0"}));
  EXPECT_EQ(names({}, 12).back(), "0+1+2+3+4+5+6+7+8+9+10+11");
  EXPECT_EQ(names({"20", "1", "0+2+1"}, 3), (Words{"02", "1", "012"}));
  EXPECT_EQ(names({"12", "+12", "0+12"}, 13), (Words{"12", "+12", "0+12"}));
  EXPECT_EQ(tool::order_subsets({"+12"}, 13)[0].orders, (std::vector<std::int64_t>{12}));
  EXPECT_EQ(tool::order_subsets({"12"}, 13)[0].orders, (std::vector<std::int64_t>{1, 2}));
  EXPECT_EQ(tool::order_subsets({"20"}, 3)[0].formula(), "x(0)+x(2)");
  for (const char* text : {"", "+", "1+", "0++1", "-1", "1 2", "99999999999999999999+1"})
    expect_error([&] { tool::order_subsets({text}, 13); }, {"--orders"});
}

}  // namespace
}  // namespace concord::test
