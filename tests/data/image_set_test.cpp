#include "data/image_set.h"

#include "tests/data/support.h"
#include "tests/expect_error.h"

namespace concord::test {
namespace {

using Indices = std::vector<std::int64_t>;

TEST(SplitHalves, CutsEachClassInTheMiddle) {
  ImageSet set;
  set.classes = {"a", "b", "c"};
  for (const std::int64_t label : {0, 0, 0, 0, 0, 1, 1, 2})
    set.samples.push_back({.path = "x", .label = label});
  const Halves halves = split_halves(set);
  EXPECT_EQ(halves.first, (std::vector<std::int64_t>{0, 1, 5}));
  EXPECT_EQ(halves.second, (std::vector<std::int64_t>{2, 3, 4, 6, 7}));
}

TEST(SplitHalves, CutsAtAnyShare) {
  ImageSet set;
  set.classes = {"a", "b"};
  for (const std::int64_t label : {0, 0, 0, 0, 0, 0, 0, 1, 1, 1})
    set.samples.push_back({.path = "x", .label = label});
  EXPECT_EQ(split_halves(set, 30).first, (Indices{0, 1})) << "floor(2.1) and floor(0.9)";
  EXPECT_EQ(split_halves(set, 30).second, (Indices{2, 3, 4, 5, 6, 7, 8, 9}));
  EXPECT_EQ(split_halves(set, 100).second, Indices());
  expect_error([&] { split_halves(set, 101); }, {"101 per cent"});
}

TEST(SplitHalves, CutsImagesOfSeveralLabelsAsOneList) {
  ImageSet set;
  set.classes = {"a", "b"};
  for (int i = 0; i < 5; ++i) {
    set.samples.push_back({.path = "x", .label = -1});
    set.multi_labels.insert(set.multi_labels.end(), {1, 0});
  }
  EXPECT_EQ(split_halves(set).first, (Indices{0, 1}));
  EXPECT_EQ(split_halves(set).second, (Indices{2, 3, 4}));
}

TEST(KeepSamples, LeavesTheseWithTheirLabels) {
  ImageSet set;
  set.classes = {"a", "b"};
  for (int i = 0; i < 3; ++i) {
    set.samples.push_back({.path = std::to_string(i), .label = -1});
    set.multi_labels.insert(set.multi_labels.end(), {std::uint8_t(i == 1), std::uint8_t(i > 0)});
  }
  keep_samples(set, {2, 1});
  ASSERT_EQ(set.samples.size(), 2U);
  EXPECT_EQ(set.samples[0].path, "2");
  EXPECT_EQ(set.samples[1].path, "1");
  EXPECT_EQ(set.multi_labels, (std::vector<std::uint8_t>{0, 1, 1, 1}));
  expect_error([&] { keep_samples(set, {2}); }, {"no sample 2 among 2"});
}

TEST(KeepGroup, LeavesItsClassesNumberedFromZero) {
  ImageSet set;
  set.classes = {"auk", "bee eater", "chow", "dhole"};
  set.groups = {{"birds", 0, 2}, {"dogs", 2, 1}, {"foxes", 3, 1}};
  for (const std::int64_t label : {0, 1, 2, 2, 0})
    set.samples.push_back({.path = "x", .label = label});
  ImageSet dogs = set;
  keep_group(dogs, "dogs");
  EXPECT_EQ(dogs.classes, (std::vector<std::string>{"chow"}));
  ASSERT_EQ(dogs.samples.size(), 2U);
  EXPECT_EQ(dogs.samples[0].label, 0);
  EXPECT_TRUE(dogs.groups.empty());
  expect_error([&] { keep_group(set, "cats"); },
               {"no group of classes cats", "birds, dogs, foxes"});
  expect_error([&] { keep_group(set, "foxes"); }, {"no image is of the group foxes"});
  expect_error([&] { keep_group(dogs, "dogs"); }, {"it has none"});
}

TEST(LoadSample, CropsToTheBox) {
  const TempFolder folder;
  const Image whole = numbered_image(40, 30, 3);
  ImageSample sample{.path = folder.put("a.png", encode_png(whole))};
  EXPECT_EQ(load_sample(sample).rgb, whole.rgb);
  sample.box = {3.5, 4.0, 17.9, 14.0};
  EXPECT_EQ(load_sample(sample).rgb, crop(whole, 3, 4, 21, 18).rgb);
  sample.box = {-5.0, -5.0, 100.0, 100.0};
  EXPECT_EQ(load_sample(sample).rgb, whole.rgb) << "clipped";
  sample.box = {40.0, 0.0, 5.0, 5.0};
  expect_error([&] { load_sample(sample); }, {"a.png", "outside the image of 40x30"});
}

TEST(NameOfSample, IsItsPathOrWhatAPreparedFolderWouldCallIt) {
  ImageSample sample{.path = "/d/train/a/1.jpg"};
  EXPECT_EQ(name_of_sample(sample, "/d"), "train/a/1.jpg");
  sample.name = "train/b/2.jpg";
  EXPECT_EQ(name_of_sample(sample, "/d"), "train/b/2.jpg");
}

}  // namespace
}  // namespace concord::test
