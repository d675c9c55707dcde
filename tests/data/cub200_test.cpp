#include "data/cub200.h"

#include <nlohmann/json.hpp>

#include "data/image_folder.h"
#include "data/prepare.h"
#include "tests/data/support.h"
#include "tests/expect_error.h"

namespace concord::test {
namespace {

namespace fs = std::filesystem;

// Two classes of two images; tests spoil a file of it and look at the message.
void write_cub(const TempFolder& folder) {
  folder.put("cub/classes.txt", "1 001.Auk\n2 002.Bee_eater\n");
  folder.put("cub/images.txt",
             "1 001.Auk/a.jpg\n2 001.Auk/b.jpg\r\n\n30 002.Bee_eater/c.jpg\n4 002.Bee_eater/d.jpg");
  folder.put("cub/image_class_labels.txt", "1 1\n2 1\n30 2\n4 2\n");
  folder.put("cub/train_test_split.txt", "1 1\n2 0\n30 1\n4 0\n");
  folder.put("cub/bounding_boxes.txt",
             "1 2.9 3.1 10.0 8.5\n2 0.0 0.0 40.0 30.0\n30 -3.0 5.0 100.0 100.0\n4 1 1 2 2\n");
  folder.put("cub/images/001.Auk/a.jpg", encode_jpeg(numbered_image(40, 30, 1)));
  folder.put("cub/images/001.Auk/b.jpg", encode_jpeg(numbered_image(40, 30, 2)));
  folder.put("cub/images/002.Bee_eater/c.jpg", encode_jpeg(numbered_image(40, 30, 3)));
  folder.put("cub/images/002.Bee_eater/d.jpg", encode_png(numbered_image(40, 30, 4)));
}

ImagePlan plan(const fs::path& root, bool boxes = true) {
  return plan_cub200(FileSource(root), boxes);
}

PrepareReport prepare_cub(const fs::path& root, const fs::path& output,
                          const PrepareOptions& options, bool boxes = true) {
  const FileSource source(root);
  return prepare({&source}, plan_cub200(source, boxes), output, options);
}

TEST(PlanCub200, ReadsTheLists) {
  const TempFolder folder;
  write_cub(folder);
  for (const fs::path& root : {folder / "cub", folder / "cub/"}) {
    const ImagePlan set = plan_cub200(FileSource(root));
    EXPECT_EQ(set.classes, (std::vector<std::string>{"001.Auk", "002.Bee_eater"}));
    ASSERT_EQ(set.images.size(), 4U);
    EXPECT_EQ(set.images[2].file, "images/002.Bee_eater/c.jpg");
    EXPECT_EQ(set.images[2].target, "train/002.Bee_eater/c.jpg");
    EXPECT_EQ(set.images[2].label, 1);
    EXPECT_EQ(set.images[2].split, "train");
    EXPECT_EQ(set.images[3].split, "test");
    EXPECT_EQ(set.images[2].box.value().x, -3.0);
  }
  fs::rename(folder / "cub", folder / "CUB_200_2011");
  EXPECT_EQ(plan(folder.path()).images.size(), 4U);
}

TEST(PlanCub200, NamesFileAndLineOfWhatIsWrong) {
  const auto fails = [](const std::string& file, const std::string& text,
                        const std::vector<std::string>& parts) {
    const TempFolder folder;
    write_cub(folder);
    folder.put("cub/" + file, text);
    expect_error([&] { plan(folder / "cub"); }, parts);
  };
  fails("images.txt", "1 001.Auk/a.jpg\n2\n", {"images.txt:2:", "1 fields where 2"});
  fails("images.txt", "1 a b\n", {"images.txt:1:", "3 fields"});
  fails("images.txt", "x 001.Auk/a.jpg\n", {"images.txt:1:", "'x' is not an integer"});
  fails("images.txt", "1 001.Auk/a.jpg\n1 001.Auk/b.jpg\n", {"images.txt:2:", "twice"});
  fails("images.txt", "1 ../../etc/passwd\n", {"images.txt:1:", "leaves"});
  fails("images.txt", "1 /etc/passwd\n", {"images.txt:1:", "leaves"});
  fails("images.txt", "", {"images.txt", "no image"});
  fails("classes.txt", "1 ../x\n", {"classes.txt:1:", "cannot name a folder"});
  fails("classes.txt", "1 a\n1 b\n", {"classes.txt:2:", "twice"});
  fails("image_class_labels.txt", "1 1\n2 1\n30 2\n4 3\n",
        {"image_class_labels.txt:4:", "class id 3"});
  fails("image_class_labels.txt", "1 1\n2 1\n30 2\n",
        {"image_class_labels.txt", "nothing about 002.Bee_eater/d.jpg"});
  fails("image_class_labels.txt", "1 1\n2 1\n30 2\n4 2\n5 1\n",
        {"image_class_labels.txt:5:", "id 5 is not in images.txt"});
  fails("train_test_split.txt", "1 1\n2 2\n", {"train_test_split.txt:2:", "'2' is neither"});
  fails("train_test_split.txt", "1 1\n1 1\n", {"train_test_split.txt:2:", "twice"});
  fails("bounding_boxes.txt", "1 1 1 nan 5\n", {"bounding_boxes.txt:1:", "finite"});
  fails("bounding_boxes.txt", "1 1 1 0 5\n", {"bounding_boxes.txt:1:", "empty"});
  fails("bounding_boxes.txt", "1 1 1 5x 5\n", {"bounding_boxes.txt:1:", "'5x' is not a number"});
  const TempFolder folder;
  expect_error([&] { plan(folder / "none"); }, {"none", "no such folder"});
  expect_error([&] { plan(folder.path()); }, {"images.txt", "CUB-200-2011 layout"});
  write_cub(folder);
  fs::remove(folder / "cub/bounding_boxes.txt");
  expect_error([&] { plan(folder / "cub"); }, {"bounding_boxes.txt", "--no-crop"});
  EXPECT_EQ(plan(folder / "cub", false).images.size(), 4U);
}

TEST(PrepareCub200, CropsAndSplits) {
  const TempFolder folder;
  write_cub(folder);
  const PrepareReport report = prepare_cub(folder / "cub", folder / "out", {.quality = 100});
  EXPECT_EQ(report.totals, (std::vector<std::int64_t>{2, 2}));
  EXPECT_EQ(report.clipped, 1);
  EXPECT_EQ(report.copied, 1);
  EXPECT_TRUE(report.unreadable.empty());
  const ImageFolder read = read_image_folder(folder / "out");
  EXPECT_EQ(read.train.samples.size(), 2U);
  EXPECT_EQ(read.validation->name, "test");
  const Image a = load_image(folder / "out/train/001.Auk/a.jpg");
  EXPECT_EQ(a.width, 10);
  EXPECT_EQ(a.height, 8);
  // The picture's green is 11 + x, its blue 5 + y: the crop begins at (2, 3).
  EXPECT_NEAR(a.pixel(0, 0)[1], 13, 4);
  EXPECT_NEAR(a.pixel(0, 0)[2], 8, 4);
  EXPECT_NEAR(a.pixel(9, 7)[1], 22, 4);
  EXPECT_EQ(load_image(folder / "out/train/002.Bee_eater/c.jpg").height, 25);
  EXPECT_EQ(read_file(folder / "out/test/001.Auk/b.jpg"),
            read_file(folder / "cub/images/001.Auk/b.jpg"))
      << "a whole colour JPEG is copied";
  EXPECT_EQ(load_image(folder / "out/test/002.Bee_eater/d.jpg").width, 2) << "from PNG";
  const auto manifest = nlohmann::json::parse(read_file(folder / "out/manifest.json"));
  EXPECT_EQ(manifest["classes"]["001.Auk"]["train"], 1);
  EXPECT_EQ(manifest["train"], 2);

  const PrepareReport whole = prepare_cub(folder / "cub", folder / "whole", {}, false);
  EXPECT_EQ(whole.copied, 3);
  EXPECT_EQ(load_image(folder / "whole/train/001.Auk/a.jpg").width, 40);
}

TEST(PrepareCub200, ListsTheUnreadableOrStops) {
  const TempFolder folder;
  write_cub(folder);
  folder.put("cub/images.txt",
             "1 001.Auk/a.jpg\n2 001.Auk/b.jpg\n30 002.Bee_eater/c.jpg\n4 002.Bee_eater/d.jpg\n5 "
             "001.Auk/e.jpg\n6 001.Auk/f.jpg\n");
  folder.put("cub/image_class_labels.txt", "1 1\n2 1\n30 2\n4 2\n5 1\n6 1\n");
  folder.put("cub/train_test_split.txt", "1 1\n2 0\n30 1\n4 0\n5 1\n6 0\n");
  folder.put("cub/bounding_boxes.txt",
             "1 2 3 9 9\n2 0 0 9 9\n30 1 5 9 9\n4 1 1 2 2\n5 1 1 2 2\n6 90 90 5 5\n");
  folder.put("cub/images/001.Auk/e.jpg", "not a picture");
  folder.put("cub/images/001.Auk/f.jpg", encode_jpeg(numbered_image(40, 30, 2)));
  const PrepareReport report = prepare_cub(folder / "cub", folder / "out", {});
  EXPECT_EQ(report.totals, (std::vector<std::int64_t>{2, 2}));
  ASSERT_EQ(report.unreadable.size(), 2U);
  EXPECT_NE(report.unreadable[0].find("001.Auk/e.jpg: neither JPEG nor PNG"), std::string::npos);
  EXPECT_NE(report.unreadable[1].find("001.Auk/f.jpg: its box"), std::string::npos);
  const auto manifest = nlohmann::json::parse(read_file(folder / "out/manifest.json"));
  EXPECT_EQ(manifest["unreadable"].size(), 2U);
  EXPECT_FALSE(fs::exists(folder / "out/train/001.Auk/e.jpg"));

  expect_error([&] { prepare_cub(folder / "cub", folder / "strict", {.strict = true}); },
               {"001.Auk/"});
  EXPECT_FALSE(fs::exists(folder / "strict"));
  // Without a.jpg the class has no training image left: no folder that later programs refuse.
  folder.put("cub/images/001.Auk/a.jpg", "");
  expect_error([&] { prepare_cub(folder / "cub", folder / "gap", {}); },
               {"001.Auk has 0 readable training", "a.jpg: the file is empty"});
  std::vector<std::string> left;
  for (const std::string& name : folder.listing())
    if (!name.starts_with('.')) left.push_back(name);  // for the next run
  EXPECT_EQ(left, (std::vector<std::string>{"cub", "out"}));
}

TEST(PrepareCub200, KeepsOrReplacesAnOldFolder) {
  const TempFolder folder;
  write_cub(folder);
  prepare_cub(folder / "cub", folder / "out", {});
  expect_error([&] { prepare_cub(folder / "cub", folder / "out", {}); },
               {"out", "not empty", "--force"});
  folder.put("out/train/old.txt", "old");
  prepare_cub(folder / "cub", folder / "out", {.replace = true});
  EXPECT_FALSE(fs::exists(folder / "out/train/old.txt"));
  folder.put("precious/letter.txt", "dear");
  expect_error([&] { prepare_cub(folder / "cub", folder / "precious", {.replace = true}); },
               {"precious", "no manifest.json"});
  EXPECT_TRUE(fs::exists(folder / "precious/letter.txt"));
}

TEST(PrepareCub200, ReadsTheRealSample) {
  CONCORD_NEEDS_SHARED_DATA(data);
  const TempFolder folder;
  const PrepareReport report = prepare_cub(data / "CUB_200_2011", folder / "out", {});
  EXPECT_EQ(report.totals, (std::vector<std::int64_t>{200, 200}));
  EXPECT_EQ(report.images[0].size(), 20U);
  EXPECT_TRUE(report.unreadable.empty());
  const ImageFolder read = read_image_folder(folder / "out");
  EXPECT_EQ(read.train.samples.size(), 200U);
  // Gray photographs come out in colour, as a decoder of three channels sees them.
  for (const ImageSample& sample : read.train.samples)
    EXPECT_TRUE(is_color_jpeg(read_file(sample.path))) << sample.path;
}

}  // namespace
}  // namespace concord::test
