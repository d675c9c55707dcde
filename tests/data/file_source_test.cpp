#include "data/file_source.h"

#include <atomic>
#include <mutex>

#include "data/published_files.h"
#include "data/sha256.h"
#include "tests/data/archive_support.h"
#include "tests/data/support.h"
#include "tests/expect_error.h"

namespace concord::test {
namespace {

namespace fs = std::filesystem;

// images, lists and a hidden file, as a folder and packed in every way.
std::vector<fs::path> make_sources(const TempFolder& folder) {
  folder.put("plain/set/list.txt", "1 a\n");
  folder.put("plain/set/images/b.jpg", std::string(300'000, 'b'));
  folder.put("plain/set/images/a.jpg", "a");
  folder.put("plain/set/notes/c.xml", "<c/>");
  folder.put("plain/set/.hidden", "x");
  folder.put("plain/.git/config", "x");
  std::vector<fs::path> sources{folder / "plain"};
  const auto entries = entries_of(folder / "plain");
  for (const auto& [name, packing] :
       {std::pair{"s.tar", Packing::kTar}, {"s.tgz", Packing::kGzip}, {"s.zip", Packing::kZip}}) {
    write_archive(folder / name, entries, packing);
    sources.push_back(folder / name);
  }
  // In parts, as the archives of Stanford Dogs are.
  fs::create_directories(folder / "parts");
  std::vector<TestEntry> images, others;
  for (const TestEntry& entry : entries)
    (entry.name.find("images") == std::string::npos ? others : images).push_back(entry);
  write_archive(folder / "parts/pictures.tar", images);
  write_archive(folder / "parts/lists.tgz", others, Packing::kGzip);
  folder.put("parts/readme.txt", "not an archive");
  folder.put("parts/more.tar.partial", "still being fetched");
  sources.push_back(folder / "parts");
  return sources;
}

TEST(FileSource, IsTheSameFromFoldersAndArchives) {
  const TempFolder folder;
  for (const fs::path& location : make_sources(folder)) {
    const FileSource source(location);
    EXPECT_EQ(source.files(), (std::vector<std::string>{"set/images/a.jpg", "set/images/b.jpg",
                                                        "set/list.txt", "set/notes/c.xml"}))
        << location;
    EXPECT_TRUE(source.contains("set/list.txt"));
    EXPECT_FALSE(source.contains("list.txt"));
    EXPECT_EQ(source.find_root({"list.txt"}), "set/");
    EXPECT_EQ(source.find_root({"images/", "notes/"}), "set/");
    EXPECT_EQ(source.find_root({"set/"}), "");
    EXPECT_EQ(source.find_root({"mages/"}), std::nullopt);
    EXPECT_EQ(source.find_root({"list.txt", "missing.txt"}), std::nullopt);
    EXPECT_EQ(source.read("set/images/b.jpg").size(), 300'000U);
    const auto some = source.read_where(
        [](const std::string& name) { return name.ends_with("l") || name.ends_with("t"); });
    EXPECT_EQ(some.size(), 2U);
    EXPECT_EQ(some.at("set/list.txt"), (std::vector<std::uint8_t>{'1', ' ', 'a', '\n'}));
    expect_error([&] { source.read("set/none.jpg"); }, {"set/none.jpg: no such file"});
    EXPECT_NE(source.name_of("set/list.txt").find("set/list.txt"), std::string::npos);
    EXPECT_EQ(source.identity(), FileSource(location).identity());
    EXPECT_TRUE(source.warnings().empty());
  }
}

TEST(FileSource, CallsForEachFileOnce) {
  const TempFolder folder;
  for (const fs::path& location : make_sources(folder)) {
    const FileSource source(location);
    const std::vector<std::string> files{"set/images/b.jpg", "set/none.jpg", "set/images/a.jpg"};
    for (const int threads : {1, 3}) {
      std::vector<std::atomic<int>> calls(3);
      std::int64_t last = 0;
      source.for_each(
          files, threads,
          [&](std::size_t i, const FileBytes& file) {
            ++calls[i];
            if (i == 1)
              EXPECT_NE(file.problem.find("set/none.jpg: no such file"), std::string::npos)
                  << file.problem;
            else
              EXPECT_EQ(file.problem, "");
            EXPECT_EQ(file.bytes.size(), i == 0 ? 300'000U : i == 1 ? 0U : 1U);
          },
          [&](std::int64_t done, std::int64_t total) {
            EXPECT_EQ(total, 3);
            last = done;
          });
      for (const auto& count : calls) EXPECT_EQ(count, 1) << location;
      EXPECT_EQ(last, 3);
    }
    expect_error(
        [&] { source.for_each(files, 2, [](std::size_t, const FileBytes&) { fail("enough"); }); },
        {"enough"});
  }
}

TEST(FileSource, StopsWhereAnArchiveEnds) {
  const TempFolder folder;
  std::vector<TestEntry> entries;
  std::vector<std::string> files;
  for (int i = 0; i < 40; ++i) {
    entries.push_back({.name = std::to_string(i) + ".jpg", .text = std::string(5'000'000, 'a')});
    files.push_back(entries.back().name);
  }
  write_archive(folder / "s.tar", entries);
  const FileSource source(folder / "s.tar");
  // More than wait in memory: the unpacking thread is stopped while it waits for room.
  std::atomic<int> begun = 0;
  expect_error(
      [&] {
        source.for_each(files, 2, [&](std::size_t, const FileBytes&) {
          if (++begun == 3) fail("the third");
        });
      },
      {"the third"});
  EXPECT_LT(begun, 8);
  // Damaged after it was listed: the worker's error is the archive's.
  std::string bytes = read_bytes(folder / "s.tar");
  const auto time = fs::last_write_time(folder / "s.tar");
  bytes.replace(5'120'000 * 5, 2'000'000, 2'000'000, '!');
  write_bytes(folder / "s.tar", bytes);
  expect_error([&] { source.for_each(files, 2, [](std::size_t, const FileBytes&) {}); },
               {"s.tar", "was changed"});
  fs::last_write_time(folder / "s.tar", time);
  fs::resize_file(folder / "s.tar", 20'000'000);
  fs::last_write_time(folder / "s.tar", time);
  expect_error([&] { source.for_each(files, 2, [](std::size_t, const FileBytes&) {}); },
               {"s.tar", "cut short"});
}

TEST(FileSource, FindsTheRootHighestUp) {
  const TempFolder folder;
  folder.put("x/deep/set/list.txt", "");
  folder.put("x/set/list.txt", "");
  folder.put("x/set/list.txt.old/other", "");
  folder.put("x/list.txt.old", "");
  EXPECT_EQ(FileSource(folder / "x").find_root({"list.txt"}), "set/");
  EXPECT_EQ(FileSource(folder / "x").find_root({"set/"}), "");
}

TEST(FileSource, RefusesLocationsThatAreNone) {
  const TempFolder folder;
  expect_error([&] { FileSource(folder / "none"); }, {"none", "no such folder"});
  folder.put("text.txt", "no archive, but long enough to be one of something");
  expect_error([&] { FileSource(folder / "text.txt"); }, {"text.txt", "no archive"});
  expect_error([&] { FileSource("/dev/null"); }, {"/dev/null"});
  folder.put("many/a", "");
  folder.put("many/b", "");
  expect_error([&] { FileSource(folder / "many", {.limits = {.entries = 1}}); },
               {"many", "more than 1 files"});
  fs::create_directory_symlink(folder / "many", folder / "many/up");
  expect_error([&] { FileSource(folder / "many"); }, {"up", "lead back"});
  folder.put("big/a.jpg", std::string(2000, 'a'));
  expect_error([&] { FileSource(folder / "big", {.limits = {.entry_bytes = 1000}}).read("a.jpg"); },
               {"a.jpg", "2000 bytes"});
}

// A run with --download names the archives, the next one without it their folder.
TEST(FileSource, IsKnownByItsArchivesHoweverTheyAreNamed) {
  const TempFolder folder;
  make_sources(folder);
  const fs::path pictures = folder / "parts/pictures.tar", lists = folder / "parts/lists.tgz";
  const std::string identity = FileSource(folder / "parts").identity();
  EXPECT_EQ(FileSource({pictures, lists}).identity(), identity);
  EXPECT_EQ(FileSource({lists, pictures}).identity(), identity);
  EXPECT_NE(FileSource(pictures).identity(), identity);
  write_archive(pictures, {{.name = "set/images/a.jpg", .text = "another"}});
  EXPECT_NE(FileSource(folder / "parts").identity(), identity);
}

// Each is small; it is their number that would fill the memory.
TEST(FileSource, HoldsNoMoreTextThanAnyDataSetHas) {
  const TempFolder folder;
  for (int i = 0; i < 5; ++i) folder.put(fmt::format("set/{}.xml", i), std::string(300, 'x'));
  write_archive(folder / "set.tar", entries_of(folder / "set"));
  for (const char* location : {"set", "set.tar"}) {
    const auto read = [&](std::int64_t most) {
      return FileSource(folder / location, {.limits = {.text_bytes = most}})
          .read_where([](const std::string&) { return true; })
          .size();
    };
    EXPECT_EQ(read(1500), 5U);
    expect_error([&] { read(1499); }, {location, ".xml", "more than 1499 bytes together"});
  }
}

TEST(FileSource, RefusesTwoArchivesWithOneFile) {
  const TempFolder folder;
  fs::create_directories(folder / "s");
  write_archive(folder / "s/1.tar", {{.name = "a.jpg", .text = "1"}});
  write_archive(folder / "s/2.tar", {{.name = "a.jpg", .text = "2"}});
  expect_error([&] { FileSource(folder / "s"); }, {"2.tar", "a.jpg", "1.tar", "holds too"});
}

TEST(FileSource, ImagesInAnArchiveAreNotForDirectReading) {
  const TempFolder folder;
  write_archive(folder / "s.tar", {{.name = "a.jpg", .text = "1"}});
  expect_error([&] { FileSource(folder / "s.tar").path_of("a.jpg"); },
               {"a.jpg", "concord-prepare"});
}

// A file of a published name with another size, and, made as long as that one is, another content.
TEST(FileSource, ComparesArchivesWithThePublished) {
  const TempFolder folder;
  const fs::path file = folder / "lists.tar";
  write_archive(file, {{.name = "a.txt", .text = "1"}});
  const FileSource source(file);
  ASSERT_EQ(source.warnings().size(), 1U);
  EXPECT_NE(source.warnings()[0].find("lists.tar: has "), std::string::npos);
  EXPECT_NE(source.warnings()[0].find("481280"), std::string::npos) << source.warnings()[0];
  fs::resize_file(file, 481'280);  // a tar may end in any number of zeros
  expect_error([&] { FileSource{file}; },
               {"lists.tar: is not the published archive", sha256_of_file(file), "34b47cacd9a98b5d",
                "--no-checksums"});
  EXPECT_EQ(FileSource(file, {.checksums = false}).files().size(), 1U);
}

TEST(PublishedFiles, HaveWholeSums) {
  std::size_t count = 0;
  for (const char* set : {"cub200", "dogs120", "voc"})
    for (const PublishedFile& file : published_archives(set)) {
      EXPECT_EQ(file.sha256.size(), 64U) << file.name;
      EXPECT_EQ(file.sha256.find_first_not_of("0123456789abcdef"), std::string::npos);
      EXPECT_NE(file.url.find(file.name), std::string::npos);
      EXPECT_GT(file.bytes, 0);
      ++count;
    }
  EXPECT_EQ(count, 5U);
  expect_error([] { published_archives("mnist"); }, {"mnist", "cub200"});
  EXPECT_EQ(published_weights("resnet18").name, "resnet18-f37072fd.pth");
  for (const std::string& arch : published_architectures()) {
    const PublishedFile file = published_weights(arch);
    EXPECT_NE(file.name.find("-" + file.sha256 + ".pth"), std::string::npos) << file.name;
  }
  expect_error([] { published_weights("resnet7"); }, {"resnet7", "resnet18"});
}

}  // namespace
}  // namespace concord::test
