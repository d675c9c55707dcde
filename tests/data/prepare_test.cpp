#include "data/prepare.h"

#include <nlohmann/json.hpp>

#include "data/cub200.h"
#include "data/staging_folder.h"
#include "tests/data/archive_support.h"
#include "tests/data/support.h"
#include "tests/expect_error.h"

namespace concord::test {
namespace {

namespace fs = std::filesystem;

constexpr int kImages = 60;

// Two classes, half of each in train; the pictures have boxes.
ImagePlan small_set(const TempFolder& folder) {
  ImagePlan plan{
      .kind = "small", .classes = {"auk", "bee"}, .splits = {"train", "val"}, .images = {}};
  for (int i = 0; i < kImages; ++i) {
    const std::string file = fmt::format("set/{}.jpg", i);
    folder.put(file, encode_jpeg(numbered_image(60, 40, i)));
    const std::string split = i % 4 < 2 ? "train" : "val";
    plan.images.push_back({.file = fmt::format("{}.jpg", i),
                           .target = fmt::format("{}/{}/{}.jpg", split, plan.classes[i % 2], i),
                           .label = i % 2,
                           .split = split,
                           .box = BoundingBox{3.0, 2.0, 20.0 + i % 5, 30.0}});
  }
  return plan;
}

struct Outcome {
  PrepareReport report;
  std::vector<std::string> notices;
};

// Stops after `stop_at` files where that is given.
Outcome run(const TempFolder& folder, const ImagePlan& plan, const std::string& output,
            PrepareOptions options = {}, std::int64_t stop_at = -1) {
  const FileSource source(folder / "set");
  Outcome result;
  options.notice = [&](const std::string& text) { result.notices.push_back(text); };
  options.threads = 2;
  if (stop_at >= 0)
    options.progress = [=](std::int64_t done, std::int64_t) {
      if (done >= stop_at) fail("stopped");
    };
  result.report = prepare({&source}, plan, folder / output, options);
  return result;
}

// What a stopped run leaves, made certain: `keep` images and their lines in the journal.
void leave_unfinished(const TempFolder& folder, const ImagePlan& plan, std::size_t keep) {
  expect_error([&] { run(folder, plan, "out", {}, 0); }, {"stopped"});
  const fs::path partial = folder / ".out.partial";
  ASSERT_TRUE(fs::exists(partial / "record"));
  ASSERT_FALSE(fs::exists(folder / "out"));
  std::string journal = read_bytes(partial / "journal");
  // The one progress call may have come after any number of images.
  std::size_t at = 0;
  for (std::size_t lines = 0; lines < keep && at != std::string::npos; ++lines)
    at = journal.find('\n', at + 1);
  if (at != std::string::npos) write_bytes(partial / "journal", journal.substr(0, at));
}

TEST(Prepare, GoesOnWhereAStoppedRunWas) {
  const TempFolder folder;
  const ImagePlan plan = small_set(folder);
  run(folder, plan, "whole");
  leave_unfinished(folder, plan, 20);
  std::int64_t last = 0;
  const Outcome second =
      run(folder, plan, "out", {.progress = [&](std::int64_t done, std::int64_t total) {
            EXPECT_EQ(total, kImages) << "with those of the first run";
            last = done;
          }});
  EXPECT_EQ(last, kImages);
  EXPECT_GT(second.report.resumed, 0);
  EXPECT_LE(second.report.resumed, 20);
  ASSERT_EQ(second.notices.size(), 1U);
  EXPECT_NE(second.notices[0].find("going on"), std::string::npos) << second.notices[0];
  EXPECT_EQ(second.report.totals, (std::vector<std::int64_t>{30, 30}));
  EXPECT_EQ(contents(folder / "out"), contents(folder / "whole"));
  EXPECT_FALSE(fs::exists(folder / ".out.partial"));
}

TEST(Prepare, RedoesWhatIsNotWhole) {
  const TempFolder folder;
  const ImagePlan plan = small_set(folder);
  run(folder, plan, "whole");
  leave_unfinished(folder, plan, kImages);
  const fs::path partial = folder / ".out.partial";
  std::vector<fs::path> done;
  for (const auto& entry : fs::recursive_directory_iterator(partial / "files"))
    if (entry.is_regular_file()) done.push_back(entry.path());
  ASSERT_GE(done.size(), 4U);
  fs::resize_file(done[0], 100);
  std::string bytes = read_bytes(done[1]);
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
  write_bytes(done[1], bytes);
  fs::remove(done[2]);
  write_bytes(done[3].string() + ".12345.tmp", "what a killed process was writing");
  write_bytes(partial / "journal",
              read_bytes(partial / "journal") + "\n7 12 x\n99999 1 1 0 0 .\n3 14");
  const Outcome second = run(folder, plan, "out");
  EXPECT_EQ(second.report.resumed, static_cast<std::int64_t>(done.size()) - 3);
  EXPECT_EQ(contents(folder / "out"), contents(folder / "whole"));
}

TEST(Prepare, BeginsAnewWithOtherOptionsOrAnotherPlan) {
  const TempFolder folder;
  const ImagePlan plan = small_set(folder);
  run(folder, plan, "whole", {.quality = 80});
  leave_unfinished(folder, plan, 20);
  const Outcome other = run(folder, plan, "out", {.quality = 80});
  EXPECT_EQ(other.report.resumed, 0);
  ASSERT_EQ(other.notices.size(), 1U);
  EXPECT_NE(other.notices[0].find("beginning anew"), std::string::npos) << other.notices[0];
  EXPECT_EQ(contents(folder / "out"), contents(folder / "whole"));

  ImagePlan moved = plan;
  moved.images[50].box->x = 4.0;
  run(folder, moved, "moved");
  fs::remove_all(folder / "out");
  leave_unfinished(folder, plan, 20);
  EXPECT_EQ(run(folder, moved, "out").report.resumed, 0);
  EXPECT_EQ(contents(folder / "out"), contents(folder / "moved"));
}

TEST(Prepare, AFullDiskLeavesWhatIsDone) {
  const TempFolder folder;
  const ImagePlan plan = small_set(folder);
  leave_unfinished(folder, plan, kImages);
  const fs::path partial = folder / ".out.partial";
  fs::remove(partial / "journal");
  if (!fs::exists("/dev/full")) GTEST_SKIP() << "/dev/full is absent";
  fs::create_symlink("/dev/full", partial / "journal");
  expect_error([&] { run(folder, plan, "out"); }, {"journal", "No space left"});
  EXPECT_TRUE(fs::exists(partial / "record")) << "for the next run";
}

// An image that cannot be read ends a strict run, and one that leaves a class empty any run:
// neither takes away what was done before it.
TEST(Prepare, AnErrorLeavesWhatIsDone) {
  for (const bool strict : {true, false}) {
    SCOPED_TRACE(strict);
    const TempFolder folder;
    ImagePlan plan = small_set(folder);
    plan.classes.push_back("cat");
    for (const int i : {58, 59}) {
      plan.images[i].label = 2;
      plan.images[i].split = i == 58 ? "train" : "val";
      plan.images[i].target = fmt::format("{}/cat/{}.jpg", plan.images[i].split, i);
    }
    run(folder, plan, "whole");
    const std::string good = read_bytes(folder / "set/59.jpg");
    folder.put("set/59.jpg", "no picture");
    const std::vector<std::string> parts =
        strict ? std::vector<std::string>{"59.jpg", "neither JPEG nor PNG"}
               : std::vector<std::string>{"class cat", "0 readable validation"};
    expect_error([&] { run(folder, plan, "out", {.strict = strict}); }, parts);
    // Nor does the same error once more.
    expect_error([&] { run(folder, plan, "out", {.strict = strict}); }, parts);
    folder.put("set/59.jpg", good);
    const Outcome mended = run(folder, plan, "out", {.strict = strict});
    EXPECT_GE(mended.report.resumed, kImages - 10) << "all but what other threads had in hand";
    EXPECT_EQ(contents(folder / "out"), contents(folder / "whole"));
  }
}

TEST(Prepare, AnErrorBeforeTheFirstImageLeavesNothing) {
  const TempFolder folder;
  const ImagePlan plan = small_set(folder);
  for (int i = 0; i < kImages; ++i) folder.put(fmt::format("set/{}.jpg", i), "no picture");
  expect_error([&] { run(folder, plan, "out"); }, {"class auk has 0 readable training"});
  EXPECT_EQ(folder.listing(), (std::vector<std::string>{"set"}));
}

TEST(Prepare, OneFolderIsPreparedByOneRun) {
  const TempFolder folder;
  const ImagePlan plan = small_set(folder);
  const StagingFolder other(folder / "out", false, "somebody's");
  expect_error([&] { run(folder, plan, "out"); }, {"out", "another run"});
}

TEST(Prepare, LeavesWhatIsNotItsOwn) {
  const TempFolder folder;
  const ImagePlan plan = small_set(folder);
  folder.put(".out.partial/letter.txt", "dear");
  expect_error([&] { run(folder, plan, "out"); }, {".out.partial", "move it away"});
  EXPECT_EQ(read_bytes(folder / ".out.partial/letter.txt"), "dear");
}

TEST(Prepare, CutsSeveralImagesFromOneFileAndReadsSeveralSources) {
  const TempFolder folder;
  small_set(folder);
  folder.put("other/0.jpg", encode_jpeg(numbered_image(50, 50, 99)));
  const FileSource first(folder / "set"), second(folder / "other");
  const ImagePlan plan{
      .kind = "both",
      .classes = {"a", "b", "c"},
      .splits = {"train", "val"},
      .images = {{"0.jpg", "train/a/0_1.jpg", 0, "train", BoundingBox{0, 0, 10, 10}},
                 {"0.jpg", "val/a/0_2.jpg", 0, "val", BoundingBox{20, 20, 12, 30}},
                 {"1.jpg", "train/b/1.jpg", 1, "train"},
                 {"1.jpg", "val/b/1.jpg", 1, "val", BoundingBox{-5, -5, 20, 20}},
                 {"0.jpg", "train/c/0.jpg", 2, "train", std::nullopt, 1},
                 {"0.jpg", "val/c/0.jpg", 2, "val", BoundingBox{0, 0, 7, 9}, 1}},
      .groups = {{"first", 0, 2}, {"second", 2, 1}},
      .published = {3, 4}};
  const PrepareReport report = prepare({&first, &second}, plan, folder / "out", {});
  EXPECT_EQ(report.images, (std::vector<std::vector<std::int64_t>>{{1, 1, 1}, {1, 1, 1}}));
  EXPECT_EQ(report.clipped, 2) << "20 + 30 is past 40, -5 before 0";
  EXPECT_EQ(report.copied, 2);
  EXPECT_EQ(load_image(folder / "out/val/a/0_2.jpg").height, 20);
  EXPECT_EQ(read_file(folder / "out/train/c/0.jpg"), read_file(folder / "other/0.jpg"));
  const auto manifest = nlohmann::json::parse(read_file(folder / "out/manifest.json"));
  EXPECT_EQ(manifest["groups"]["second"]["first"], 2);
  EXPECT_EQ(manifest["published"]["val"], 4);
  EXPECT_EQ(manifest["as_published"], false);
  EXPECT_EQ(manifest["sources"][1]["name"], "other");
  EXPECT_EQ(read_bytes(folder / "out/manifest.json").find(folder.path().string()),
            std::string::npos)
      << "where the sources lay is nobody's business";
}

TEST(Prepare, WritesSeveralLabelsOfAnImage) {
  const TempFolder folder;
  small_set(folder);
  const FileSource source(folder / "set");
  const ImagePlan plan{.kind = "multi",
                       .classes = {"a", "b", "c"},
                       .splits = {"train", "val"},
                       .images = {{"0.jpg", "train/0.jpg", -1, "train"},
                                  {"1.jpg", "train/1.jpg", -1, "train"},
                                  {"2.jpg", "val/2.jpg", -1, "val"}},
                       .multi_labels = {1, 0, 1, 0, 0, 0, 0, 1, 0}};
  const PrepareReport report = prepare({&source}, plan, folder / "out", {});
  EXPECT_EQ(report.images, (std::vector<std::vector<std::int64_t>>{{1, 0, 1}, {0, 1, 0}}));
  EXPECT_EQ(report.totals, (std::vector<std::int64_t>{2, 1}));
  const auto labels = nlohmann::json::parse(read_file(folder / "out/labels.json"));
  EXPECT_EQ(labels["classes"], (std::vector<std::string>{"a", "b", "c"}));
  EXPECT_EQ(labels["images"]["train/0.jpg"], (std::vector<int>{0, 2}));
  EXPECT_EQ(labels["images"]["train/1.jpg"], nlohmann::json::array());
  EXPECT_EQ(labels["images"]["val/2.jpg"], (std::vector<int>{1}));
}

TEST(Prepare, RefusesPlansThatLeadElsewhere) {
  const TempFolder folder;
  const ImagePlan plan = small_set(folder);
  const auto refused = [&](auto&& spoil, const std::vector<std::string>& parts) {
    ImagePlan spoilt = plan;
    spoil(spoilt);
    expect_error([&] { run(folder, spoilt, "out"); }, parts);
    EXPECT_EQ(folder.listing(), (std::vector<std::string>{"set"}));
  };
  refused([](ImagePlan& p) { p.images[0].target = "train/../../x.jpg"; },
          {"0.jpg", "train/../../x.jpg"});
  refused([](ImagePlan& p) { p.images[0].target = "/x.jpg"; }, {"0.jpg", "/x.jpg"});
  refused([](ImagePlan& p) { p.images[0].target = "val/auk/0.jpg"; },
          {"0.jpg", "not below train/"});
  refused([](ImagePlan& p) { p.images[0].target = p.images[4].target; },
          {"auk", "same file name 4.jpg"});
  refused([](ImagePlan& p) { p.images[0].label = 2; }, {"0.jpg", "label 2"});
  refused([](ImagePlan& p) { p.images[0].split = "dev"; }, {"0.jpg", "dev"});
  refused([](ImagePlan& p) { p.images[0].source = 1; }, {"0.jpg", "source 1"});
  refused([](ImagePlan& p) { p.classes[1] = "a/b"; }, {"a/b", "cannot name a folder"});
  // Reading a folder passes over what is hidden.
  refused([](ImagePlan& p) { p.classes[1] = ".bee"; }, {".bee", "cannot name a folder"});
  refused([](ImagePlan& p) { p.classes[1] = "bee\x1b[2J"; }, {"cannot name a folder"});
  refused([](ImagePlan& p) { p.images[0].target = "train/auk/.0.jpg"; }, {"0.jpg", "/.0.jpg"});
  refused([](ImagePlan& p) { p.images[0].target = "train/.auk/0.jpg"; }, {"0.jpg", ".auk"});
  refused([](ImagePlan& p) { p.images[0].target = "train/auk/0\n.jpg"; }, {"would be written"});
  refused([](ImagePlan& p) { p.classes[1] = "auk"; }, {"auk", "twice"});
  refused([](ImagePlan& p) { p.groups = {{"g", 1, 2}}; }, {"g", "2 classes from 1 on"});
  refused([](ImagePlan& p) { p.multi_labels = {1}; }, {"multi-labels"});
  refused([](ImagePlan& p) { p.images.clear(); }, {"no image"});
}

// The CUB-200-2011 layout from a folder and from archives: the same bytes.
TEST(Prepare, ArchivesGiveTheBytesOfTheFolder) {
  const TempFolder folder;
  folder.put("cub/classes.txt", "1 001.Auk\n2 002.Bee\n");
  std::string images, labels, split, boxes;
  for (int i = 1; i <= 24; ++i) {
    const std::string name = fmt::format("{}/{}.jpg", i % 2 == 1 ? "001.Auk" : "002.Bee", i);
    folder.put("cub/images/" + name, i == 24 ? encode_png(numbered_image(50, 40, i))
                                             : encode_jpeg(numbered_image(50, 40, i)));
    images += fmt::format("{} {}\n", i, name);
    labels += fmt::format("{} {}\n", i, 2 - i % 2);
    split += fmt::format("{} {}\n", i, i % 4 < 2 ? 1 : 0);
    boxes += fmt::format("{} {}.5 3 20 30\n", i, i);
  }
  folder.put("cub/images/001.Auk/5.jpg", "not a picture");
  fs::remove(folder / "cub/images/002.Bee/6.jpg");
  folder.put("cub/images.txt", images);
  folder.put("cub/image_class_labels.txt", labels);
  folder.put("cub/train_test_split.txt", split);
  folder.put("cub/bounding_boxes.txt", boxes);
  const auto made = [&](const fs::path& location, const std::string& output, int threads) {
    const FileSource source(location);
    const PrepareReport report =
        prepare({&source}, plan_cub200(source), folder / output, {.threads = threads});
    EXPECT_EQ(report.unreadable.size(), 2U);
    EXPECT_NE(report.unreadable[0].find("001.Auk/5.jpg: neither JPEG nor PNG"), std::string::npos);
    EXPECT_NE(report.unreadable[1].find("002.Bee/6.jpg: no such file"), std::string::npos)
        << report.unreadable[1];
    EXPECT_EQ(read_bytes(folder / output / "manifest.json").find(folder.path().string()),
              std::string::npos)
        << "where the source lies is nobody's business";
    fs::remove(folder / output / "manifest.json");  // it states the source
    return contents(folder / output);
  };
  const auto expected = made(folder / "cub", "from_folder", 2);
  EXPECT_EQ(expected.size(), 22U);
  const auto entries = entries_of(folder / "cub", "CUB_200_2011/");
  int number = 0;
  for (const Packing packing : {Packing::kTar, Packing::kGzip, Packing::kXz, Packing::kZip}) {
    write_archive(folder / "cub.archive", entries, packing);
    ++number;
    EXPECT_EQ(made(folder / "cub.archive", fmt::format("from_{}", number), number % 3), expected);
  }
}

}  // namespace
}  // namespace concord::test
