#include "tools/reproduce/content_hashes.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/expect_error.h"
#include "tests/temporary_folder.h"

namespace concord::reproduce {
namespace {

namespace fs = std::filesystem;
using test::TemporaryFolder;
using test::write_bytes;

std::string hash_of(const fs::path& path, Records records = Records::kCounted) {
  return ContentHashes("/nowhere").of(path, records).hash;
}

// An hour ago: long enough for the file's times to tell of every later change.
void make_old(const fs::path& file) {
  timespec times[2] = {};
  ::clock_gettime(CLOCK_REALTIME, &times[0]);
  times[0].tv_sec -= 3600;
  times[1] = times[0];
  ASSERT_EQ(::utimensat(AT_FDCWD, file.c_str(), times, 0), 0);
}

TEST(ContentHashes, KnownDigestOfAFile) {
  const TemporaryFolder folder;
  write_bytes(folder / "abc", "abc");
  EXPECT_EQ(hash_of(folder / "abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");  // FIPS 180-2
  EXPECT_EQ(hash_of(folder / "not there"), kAbsent);
}

TEST(ContentHashes, AFolderIsItsNamesAndContents) {
  const TemporaryFolder folder;
  const auto fill = [&](const std::string& root, const std::string& name,
                        const std::string& bytes) {
    fs::create_directories((folder / root / name).parent_path());
    write_bytes(folder / root / name, bytes);
  };
  for (const char* root : {"a", "b"}) {
    fill(root, "x/1", "one");
    fill(root, "2", "two");
  }
  const std::string a = hash_of(folder / "a");
  EXPECT_EQ(a, hash_of(folder / "b")) << "wherever it lies";
  EXPECT_EQ(ContentHashes("/nowhere").of(folder / "a", Records::kCounted).files, 2);
  EXPECT_EQ(ContentHashes("/nowhere").of(folder / "a", Records::kCounted).bytes, 6U);
  fill("b", "2", "owt");
  EXPECT_NE(a, hash_of(folder / "b")) << "another content";
  fill("b", "2", "two");
  EXPECT_EQ(a, hash_of(folder / "b"));
  fs::rename(folder / "b" / "2", folder / "b" / "3");
  EXPECT_NE(a, hash_of(folder / "b")) << "another name";
  fs::rename(folder / "b" / "3", folder / "b" / "2");
  fill("b", "2.77.tmp", "half a file");
  EXPECT_EQ(a, hash_of(folder / "b")) << "what is being written does not count";
  fill("b", "metrics.jsonl", "{}");
  EXPECT_NE(a, hash_of(folder / "b"));
  EXPECT_EQ(a, hash_of(folder / "b", Records::kLeftOut));
}

TEST(ContentHashes, FoldersInEachOtherByLinks) {
  const TemporaryFolder folder;
  fs::create_directories(folder / "a");
  fs::create_directory_symlink(folder / "a", folder / "a" / "again");
  test::expect_error([&] { hash_of(folder / "a"); }, {(folder / "a").string()});
}

TEST(ContentHashes, ReadsWhatWasTouchedAndNothingElse) {
  const TemporaryFolder folder;
  const fs::path file = folder / "file";
  write_bytes(file, "first");
  make_old(file);
  std::vector<std::string> read;
  const auto hash = [&] {
    ContentHashes hashes(folder / "hashes");
    read.clear();
    hashes.set_watch([&](const fs::path& path) { read.push_back(path.filename().string()); });
    const std::string result = hashes.of(file, Records::kCounted).hash;
    hashes.save();
    return result;
  };
  const std::string first = hash();
  EXPECT_EQ(read.size(), 1U);
  // Its inode changed a moment ago, when its times were set: not to be trusted yet.
  EXPECT_EQ(hash(), first);
  EXPECT_EQ(read.size(), 1U);
  ::usleep(2'100'000);
  hash();
  EXPECT_EQ(read.size(), 1U);
  EXPECT_EQ(hash(), first);
  EXPECT_EQ(read.size(), 0U) << "untouched since it was read";
  // The same size and time of modification: the inode's own time tells.
  write_bytes(file, "again");
  make_old(file);
  EXPECT_NE(hash(), first);
  EXPECT_EQ(read.size(), 1U);
}

TEST(ContentHashes, DamagedMemoryIsForgotten) {
  const TemporaryFolder folder;
  write_bytes(folder / "file", "abc");
  const std::string expected = hash_of(folder / "file");
  write_bytes(folder / "hashes", "x\n" + std::string(64, '0') + " 3 x 5 1 1 " +
                                     (folder / "file").string() + "\n\n" + std::string(200, 'f'));
  ContentHashes hashes(folder / "hashes");
  EXPECT_EQ(hashes.of(folder / "file", Records::kCounted).hash, expected);
}

}  // namespace
}  // namespace concord::reproduce
