// Event files: what is written comes back by an independent decoder, and a training writes what its
// metrics.jsonl says without changing a bit of itself.

#include "tools/common/tensorboard.h"

#include <cmath>
#include <limits>
#include <set>

#include "kernels/parallel.h"
#include "tests/tools/event_file.h"
#include "tests/tools/small_data.h"
#include "tools/common/training_events.h"

namespace concord::test {
namespace {

using Words = std::vector<std::string>;

TEST(TensorBoard, Crc32cOfKnownTexts) {
  EXPECT_EQ(tool::crc32c(std::string(32, '\0')), 0x8a9136aaU);
  // RFC 3720, B.4 and the customary check value.
  EXPECT_EQ(tool::crc32c(std::string(32, '\xff')), 0x62a8ab43U);
  EXPECT_EQ(tool::crc32c("123456789"), 0xe3069283U);
}

TEST(TensorBoard, KnownValuesComeBack) {
  const TemporaryFolder folder;
  Image picture(3, 2);
  for (std::size_t i = 0; i < picture.rgb.size(); ++i)
    picture.rgb[i] = static_cast<std::uint8_t>(14 * i);
  {
    tool::EventWriter writer(folder.path(), 7);
    const std::vector<std::pair<std::string, double>> values = {{"val/loss", 0.5}, {"p", -1e-3}};
    writer.scalars(300, values);
    writer.histogram(301, "weights/w",
                     tool::histogram_of(Tensor::of<float>({5}, {-1, 0, 0, 2.5F, 1e-3F})));
    writer.image(302, "maps", picture);
    writer.text(0, "run", "**text** \xC3\xBC");
  }
  const auto files = event_files(folder.path());
  ASSERT_EQ(files.size(), 1U);
  EventFile file = read_events(files.front());
  EXPECT_EQ(file.starts, std::vector<std::int64_t>{7});
  ASSERT_EQ(file.values.size(), 5U);
  EXPECT_EQ(file.values[0].step, 300);
  EXPECT_EQ(file.values[0].tag, "val/loss");
  EXPECT_EQ(file.values[0].scalar(), 0.5F);
  EXPECT_EQ(file.values[1].scalar(), -1e-3F);

  Fields histogram = file.values[2].histogram();
  EXPECT_EQ(file.values[2].step, 301);
  const auto one = [&](int field) { return number_at<double>(histogram.at(field).front(), 0); };
  EXPECT_EQ(one(1), -1);
  EXPECT_EQ(one(2), 2.5);
  EXPECT_EQ(one(3), 5);
  EXPECT_EQ(one(4), 1.5 + double{1e-3F});
  EXPECT_EQ(one(5), 1 + 6.25 + double{1e-3F} * double{1e-3F});
  const std::vector<double> limits = doubles_of(histogram.at(6).front());
  const std::vector<double> counts = doubles_of(histogram.at(7).front());
  ASSERT_EQ(limits.size(), counts.size());
  // Each value lies below the limit of its bucket, and not below the one before.
  for (const auto& [value, count] :
       std::vector<std::pair<double, double>>{{-1, 1}, {0, 2}, {1e-3F, 1}, {2.5, 1}}) {
    std::size_t bucket = 0;
    while (limits[bucket] <= value) ++bucket;
    EXPECT_EQ(counts[bucket], count) << value;
    EXPECT_LE(limits[bucket - 1], value);
    if (value > 0) {
      EXPECT_LT(limits[bucket] / limits[bucket - 1], 1.1 + 1e-9) << value;
    }
  }

  Fields image = fields_of(file.values[3].content.at(4).front());
  EXPECT_EQ(number_at<std::int64_t>(image.at(1).front(), 0), 2);
  EXPECT_EQ(number_at<std::int64_t>(image.at(2).front(), 0), 3);
  const std::string& png = image.at(4).front();
  EXPECT_EQ(
      decode_image({reinterpret_cast<const std::uint8_t*>(png.data()), png.size()}, "png").rgb,
      picture.rgb);

  const Fields tensor = fields_of(file.values[4].content.at(8).front());
  EXPECT_EQ(tensor.at(8).front(), "**text** \xC3\xBC");
  EXPECT_EQ(number_at<std::int64_t>(tensor.at(1).front(), 0), 7) << "a string";
  EXPECT_EQ(fields_of(fields_of(file.values[4].content.at(9).front()).at(1).front()).at(1).front(),
            "text");
}

// Files of one folder are read in the order of their names, also when the clock stands still.
TEST(TensorBoard, LaterFilesSortLater) {
  const TemporaryFolder folder;
  for (int i = 0; i < 4; ++i) {
    tool::EventWriter writer(folder.path());
    writer.text(i, "run", "");
  }
  const auto files = event_files(folder.path());
  ASSERT_EQ(files.size(), 4U);
  for (std::size_t i = 0; i < 4; ++i)
    EXPECT_EQ(read_events(files[i]).values.front().step, static_cast<std::int64_t>(i));
}

// 1e-12 1.1^k, counted once more; the same bits for one and for several threads.
TEST(Histogram, CountsEveryFiniteValueOnce) {
  const std::vector<double>& limits = tool::histogram_limits();
  ASSERT_EQ(limits.size() % 2, 1U);
  const std::size_t zero = limits.size() / 2;
  EXPECT_EQ(limits[zero], 0);
  EXPECT_EQ(limits[zero + 1], 1e-12);
  EXPECT_EQ(limits.back(), std::numeric_limits<double>::max());
  EXPECT_LT(limits[limits.size() - 2], 1e20);
  EXPECT_GE(limits[limits.size() - 2] * 1.1, 1e20);
  for (std::size_t i = 0; i < zero; ++i) EXPECT_EQ(limits[i], -limits[limits.size() - 1 - i]);

  Tensor values = random_features({200000}, 3);
  values.data<float>()[5] = std::nanf("");
  values.data<float>()[6] = std::numeric_limits<float>::infinity();
  const int threads = thread_count();
  set_thread_count(1);
  const tool::Histogram alone = tool::histogram_of(values);
  set_thread_count(3);
  const tool::Histogram together = tool::histogram_of(values);
  set_thread_count(threads);
  EXPECT_EQ(alone.counts, together.counts);
  EXPECT_EQ(alone.sum, together.sum);
  EXPECT_EQ(alone.sum_of_squares, together.sum_of_squares);
  EXPECT_EQ(alone.count, 199998);
  double counted = 0;
  double below_zero = 0;
  for (std::size_t i = 0; i < alone.counts.size(); ++i) {
    counted += alone.counts[i];
    if (alone.limits[i] <= 0) below_zero += alone.counts[i];
    EXPECT_FALSE(i > 0 && alone.counts[i] == 0 && alone.counts[i - 1] == 0);
  }
  EXPECT_EQ(counted, 199998);
  double negative = 0;
  double sum = 0;
  for (const float value : values.to_vector<float>()) {
    if (!std::isfinite(value)) continue;
    negative += value < 0;
    sum += value;
  }
  EXPECT_EQ(below_zero, negative);
  EXPECT_NEAR(alone.sum, sum, 1e-6 * std::sqrt(alone.sum_of_squares));
}

TEST(TrainingEvents, AreSpreadOverTheEpochs) {
  for (const std::int64_t epochs : {1, 2, 9, 10, 11, 50, 51, 99, 100, 300, 1000})
    for (const std::int64_t most : {10, 50}) {
      std::int64_t shown = 0;
      for (std::int64_t epoch = 1; epoch <= epochs; ++epoch)
        shown += tool::is_shown(epoch, epochs, most);
      EXPECT_LE(shown, most) << epochs;
      EXPECT_GE(shown, std::min(epochs, most / 2)) << epochs;
      EXPECT_TRUE(tool::is_shown(1, epochs, most));
      EXPECT_TRUE(tool::is_shown(epochs, epochs, most));
    }
}

class TensorBoardOfARun : public ::testing::Test {
 protected:
  void SetUp() override {
    a_ = write_features(folder_ / "a.safetensors", random_features({20, 6, 5, 4}, 1));
    b_ = write_features(folder_ / "b.safetensors", random_features({20, 6, 5, 4}, 2));
  }
  ProgramResult run(const std::string& name, const Words& more = {},
                    const std::string& epochs = "4") const {
    Words words = {"--features-a",
                   a_,
                   "--features-b",
                   b_,
                   "--val-features-a",
                   a_,
                   "--val-features-b",
                   b_,
                   "--epochs",
                   epochs,
                   "--batch-size",
                   "4",
                   "--lr",
                   "0.01",
                   "--lr-schedule",
                   "constant",
                   "--threads",
                   "1",
                   "--output-dir",
                   path(name)};
    words.insert(words.end(), more.begin(), more.end());
    return run_program("concord-transnet", words);
  }
  std::string path(const std::string& name) const { return (folder_ / name).string(); }

