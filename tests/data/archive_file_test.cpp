// Archives that are not what they should be: each is an Error with the archive's and the entry's
// name.

#include "data/archive_file.h"

#include <random>

#include "data/sha256.h"
#include "tests/data/archive_support.h"
#include "tests/data/support.h"
#include "tests/expect_error.h"

namespace concord::test {
namespace {

namespace fs = std::filesystem;

constexpr Packing kAll[] = {Packing::kTar,  Packing::kGzip,  Packing::kXz,
                            Packing::kZstd, Packing::kBzip2, Packing::kZip};

std::map<std::string, std::string> read_all(const fs::path& file,
                                            const SourceOptions& options = {}) {
  const ArchiveFile archive(file, options, false);
  std::map<std::string, std::string> texts;
  archive.read([](const std::string&) { return true; },
               [&](const std::string& name, std::vector<std::uint8_t> bytes) {
                 texts[name] = {bytes.begin(), bytes.end()};
                 return true;
               });
  return texts;
}

std::string noise(std::size_t size) {
  std::mt19937 random(7);
  std::string text(size, '\0');
  for (char& c : text) c = static_cast<char>(random());
  return text;
}

void expect_refused(const std::vector<TestEntry>& entries, const std::vector<std::string>& parts,
                    const SourceOptions& options = {}, Packing packing = Packing::kTar) {
  const TempFolder folder;
  write_archive(folder / "set.archive", entries, packing);
  auto words = parts;
  words.emplace_back("set.archive: ");
  expect_error([&] { read_all(folder / "set.archive", options); }, words);
}

TEST(ArchiveFile, ReadsEveryKindByItsContent) {
  const TempFolder folder;
  const std::string picture = noise(1'200'000);
  for (const Packing packing : kAll) {
    // The name says nothing.
    const fs::path file = folder / "data.bin";
    write_archive(file,
                  {{.name = "set/", .type = AE_IFDIR},
                   {.name = "set/list.txt", .text = "one\n"},
                   {.name = "./set//b.jpg", .text = picture},
                   {.name = "set/empty.jpg"},
                   {.name = "set/._b.jpg", .text = "what a Mac leaves"},
                   {.name = "set/\xC3\xA9t\xC3\xA9.txt", .text = "UTF-8"}},
                  packing);
    const auto texts = read_all(file);
    EXPECT_EQ(texts.size(), 4U);
    EXPECT_EQ(texts.at("set/list.txt"), "one\n");
    EXPECT_TRUE(texts.at("set/b.jpg") == picture);
    EXPECT_EQ(texts.at("set/empty.jpg"), "");
    EXPECT_EQ(texts.at("set/\xC3\xA9t\xC3\xA9.txt"), "UTF-8");
    const ArchiveFile archive(file, {}, true);
    EXPECT_EQ(archive.files(),
              (std::vector<std::string>{"set/list.txt", "set/b.jpg", "set/empty.jpg",
                                        "set/\xC3\xA9t\xC3\xA9.txt"}));
    EXPECT_EQ(archive.sha256(), sha256_of_file(file)) << "of the file, taken in the same pass";
    EXPECT_EQ(archive.bytes(), static_cast<std::int64_t>(fs::file_size(file)));
  }
}

TEST(ArchiveFile, RefusesNamesThatLeadElsewhere) {
  expect_refused({{.name = "/etc/passwd", .text = "x"}}, {"/etc/passwd", "absolute"});
  expect_refused({{.name = "a/../../b.jpg", .text = "x"}}, {"a/../../b.jpg", "leads out"});
  expect_refused({{.name = "..", .type = AE_IFDIR}}, {"leads out"});
  expect_refused({{.name = "./.", .text = "x"}}, {"without a name"});
  expect_refused({{.name = ".", .text = "x"}}, {"without a name"});
  expect_refused({{.name = "a\x1B[2J.jpg", .text = "x"}}, {"a\\u001b[2J.jpg", "no text"});
  expect_refused({{.name = "a\nb.jpg", .text = "x"}}, {"a\\nb.jpg", "no text"});
  expect_refused({{.name = "a\xFF.jpg", .text = "x"}}, {"no text"});
  expect_refused({{.name = std::string(2000, 'a'), .text = "x"}}, {"longer"});
}

TEST(ArchiveFile, RefusesWhatIsNeitherFileNorFolder) {
  const TestEntry file{.name = "a.jpg", .text = "x"};
  expect_refused({file, {.name = "b.jpg", .type = AE_IFLNK, .link = "/etc/passwd"}},
                 {"b.jpg", "a symbolic link"});
  expect_refused({file, {.name = "b.jpg", .hard = "a.jpg"}}, {"b.jpg", "a hard link"});
  expect_refused({file, {.name = "b.jpg", .type = AE_IFCHR}}, {"b.jpg", "a device"});
  expect_refused({file, {.name = "b.jpg", .type = AE_IFIFO}}, {"b.jpg", "a named pipe"});
  expect_refused({file, {.name = "b.jpg", .type = AE_IFLNK, .link = "a.jpg"}},
                 {"b.jpg", "a symbolic link"}, {}, Packing::kZip);
}

TEST(ArchiveFile, RefusesEntriesThatAreThereTwice) {
  expect_refused({{.name = "x/a.txt", .text = "1"}, {.name = "./x/a.txt", .text = "2"}},
                 {"x/a.txt", "twice"});
}

TEST(ArchiveFile, RefusesBombs) {
  const std::string zeros(std::size_t{8} << 20, '\0');
  for (const Packing packing :
       {Packing::kGzip, Packing::kXz, Packing::kZstd, Packing::kBzip2, Packing::kZip})
    expect_refused({{.name = "a.jpg", .text = zeros}}, {"more than 200 times its size"}, {},
                   packing);
  // Within what is skipped rather than read, and behind the end of the archive proper.
  const TempFolder folder;
  const fs::path file = folder / "tail.tar";
  write_archive(file, {{.name = "a.jpg", .text = "x"}});
  write_bytes(file, read_bytes(file) + zeros);
  ASSERT_EQ(std::system(("gzip -9 " + file.string()).c_str()), 0);
  expect_error([&] { read_all(folder / "tail.tar.gz"); }, {"tail.tar.gz: ", "200 times"});

  expect_refused({{.name = "a.jpg", .text = std::string(2000, 'a')}},
                 {"a.jpg", "2000 bytes", "1000"}, {.limits = {.entry_bytes = 1000}});
  expect_refused({{.name = "a.jpg", .text = noise(900)}, {.name = "b.jpg", .text = noise(900)}},
                 {"b.jpg", "more than 1000 bytes"}, {.limits = {.total_bytes = 1000}});
  expect_refused({{.name = "a"}, {.name = "b"}, {.name = "c"}}, {"more than 2 entries"},
                 {.limits = {.entries = 2}});
}

TEST(ArchiveFile, RefusesWhatIsNoArchive) {
  const TempFolder folder;
  const auto refused = [&](const std::string& bytes, const std::string& part) {
    write_bytes(folder / "set.tgz", bytes);
    expect_error([&] { read_all(folder / "set.tgz"); }, {"set.tgz: ", part});
  };
  refused("", "");
  refused("just a text, longer than a magic number", "no archive of a known kind");
  refused(noise(5000), "no archive of a known kind");
  refused(std::string(10240, '\0'), "holds no files");
  refused("\x1F\x8B", "");
  expect_error([&] { read_all(folder / "none"); }, {"none: "});
  // Compressed, but no archive within.
  write_bytes(folder / "text", "just a text");
  ASSERT_EQ(std::system(("gzip -k " + (folder / "text").string()).c_str()), 0);
  expect_error([&] { read_all(folder / "text.gz"); }, {"text.gz: ", "no archive of a known kind"});
}

TEST(ArchiveFile, NoticesEveryCut) {
  const TempFolder folder;
  for (const Packing packing : kAll) {
    const fs::path whole = folder / "whole", cut = folder / "cut";
    write_archive(whole,
                  {{.name = "a.jpg", .text = noise(1500)}, {.name = "b.jpg", .text = noise(700)}},
                  packing);
    const std::string bytes = read_bytes(whole);
    const auto expected = read_all(whole);
    int read = 0;
    for (std::size_t size = 0; size < bytes.size(); size += 97) {
      write_bytes(cut, bytes.substr(0, size));
      try {
        EXPECT_EQ(read_all(cut), expected) << "cut to " << size << " of " << bytes.size();
        ++read;
      } catch (const Error& error) {
        EXPECT_NE(std::string(error.what()).find("cut: "), std::string::npos) << error.what();
      }
    }
    // Only of a plain tar's zeros at the end may some be missing.
    if (packing == Packing::kTar)
      EXPECT_LT(read, 80);
    else
      EXPECT_LE(read, 1);
  }
  // Between two entries.
  write_archive(folder / "set.tar",
                {{.name = "a.jpg", .text = noise(512)}, {.name = "b.jpg", .text = "b"}});
  write_bytes(folder / "set.tar", read_bytes(folder / "set.tar").substr(0, 1024));
  expect_error([&] { read_all(folder / "set.tar"); }, {"set.tar: is cut short", "a.jpg"});
}

TEST(ArchiveFile, NoticesDamageThatTheCompressionsSumsShow) {
  const TempFolder folder;
  for (const Packing packing :
       {Packing::kStoredGzip, Packing::kXz, Packing::kBzip2, Packing::kZip}) {
    write_archive(folder / "set", {{.name = "a.jpg", .text = noise(5000)}}, packing);
    std::string bytes = read_bytes(folder / "set");
    // In the middle of the picture.
    bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 0x10);
    write_bytes(folder / "set", bytes);
    expect_error([&] { read_all(folder / "set"); }, {"set: ", "damaged"});
  }
}

TEST(ArchiveFile, SurvivesAnyChangedByte) {
  const TempFolder folder;
  std::mt19937 random(11);
  for (const Packing packing : kAll) {
    write_archive(
        folder / "whole",
        {{.name = "x/a.jpg", .text = noise(900)}, {.name = "x/list.txt", .text = "1 2\n"}},
        packing);
    const std::string bytes = read_bytes(folder / "whole");
    int refused = 0;
    for (int i = 0; i < 150; ++i) {
      std::string changed = bytes;
      for (int j = 0; j < 1 + i % 4; ++j)
        changed[random() % std::min<std::size_t>(changed.size(), 3000)] =
            static_cast<char>(random());
      write_bytes(folder / "changed", changed);
      try {
        read_all(folder / "changed");
      } catch (const Error& error) {
        ++refused;
        EXPECT_NE(std::string(error.what()).find("changed: "), std::string::npos) << error.what();
      }
    }
    EXPECT_GT(refused, 0);
  }
}

TEST(ArchiveFile, NoticesAZipWhoseSizesLie) {
  const TempFolder folder;
  write_archive(folder / "set.zip", {{.name = "a.jpg", .text = std::string(5000, 'a')}},
                Packing::kZip);
  std::string bytes = read_bytes(folder / "set.zip");
  // Wherever the size stands: the local header's follow-up and the central directory.
  const std::string size{'\x88', '\x13', 0, 0};
  int changed = 0;
  for (std::size_t at = bytes.find(size); at != std::string::npos; at = bytes.find(size, at + 4)) {
    bytes[at + 1] = 1;
    ++changed;
  }
  ASSERT_GT(changed, 0);
  write_bytes(folder / "set.zip", bytes);
  expect_error([&] { read_all(folder / "set.zip"); }, {"set.zip: its entry a.jpg"});
}

}  // namespace
}  // namespace concord::test
