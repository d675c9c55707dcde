// concord-transnet, concord-variance and concord-visualize as a user runs them.

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <sstream>

#include "data/feature_store.h"
#include "engine/checkpoint.h"
#include "tests/tools/small_data.h"

namespace concord::test {
namespace {

using Words = std::vector<std::string>;
using std::chrono::milliseconds;

Words joined(Words first, const Words& second) {
  first.insert(first.end(), second.begin(), second.end());
  return first;
}

std::vector<double> doubles(const SafetensorsFile& file, const std::string& name) {
  return file.tensor(name).to_vector<double>();
}

// The spec's variance, written anew: the mean of each channel, then the mean squared deviation.
double variance_of(const std::vector<double>& v, const Shape& shape) {
  const auto pixels = static_cast<std::size_t>(shape[2] * shape[3]);
  const auto channels = static_cast<std::size_t>(shape[1]);
  std::vector<double> means(channels, 0.0);
  for (std::size_t i = 0; i < v.size(); ++i)
    means[i / pixels % channels] +=
        v[i] * static_cast<double>(channels) / static_cast<double>(v.size());
  double squares = 0;
  for (std::size_t i = 0; i < v.size(); ++i)
    squares += std::pow(v[i] - means[i / pixels % channels], 2);
  return squares / static_cast<double>(v.size());
}

class ConcordTransNet : public ::testing::Test {
 protected:
  void SetUp() override {
    a_ = write_features(folder_ / "a.safetensors", random_features({20, 6, 5, 4}, 1));
    b_ = write_features(folder_ / "b.safetensors", random_features({20, 6, 5, 4}, 2));
  }
  // A run of 4 epochs of 5 steps.
  Words train(const std::string& output, const Words& more = {}) const {
    return joined({"--features-a", a_, "--features-b", b_, "--epochs", "4", "--batch-size", "4",
                   "--lr", "0.01", "--threads", "1", "--output-dir", output},
                  more);
  }
  Words evaluate(const std::string& weights, const std::string& output,
                 const Words& more = {}) const {
    return joined({"--evaluate", "--weights", weights, "--features-a", a_, "--features-b", b_,
                   "--output-dir", output, "--quiet"},
                  more);
  }

