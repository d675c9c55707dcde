// concord-prepare on published data sets as a user runs it: archives, runs that are killed,
// fetching.

#include <fmt/core.h>
#include <signal.h>

#include <chrono>
#include <nlohmann/json.hpp>

#include "data/files.h"
#include "data/synthetic.h"
#include "tests/data/archive_support.h"
#include "tests/data/http_server.h"
#include "tests/data/support.h"
#include "tests/tools/program_run.h"

namespace concord::test {
namespace {

// Photographs with boxes in the CUB-200-2011 layout.
void draw_cub(const fs::path& output, int per_class, int size) {
  SyntheticOptions options;
  options.layout = SyntheticLayout::kCub;
  options.classes = 4;
  options.train_per_class = per_class;
  options.val_per_class = per_class / 2;
  options.image_size = size;
  write_synthetic(output, options);
}

ProgramResult prepare_cub(const fs::path& source, const fs::path& output,
                          std::vector<std::string> more = {}, const ProgramLimits& limits = {}) {
  std::vector<std::string> words{"cub200", "--source", source.string(), "--output-dir",
                                 output.string()};
  words.insert(words.end(), more.begin(), more.end());
  return run_program("concord-prepare", words, limits);
}

TEST(ConcordPreparePublished, ReadsArchivesAndComparesWithThePublished) {
  const TempFolder folder;
  draw_cub(folder / "cub", 4, 64);
  ASSERT_EQ(prepare_cub(folder / "cub", folder / "from_folder", {"--quiet"}).code, 0);
  write_archive(folder / "CUB_200_2011.tgz", entries_of(folder / "cub", "CUB_200_2011/"),
                Packing::kGzip);
  const ProgramResult run = prepare_cub(folder / "CUB_200_2011.tgz", folder / "from_archive");
  ASSERT_EQ(run.code, 0) << run.err;
  EXPECT_NE(run.err.find("CUB_200_2011.tgz: has "), std::string::npos)
      << "another size: " << run.err;
  EXPECT_NE(run.err.find("train has 16 images where 5994 are published"), std::string::npos)
      << run.err;
  EXPECT_NE(run.err.find("test has 8 images where 5794 are published"), std::string::npos);
  EXPECT_NE(run.out.find("total"), std::string::npos);
  const auto manifest = nlohmann::json::parse(read_file(folder / "from_archive/manifest.json"));
  EXPECT_EQ(manifest["published"]["train"], 5994);
  EXPECT_EQ(manifest["as_published"], false);
  EXPECT_EQ(manifest["sources"][0]["archives"][0]["name"], "CUB_200_2011.tgz");
  for (const char* name : {"from_folder", "from_archive"})
    fs::remove(folder / name / "manifest.json");
  EXPECT_EQ(contents(folder / "from_archive"), contents(folder / "from_folder"));
}

TEST(ConcordPreparePublished, RefusesABadArchiveByName) {
  const TempFolder folder;
  draw_cub(folder / "cub", 2, 64);
  auto entries = entries_of(folder / "cub", "cub/");
  entries.push_back({.name = "../escape.jpg", .text = "x"});
  write_archive(folder / "cub.tar", entries);
  expect_failure(prepare_cub(folder / "cub.tar", folder / "out"), 1,
                 {"cub.tar: its entry ../escape.jpg", "leads out"});
  entries.back() = {.name = "cub/images/001.x/l.jpg", .type = AE_IFLNK, .link = "/etc/passwd"};
  write_archive(folder / "cub.tar", entries);
  expect_failure(prepare_cub(folder / "cub.tar", folder / "out"), 1,
                 {"cub.tar: its entry cub/images/001.x/l.jpg", "symbolic link"});
  entries.pop_back();
  write_archive(folder / "cub.tar", entries, Packing::kGzip);
  fs::resize_file(folder / "cub.tar", fs::file_size(folder / "cub.tar") * 2 / 3);
  expect_failure(prepare_cub(folder / "cub.tar", folder / "out"), 1, {"cub.tar: ends within"});
  EXPECT_EQ(folder.listing(), (std::vector<std::string>{"cub", "cub.tar"}));
}

TEST(ConcordPreparePublished, ArchivesBesideFoldersAreNamed) {
  const TempFolder folder;
  draw_cub(folder / "cub", 2, 64);
  fs::create_directories(folder / "downloads/other");
  write_archive(folder / "downloads/cub.tar", entries_of(folder / "cub", "cub/"));
  expect_failure(prepare_cub(folder / "downloads", folder / "out"), 1,
                 {"downloads: holds no images.txt", "cub.tar beside folders there was not read"});
  EXPECT_EQ(prepare_cub(folder / "downloads/cub.tar", folder / "out").code, 0);
}

// The run is killed in the middle: the next one goes on, and nobody could tell from the result.
TEST(ConcordPreparePublished, AKilledRunIsGoneOnWithToTheSameBytes) {
  const TempFolder folder;
  draw_cub(folder / "cub", 40, 200);
  write_archive(folder / "cub.tar", entries_of(folder / "cub", "cub/"));
  for (const char* source : {"cub", "cub.tar"}) {
    const std::string whole = std::string("whole_") + source, out = std::string("out_") + source;
    ASSERT_EQ(prepare_cub(folder / source, folder / whole).code, 0);
    const fs::path journal = folder / ("." + out + ".partial") / "journal";
    const ProgramResult killed = prepare_cub(
        folder / source, folder / out, {"--threads", "1"},
        {.meanwhile = signal_after(journal, 30, SIGKILL, std::chrono::milliseconds(0))});
    ASSERT_EQ(killed.code, -SIGKILL) << "it was to be killed before it was done: " << killed.err;
    EXPECT_FALSE(fs::exists(folder / out));
    const ProgramResult second = prepare_cub(folder / source, folder / out);
    ASSERT_EQ(second.code, 0) << second.err;
    EXPECT_NE(second.err.find("going on from an interrupted run: "), std::string::npos)
        << second.err;
    EXPECT_EQ(contents(folder / out), contents(folder / whole));
    EXPECT_FALSE(fs::exists(journal.parent_path()));
    EXPECT_EQ(second.out.substr(second.out.find("total")), "total               160    80\n")
        << second.out;
  }
}

TEST(ConcordPreparePublished, CtrlCKeepsWhatIsDoneAndOtherOptionsBeginAnew) {
  const TempFolder folder;
  draw_cub(folder / "cub", 40, 200);
  const fs::path journal = folder / ".out.partial/journal";
  const ProgramResult stopped =
      prepare_cub(folder / "cub", folder / "out", {"--threads", "1"},
                  {.meanwhile = signal_after(journal, 30, SIGINT, std::chrono::milliseconds(0))});
  expect_failure(stopped, 130, {"the same command goes on"});
  ASSERT_TRUE(fs::exists(journal));
  const ProgramResult other = prepare_cub(folder / "cub", folder / "out", {"--quality", "70"});
  ASSERT_EQ(other.code, 0) << other.err;
  EXPECT_NE(other.err.find("beginning anew"), std::string::npos) << other.err;
  ASSERT_EQ(prepare_cub(folder / "cub", folder / "whole", {"--quality", "70"}).code, 0);
  EXPECT_EQ(contents(folder / "out"), contents(folder / "whole"));
}

TEST(ConcordPreparePublished, AFullDiskKeepsWhatIsDone) {
  const TempFolder folder;
  draw_cub(folder / "cub", 4, 200);
  // The journal and the record are smaller than any image.
  const ProgramResult full = prepare_cub(
      folder / "cub", folder / "out", {"--no-crop", "--max-megapixels", "1"}, {.file_bytes = 6000});
  expect_failure(full, 1,
                 {"writing", "failed", "kept in " + (folder / ".out.partial").string(),
                  "the same command goes on"});
  EXPECT_FALSE(fs::exists(folder / "out"));
  EXPECT_TRUE(fs::exists(folder / ".out.partial/record"));
  EXPECT_EQ(
      prepare_cub(folder / "cub", folder / "out", {"--no-crop", "--max-megapixels", "1"}).code, 0);
}

TEST(ConcordPreparePublished, FetchesWeights) {
  const TempFolder folder;
  // Its SHA-256 begins as that of the published weights does, which is all that their name states.
  const std::string bytes = "707339452";
  HttpServer server([&](const HttpServer::Request& request) {
    return HttpServer::serve_file(
        request, request.path == "/resnet18-f37072fd.pth" ? bytes : "something else");
  });
  const std::vector<std::string> words{
      "weights", "resnet18", "--output-dir", (folder / "w").string(), "--mirror", server.url()};
  const ProgramResult run = run_program("concord-prepare", words);
  ASSERT_EQ(run.code, 0) << run.err;
  EXPECT_EQ(run.out, (folder / "w/resnet18-f37072fd.pth").string() + "\n");
  EXPECT_EQ(read_bytes(folder / "w/resnet18-f37072fd.pth"), bytes);
  const ProgramResult again = run_program("concord-prepare", words);
  EXPECT_EQ(again.code, 0) << again.err;
  EXPECT_NE(again.err.find("was there already"), std::string::npos) << again.err;
  EXPECT_EQ(server.requests().size(), 1U);
  expect_failure(
      run_program("concord-prepare", {"weights", "vgg16", "--output-dir", (folder / "w").string(),
                                      "--mirror", server.url()}),
      1, {"/vgg16-397923af.pth", "SHA-256", "removed"});
  write_bytes(folder / "w/resnet18-f37072fd.pth", "somebody's");
  expect_failure(run_program("concord-prepare", words), 1, {"is there already", "left alone"});
  EXPECT_EQ(read_bytes(folder / "w/resnet18-f37072fd.pth"), "somebody's");
}

TEST(ConcordPreparePublished, FetchesOnlyWhatIsPublished) {
  const TempFolder folder;
  HttpServer server([](const HttpServer::Request& request) {
    return HttpServer::serve_file(request, "a page that says: log in first");
  });
  const auto fetch = [&](const std::string& mirror) {
    return prepare_cub(folder / "archives", folder / "out", {"--download", "--mirror", mirror});
  };
  expect_failure(
      fetch(server.url("/cub")), 1,
      {"/cub/CUB_200_2011.tgz", "offers 30 bytes where the published file has 1150585339"});
  ASSERT_EQ(server.requests().size(), 1U);
  EXPECT_EQ(server.requests()[0].path, "/cub/CUB_200_2011.tgz");
  expect_failure(fetch("http://127.0.0.1:1"), 1,
                 {"cannot be fetched", "curl -L -C - -o CUB_200_2011.tgz"});
  expect_failure(fetch("file:///etc"), 1, {"file:///etc", "https://"});
  EXPECT_FALSE(fs::exists(folder / "out"));
  for (const auto& entry : fs::recursive_directory_iterator(folder.path()))
    EXPECT_TRUE(entry.is_directory()) << entry.path();
}

TEST(ConcordPreparePublished, WrongUsage) {
  const std::vector<std::vector<std::string>> wrong{
      {"weights", "--output-dir", "o"},
      {"weights", "resnet7", "--output-dir", "o"},
      {"weights", "resnet18", "--output-dir", "o", "--source", "x"},
      {"weights", "resnet18", "--output-dir", "o", "--quality", "3"},
      {"cub200", "resnet18", "--source", "x", "--output-dir", "o"},
      {"cub200", "--source", "x", "--output-dir", "o", "--mirror", "http://127.0.0.1"},
      {"synthetic", "--output-dir", "o", "--download"},
  };
  for (const auto& words : wrong)
    EXPECT_EQ(run_program("concord-prepare", words).code, 2) << words[1];
}

// A folder that cannot be taken is told before an hour of fetching and reading.
TEST(ConcordPreparePublished, LooksAtTheOutputFolderFirst) {
  const TempFolder folder;
  folder.put("out/letter.txt", "dear");
  expect_failure(prepare_cub(folder / "none", folder / "out"), 1, {"out: the folder is not empty"});
}

TEST(ConcordPreparePublished, BrokenImagesAreLeftOutAndListed) {
  CONCORD_NEEDS_SHARED_DATA(data);
  const TempFolder folder;
  draw_cub(folder / "cub", 8, 64);
  std::vector<fs::path> broken;
  for (const auto& entry : fs::directory_iterator(data / "broken"))
    if (entry.is_regular_file() && entry.path().extension() == ".jpg")
      broken.push_back(entry.path());
  ASSERT_EQ(broken.size(), 3U);
  const fs::path images = folder / "cub/images/003.cat";
  for (std::size_t i = 0; i < broken.size(); ++i)
    fs::copy_file(broken[i], images / fmt::format("cat_{:05}.jpg", i + 1),
                  fs::copy_options::overwrite_existing);
  write_archive(folder / "cub.tgz", entries_of(folder / "cub", "cub/"), Packing::kGzip);
  for (const char* source : {"cub", "cub.tgz"}) {
    const ProgramResult run = prepare_cub(folder / source, folder / "out", {"--force"});
    ASSERT_EQ(run.code, 0) << run.err;
    const auto manifest = nlohmann::json::parse(read_file(folder / "out/manifest.json"));
    EXPECT_EQ(manifest["unreadable"].size(), 3U);
    EXPECT_EQ(manifest["classes"]["003.cat"]["train"], 5);
    EXPECT_NE(run.err.find("3 left out"), std::string::npos) << run.err;
  }
}

TEST(ConcordPreparePublished, RealPhotographsFromFolderAndArchives) {
  CONCORD_NEEDS_SHARED_DATA(data);
  const TempFolder folder;
  ASSERT_EQ(prepare_cub(data / "CUB_200_2011", folder / "folder").code, 0);
  fs::remove(folder / "folder/manifest.json");
  const auto expected = contents(folder / "folder");
  EXPECT_EQ(expected.size(), 400U);
  const auto entries = entries_of(data / "CUB_200_2011", "CUB_200_2011/");
  for (const Packing packing : {Packing::kTar, Packing::kGzip, Packing::kZip}) {
    write_archive(folder / "cub", entries, packing);
    const ProgramResult run = prepare_cub(folder / "cub", folder / "out", {"--force"});
    ASSERT_EQ(run.code, 0) << run.err;
    fs::rename(folder / "out/manifest.json", folder / "manifest.json");
    EXPECT_EQ(contents(folder / "out"), expected);
    fs::rename(folder / "manifest.json", folder / "out/manifest.json");
  }
}

}  // namespace
}  // namespace concord::test
