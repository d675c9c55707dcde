#include "data/synthetic.h"

#include <array>
#include <cmath>
#include <nlohmann/json.hpp>

#include "data/cub200.h"
#include "data/image_folder.h"
#include "data/prepare.h"
#include "data/resize.h"
#include "tests/data/support.h"
#include "tests/expect_error.h"

namespace concord::test {
namespace {

namespace fs = std::filesystem;

SyntheticOptions small_options() {
  SyntheticOptions options;
  options.classes = 4;
  options.train_per_class = 3;
  options.val_per_class = 2;
  options.image_size = 48;
  options.seed = 11;
  options.threads = 1;
  return options;
}

TEST(DrawSynthetic, IsAPureFunctionOfItsArguments) {
  const SyntheticImage a = draw_synthetic(3, 5, 8, 64, 48, 0.8F);
  EXPECT_EQ(a.image.width, 64);
  EXPECT_EQ(a.image.height, 48);
  EXPECT_EQ(draw_synthetic(3, 5, 8, 64, 48, 0.8F).image.rgb, a.image.rgb);
  EXPECT_NE(draw_synthetic(3, 5, 9, 64, 48, 0.8F).image.rgb, a.image.rgb);
  EXPECT_NE(draw_synthetic(3, 6, 8, 64, 48, 0.8F).image.rgb, a.image.rgb);
  EXPECT_NE(draw_synthetic(2, 5, 8, 64, 48, 0.8F).image.rgb, a.image.rgb);
}

TEST(DrawSynthetic, BoxesLieInThePictureAndHoldTheObject) {
  for (int label = 0; label < 10; ++label)
    for (std::uint64_t index = 0; index < 4; ++index) {
      const SyntheticImage drawn = draw_synthetic(label, 1, index, 96, 80, 0.6F);
      const std::string& name = synthetic_classes()[static_cast<std::size_t>(label)];
      EXPECT_GE(drawn.x, 0.0F) << name;
      EXPECT_GE(drawn.y, 0.0F) << name;
      EXPECT_LE(drawn.x + drawn.width, 96.0F) << name;
      EXPECT_LE(drawn.y + drawn.height, 80.0F) << name;
      // The longer side of the upright object is 0.6 x 80 x [0.8, 1.12] pixels before it is turned
      // (at most by a factor sqrt 2) and squeezed.
      const float longer = std::max(drawn.width, drawn.height);
      EXPECT_GT(longer, 0.6F * 80 * 0.8F * 0.65F) << name;
      EXPECT_LT(longer, 0.6F * 80 * 1.12F * 1.42F) << name;
    }
}

// The colours must not tell the class: a nearest-mean classifier of mean colours stays near chance.
TEST(DrawSynthetic, ColourDoesNotGiveTheClassAway) {
  constexpr int kClasses = 10, kTrain = 40, kTest = 20;
  const auto mean_color = [](const SyntheticImage& drawn) {
    const Image one = resize_bilinear(drawn.image, 1, 1);
    return std::array<double, 3>{double(one.rgb[0]), double(one.rgb[1]), double(one.rgb[2])};
  };
  std::array<std::array<double, 3>, kClasses> means{};
  for (int label = 0; label < kClasses; ++label)
    for (int i = 0; i < kTrain; ++i) {
      const auto color =
          mean_color(draw_synthetic(label, 2, static_cast<std::uint64_t>(i), 32, 32, 0.8F));
      for (std::size_t c = 0; c < 3; ++c)
        means[static_cast<std::size_t>(label)][c] += color[c] / kTrain;
    }
  int hits = 0;
  for (int label = 0; label < kClasses; ++label)
    for (int i = 0; i < kTest; ++i) {
      const auto color =
          mean_color(draw_synthetic(label, 2, static_cast<std::uint64_t>(1000 + i), 32, 32, 0.8F));
      int best = 0;
      double nearest = 1e300;
      for (int other = 0; other < kClasses; ++other) {
        double d = 0.0;
        for (std::size_t c = 0; c < 3; ++c)
          d += std::pow(color[c] - means[static_cast<std::size_t>(other)][c], 2);
        if (d < nearest) {
          nearest = d;
          best = other;
        }
      }
      hits += best == label ? 1 : 0;
    }
  // Chance is 20 of 200 with a deviation of 4.2.
  EXPECT_LT(hits, 20 + 5 * 4.3);
}

TEST(WriteSynthetic, WritesAnImageFolder) {
  const TempFolder folder;
  write_synthetic(folder / "out", small_options());
  const ImageFolder read = read_image_folder(folder / "out");
  EXPECT_EQ(read.train.classes,
            (std::vector<std::string>{"cat", "dog", "spotted_fish", "striped_fish"}));
  EXPECT_EQ(read.train.samples.size(), 12U);
  EXPECT_EQ(read.validation->samples.size(), 8U);
  for (const ImageSample& sample : read.train.samples) {
    const Image image = load_image(sample.path);
    EXPECT_EQ(image.width, 48);
    EXPECT_EQ(image.height, 48);
  }
  const auto bytes = read_file(folder / "out/manifest.json");
  const auto manifest = nlohmann::json::parse(bytes);
  EXPECT_EQ(manifest["seed"], 11);
  EXPECT_EQ(manifest["classes"]["cat"]["train"], 3);
  EXPECT_EQ(manifest["classes"]["cat"]["val"], 2);
}

TEST(WriteSynthetic, IsTheSameForAnyNumberOfThreads) {
  const TempFolder folder;
  SyntheticOptions options = small_options();
  for (const auto layout : {SyntheticLayout::kFolder, SyntheticLayout::kCub}) {
    options.layout = layout;
    options.threads = 1;
    const std::string tag = layout == SyntheticLayout::kCub ? "cub" : "folder";
    write_synthetic(folder / (tag + "1"), options);
    options.threads = 4;
    write_synthetic(folder / (tag + "4"), options);
    EXPECT_EQ(contents(folder / (tag + "1")), contents(folder / (tag + "4"))) << tag;
  }
}

TEST(WriteSynthetic, GrowsWithoutChangingWhatWasThere) {
  const TempFolder folder;
  SyntheticOptions options = small_options();
  write_synthetic(folder / "small", options);
  options.train_per_class = 5;
  write_synthetic(folder / "large", options);
  for (const char* name : {"train/cat/cat_00003.jpg", "val/cat/cat_00002.jpg"})
    EXPECT_EQ(read_file(folder / "small" / name), read_file(folder / "large" / name)) << name;
}

TEST(WriteSynthetic, CubLayoutHasTrueBoxes) {
  const TempFolder folder;
  SyntheticOptions options = small_options();
  options.layout = SyntheticLayout::kCub;
  options.image_size = 96;
  write_synthetic(folder / "cub", options);
  const FileSource source(folder / "cub");
  const ImagePlan set = plan_cub200(source);
  EXPECT_EQ(set.classes.size(), 4U);
  EXPECT_EQ(set.classes[2], "003.cat");
  ASSERT_EQ(set.images.size(), 20U);
  int train = 0;
  for (const PlannedImage& entry : set.images) {
    train += entry.split == "train" ? 1 : 0;
    const Image image = load_image(source.path_of(entry.file));
    EXPECT_EQ(std::max(image.width, image.height), 96);
    EXPECT_LE(entry.box->x + entry.box->width, image.width);
    EXPECT_LE(entry.box->y + entry.box->height, image.height);
    EXPECT_LT(entry.box->width * entry.box->height, 0.85 * image.width * image.height)
        << "a crop must have something to cut off";
  }
  EXPECT_EQ(train, 12);
  const PrepareReport report = prepare({&source}, set, folder / "cropped", {});
  EXPECT_EQ(report.totals, (std::vector<std::int64_t>{12, 8}));
  EXPECT_EQ(report.clipped, 0);
}

TEST(WriteSynthetic, LeavesNothingBehindWhenAbandoned) {
  const TempFolder folder;
  SyntheticOptions options = small_options();
  options.train_per_class = 200;
  options.progress = [](std::int64_t, std::int64_t) { fail("enough"); };
  expect_error([&] { write_synthetic(folder / "deep/out", options); }, {"enough"});
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

TEST(WriteSynthetic, RefusesSenselessOptions) {
  const TempFolder folder;
  const auto fails = [&](auto change, const std::vector<std::string>& parts) {
    SyntheticOptions options = small_options();
    change(options);
    expect_error([&] { write_synthetic(folder / "out", options); }, parts);
    EXPECT_TRUE(fs::is_empty(folder.path()));
  };
  fails([](SyntheticOptions& o) { o.classes = 11; }, {"11 classes", "2 to 10"});
  fails([](SyntheticOptions& o) { o.image_size = 20; }, {"image size 20"});
  fails([](SyntheticOptions& o) { o.train_per_class = 0; }, {"0 and 2 images"});
  fails([](SyntheticOptions& o) { o.quality = 0; }, {"quality 0"});
  expect_error([] { draw_synthetic(10, 0, 0, 64, 64, 0.8F); }, {"class 10"});
}

}  // namespace
}  // namespace concord::test
