#include "data/manifest.h"

#include "data/image_folder.h"
#include "tests/data/support.h"
#include "tests/expect_error.h"

namespace concord::test {
namespace {

// Two classes: a has 2 and 1 images, b has 1 and 1.
void write_folder(const TempFolder& folder, const std::string& manifest) {
  for (const char* name :
       {"d/train/a/1.jpg", "d/train/a/2.jpg", "d/train/b/1.jpg", "d/val/a/3.jpg", "d/val/b/3.jpg"})
    folder.put(name, "x");
  folder.put("d/manifest.json", manifest);
}

constexpr const char* kTrue =
    R"({"kind": "synthetic", "version": "0", "classes": {"a": {"train": 2, "val": 1},
        "b": {"train": 1, "val": 1}}, "groups": {"second": {"first": 1, "count": 1},
        "first": {"first": 0, "count": 1}}})";

void fails(const std::string& manifest, const std::vector<std::string>& parts) {
  const TempFolder folder;
  write_folder(folder, manifest);
  expect_error([&] { read_image_folder(folder / "d"); }, parts);
}

TEST(ApplyManifest, AgreesAndGivesGroups) {
  const TempFolder folder;
  write_folder(folder, kTrue);
  const ImageFolder read = read_image_folder(folder / "d");
  for (const ImageSet* set : {&read.train, &*read.validation}) {
    ASSERT_EQ(set->groups.size(), 2U);
    EXPECT_EQ(set->groups[0].name, "first");
    EXPECT_EQ(set->groups[1].name, "second");
    EXPECT_EQ(set->groups[1].first, 1);
    EXPECT_EQ(set->groups[1].count, 1);
  }
}

TEST(ApplyManifest, NoticesEveryChange) {
  const auto fails_after = [](auto change, const std::vector<std::string>& parts) {
    const TempFolder folder;
    write_folder(folder, kTrue);
    change(folder);
    expect_error([&] { read_image_folder(folder / "d"); }, parts);
  };
  namespace fs = std::filesystem;
  fails_after([](const TempFolder& f) { fs::remove(f / "d/train/a/2.jpg"); },
              {"class a has 1 images in train", "manifest.json says 2", "prepare the folder again",
               "delete manifest.json"});
  fails_after([](const TempFolder& f) { f.put("d/val/b/4.jpg", "x"); },
              {"class b has 2 images in val", "says 1"});
  fails_after(
      [](const TempFolder& f) {
        f.put("d/train/c/1.jpg", "x");
        f.put("d/val/c/1.jpg", "x");
      },
      {"manifest.json", "knows no class c"});
  fails_after(
      [](const TempFolder& f) {
        fs::remove_all(f / "d/train/b");
        fs::remove_all(f / "d/val/b");
      },
      {"class b is missing from train"});
}

TEST(ApplyManifest, NamesABrokenManifest) {
  fails("", {"manifest.json", "no JSON"});
  fails("{", {"manifest.json", "no JSON"});
  const std::string head = R"({"kind": "cub200", "version": "0")";
  fails(head + "}", {"names no classes"});
  fails(head + R"(, "classes": [1]})", {"names no classes"});
  fails(head + R"(, "classes": {"a": 2, "b": 1}})", {"class a is no object"});
  fails(head + R"(, "classes": {"a": {"val": 2}, "b": {}}})", {"no count of class a in train"});
  fails(head + R"(, "classes": {"a": {"train": -2}, "b": {}}})", {"no count of class a in train"});
  fails(head + R"(, "classes": {"a": {"train": "2"}, "b": {}}})", {"no count of class a"});
  std::string groups = kTrue;
  groups.replace(groups.find("\"first\": 1"), 10, "\"first\": 2");
  fails(groups, {"group second", "not within 2 classes"});
  groups = kTrue;
  fails(groups.replace(groups.find("{\"first\": 1, \"count\": 1}"), 24, "7"),
        {"group second is no object"});
}

TEST(ApplyManifest, PassesOverThoseOfOtherPrograms) {
  for (const char* manifest : {"[]", "{}", "3", R"({"kind": "web app", "classes": 5})"}) {
    const TempFolder folder;
    write_folder(folder, manifest);
    EXPECT_EQ(read_image_folder(folder / "d").train.samples.size(), 3U) << manifest;
  }
}

}  // namespace
}  // namespace concord::test
