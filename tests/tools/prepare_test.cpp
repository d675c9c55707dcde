// concord-prepare as a user runs it: exit codes, messages, files.

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <thread>

#include "data/cub200.h"
#include "data/image_folder.h"
#include "tests/data/support.h"

namespace concord::test {
namespace {

namespace fs = std::filesystem;

struct Outcome {
  int code = -1;
  std::string out;
  std::string err;
};

std::string text_of(const fs::path& path) {
  const auto bytes = read_file(path);
  return {bytes.begin(), bytes.end()};
}

// Runs the program with these words; `interrupt_after` milliseconds it gets a SIGINT.
Outcome prepare(const TempFolder& folder, std::vector<std::string> words,
                int interrupt_after = -1) {
  const std::string program = std::string(CONCORD_BIN_DIR) + "/concord-prepare";
  const std::string out = (folder / "stdout").string(), err = (folder / "stderr").string();
  words.insert(words.begin(), program);
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  const pid_t child = ::fork();
  if (child == 0) {
    if (std::freopen(out.c_str(), "w", stdout) == nullptr ||
        std::freopen(err.c_str(), "w", stderr) == nullptr)
      ::_exit(126);
    ::execv(program.c_str(), argv.data());
    ::_exit(127);
  }
  if (interrupt_after >= 0) {
    std::this_thread::sleep_for(std::chrono::milliseconds(interrupt_after));
    ::kill(child, SIGINT);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  Outcome outcome{WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + status, text_of(out),
                  text_of(err)};
  fs::remove(out);
  fs::remove(err);
  return outcome;
}

std::vector<std::string> small_synthetic(const std::string& output) {
  return {"synthetic", "--output-dir",    output, "--classes",    "3",  "--train-per-class",
          "2",         "--val-per-class", "1",    "--image-size", "40", "--seed",
          "5"};
}

TEST(ConcordPrepare, DrawsADataSet) {
  const TempFolder folder;
  const Outcome run = prepare(folder, small_synthetic((folder / "toys").string()));
  ASSERT_EQ(run.code, 0) << run.err;
  EXPECT_NE(run.out.find("striped_fish"), std::string::npos) << run.out;
  EXPECT_NE(run.out.find("total"), std::string::npos);
  const ImageFolder read = read_image_folder(folder / "toys");
  EXPECT_EQ(read.train.samples.size(), 6U);
  EXPECT_EQ(read.validation->samples.size(), 3U);
  const auto first = contents(folder / "toys");

  const Outcome again = prepare(folder, small_synthetic((folder / "toys").string()));
  EXPECT_EQ(again.code, 1);
  EXPECT_NE(again.err.find("--force"), std::string::npos) << again.err;
  auto words = small_synthetic((folder / "toys").string());
  words.insert(words.end(), {"--force", "--threads", "1", "--quiet"});
  const Outcome forced = prepare(folder, words);
  EXPECT_EQ(forced.code, 0) << forced.err;
  EXPECT_EQ(forced.err, "") << "--quiet";
  EXPECT_EQ(contents(folder / "toys"), first) << "same seed, same files";
}

TEST(ConcordPrepare, DrawsTheCubLayoutAndCropsIt) {
  const TempFolder folder;
  auto words = small_synthetic((folder / "cub").string());
  words.insert(words.end(), {"--layout", "cub"});
  ASSERT_EQ(prepare(folder, words).code, 0);
  EXPECT_EQ(plan_cub200(FileSource(folder / "cub")).images.size(), 9U);
  const Outcome run = prepare(folder, {"cub200", "--source", (folder / "cub").string(),
                                       "--output-dir", (folder / "out").string()});
  ASSERT_EQ(run.code, 0) << run.err;
  EXPECT_NE(run.out.find("003.cat"), std::string::npos) << run.out;
  EXPECT_EQ(read_image_folder(folder / "out").train.samples.size(), 6U);
}

TEST(ConcordPrepare, ExitsWithTwoOnWrongUsage) {
  const TempFolder folder;
  const std::string out = (folder / "out").string();
  const std::vector<std::vector<std::string>> wrong{
      {},
      {"synthetic"},
      {"mnist", "--output-dir", out},
      {"synthetic", "--output-dir", out, "--no-such-option"},
      {"synthetic", "--output-dir", out, "--classes", "11"},
      {"synthetic", "--output-dir", out, "--image-size", "many"},
      {"synthetic", "--output-dir", out, "--source", "x"},
      {"synthetic", "--output-dir", out, "--strict"},
      {"cub200", "--output-dir", out},
      {"cub200", "--output-dir", out, "--source", "x", "--classes", "3"},
  };
  for (const auto& words : wrong) {
    const Outcome run = prepare(folder, words);
    EXPECT_EQ(run.code, 2) << run.err;
    EXPECT_NE(run.err, "");
    EXPECT_EQ(run.out, "");
    EXPECT_TRUE(fs::is_empty(folder.path()));
  }
  const Outcome help = prepare(folder, {"--help"});
  EXPECT_EQ(help.code, 0);
  for (const char* text : {"--train-per-class", "200", "Example", "concord-prepare synthetic"})
    EXPECT_NE(help.out.find(text), std::string::npos) << text;
}

TEST(ConcordPrepare, ExitsWithOneAndLeavesNothingOnBadInput) {
  const TempFolder folder;
  const auto fails = [&](std::vector<std::string> words, const std::string& message) {
    const Outcome run = prepare(folder, std::move(words));
    EXPECT_EQ(run.code, 1) << run.err;
    EXPECT_NE(run.err.find(message), std::string::npos) << run.err;
    EXPECT_EQ(run.err.rfind("error: ", 0), 0U) << run.err;
  };
  const std::string out = (folder / "out").string();
  fails({"cub200", "--source", (folder / "none").string(), "--output-dir", out}, "no such folder");
  fails({"cub200", "--source", folder.path().string(), "--output-dir", out}, "images.txt");
  fails({"synthetic", "--output-dir", "/proc/concord"}, "/proc");
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

TEST(ConcordPrepare, LeavesNothingWhenInterrupted) {
  const TempFolder folder;
  const Outcome run = prepare(
      folder, {"synthetic", "--output-dir", (folder / "out").string(), "--train-per-class", "5000"},
      700);
  EXPECT_EQ(run.code, 130) << run.err;
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

TEST(ConcordPrepare, WarnsOfUnreadableImagesOrStopsUnderStrict) {
  const TempFolder folder;
  auto words = small_synthetic((folder / "cub").string());
  words.insert(words.end(), {"--layout", "cub"});
  ASSERT_EQ(prepare(folder, words).code, 0);
  folder.put("cub/images/003.cat/cat_00001.jpg", "not a picture");
  words = {"cub200", "--source", (folder / "cub").string(), "--output-dir",
           (folder / "out").string()};
  const Outcome run = prepare(folder, words);
  EXPECT_EQ(run.code, 0) << run.err;
  EXPECT_NE(run.err.find("warning: "), std::string::npos) << run.err;
  EXPECT_NE(run.err.find("cat_00001.jpg"), std::string::npos) << run.err;
  words.insert(words.end(), {"--strict", "--force"});
  const auto before = contents(folder / "out");
  const Outcome strict = prepare(folder, words);
  EXPECT_EQ(strict.code, 1);
  EXPECT_NE(strict.err.find("cat_00001.jpg"), std::string::npos) << strict.err;
  EXPECT_EQ(contents(folder / "out"), before) << "a failed run leaves the old folder alone";
}

TEST(ConcordPrepare, CropsTheRealSample) {
  CONCORD_NEEDS_SHARED_DATA(data);
  const TempFolder folder;
  const Outcome run = prepare(folder, {"cub200", "--source", (data / "CUB_200_2011").string(),
                                       "--output-dir", (folder / "cub").string()});
  ASSERT_EQ(run.code, 0) << run.err;
  const auto manifest = nlohmann::json::parse(read_file(folder / "cub/manifest.json"));
  EXPECT_EQ(manifest["train"], 200);
  EXPECT_EQ(manifest["test"], 200);
  EXPECT_EQ(manifest["classes"].size(), 20U);
  EXPECT_EQ(manifest["classes"]["046.Gadwall"]["test"], 10);
}

}  // namespace
}  // namespace concord::test