  // What a reader that goes through the files by name is left with: later values of a tag and step
  // replace earlier ones, and START drops what is at its step and behind.
  std::map<std::string, std::map<std::int64_t, EventValue>> read(const std::string& name) const {
    std::map<std::string, std::map<std::int64_t, EventValue>> values;
    for (const fs::path& file : event_files(path(name))) {
      const EventFile events = read_events(file);
      for (const std::int64_t start : events.starts)
        for (auto& [tag, steps] : values) steps.erase(steps.lower_bound(start), steps.end());
      for (const EventValue& value : events.values) values[value.tag][value.step] = value;
    }
    return values;
  }

  TemporaryFolder folder_;
  std::string a_;
  std::string b_;
};

TEST_F(TensorBoardOfARun, HasEveryValueOfTheMetrics) {
  ASSERT_EQ(run("all").code, 0);
  auto values = read("all");
  std::istringstream metrics(text_of(path("all") + "/metrics.jsonl"));
  std::int64_t epoch = 0;
  for (std::string line; std::getline(metrics, line);) {
    ++epoch;
    const std::map<std::string, std::string> tags = {
        {"loss", "train/loss"},    {"mse", "train/mse"},   {"penalty", "train/penalty"},
        {"p_0", "train/p_0"},      {"p_1", "train/p_1"},   {"dL/dp_0", "train/dp_0"},
        {"dL/dp_1", "train/dp_1"}, {"val_mse", "val/mse"}, {"lr", "train/lr"}};
    const auto object = nlohmann::json::parse(line);
    for (const auto& [name, tag] : tags) {
      ASSERT_TRUE(values[tag].contains(epoch)) << tag;
      EXPECT_EQ(values[tag].at(epoch).scalar(), static_cast<float>(object[name].get<double>()))
          << tag;
    }
    EXPECT_NEAR(values["speed/images_per_second"].at(epoch).scalar(),
                object["images_per_second"].get<double>(), 0.1);
    EXPECT_GT(values["speed/seconds_per_step"].at(epoch).scalar(), 0);
    EXPECT_EQ(object.size(), tags.size() + 3) << "a value of the metrics without a tag: " << line;
  }
  EXPECT_EQ(epoch, 4);

  const SafetensorsFile last(path("all") + "/last.safetensors");
  for (const std::string name :
       {"linearLayers_conv.0.weight", "linearLayers_conv.2.weight", "nonLinearLayers_p_pre"}) {
    const auto weights = last.tensor(name).to_vector<float>();
    Fields histogram = values["weights/" + name].at(4).histogram();
    EXPECT_EQ(number_at<double>(histogram.at(3).front(), 0), weights.size());
    EXPECT_EQ(number_at<double>(histogram.at(1).front(), 0),
              *std::min_element(weights.begin(), weights.end()));
    EXPECT_EQ(number_at<double>(histogram.at(2).front(), 0),
              *std::max_element(weights.begin(), weights.end()));
    EXPECT_EQ(number_at<double>(values["gradients/" + name].at(4).histogram().at(3).front(), 0),
              weights.size());
  }
  const Fields picture = fields_of(values["maps/orders"].at(4).content.at(4).front());
  const std::string& png = picture.at(4).front();
  EXPECT_GT(
      decode_image({reinterpret_cast<const std::uint8_t*>(png.data()), png.size()}, "png").width,
      800);
  EXPECT_NE(fields_of(values["run/configuration"].at(0).content.at(8).front())
                .at(8)
                .front()
                .find("concord-transnet --features-a"),
            std::string::npos);
}

TEST_F(TensorBoardOfARun, ChangesNoBitOfIt) {
  ASSERT_EQ(run("all").code, 0);
  ASSERT_EQ(run("scalars", {"--tensorboard", "scalars"}).code, 0);
  ASSERT_EQ(run("none", {"--tensorboard", "none"}).code, 0);
  EXPECT_TRUE(event_files(path("none")).empty());
  const auto scalars = read("scalars");
  EXPECT_TRUE(scalars.contains("train/loss"));
  for (const auto& [tag, steps] : scalars)
    EXPECT_FALSE(tag.starts_with("weights/") || tag.starts_with("maps/")) << tag;
  for (const char* file : {"/last.safetensors", "/best.safetensors"}) {
    EXPECT_EQ(text_of(path("all") + file), text_of(path("none") + file));
    EXPECT_EQ(text_of(path("all") + file), text_of(path("scalars") + file));
  }
  EXPECT_EQ(untimed(path("all") + "/metrics.jsonl"), untimed(path("none") + "/metrics.jsonl"));
  expect_failure(run("more", {"--tensorboard", "some"}), 2,
                 {"--tensorboard", "all, scalars, none"});
}

// A run that has gone on reads as one that was never stopped, also where it began anew over the
// files of one that was killed before its first checkpoint.
TEST_F(TensorBoardOfARun, GoesOnWhereTheRunDoes) {
  ASSERT_EQ(run("whole").code, 0);
  ASSERT_EQ(run("parts", {}, "2").code, 0);
  ASSERT_EQ(run("parts", {"--resume"}).code, 0);
  ASSERT_EQ(run("anew").code, 0);
  for (const char* file : {"/last.safetensors", "/best.safetensors", "/metrics.jsonl"})
    fs::remove(path("anew") + file);
  ASSERT_EQ(run("anew", {"--resume"}, "3").code, 0);
  auto whole = read("whole");
  auto parts = read("parts");
  auto anew = read("anew");
  ASSERT_EQ(event_files(path("parts")).size(), 2U);
  for (const char* tag : {"train/loss", "val/mse", "train/lr"}) {
    ASSERT_EQ(parts[tag].size(), 4U) << tag;
    ASSERT_EQ(anew[tag].size(), 3U) << tag;
    for (std::int64_t epoch = 1; epoch <= 4; ++epoch) {
      EXPECT_EQ(parts[tag].at(epoch).scalar(), whole[tag].at(epoch).scalar());
      if (epoch < 4) {
        EXPECT_EQ(anew[tag].at(epoch).scalar(), whole[tag].at(epoch).scalar());
      }
    }
  }
}

// A classifier shows its maps, and its parameters go by torchvision's names.
TEST(TensorBoardOfAClassifier, HasMapsAndHistograms) {
  const TemporaryFolder folder;
  write_pictures(folder / "data", 2, 2);
  const std::string out = (folder / "run").string();
  const Words words = {"--data",       (folder / "data").string(),
                       "--arch",       "resnet18",
                       "--image-size", "32",
                       "--epochs",     "1",
                       "--batch-size", "3",
                       "--threads",    "1",
                       "--output-dir", out};
  const ProgramResult run = run_program("concord-train", words);
  ASSERT_EQ(run.code, 0) << run.err;
  const std::set<std::string> tags = event_tags(out);
  for (const char* tag :
       {"train/loss", "train/top1", "val/loss", "val/top1", "val/top5", "train/lr",
        "weights/conv1.weight", "weights/layer3.0.downsample.0.weight", "weights/fc.bias",
        "gradients/conv1.weight", "filters/conv1.weight", "maps/layer3"})
    EXPECT_TRUE(tags.contains(tag)) << tag;
}

}  // namespace
}  // namespace concord::test