  TemporaryFolder folder_;
  std::string a_;
  std::string b_;
  std::string out_ = (folder_ / "run").string();
};

// With Adam's state, by Concord's file and by PyTorch's: to the bits of a run that was never
// stopped.
TEST_F(ConcordTransNet, ContinuesFromACheckpoint) {
  const Words constant = {"--lr-schedule", "constant"};
  ASSERT_EQ(run_program("concord-transnet", train(out_, constant)).code, 0);
  const std::string half = (folder_ / "half").string();
  Words words = train(half, constant);
  *(std::find(words.begin(), words.end(), "--epochs") + 1) = "2";
  ASSERT_EQ(run_program("concord-transnet", words).code, 0);
  const std::string pth = (folder_ / "half.pth").string();
  ASSERT_EQ(run_program("concord-convert", {half + "/last.safetensors", pth}).code, 0);
  for (const std::string& file : {half + "/last.safetensors", pth}) {
    const std::string out = (folder_ / ("from" + fs::path(file).extension().string())).string();
    const ProgramResult run =
        run_program("concord-transnet", train(out, joined(constant, {"--continue-from", file})));
    ASSERT_EQ(run.code, 0) << run.err;
    EXPECT_NE(run.err.find("epoch 3 of 4"), std::string::npos) << run.err;
    EXPECT_EQ(untimed(half + "/metrics.jsonl") + untimed(out + "/metrics.jsonl"),
              untimed(out_ + "/metrics.jsonl"));
    const SafetensorsFile whole(out_ + "/last.safetensors"), rest(out + "/last.safetensors");
    for (const std::string& name : whole.names())
      EXPECT_EQ(doubles(rest, name), doubles(whole, name)) << name;
  }
}

TEST_F(ConcordTransNet, LogsGatesAndTheirGradients) {
  const ProgramResult run = run_program("concord-transnet", train(out_, {"--alpha", "0.2,0.3"}));
  ASSERT_EQ(run.code, 0) << run.err;
  EXPECT_NE(run.out.find("p_1"), std::string::npos) << run.out;
  std::istringstream metrics(text_of(out_ + "/metrics.jsonl"));
  int epochs = 0;
  double last_mse = 1e9;
  for (std::string line; std::getline(metrics, line); ++epochs) {
    const auto object = nlohmann::json::parse(line);
    for (const char* key : {"loss", "mse", "penalty", "p_0", "p_1", "dL/dp_0", "dL/dp_1"})
      EXPECT_TRUE(object[key].is_number()) << key;
    EXPECT_NEAR(object["loss"].get<double>(),
                object["mse"].get<double>() + object["penalty"].get<double>(), 1e-6);
    EXPECT_LT(object["mse"].get<double>(), last_mse);
    last_mse = object["mse"];
  }
  EXPECT_EQ(epochs, 4);
  const auto configuration =
      nlohmann::json::parse(read_training_state(out_ + "/last.safetensors").configuration);
  EXPECT_EQ(configuration["trans_net"]["orders"], 3);
  EXPECT_EQ(configuration["trans_net"]["channels_in"], 6);
  // The first gradient by hand: at p = 1/2 the penalty alone gives 2 alpha p = alpha.
  const ProgramResult fixed =
      run_program("concord-transnet", train((folder_ / "fixed").string(), {"--fix-p"}));
  ASSERT_EQ(fixed.code, 0) << fixed.err;
  const std::string text = text_of(folder_ / "fixed/metrics.jsonl");
  EXPECT_NE(text.find("\"p_0\":0.5,"), std::string::npos) << text;
  EXPECT_EQ(text.find("dL/dp"), std::string::npos) << text;
}

TEST_F(ConcordTransNet, ResumesToTheSameBits) {
  const std::string reference = (folder_ / "reference").string();
  // Long enough to be met by a signal.
  const Words more = {"--val-features-a", a_, "--val-features-b", b_};
  auto words = [&](const std::string& output) {
    Words all = train(output, more);
    all[5] = "150";
    return all;
  };
  ASSERT_EQ(run_program("concord-transnet", words(reference)).code, 0);
  for (const int signal : {SIGINT, SIGKILL}) {
    fs::remove_all(out_);
    const ProgramResult stopped = run_program(
        "concord-transnet", words(out_),
        {.meanwhile = signal_after(out_ + "/metrics.jsonl", 20, signal, milliseconds(3))});
    ASSERT_EQ(stopped.code, signal == SIGINT ? 130 : -SIGKILL) << stopped.err;
    const ProgramResult resumed =
        run_program("concord-transnet", joined(words(out_), {"--resume"}));
    ASSERT_EQ(resumed.code, 0) << resumed.err;
    EXPECT_TRUE(text_of(out_ + "/last.safetensors") == text_of(reference + "/last.safetensors"));
    EXPECT_TRUE(text_of(out_ + "/best.safetensors") == text_of(reference + "/best.safetensors"));
    EXPECT_EQ(untimed(out_ + "/metrics.jsonl"), untimed(reference + "/metrics.jsonl"));
  }
  expect_failure(run_program("concord-transnet", joined(words(out_), {"--resume", "--alpha", "1"})),
                 1, {"--alpha"});
}

TEST_F(ConcordTransNet, GraphsNeedAGpu) {
  expect_failure(run_program("concord-transnet", train(out_, {"--device", "cpu", "--cuda-graph"})),
                 2, {"--cuda-graph", "needs a CUDA device"});
  EXPECT_FALSE(std::filesystem::exists(out_));
}

TEST_F(ConcordTransNet, ReadingAheadChangesNoBits) {
  const Words more = {"--val-features-a", a_, "--val-features-b", b_};
  ASSERT_EQ(run_program("concord-transnet", train(out_, more)).code, 0);
  // Nothing ahead; less than a batch of 4 x (120 + 120) floats, which is said; two batches.
  for (const char* mib : {"0", "0.003", "0.008"}) {
    const std::string other = (folder_ / mib).string();
    const ProgramResult run =
        run_program("concord-transnet", joined(train(other, more), {"--read-ahead", mib}));
    ASSERT_EQ(run.code, 0) << run.err;
    EXPECT_EQ(run.err.find("nothing is read ahead") != std::string::npos,
              std::string(mib) == "0.003")
        << run.err;
    EXPECT_TRUE(text_of(other + "/last.safetensors") == text_of(out_ + "/last.safetensors")) << mib;
    EXPECT_EQ(untimed(other + "/metrics.jsonl"), untimed(out_ + "/metrics.jsonl")) << mib;
  }
  // Half of a run under one limit, the rest under another.
  const Words constant = joined(more, {"--lr-schedule", "constant"});
  const std::string whole = (folder_ / "whole").string();
  Words six = train(whole, constant);
  six[5] = "6";
  ASSERT_EQ(run_program("concord-transnet", six).code, 0);
  const std::string parts = (folder_ / "parts").string();
  ASSERT_EQ(
      run_program("concord-transnet", train(parts, joined(constant, {"--read-ahead", "0.008"})))
          .code,
      0);
  six = train(parts, joined(constant, {"--resume", "--read-ahead", "0"}));
  six[5] = "6";
  ASSERT_EQ(run_program("concord-transnet", six).code, 0);
  EXPECT_TRUE(text_of(parts + "/last.safetensors") == text_of(whole + "/last.safetensors"));
}

TEST_F(ConcordTransNet, MoreEpochsMayFollowUnlessTheScheduleIsStretched) {
  const Words constant = {"--lr-schedule", "constant"};
  const std::string reference = (folder_ / "reference").string();
  Words six = train(reference, constant);
  six[5] = "6";
  ASSERT_EQ(run_program("concord-transnet", six).code, 0);
  ASSERT_EQ(run_program("concord-transnet", train(out_, constant)).code, 0);
  six = train(out_, joined(constant, {"--resume"}));
  six[5] = "6";
  ASSERT_EQ(run_program("concord-transnet", six).code, 0);
  EXPECT_TRUE(text_of(out_ + "/last.safetensors") == text_of(reference + "/last.safetensors"));
  fs::remove_all(out_);
  ASSERT_EQ(run_program("concord-transnet", train(out_)).code, 0);
  six = train(out_, {"--resume"});
  six[5] = "6";
  expect_failure(run_program("concord-transnet", six), 1, {"--epochs", "4", "6"});
}

TEST_F(ConcordTransNet, OrdersAddUpForAnyKAndNorm) {
  std::vector<Words> variants;
  for (const char* orders : {"1", "2", "3", "4", "5"}) variants.push_back({"--orders", orders});
  variants.push_back({"--input-norm", "instance"});
  variants.push_back({"--input-norm", "instance", "--affine"});
  variants.push_back({"--input-norm", "batch", "--affine"});
  variants.push_back({"--stage-norm", "batch"});
  variants.push_back({"--kernel", "1", "--padding", "0"});
  for (const Words& variant : variants) {
    const std::string what = variant[0] + " " + variant[1];
    fs::remove_all(out_);
    ASSERT_EQ(run_program("concord-transnet", train(out_, joined(variant, {"--quiet"}))).code, 0)
        << what;
    const std::string orders_folder = (folder_ / "orders").string();
    const ProgramResult run = run_program(
        "concord-transnet",
        evaluate(out_ + "/last.safetensors", orders_folder, {"--force", "--batch-size", "7"}));
    ASSERT_EQ(run.code, 0) << what << run.err;
    const SafetensorsFile file(orders_folder + "/orders.safetensors");
    const auto y = doubles(file, "y");
    const auto delta = doubles(file, "delta");
    const auto target = SafetensorsFile(b_).tensor("features").to_vector<double>();
    std::vector<double> sum(y.size(), 0.0);
    int orders = 0;
    for (; file.contains(fmt::format("order{}", orders)); ++orders) {
      const auto order = doubles(file, fmt::format("order{}", orders));
      for (std::size_t i = 0; i < y.size(); ++i) sum[i] += order[i];
    }
    EXPECT_EQ(orders, variant[0] == "--orders" ? std::stoi(variant[1]) : 3) << what;
    double most = 0;
    double error = 0;
    for (std::size_t i = 0; i < y.size(); ++i) {
      most = std::max(most, std::abs(y[i]));
      error = std::max(error, std::abs(sum[i] - y[i]));
      EXPECT_NEAR(delta[i], target[i] - y[i], 1e-5) << what;
    }
    EXPECT_TRUE(error <= 1e-5 * most) << what << ": " << error << " of " << most;
  }
}

TEST_F(ConcordTransNet, ReadsBareTensors) {
  ASSERT_EQ(run_program("concord-transnet",
                        train(out_, {"--orders", "4", "--kernel", "5", "--padding", "2"}))
                .code,
            0);
  const SafetensorsFile saved(out_ + "/best.safetensors");
  std::vector<Named<Tensor>> tensors;
  for (const char* name :
       {"linearLayers_conv.0.weight", "linearLayers_conv.1.weight", "linearLayers_conv.2.weight",
        "linearLayers_conv.3.weight", "nonLinearLayers_p_pre"})
    tensors.emplace_back(name, saved.tensor(name));
  const std::string bare = (folder_ / "bare.safetensors").string();
  write_safetensors(bare, tensors);
  const std::string from_bare = (folder_ / "from_bare").string();
  const std::string from_saved = (folder_ / "from_saved").string();
  const ProgramResult run = run_program("concord-transnet", evaluate(bare, from_bare));
  ASSERT_EQ(run.code, 0) << run.err;
  ASSERT_EQ(run_program("concord-transnet", evaluate(out_ + "/best.safetensors", from_saved)).code,
            0);
  EXPECT_TRUE(text_of(from_bare + "/orders.safetensors") ==
              text_of(from_saved + "/orders.safetensors"));
  tensors.erase(tensors.begin() + 4);
  write_safetensors(bare, tensors);
  expect_failure(run_program("concord-transnet", evaluate(bare, (folder_ / "x").string())), 1,
                 {"bare.safetensors", "nonLinearLayers_p_pre"});
  EXPECT_FALSE(fs::exists(folder_ / "x"));
  expect_failure(run_program("concord-transnet", evaluate(a_, (folder_ / "x").string())), 1,
                 {"a.safetensors", "no Trans-Net"});
}

TEST_F(ConcordTransNet, TheTwoNetworksMayDifferInChannelsAndSize) {
  a_ = write_features(folder_ / "wide.safetensors", random_features({20, 9, 8, 3}, 3));
  ASSERT_EQ(run_program("concord-transnet", train(out_)).code, 0);
  const std::string orders = (folder_ / "orders").string();
  ASSERT_EQ(run_program("concord-transnet", evaluate(out_ + "/last.safetensors", orders)).code, 0);
  EXPECT_EQ(SafetensorsFile(orders + "/orders.safetensors").shape("order2"), (Shape{20, 6, 5, 4}));
  std::swap(a_, b_);
  expect_failure(run_program("concord-transnet",
                             evaluate(out_ + "/last.safetensors", (folder_ / "x").string())),
                 1, {"last.safetensors", "9", "6", "20x6x5x4"});
}

TEST_F(ConcordTransNet, SaysWhatDoesNotFit) {
  const std::string few =
      write_features(folder_ / "few.safetensors", random_features({19, 6, 5, 4}, 3));
  Words words = train(out_);
  words[3] = few;
  expect_failure(run_program("concord-transnet", words), 1, {"20", "19", "same data"});
  Tensor broken = random_features({20, 6, 5, 4}, 3);
  broken.data<float>()[777] = std::nanf("");
  words[3] = write_features(folder_ / "nan.safetensors", broken);
  expect_failure(run_program("concord-transnet", words), 1, {"features B", "NaN"});
  EXPECT_FALSE(fs::exists(out_));
  const std::string weights = (folder_ / "weights").string();
  ASSERT_EQ(run_program("concord-transnet", train(weights)).code, 0);
  words = evaluate(weights + "/last.safetensors", out_);
  words[6] = words[4];
  words[4] = (folder_ / "nan.safetensors").string();
  expect_failure(run_program("concord-transnet", words), 1, {"features A", "NaN"});
  EXPECT_FALSE(fs::exists(out_));
  expect_failure(
      run_program("concord-variance", {"--weights", weights + "/last.safetensors", "--features-a",
                                       a_, "--features-b", (folder_ / "nan.safetensors").string()}),
      1, {"features B", "NaN"});
  std::vector<Named<Tensor>> tensors;
  const SafetensorsFile file(weights + "/last.safetensors");
  for (const std::string& name : file.names())
    if (!name.starts_with("optimizer/")) tensors.emplace_back(name, file.tensor(name).clone());
  for (auto& [name, tensor] : tensors)
    if (name == "linearLayers_conv.1.weight") tensor.data<float>()[5] = INFINITY;
  write_safetensors(folder_ / "infinite.safetensors", tensors);
  expect_failure(
      run_program("concord-transnet", evaluate((folder_ / "infinite.safetensors").string(), out_)),
      1, {"infinite.safetensors", "linearLayers_conv.1.weight"});
  EXPECT_FALSE(fs::exists(out_));
  words = train(out_);
  words[3] = (folder_ / "none.safetensors").string();
  expect_failure(run_program("concord-transnet", words), 1, {"none.safetensors"});
  for (const Words& more : std::vector<Words>{{"--alpha", "1,2,3"},
                                              {"--kernel", "4"},
                                              {"--padding", "0"},
                                              {"--affine"},
                                              {"--orders", "0"},
                                              {"--weights-a", "x"},
                                              {"--layer", "layer3"},
                                              {"--data", "x"},
                                              {"--val-features-a", a_},
                                              {"--no-such-option"}})
    EXPECT_EQ(run_program("concord-transnet", train(out_, more)).code, 2) << more.front();
  EXPECT_FALSE(fs::exists(out_));
  expect_failure(run_program("concord-transnet", evaluate("x", out_, {"--alpha", "1"})), 2,
                 {"--alpha does not apply to --evaluate"});
  // The disk fills up while the orders are written.
  ASSERT_EQ(run_program("concord-transnet", train(out_)).code, 0);
  expect_failure(run_program("concord-transnet",
                             evaluate(out_ + "/last.safetensors", (folder_ / "full").string()),
                             {.file_bytes = 20000}),
                 1, {"full/orders.safetensors"});
  EXPECT_FALSE(fs::exists(folder_ / "full"));
}

TEST_F(ConcordTransNet, VarianceOfOrdersAndOfWhatIsLeft) {
  ASSERT_EQ(run_program("concord-transnet", train(out_)).code, 0);
  const std::string orders = (folder_ / "orders").string();
  ASSERT_EQ(run_program("concord-transnet", evaluate(out_ + "/best.safetensors", orders)).code, 0);
  const std::string result = (folder_ / "variance").string();
  const ProgramResult run = run_program(
      "concord-variance", {"--weights", out_ + "/best.safetensors", "--features-a", a_,
                           "--features-b", b_, "--output-dir", result, "--batch-size", "3"});
  ASSERT_EQ(run.code, 0) << run.err;
  const auto json = nlohmann::json::parse(text_of(result + "/variance.json"));
  const SafetensorsFile file(orders + "/orders.safetensors");
  const Shape shape = file.shape("delta");
  double total = variance_of(doubles(file, "delta"), shape);
  EXPECT_NEAR(json["var_delta"].get<double>(), total, 1e-6 * total);
  const double delta = total;
  for (std::size_t k = 0; k < 3; ++k) {
    const double expected = variance_of(doubles(file, fmt::format("order{}", k)), shape);
    EXPECT_NEAR(json["var_orders"][k].get<double>(), expected, 1e-5 * expected);
    total += expected;
  }
  EXPECT_NEAR(json["instability"].get<double>(), delta / total, 1e-5);
  EXPECT_EQ(json["channels"]["delta"].size(), 6U);
  EXPECT_EQ(json["p"].size(), 2U);
  EXPECT_NE(run.out.find(fmt::format("{:.4f}", delta / total)), std::string::npos) << run.out;
  const ProgramResult again =
      run_program("concord-variance", {"--orders-file", orders + "/orders.safetensors"});
  ASSERT_EQ(again.code, 0) << again.err;
  EXPECT_NE(again.out.find(fmt::format("{:.4f}", delta / total)), std::string::npos) << again.out;
  EXPECT_EQ(run_program("concord-variance", {}).code, 2);
  expect_failure(run_program("concord-variance", {"--orders-file", a_}), 1, {"order0"});
  const std::string bad = (folder_ / "bad.safetensors").string();
  for (const Tensor& maps : {Tensor::zeros({}), Tensor::zeros({2, 3, 4}),
                             Tensor::zeros({1, 1, 1, 1}, {.dtype = DType::kInt64})}) {
    write_safetensors(bad, {{"order0", maps}, {"delta", maps}});
    expect_failure(run_program("concord-variance", {"--orders-file", bad}), 1,
                   {"bad.safetensors", "[N,C,H,W]"});
  }
}

// Networks, feature stores, Trans-Net on the fly, pictures.
TEST(ConcordPrograms, FromPicturesToPictures) {
  const TemporaryFolder folder;
  const auto at = [&](const std::string& name) { return (folder / name).string(); };
  write_pictures(at("data"), 6, 3);
  for (const std::string net : {"a", "b"}) {
    ASSERT_EQ(
        run_program("concord-train", {"--data", at("data"), "--arch", "resnet18", "--image-size",
                                      "32", "--epochs", "1", "--batch-size", "6", "--seed",
                                      net == "a" ? "0" : "5", "--output-dir", at("net-" + net)})
            .code,
        0);
    ASSERT_EQ(run_program("concord-features",
                          {"--weights", at("net-" + net + "/last.safetensors"), "--layer", "layer1",
                           "--data", at("data"), "--output-dir", at("features-" + net)})
                  .code,
              0);
  }
  for (const std::string dtype : {"bf16", "fp16"}) {
    const ProgramResult half =
        run_program("concord-features",
                    {"--weights", at("net-a/last.safetensors"), "--layer", "layer1", "--data",
                     at("data"), "--output-dir", at(dtype), "--store-dtype", dtype});
    ASSERT_EQ(half.code, 0) << half.err;
    const FeatureStore exact(at("features-a"));
    const FeatureStore rounded(at(dtype));
    const auto values = exact.rows(0, exact.size()).to_vector<float>();
    const auto got = rounded.rows(0, exact.size()).to_vector<float>();
    ASSERT_EQ(got.size(), values.size());
    double worst = 0;
    for (std::size_t i = 0; i < got.size(); ++i)
      worst = std::max(worst, std::abs(double{got[i]} - values[i]) /
                                  std::max(std::abs(double{values[i]}), 0x1p-14));
    EXPECT_LE(worst, dtype == "bf16" ? 0x1p-8 : 0x1p-11);
    EXPECT_GT(worst, dtype == "bf16" ? 0x1p-10 : 0x1p-13) << "was it rounded at all?";
    EXPECT_EQ(fs::file_size(at(dtype + "/shard-00000.safetensors")),
              fs::file_size(at("features-a/shard-00000.safetensors")) - 2 * got.size());
  }
  const ProgramResult net = run_program(
      "concord-transnet", {"--weights-a", at("net-a/last.safetensors"), "--weights-b",
                           at("net-b/last.safetensors"), "--layer", "layer1", "--data", at("data"),
                           "--epochs", "2", "--batch-size", "6", "--output-dir", at("trans-net")});
  ASSERT_EQ(net.code, 0) << net.err;
  EXPECT_NE(net.out.find("val MSE"), std::string::npos) << net.out;
  const Words pair = {"--weights",    at("trans-net/best.safetensors"),
                      "--features-a", at("features-a"),
                      "--features-b", at("features-b")};
  ASSERT_EQ(run_program("concord-variance", joined(pair, {"--output-dir", at("variance")})).code,
            0);

  // Other pictures under the same names: only the folder tells.
  write_pictures(at("other"), 6, 3);
  ASSERT_EQ(run_program("concord-features",
                        {"--weights", at("net-b/last.safetensors"), "--layer", "layer1", "--data",
                         at("other"), "--output-dir", at("features-other"), "--quiet"})
                .code,
            0);
  Words others = pair;
  others[5] = at("features-other");
  expect_failure(run_program("concord-variance", others), 0,
                 {"warning: ", at("data"), at("other")});

  const ProgramResult run = run_program(
      "concord-visualize",
      joined(pair, {"--data", at("data"), "--images", "0,val/blue/01.png", "--channels", "best:2",
                    "--variance", at("variance/variance.json"), "--output-dir", at("pictures")}));
  ASSERT_EQ(run.code, 0) << run.err;
  const Image panel = load_image(at("pictures/panel.png"));
  EXPECT_GT(panel.width, 9 * 144);
  EXPECT_GT(panel.height, 4 * 144);
  const std::string page = text_of(at("pictures/index.html"));
  for (const char* text : {"<!DOCTYPE html>", "viewport", "resnet18 layer1", "x_delta",
                           "Instability", "val/blue/01.png", "data:image/jpeg;base64,"})
    EXPECT_NE(page.find(text), std::string::npos) << text;
  EXPECT_EQ(page.find("http://"), std::string::npos) << "the page is self-contained";
  // A photograph that is gone costs a warning, not the picture.
  fs::remove(at("data/val/amber/00.png"));
  const ProgramResult without = run_program(
      "concord-visualize", joined(pair, {"--data", at("data"), "--images", "0", "--channels", "3,5",
                                         "--output-dir", at("without")}));
  expect_failure(without, 0, {"warning: ", "amber/00.png"});
  expect_failure(
      run_program("concord-visualize", joined(pair, {"--channels", "64", "--output-dir", at("x")})),
      1, {"64", "0 to 63"});
  expect_failure(run_program("concord-visualize",
                             joined(pair, {"--images", "val/blue/9.png", "--output-dir", at("x")})),
                 1, {"val/blue/9.png", "val/blue/0"});
  EXPECT_EQ(
      run_program("concord-visualize", joined(pair, {"--channels", "all", "--output-dir", at("x")}))
          .code,
      2);
  EXPECT_FALSE(fs::exists(at("x")));
  // Stores of different images are refused by name.
  ASSERT_EQ(run_program("concord-features",
                        {"--weights", at("net-b/last.safetensors"), "--layer", "layer1", "--data",
                         at("data"), "--split", "train", "--output-dir", at("features-train")})
                .code,
            0);
  Words other = pair;
  other[5] = at("features-train");
  expect_failure(run_program("concord-variance", other), 1, {"different", "same data"});
}

}  // namespace
}  // namespace concord::test
