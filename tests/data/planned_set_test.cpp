// Published data sets read as they lie, and prepared: the same samples, the pixels of the crops.

#include "data/planned_set.h"

#include "data/cub200.h"
#include "data/dogs120.h"
#include "data/image_folder.h"
#include "data/loader.h"
#include "data/mix320.h"
#include "data/prepare.h"
#include "data/resize.h"
#include "data/voc.h"
#include "tests/data/archive_support.h"
#include "tests/data/published_sources.h"
#include "tests/expect_error.h"

namespace concord::test {
namespace {

void expect_same_samples(const ImageSet& direct, const ImageSet& prepared,
                         const std::filesystem::path& out) {
  EXPECT_EQ(direct.name, prepared.name);
  EXPECT_EQ(direct.classes, prepared.classes);
  EXPECT_EQ(direct.multi_labels, prepared.multi_labels);
  ASSERT_EQ(direct.samples.size(), prepared.samples.size());
  for (std::size_t i = 0; i < direct.samples.size(); ++i) {
    EXPECT_EQ(direct.samples[i].label, prepared.samples[i].label) << i;
    EXPECT_EQ(direct.samples[i].name, name_of_sample(prepared.samples[i], out)) << i;
    const Image one = load_sample(direct.samples[i]), other = load_sample(prepared.samples[i]);
    EXPECT_EQ(one.width, other.width);
    EXPECT_EQ(one.height, other.height);
    // The prepared file went through JPEG once more, at quality 95.
    double difference = 0;
    for (std::size_t at = 0; at < one.rgb.size(); ++at)
      difference += std::abs(int{one.rgb[at]} - int{other.rgb[at]});
    EXPECT_LT(difference / static_cast<double>(one.rgb.size()), 3.0) << direct.samples[i].name;
  }
  ASSERT_EQ(direct.groups.size(), prepared.groups.size());
  for (std::size_t i = 0; i < direct.groups.size(); ++i) {
    EXPECT_EQ(direct.groups[i].name, prepared.groups[i].name);
    EXPECT_EQ(direct.groups[i].first, prepared.groups[i].first);
    EXPECT_EQ(direct.groups[i].count, prepared.groups[i].count);
  }
}

void expect_same_folders(const ImagePlan& plan, const std::vector<const FileSource*>& sources,
                         const std::string& data, const TempFolder& folder) {
  SCOPED_TRACE(data);
  const auto out = folder / ("out-" + plan.kind);
  prepare(sources, plan, out, {});
  const ImageFolder direct = read_images(data), prepared = read_images(out.string());
  expect_same_samples(direct.train, prepared.train, out);
  expect_same_samples(*direct.validation, *prepared.validation, out);
}

TEST(ReadImages, GivesTheSamplesOfThePreparedFolder) {
  const TempFolder folder;
  write_birds(folder, "cub");
  write_dogs(folder, "dogs");
  write_voc(folder, "VOCdevkit/VOC2012");
  const FileSource birds(folder / "cub"), dogs(folder / "dogs"), voc(folder / "VOCdevkit");
  const std::string root = folder.path().string();
  expect_same_folders(plan_cub200(birds), {&birds}, "cub200:" + root + "/cub", folder);
  expect_same_folders(plan_dogs120(dogs), {&dogs}, "dogs120:" + root + "/dogs", folder);
  for (const auto& [task, kind] : {std::pair{VocTask::kCrop, "voc-crop"},
                                   {VocTask::kAnimals, "voc-animals"},
                                   {VocTask::kMultiLabel, "voc-multilabel"}})
    expect_same_folders(plan_voc(voc, task), {&voc}, std::string(kind) + ":" + root + "/VOCdevkit",
                        folder);
  expect_same_folders(plan_mix320(plan_cub200(birds), plan_dogs120(dogs)), {&birds, &dogs},
                      "mix320:" + root + "/cub," + root + "/dogs", folder);
}

TEST(ReadImages, TheLoaderGivesThePixelsOfTheCrops) {
  const TempFolder folder;
  write_birds(folder, "cub");
  const ImageSet set = read_images("cub200:" + (folder / "cub").string()).train;
  ASSERT_EQ(set.samples.size(), 2U);
  LoaderOptions options;
  options.image_size = 8;
  Loader loader(set, options);
  loader.start(0);
  Batch batch;
  ASSERT_TRUE(loader.next(batch));
  const auto pixels = batch.images.to_vector<float>();
  // Boxes "1.5 2.0 20.0 15.0" and "3.5 2.0 20.0 15.0": Pillow's crop((1, 2, 21, 17)), ((3, 2, 23,
  // 17)).
  for (const std::size_t i : {0, 1}) {
    const int left = i == 0 ? 1 : 3;
    const Image image =
        resize_bilinear(crop(load_image(set.samples[i].path), left, 2, left + 20, 17), 8, 8);
    for (std::size_t c = 0; c < 3; ++c)
      for (std::size_t p = 0; p < 64; ++p)
        ASSERT_NEAR(pixels[(i * 3 + c) * 64 + p],
                    (image.rgb[p * 3 + c] / 255.0 - kImageNetMean[c]) / double{kImageNetStd[c]},
                    2e-6);
  }
}

TEST(ReadImages, SaysWhatIsWrong) {
  const TempFolder folder;
  write_voc(folder, "voc");
  const std::string root = folder.path().string();
  expect_error([&] { read_images("cub200:"); }, {"cub200:", "names no folder"});
  expect_error([&] { read_images("cub200:" + root + "/none"); }, {"/none", "no such"});
  write_archive(folder / "voc.tar", entries_of(folder / "voc"));
  expect_error([&] { read_images("voc-crop:" + root + "/voc.tar"); }, {"voc.tar", "prepare"});
  // Without looking into it.
  folder.put("bad.tar", "damaged");
  expect_error([&] { read_images("cub200:" + root + "/bad.tar"); }, {"bad.tar", "prepare"});
  expect_error([&] { read_images("mix320:" + root + "/voc," + root + "/bad.tar"); },
               {"bad.tar", "prepare"});
  expect_error([&] { read_images("dogs120:" + root + "/voc"); }, {"/voc", "Stanford Dogs"});
  expect_error([&] { read_images("mix320:" + root); }, {"mix320:", "CUB_FOLDER,DOGS_FOLDER"});
  expect_error([&] { read_images("voc-all:" + root + "/voc"); }, {"voc-all:", "no such folder"});
  // A sofa in the validation images alone.
  folder.put("voc/Annotations/2008_000011.xml", annotation_of({{"sofa"}}));
  expect_error([&] { read_images("voc-crop:" + root + "/voc"); },
               {"class 14.sofa has no image in train"});
  // A missing picture is the loader's affair, which leaves it out.
  std::filesystem::remove(folder / "voc/JPEGImages/2008_000010.jpg");
  EXPECT_EQ(read_images("voc-multilabel:" + root + "/voc").validation->samples.size(), 2U);
}

TEST(ReadImages, TellsOfOtherCountsThanThePublished) {
  const TempFolder folder;
  write_birds(folder, "cub");
  write_dogs(folder, "dogs");
  const std::string root = folder.path().string();
  std::vector<std::string> said;
  const auto warn = [&](const std::string& what) { said.push_back(what); };
  read_images("cub200:" + root + "/cub", warn);
  ASSERT_EQ(said.size(), 2U);
  EXPECT_NE(said[0].find("/cub: train has 2 images where 5994 are published"), std::string::npos);
  EXPECT_NE(said[1].find("/cub: test has 2 images where 5794 are published"), std::string::npos);
  said.clear();
  read_images("mix320:" + root + "/cub," + root + "/dogs", warn);
  ASSERT_EQ(said.size(), 2U);
  EXPECT_NE(said[0].find("train has 6 images where 17994 are published"), std::string::npos);
}

// The folder of a development kit, in which several years lie.
TEST(ReadImages, RefusesTwoDataSetsInOneFolder) {
  const TempFolder folder;
  write_voc(folder, "kit/VOC2007");
  write_voc(folder, "kit/VOC2012");
  const std::string kit = "voc-crop:" + (folder / "kit").string();
  expect_error([&] { read_images(kit); }, {"/kit: holds a data set in", "VOC2007/", "VOC2012/"});
  EXPECT_EQ(read_images(kit + "/VOC2012").train.samples.size(), 5U);
  // One that lies nearer is meant.
  write_voc(folder, "kit");
  EXPECT_EQ(read_images(kit).train.samples[0].path.parent_path(), folder / "kit/JPEGImages");
}

TEST(PlanMix320, PutsBirdsBeforeDogs) {
  const TempFolder folder;
  write_birds(folder, "cub");
  write_dogs(folder, "dogs");
  const ImagePlan birds = plan_cub200(FileSource(folder / "cub"));
  const ImagePlan dogs = plan_dogs120(FileSource(folder / "dogs"));
  const ImagePlan mix = plan_mix320(birds, dogs);
  EXPECT_EQ(mix.kind, "mix320");
  EXPECT_EQ(mix.classes, (std::vector<std::string>{"001.Auk", "002.Bee_eater",
                                                   "n02085620-Chihuahua", "n02110806-basenji"}));
  EXPECT_EQ(mix.published, (std::vector<std::int64_t>{17994, 14374})) << "the sums";
  ASSERT_EQ(mix.images.size(), 10U);
  EXPECT_EQ(mix.images[0].label, 0) << "001.Auk, the second of classes.txt";
  EXPECT_EQ(mix.images[0].source, 0U);
  EXPECT_EQ(mix.images[4].label, 2) << "the birds and breed 0";
  EXPECT_EQ(mix.images[4].source, 1U);
  ASSERT_EQ(mix.groups.size(), 2U);
  EXPECT_EQ(mix.groups[0].name, "birds");
  EXPECT_EQ(mix.groups[0].count, 2);
  EXPECT_EQ(mix.groups[1].first, 2);
}

TEST(PlanMix320, NamesKeepTheOrderWhateverTheyAre) {
  const TempFolder folder;
  write_birds(folder, "cub", "auk", "pelican");
  write_dogs(folder, "dogs");
  const ImagePlan mix = plan_mix320(plan_cub200(FileSource(folder / "cub")),
                                    plan_dogs120(FileSource(folder / "dogs")));
  EXPECT_EQ(mix.classes,
            (std::vector<std::string>{"birds.auk", "birds.pelican", "dogs.n02085620-Chihuahua",
                                      "dogs.n02110806-basenji"}));
  EXPECT_TRUE(std::is_sorted(mix.classes.begin(), mix.classes.end()));
  EXPECT_EQ(mix.images[0].target, "train/birds.auk/bird_1.jpg");
  const ImagePlan voc = {.kind = "v",
                         .classes = {"a"},
                         .splits = {"train", "val"},
                         .images = {{.file = "f", .target = "val/a/f", .split = "val"}}};
  expect_error([&] { plan_mix320(mix, voc); }, {"source 1 where there are 1"});
  expect_error([&] { plan_mix320(plan_cub200(FileSource(folder / "cub")), voc); },
               {"mix320", "other splits"});
}

}  // namespace
}  // namespace concord::test
