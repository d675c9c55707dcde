#include "data/files.h"

#include <unistd.h>

#include <atomic>
#include <mutex>

#include "data/staging_folder.h"
#include "data/workers.h"
#include "tests/data/support.h"
#include "tests/expect_error.h"

namespace concord::test {
namespace {

namespace fs = std::filesystem;

TEST(WriteFile, ReplacesAtOnceAndCleansUp) {
  const TempFolder folder;
  write_file(folder / "a.txt", std::string("one"));
  write_file(folder / "a.txt", std::string("two"));
  EXPECT_EQ(read_file(folder / "a.txt"), (std::vector<std::uint8_t>{'t', 'w', 'o'}));
  fs::create_directories(folder / "dir/inside");
  expect_error([&] { write_file(folder / "dir", std::string("x")); }, {"dir", "failed"});
  expect_error([&] { write_file(folder / "none/a.txt", std::string("x")); }, {"none/a.txt"});
  std::size_t entries = 0;
  for ([[maybe_unused]] const auto& entry : fs::directory_iterator(folder.path())) ++entries;
  EXPECT_EQ(entries, 2U) << "no temporary file is left";
}

TEST(WriteFile, ReportsAFullDisk) {
  if (!fs::exists("/dev/full")) GTEST_SKIP() << "/dev/full is absent";
  const TempFolder folder;
  // The temporary name of the file leads to the device that is always full.
  fs::create_symlink("/dev/full", folder / fmt::format("a.txt.{}.tmp", ::getpid()));
  expect_error([&] { write_file(folder / "a.txt", std::string(100000, 'x')); },
               {"a.txt", "No space left"});
  EXPECT_FALSE(fs::exists(folder / "a.txt"));
}

TEST(StagingFolder, AppearsOnCommitOnly) {
  const TempFolder folder;
  {
    StagingFolder staging(folder / "x/y/out/", false);
    write_file(staging.path() / "f", std::string("1"));
    EXPECT_FALSE(fs::exists(folder / "x/y/out"));
  }
  EXPECT_TRUE(fs::is_empty(folder.path())) << "parents it made are gone as well";
  {
    StagingFolder staging(folder / "x/y/out/", false);
    write_file(staging.path() / "f", std::string("1"));
    staging.commit();
  }
  EXPECT_TRUE(fs::exists(folder / "x/y/out/f"));
  EXPECT_EQ(contents(folder.path()).size(), 1U);
}

TEST(StagingFolder, RefusesFilesAndFullFolders) {
  const TempFolder folder;
  folder.put("file", "x");
  folder.put("full/data", "x");
  fs::create_directories(folder / "empty");
  expect_error([&] { StagingFolder(folder / "file", true); }, {"file", "not a folder"});
  expect_error([&] { StagingFolder(folder / "full", false); }, {"full", "not empty", "--force"});
  expect_error([&] { StagingFolder(folder / "full", true); }, {"full", "manifest.json"});
  expect_error([&] { StagingFolder(folder / "file/below", false); }, {"file"});
  StagingFolder staging(folder / "empty", false);
  staging.commit();
  EXPECT_TRUE(fs::is_empty(folder / "empty"));
}

TEST(ForEachItem, VisitsEveryItemOnce) {
  for (const int threads : {0, 1, 4, 50}) {
    std::vector<std::atomic<int>> visits(23);
    std::int64_t last = -1;
    for_each_item(
        23, threads, [&](std::int64_t i) { ++visits[static_cast<std::size_t>(i)]; },
        [&](std::int64_t done, std::int64_t total) {
          EXPECT_EQ(total, 23);
          EXPECT_GE(done, last);
          last = done;
        });
    for (const auto& count : visits) EXPECT_EQ(count, 1);
    EXPECT_EQ(last, 23);
  }
  for_each_item(0, 2, [](std::int64_t) { FAIL(); });
}

TEST(ForEachItem, StopsAtTheFirstError) {
  std::atomic<int> begun = 0;
  expect_error(
      [&] {
        for_each_item(100000, 3, [&](std::int64_t i) {
          ++begun;
          if (i == 10) fail("item {}", i);
        });
      },
      {"item 10"});
  EXPECT_LT(begun, 100000);
}

}  // namespace
}  // namespace concord::test
