#include "data/dogs120.h"

#include "data/prepare.h"
#include "tests/data/published_sources.h"
#include "tests/expect_error.h"

namespace concord::test {
namespace {

ImagePlan plan_of(const TempFolder& folder, const std::string& name, bool boxes = true) {
  return plan_dogs120(FileSource(folder / name), boxes);
}

TEST(PlanDogs120, ReadsListsAndBoxes) {
  const TempFolder folder;
  write_dogs(folder, "dogs");
  const ImagePlan plan = plan_of(folder, "dogs");
  EXPECT_EQ(plan.kind, "dogs120");
  EXPECT_EQ(plan.classes, (std::vector<std::string>{"n02085620-Chihuahua", "n02110806-basenji"}));
  EXPECT_EQ(plan.splits, (std::vector<std::string>{"train", "test"}));
  EXPECT_EQ(plan.published, (std::vector<std::int64_t>{12000, 8580}));
  ASSERT_EQ(plan.images.size(), 6U);
  EXPECT_EQ(plan.images[1].file, "Images/n02085620-Chihuahua/n02085620_12.jpg");
  EXPECT_EQ(plan.images[1].target, "train/n02085620-Chihuahua/n02085620_12.jpg");
  EXPECT_EQ(plan.images[2].label, 1);
  EXPECT_EQ(plan.images[5].split, "test");
  const auto box = [](const PlannedImage& image) {
    return std::array{image.box->x, image.box->y, image.box->width, image.box->height};
  };
  EXPECT_EQ(box(plan.images[0]), (std::array<double, 4>{3, 4, 17, 14}));
  EXPECT_EQ(box(plan.images[3]), (std::array<double, 4>{1, 4, 19, 23})) << "around both dogs";
  EXPECT_FALSE(plan_of(folder, "dogs", false).images[0].box.has_value());
}

TEST(PlanDogs120, PrefersTheListsAsPublished) {
  const TempFolder folder;
  write_dogs(folder, "dogs");
  const std::string lists = std::string(CONCORD_SOURCE_DIR) + "/tests/data/mat/";
  folder.put("dogs/train_list.mat", read_file(lists + "compressed.mat"));
  folder.put("dogs/test_list.mat", read_file(lists + "other.mat"));
  const ImagePlan plan = plan_of(folder, "dogs", false);
  EXPECT_EQ(plan.classes,
            (std::vector<std::string>{"n02085620-Chihuahua", "n02085782-Japanese_spaniel",
                                      "n02110806-basenji"}));
  ASSERT_EQ(plan.images.size(), 12U);
  EXPECT_EQ(plan.images[8].target, "train/n02110806-basenji/n02110806_10074.jpg");
  EXPECT_EQ(plan.images[9].target, "test/n02110806-basenji/other_1.jpg");
  EXPECT_EQ(plan.images[9].label, 2);

  folder.put("dogs/test_list.mat", read_file(lists + "unicode.mat"));
  expect_error([&] { plan_of(folder, "dogs", false); }, {"test_list.mat", "entry 3", "'a'"});
  folder.put("dogs/test_list.mat", read_file(lists + "list.mat"));
  expect_error([&] { plan_of(folder, "dogs", false); },
               {"test_list.mat", "entry 1", "listed twice"});
  std::filesystem::remove(folder / "dogs/test_list.mat");
  expect_error([&] { plan_of(folder, "dogs", false); }, {"test_list.mat", "no such file"});
}

TEST(PlanDogs120, NamesFileAndEntryOfWhatIsWrong) {
  const auto fails = [](const std::string& file, const std::string& text,
                        const std::vector<std::string>& parts) {
    const TempFolder folder;
    write_dogs(folder, "dogs");
    folder.put("dogs/" + file, text);
    expect_error([&] { plan_of(folder, "dogs"); }, parts);
  };
  fails("train_list.txt", "", {"train_list.txt", "names no image"});
  fails("train_list.txt", "a/b.jpg c\n", {"train_list.txt:1", "2 fields"});
  fails("train_list.txt", "../x/b.jpg\n", {"train_list.txt", "entry 1", "'../x/b.jpg'"});
  fails("train_list.txt", "b.jpg\n", {"'b.jpg' is not BREED/NAME"});
  fails("train_list.txt", "a/b/c.jpg\n", {"'a/b/c.jpg'"});
  fails("train_list.txt", "a/b.jpg\na/b.jpg\n", {"entry 2", "a/b.jpg is listed twice"});
  fails("train_list.txt", "a/b.jpg\n", {"Annotation/a/b", "no such annotation", "--no-crop"});
  fails("Annotation/n02110806-basenji/n02110806_7", "<annotation/>",
        {"n02110806_7", "annotates no object"});
  fails("Annotation/n02110806-basenji/n02110806_7", annotation_of({{"dog", {"5", "1", "1", "1"}}}),
        {"n02110806_7", "object 1", "ends before it begins"});
  const TempFolder folder;
  folder.put("none/readme", "x");
  expect_error([&] { plan_of(folder, "none"); }, {"none", "train_list.mat", "Stanford Dogs"});
}

TEST(PlanDogs120, IsPrepared) {
  const TempFolder folder;
  write_dogs(folder, "dogs");
  const FileSource source(folder / "dogs");
  const PrepareReport report = prepare({&source}, plan_dogs120(source), folder / "out", {});
  EXPECT_EQ(report.totals, (std::vector<std::int64_t>{4, 2}));
  const Image cropped = load_image(folder / "out/train/n02110806-basenji/n02110806_12.jpg");
  EXPECT_EQ(cropped.width, 19);
  EXPECT_EQ(cropped.height, 23);
}

TEST(PlanDogs120, ReadsTheRealSample) {
  CONCORD_NEEDS_SHARED_DATA(data);
  const ImagePlan plan = plan_dogs120(FileSource(data / "StanfordDogs"));
  EXPECT_EQ(plan.classes.size(), 20U);
  EXPECT_EQ(plan.images.size(), 400U);
  EXPECT_EQ(std::count_if(plan.images.begin(), plan.images.end(),
                          [](const PlannedImage& image) { return image.split == "train"; }),
            200);
}

}  // namespace
}  // namespace concord::test
