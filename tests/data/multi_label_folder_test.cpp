#include "data/multi_label_folder.h"

#include "data/image_folder.h"
#include "tests/data/support.h"
#include "tests/expect_error.h"

namespace concord::test {
namespace {

namespace fs = std::filesystem;

constexpr const char* kLabels =
    R"({"classes": ["zebra", "ant", "cow"], "images": {"train/images/b.jpg": [2, 0],
        "train/images/a.jpg": [1], "val/images/c.jpg": []}})";

void write_folder(const TempFolder& folder, const std::string& labels) {
  for (const char* name : {"d/train/images/b.jpg", "d/train/images/a.jpg", "d/val/images/c.jpg"})
    folder.put(name, "x");
  folder.put("d/labels.json", labels);
}

TEST(ReadMultiLabelFolder, ReadsLabelsInTheOrderOfTheClasses) {
  const TempFolder folder;
  write_folder(folder, kLabels);
  const ImageFolder read = read_image_folder(folder / "d");
  EXPECT_EQ(read.train.classes, (std::vector<std::string>{"zebra", "ant", "cow"}));
  ASSERT_EQ(read.train.samples.size(), 2U);
  EXPECT_EQ(read.train.samples[0].path.filename(), "a.jpg");
  EXPECT_EQ(read.train.samples[0].label, -1);
  EXPECT_EQ(read.train.multi_labels, (std::vector<std::uint8_t>{0, 1, 0, 1, 0, 1}));
  EXPECT_EQ(read.train.name, "train");
  EXPECT_EQ(read.validation->name, "val");
  EXPECT_EQ(read.validation->multi_labels, (std::vector<std::uint8_t>{0, 0, 0}));
  fs::rename(folder / "d/val", folder / "d/test");
  expect_error([&] { read_image_folder(folder / "d"); },
               {"labels.json", "says nothing about test/images/c.jpg"});
}

TEST(ReadMultiLabelFolder, NamesFileAndEntryOfWhatIsWrong) {
  const auto fails = [](const std::string& from, const std::string& to,
                        std::vector<std::string> parts) {
    const TempFolder folder;
    std::string labels = kLabels;
    const std::size_t at = labels.find(from);
    ASSERT_NE(at, std::string::npos) << from;
    write_folder(folder, labels.replace(at, from.size(), to));
    parts.push_back("labels.json");
    expect_error([&] { read_image_folder(folder / "d"); }, parts);
  };
  fails(kLabels, "", {"no JSON object"});
  fails(kLabels, "[1]", {"no JSON object"});
  fails(kLabels, std::string(100'000, '['), {"no JSON object"});
  fails("\"classes\"", "\"other\"", {"no list of classes"});
  fails("[\"zebra\", \"ant\", \"cow\"]", "[]", {"no list of classes"});
  fails("\"ant\"", "7", {"class 1 is no name"});
  fails("\"ant\"", "\"\"", {"class 1 is no name"});
  fails("\"ant\"", "\"cow\"", {"class cow is given twice"});
  fails("\"images\"", "\"other\"", {"no object of images"});
  fails("[1]", "1", {"train/images/a.jpg", "no list"});
  fails("[1]", "[3]", {"train/images/a.jpg", "label 3 is not in 0..2"});
  fails("[1]", "[-1]", {"label -1 is not"});
  fails("[1]", "[1.0]", {"label 1.0 is not"});
  fails("[1]", "[\"cow\"]", {"\"cow\" is not"});
  fails("[2, 0]", "[2, 2]", {"train/images/b.jpg", "label 2 is given twice"});
  fails("train/images/a.jpg", "train/images/q.jpg", {"says nothing about train/images/a.jpg"});
  fails("{\"train", "{\"x.jpg\": [], \"train", {"x.jpg is listed and not there (1 such"});
  const TempFolder folder;
  write_folder(folder, kLabels);
  folder.put("d/train/more/a.jpg", "x");
  expect_error([&] { read_image_folder(folder / "d"); }, {"folder more", "only images/"});
  fs::remove_all(folder / "d/train");
  expect_error([&] { read_image_folder(folder / "d"); }, {"d/train", "no such folder"});
}

}  // namespace
}  // namespace concord::test
