#include "data/voc.h"

#include "data/image_folder.h"
#include "data/prepare.h"
#include "tests/data/published_sources.h"
#include "tests/expect_error.h"

namespace concord::test {
namespace {

using Names = std::vector<std::string>;

ImagePlan plan_of(const TempFolder& folder, VocTask task, const VocOptions& options = {}) {
  return plan_voc(FileSource(folder.path()), task, options);
}

Names targets(const ImagePlan& plan) {
  Names names;
  for (const PlannedImage& image : plan.images) names.push_back(image.target);
  return names;
}

TEST(PlanVoc, ClassesAreNumberedAsInTheOriginalExperiments) {
  const Names& classes = voc_classes();
  ASSERT_EQ(classes.size(), 20U);
  EXPECT_EQ(classes[0], "cow");
  EXPECT_EQ(classes[4], "tvmonitor");
  EXPECT_EQ(classes[11], "train");
  EXPECT_EQ(classes[19], "car");
  Names animals;
  for (const std::size_t label : {0, 2, 5, 6, 7, 13}) animals.push_back(classes[label]);
  EXPECT_EQ(voc_animals(), animals);
}

TEST(PlanVoc, EveryObjectThatIsNotDifficultIsASample) {
  const TempFolder folder;
  write_voc(folder, "VOCdevkit/VOC2012");
  const ImagePlan plan = plan_of(folder, VocTask::kCrop);
  EXPECT_EQ(plan.kind, "voc-crop");
  EXPECT_EQ(plan.classes, (Names{"00.cow", "07.dog", "10.person"})) << "the sofa is difficult";
  EXPECT_EQ(targets(plan),
            (Names{"train/10.person/2008_000001_01.jpg", "train/00.cow/2008_000001_02.jpg",
                   "train/07.dog/2008_000002_01.jpg", "train/00.cow/2008_000003_01.jpg",
                   "train/00.cow/2008_000003_03.jpg", "val/07.dog/2008_000010_01.jpg",
                   "val/10.person/2008_000010_02.jpg", "val/00.cow/2008_000010_03.jpg"}));
  EXPECT_EQ(plan.images[0].label, 2);
  EXPECT_EQ(plan.images[0].file, "VOCdevkit/VOC2012/JPEGImages/2008_000001.jpg");
  EXPECT_EQ(plan.images[1].box->x, 10);
  EXPECT_EQ(plan.images[1].box->width, 29.5);
  EXPECT_EQ(plan.published, (std::vector<std::int64_t>{13609, 13841}));
  EXPECT_FALSE(plan_of(folder, VocTask::kCrop, {.boxes = false, .classes = {}}).images[0].box);
}

TEST(PlanVoc, AnimalsKeepTheNamesTheyHaveAmongTheTwenty) {
  const TempFolder folder;
  write_voc(folder, "voc");
  const ImagePlan plan = plan_of(folder, VocTask::kAnimals);
  EXPECT_EQ(plan.kind, "voc-animals");
  EXPECT_EQ(plan.classes, (Names{"00.cow", "07.dog"}));
  EXPECT_EQ(targets(plan),
            (Names{"train/00.cow/2008_000001_02.jpg", "train/07.dog/2008_000002_01.jpg",
                   "train/00.cow/2008_000003_01.jpg", "train/00.cow/2008_000003_03.jpg",
                   "val/07.dog/2008_000010_01.jpg", "val/00.cow/2008_000010_03.jpg"}));
  EXPECT_EQ(plan.images[1].label, 1);
  EXPECT_EQ(plan.published, (std::vector<std::int64_t>{2961, 3001}));
}

TEST(PlanVoc, TheMultiLabelTaskKeepsWholeImages) {
  const TempFolder folder;
  write_voc(folder, "voc");
  const ImagePlan plan = plan_of(folder, VocTask::kMultiLabel);
  ASSERT_EQ(plan.images.size(), 5U);
  EXPECT_EQ(plan.images[3].target, "val/images/2008_000010.jpg");
  EXPECT_EQ(plan.images[3].label, -1);
  EXPECT_FALSE(plan.images[3].box);
  ASSERT_EQ(plan.classes.size(), 20U);
  ASSERT_EQ(plan.multi_labels.size(), 100U);
  std::vector<std::vector<int>> shown(5);
  for (std::size_t i = 0; i < 100; ++i)
    if (plan.multi_labels[i] != 0) shown[i / 20].push_back(static_cast<int>(i % 20));
  EXPECT_EQ(shown, (std::vector<std::vector<int>>{{0, 10}, {7}, {0}, {0, 7, 10}, {}}));
  EXPECT_EQ(plan.published, (std::vector<std::int64_t>{5717, 5823}));
}

TEST(PlanVoc, TakesClassesOfItsOwnInTheirOrder) {
  const TempFolder folder;
  write_voc(folder, "voc");
  const VocOptions options{.boxes = true, .classes = {"sofa", "person", "dog", "cow"}};
  const ImagePlan plan = plan_of(folder, VocTask::kCrop, options);
  EXPECT_EQ(plan.classes, (Names{"01.person", "02.dog", "03.cow"}));
  EXPECT_TRUE(plan.published.empty());
  expect_error([&] { plan_of(folder, VocTask::kAnimals, options); }, {"voc-animals"});
  expect_error(
      [&] {
        plan_of(folder, VocTask::kCrop, {.boxes = true, .classes = {"a", "a"}});
      },
      {"class a is given twice"});
  expect_error([&] { plan_of(folder, VocTask::kCrop, {.boxes = true, .classes = {"../a"}}); },
               {"'../a' cannot name a class"});
}

TEST(PlanVoc, NamesFileAndEntryOfWhatIsWrong) {
  const auto fails = [](const std::string& file, const std::string& text,
                        const std::vector<std::string>& parts) {
    for (const VocTask task : {VocTask::kCrop, VocTask::kAnimals, VocTask::kMultiLabel}) {
      const TempFolder folder;
      write_voc(folder, "voc");
      folder.put("voc/" + file, text);
      expect_error([&] { plan_of(folder, task); }, parts);
    }
  };
  fails("Annotations/2008_000002.xml", annotation_of({{"raccoon"}}),
        {"2008_000002.xml", "class raccoon", "none of cow, aeroplane", "--class-names"});
  fails("Annotations/2008_000002.xml", "<annotation>", {"2008_000002.xml", "not XML"});
  fails("Annotations/2008_000011.xml", annotation_of({{"cow", {"9", "1", "2", "2"}}}),
        {"2008_000011.xml", "object 1", "ends before"});
  fails("ImageSets/Main/val.txt", "2008_000010\n2008_000001\n",
        {"val.txt:2", "2008_000001 is listed twice"});
  fails("ImageSets/Main/val.txt", "2008_000099\n",
        {"Annotations/2008_000099.xml", "no such annotation", "val.txt"});
  fails("ImageSets/Main/train.txt", "../2008_000001\n", {"train.txt:1", "cannot name an image"});
  fails("ImageSets/Main/train.txt", "2008_000001 1\n", {"train.txt:1", "2 fields"});
  fails("ImageSets/Main/train.txt", "\n", {"train.txt", "names no image"});
  const TempFolder folder;
  folder.put("JPEGImages/a.jpg", "x");
  expect_error([&] { plan_of(folder, VocTask::kCrop); }, {"ImageSets/Main", "Pascal VOC"});
}

TEST(PlanVoc, IsPrepared) {
  const TempFolder folder;
  write_voc(folder, "voc");
  const FileSource source(folder / "voc");
  const PrepareReport report =
      prepare({&source}, plan_voc(source, VocTask::kCrop), folder / "out", {});
  EXPECT_EQ(report.totals, (std::vector<std::int64_t>{5, 3}));
  EXPECT_EQ(report.images[0], (std::vector<std::int64_t>{3, 1, 1}));
  EXPECT_EQ(load_image(folder / "out/train/00.cow/2008_000003_03.jpg").width, 5);
  EXPECT_EQ(read_image_folder(folder / "out").train.classes,
            (Names{"00.cow", "07.dog", "10.person"}));
}

TEST(PlanVoc, ReadsTheRealSample) {
  CONCORD_NEEDS_SHARED_DATA(data);
  const FileSource source(data / "VOC");
  expect_error([&] { plan_voc(source, VocTask::kCrop); }, {"class raccoon", "--class-names"});
  const ImagePlan plan = plan_voc(source, VocTask::kCrop, {.boxes = true, .classes = {"raccoon"}});
  EXPECT_EQ(plan.classes, (Names{"00.raccoon"}));
  EXPECT_EQ(plan.images.size(), 217U) << "as many as <object> in its annotations";
}

}  // namespace
}  // namespace concord::test
