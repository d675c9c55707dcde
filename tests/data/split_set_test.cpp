#include "data/split_set.h"

#include <nlohmann/json.hpp>

#include "data/cub200.h"
#include "data/dogs120.h"
#include "data/image_folder.h"
#include "data/mix320.h"
#include "data/prepare.h"
#include "data/voc.h"
#include "tests/data/published_sources.h"
#include "tests/expect_error.h"

namespace concord::test {
namespace {

namespace fs = std::filesystem;
using Names = std::vector<std::string>;

Names names(const ImageSet& set, const fs::path& root) {
  Names list;
  for (const ImageSample& sample : set.samples) list.push_back(name_of_sample(sample, root));
  return list;
}

// Five images of a and two of b to train on, one each to test on.
void write_set(const TempFolder& folder) {
  for (const char* name : {"a/10", "a/2", "a/3", "a/4", "a/5", "b/1", "b/2"})
    folder.put(fmt::format("set/train/{}.jpg", name), name);
  folder.put("set/test/a/9.png", "a9");
  folder.put("set/test/b/9.png", "b9");
}

TEST(SplitDataSet, CutsEveryClassInItsSortedList) {
  const TempFolder folder;
  write_set(folder);
  // Its name is that of the folder, however it is written.
  const SplitReport report = split_data_set(folder / "set/train/../.", folder / "out", {});
  const ImageFolder a = read_image_folder(folder / "out/a");
  const ImageFolder b = read_image_folder(folder / "out/b");
  EXPECT_EQ(names(a.train, folder / "out/a"),
            (Names{"train/a/10.jpg", "train/a/2.jpg", "train/b/1.jpg"}));
  EXPECT_EQ(names(b.train, folder / "out/b"),
            (Names{"train/a/3.jpg", "train/a/4.jpg", "train/a/5.jpg", "train/b/2.jpg"}));
  for (const char* part : {"a", "b"}) {
    EXPECT_EQ(read_file(folder / fmt::format("out/{}/test/a/9.png", part)),
              read_file(folder / "set/test/a/9.png"));
    const auto manifest =
        nlohmann::json::parse(read_file(folder / fmt::format("out/{}/manifest.json", part)));
    EXPECT_EQ(manifest["kind"], "split");
    EXPECT_EQ(manifest["part"], part);
    EXPECT_EQ(manifest["source"], "set");
    EXPECT_EQ(manifest["classes"]["a"]["train"], part == std::string("a") ? 2 : 3);
    EXPECT_EQ(manifest["classes"]["b"]["test"], 1);
  }
  EXPECT_EQ(report.a, (std::vector<std::int64_t>{2, 1}));
  EXPECT_EQ(report.b, (std::vector<std::int64_t>{3, 1}));
  EXPECT_EQ(report.held_out, "test");
  EXPECT_EQ(report.held_out_total, 2);
  EXPECT_EQ(report.copied, 0);
  EXPECT_EQ(fs::hard_link_count(folder / "set/train/a/10.jpg"), 2U) << "no second copy";
}

TEST(SplitDataSet, CopiesWhatALinkLedTo) {
  const TempFolder folder;
  write_set(folder);
  folder.put("elsewhere.jpg", "far");
  fs::remove(folder / "set/train/b/1.jpg");
  fs::create_symlink("../../../elsewhere.jpg", folder / "set/train/b/1.jpg");
  EXPECT_EQ(split_data_set(folder / "set", folder / "deep/out", {}).copied, 1);
  EXPECT_EQ(read_bytes(folder / "deep/out/a/train/b/1.jpg"), "far");
}

TEST(SplitDataSet, CutsAtOtherShares) {
  const TempFolder folder;
  write_set(folder);
  const SplitReport report = split_data_set(folder / "set", folder / "out", {.percent = 79});
  EXPECT_EQ(report.a, (std::vector<std::int64_t>{3, 1})) << "floor(3.95), floor(1.58)";
  EXPECT_EQ(report.b, (std::vector<std::int64_t>{2, 1}));
  expect_error([&] { split_data_set(folder / "set", folder / "x", {.percent = 100}); },
               {"100 is not in 1..99"});
}

TEST(SplitDataSet, KeepsGroups) {
  const TempFolder folder;
  write_birds(folder, "cub");
  write_dogs(folder, "dogs");
  // A second training image of each bird.
  folder.put("cub/train_test_split.txt", "1 1\n2 1\n3 1\n4 1\n5 0\n6 0\n");
  folder.put("cub/images.txt", read_bytes(folder / "cub/images.txt") +
                                   "5 001.Auk/bird_5.jpg\n6 002.Bee_eater/bird_6.jpg\n");
  folder.put("cub/image_class_labels.txt",
             read_bytes(folder / "cub/image_class_labels.txt") + "5 1\n6 2\n");
  folder.put("cub/images/001.Auk/bird_5.jpg", drawn_jpeg(1));
  folder.put("cub/images/002.Bee_eater/bird_6.jpg", drawn_jpeg(2));
  const FileSource birds(folder / "cub"), dogs(folder / "dogs");
  prepare({&birds, &dogs}, plan_mix320(plan_cub200(birds, false), plan_dogs120(dogs)),
          folder / "mix", {});
  split_data_set(folder / "mix", folder / "out", {});
  for (const char* part : {"a", "b"}) {
    const ImageFolder read = read_image_folder(folder / "out" / part);
    EXPECT_EQ(read.train.samples.size(), 4U);
    ASSERT_EQ(read.train.groups.size(), 2U);
    EXPECT_EQ(read.validation->groups[1].name, "dogs");
    EXPECT_EQ(read.validation->groups[1].first, 2);
  }
}

TEST(SplitDataSet, KeepsTheLabelsOfImagesThatHaveSeveral) {
  const TempFolder folder;
  write_voc(folder, "voc");
  const FileSource voc(folder / "voc");
  prepare({&voc}, plan_voc(voc, VocTask::kMultiLabel), folder / "set", {});
  const ImageFolder whole = read_image_folder(folder / "set");
  const SplitReport report = split_data_set(folder / "set", folder / "out", {});
  EXPECT_EQ(report.a_images, 1);
  EXPECT_EQ(report.b_images, 2);
  const ImageFolder a = read_image_folder(folder / "out/a");
  const ImageFolder b = read_image_folder(folder / "out/b");
  EXPECT_EQ(a.train.classes, whole.train.classes);
  std::vector<std::uint8_t> joined = a.train.multi_labels;
  joined.insert(joined.end(), b.train.multi_labels.begin(), b.train.multi_labels.end());
  EXPECT_EQ(joined, whole.train.multi_labels);
  EXPECT_EQ(b.validation->multi_labels, whole.validation->multi_labels);
}

TEST(SplitDataSet, SaysWhatIsWrongAndLeavesNothing) {
  const TempFolder folder;
  write_set(folder);
  folder.put("plain/a/1.jpg", "x");
  expect_error([&] { split_data_set(folder / "plain", folder / "out", {}); },
               {"plain", "no train/", "prepared"});
  expect_error([&] { split_data_set(folder / "none", folder / "out", {}); }, {"none", "no such"});
  expect_error([&] { split_data_set(folder / "set", folder / "out", {.percent = 10}); },
               {"class a has 5 training images", "part a would get none at 10", "--fraction"});
  fs::remove(folder / "set/train/b/2.jpg");
  expect_error([&] { split_data_set(folder / "set", folder / "out", {}); },
               {"class b has 1 training images"});
  write_set(folder);
  int calls = 0;
  const SplitOptions stopped{.percent = 50, .progress = [&](std::int64_t, std::int64_t) {
                               if (++calls == 2) fail("stopped");
                             }};
  expect_error([&] { split_data_set(folder / "set", folder / "out", stopped); }, {"stopped"});
  EXPECT_EQ(folder.listing(), (Names{"plain", "set"}));
  folder.put("out/precious.txt", "x");
  expect_error([&] { split_data_set(folder / "set", folder / "out", {}); }, {"out", "not empty"});
}

}  // namespace
}  // namespace concord::test
