#include "data/image_folder.h"

#include "tests/data/support.h"
#include "tests/expect_error.h"

namespace concord::test {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> names(const ImageSet& set) {
  std::vector<std::string> list;
  for (const ImageSample& sample : set.samples)
    list.push_back(fs::relative(sample.path, set.root).string());
  return list;
}

TEST(ReadClassFolder, SortsByBytesAndKnowsExtensionsInAnyCase) {
  const TempFolder folder;
  for (const char* name : {"b/2.JPG", "b/10.jpeg", "b/1.PnG", "a/z.jpg", "a/Y.JPEG", "B/x.png",
                           "a/notes.txt", "a/.hidden.jpg", ".git/x.jpg"})
    folder.put(name, "x");
  const ImageSet set = read_class_folder(folder.path());
  EXPECT_EQ(set.classes, (std::vector<std::string>{"B", "a", "b"}));
  EXPECT_EQ(names(set), (std::vector<std::string>{"B/x.png", "a/Y.JPEG", "a/z.jpg", "b/1.PnG",
                                                  "b/10.jpeg", "b/2.JPG"}));
  EXPECT_EQ(set.samples[0].label, 0);
  EXPECT_EQ(set.samples[2].label, 1);
  EXPECT_EQ(set.samples[5].label, 2);
  EXPECT_EQ(set.ignored_files, 1);
}

TEST(ReadImageFolder, PrefersValOverTest) {
  const TempFolder folder;
  for (const char* name : {"train/a/1.jpg", "train/b/1.jpg", "test/a/1.jpg", "test/b/1.jpg"})
    folder.put(name, "x");
  EXPECT_EQ(read_image_folder(folder.path()).validation->name, "test");
  folder.put("val/a/2.jpg", "x");
  folder.put("val/b/2.jpg", "x");
  const ImageFolder read = read_image_folder(folder.path());
  EXPECT_EQ(read.train.name, "train");
  EXPECT_EQ(read.validation->name, "val");
  EXPECT_EQ(names(*read.validation), (std::vector<std::string>{"a/2.jpg", "b/2.jpg"}));
}

TEST(ReadImageFolder, TakesClassFoldersAlone) {
  const TempFolder folder;
  folder.put("cats/1.jpg", "x");
  folder.put("dogs/1.jpg", "x");
  const ImageFolder read = read_image_folder(folder.path());
  EXPECT_FALSE(read.validation.has_value());
  EXPECT_EQ(read.train.name, "all");
  EXPECT_EQ(read.train.samples.size(), 2U);
}

TEST(ReadImageFolder, ExplainsWhatIsWrong) {
  const TempFolder folder;
  const auto fails = [&](const std::string& name, const std::vector<std::string>& parts) {
    expect_error([&] { read_image_folder(folder / name); }, parts);
  };
  fails("missing", {"missing", "no such folder"});
  fs::create_directories(folder / "empty");
  fails("empty", {"empty", "no class folders", "train/ and val/"});
  folder.put("archive.tgz", "x");
  fails("archive.tgz", {"archive.tgz", "not a folder", "unpacked"});
  folder.put("flat/1.jpg", "x");
  fails("flat", {"flat", "no class folders", "only 1 files"});

  folder.put("hole/train/a/1.jpg", "x");
  fs::create_directories(folder / "hole/train/b");
  fs::create_directories(folder / "hole/val");
  fails("hole", {"hole/train/b", "no images", "empty"});
  folder.put("hole/train/b/readme.webp", "x");
  fails("hole", {"hole/train/b", "no images", "readme.webp"});

  folder.put("half/train/a/1.jpg", "x");
  fails("half", {"half", "train/ but neither val/ nor test/"});
  folder.put("other/val/a/1.jpg", "x");
  fails("other", {"other", "val/ but no train/"});

  folder.put("differ/train/a/1.jpg", "x");
  folder.put("differ/train/b/1.jpg", "x");
  folder.put("differ/val/a/1.jpg", "x");
  fails("differ", {"differ/val", "no class folder b", "1 of the 2"});
  folder.put("differ/val/b/1.jpg", "x");
  folder.put("differ/val/c/1.jpg", "x");
  fails("differ", {"differ/train", "no class folder c"});

  folder.put("deep/a/b/1.jpg", "x");
  fails("deep", {"deep/a", "holds the folder b"});
}

TEST(ReadImageFolder, SendsPublishedLayoutsToPrepare) {
  const TempFolder folder;
  folder.put("cub/images.txt", "1 a/b.jpg\n");
  folder.put("cub/images/a/b.jpg", "x");
  expect_error([&] { read_image_folder(folder / "cub"); },
               {"CUB-200-2011", "give cub200:", "concord-prepare cub200 --source"});
  CONCORD_NEEDS_SHARED_DATA(data);
  expect_error([&] { read_image_folder(data / "CUB_200_2011"); }, {"concord-prepare cub200"});
  expect_error([&] { read_image_folder(data / "StanfordDogs"); },
               {"Stanford Dogs", "dogs120:", "concord-prepare dogs120"});
  expect_error([&] { read_image_folder(data / "VOC"); },
               {"Pascal VOC", "voc-crop:", "voc-multilabel", "concord-prepare voc-crop"});
}

TEST(ReadImageFolder, SaysThatThePartsOfASplitAreDataSets) {
  const TempFolder folder;
  for (const char* image : {"a/train/auk/1.jpg", "a/val/auk/2.jpg", "b/train/auk/3.jpg"})
    folder.put(image, "x");
  expect_error([&] { read_image_folder(folder.path()); },
               {"/a: is no class folder but a data set", "instead of " + folder.path().string()});
}

}  // namespace
}  // namespace concord::test
