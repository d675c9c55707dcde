#include "data/staging_folder.h"

#include "tests/data/support.h"
#include "tests/expect_error.h"

namespace concord::test {
namespace {

namespace fs = std::filesystem;

void fill(const StagingFolder& staging, const std::string& text) {
  write_file(staging.path() / "manifest.json", text);
}

// What is there when a process dies between the two renames that replace a folder.
void leave_half_replaced(const TempFolder& folder) {
  folder.put("out/manifest.json", "old");
  {
    StagingFolder staging(folder / "out", true, "record");
    fill(staging, "new");
    staging.keep();
  }
  fs::rename(folder / "out", folder / ".out.partial/old");
}

TEST(StagingFolder, PutsTheOldFolderBackThatAKilledRunHadSetAside) {
  const TempFolder folder;
  leave_half_replaced(folder);
  // The same record and another, and errors of the run that comes next.
  for (const char* record : {"record", "another"}) {
    { const StagingFolder staging(folder / "out", true, record); }
    EXPECT_EQ(read_bytes(folder / "out/manifest.json"), "old");
    EXPECT_FALSE(fs::exists(folder / ".out.partial/old"));
    fs::remove_all(folder / "out");
    leave_half_replaced(folder);
  }
  expect_error([&] { StagingFolder(folder / "out", false, "record"); }, {"out", "--force"});
  EXPECT_EQ(read_bytes(folder / "out/manifest.json"), "old") << "is there, and not replaced";

  StagingFolder staging(folder / "out", true, "record");
  EXPECT_EQ(staging.found(), StagingFolder::Found::kSameRecord);
  EXPECT_EQ(read_bytes(staging.path() / "manifest.json"), "new");
  staging.commit();
  EXPECT_EQ(folder.listing(), (std::vector<std::string>{"out"}));
  EXPECT_EQ(read_bytes(folder / "out/manifest.json"), "new");
}

TEST(StagingFolder, IsDoneWithAFolderThatWasReplaced) {
  const TempFolder folder;
  leave_half_replaced(folder);
  fs::rename(folder / ".out.partial/files", folder / "out");  // the second of the renames
  StagingFolder staging(folder / "out", true, "record");
  EXPECT_FALSE(fs::exists(folder / ".out.partial/old"));
  fill(staging, "newer");
  staging.commit();
  EXPECT_EQ(read_bytes(folder / "out/manifest.json"), "newer");
  EXPECT_EQ(folder.listing(), (std::vector<std::string>{"out"}));
}

}  // namespace
}  // namespace concord::test
