// concord-prepare's kinds, from folders and archives, and data sets read as they lie: as a user
// runs the programs.

#include <nlohmann/json.hpp>

#include "data/image_folder.h"
#include "data/synthetic.h"
#include "tests/data/archive_support.h"
#include "tests/data/published_sources.h"
#include "tests/tools/program_run.h"
#include "tests/tools/small_data.h"

namespace concord::test {
namespace {

using Names = std::vector<std::string>;

ProgramResult prepare(const std::string& kind, const fs::path& source, const fs::path& output,
                      const Names& more = {}) {
  Names words{kind, "--source", source.string(), "--output-dir", output.string()};
  words.insert(words.end(), more.begin(), more.end());
  return run_program("concord-prepare", words);
}

nlohmann::json manifest_of(const fs::path& folder) {
  return nlohmann::json::parse(text_of(folder / "manifest.json"));
}

// Files but the manifest, which names the source.
std::vector<std::pair<std::string, std::uint64_t>> pictures(const fs::path& folder) {
  auto list = contents(folder);
  std::erase_if(list, [](const auto& entry) { return entry.first == "manifest.json"; });
  return list;
}

TEST(PrepareSets, DogsComeFromAFolderOrTheThreeArchives) {
  const TempFolder folder;
  write_dogs(folder, "dogs");
  const ProgramResult run = prepare("dogs120", folder / "dogs", folder / "out");
  ASSERT_EQ(run.code, 0) << run.err;
  EXPECT_NE(run.out.find("n02110806-basenji"), std::string::npos) << run.out;
  EXPECT_NE(run.err.find("train has 4 images where 12000 are published"), std::string::npos)
      << run.err;
  EXPECT_EQ(manifest_of(folder / "out")["as_published"], false);

  fs::create_directories(folder / "archives");
  write_archive(folder / "archives/images.tar", entries_of(folder / "dogs/Images", "Images/"));
  write_archive(folder / "archives/annotation.tar",
                entries_of(folder / "dogs/Annotation", "Annotation/"));
  std::vector<TestEntry> lists;
  for (const char* name : {"train_list.txt", "test_list.txt"})
    lists.push_back({.name = name, .text = text_of(folder / "dogs" / name)});
  write_archive(folder / "archives/lists.tar", lists);
  const ProgramResult packed = prepare("dogs120", folder / "archives", folder / "packed");
  ASSERT_EQ(packed.code, 0) << packed.err;
  EXPECT_EQ(pictures(folder / "packed"), pictures(folder / "out"));
}

TEST(PrepareSets, VocComesFromAFolderOrAnArchive) {
  const TempFolder folder;
  write_voc(folder, "VOCdevkit/VOC2012");
  write_archive(folder / "voc.tar", entries_of(folder / "VOCdevkit", "VOCdevkit/"));
  for (const auto& [kind, train, val] :
       {std::tuple{"voc-crop", 5, 3}, {"voc-animals", 4, 2}, {"voc-multilabel", 3, 2}}) {
    SCOPED_TRACE(kind);
    const ProgramResult run = prepare(kind, folder / "VOCdevkit", folder / kind);
    ASSERT_EQ(run.code, 0) << run.err;
    const auto manifest = manifest_of(folder / kind);
    EXPECT_EQ(manifest["train"], train);
    EXPECT_EQ(manifest["val"], val);
    EXPECT_EQ(read_image_folder(folder / kind).train.samples.size(),
              static_cast<std::size_t>(train));
    const fs::path packed = folder / (std::string(kind) + "-packed");
    const ProgramResult from_archive = prepare(kind, folder / "voc.tar", packed);
    ASSERT_EQ(from_archive.code, 0) << from_archive.err;
    EXPECT_EQ(pictures(packed), pictures(folder / kind));
  }
}

TEST(PrepareSets, MixTakesBothSources) {
  const TempFolder folder;
  write_birds(folder, "cub");
  write_dogs(folder, "dogs");
  const ProgramResult run = prepare(
      "mix320", (folder / "cub").string() + "," + (folder / "dogs").string(), folder / "mix");
  ASSERT_EQ(run.code, 0) << run.err;
  const ImageFolder read = read_image_folder(folder / "mix");
  EXPECT_EQ(read.train.classes,
            (Names{"001.Auk", "002.Bee_eater", "n02085620-Chihuahua", "n02110806-basenji"}));
  ASSERT_EQ(read.train.groups.size(), 2U);
  EXPECT_EQ(read.train.groups[1].name, "dogs");
  EXPECT_EQ(read.train.groups[1].first, 2);
}

TEST(PrepareSets, FailuresNameFileAndEntryAndLeaveNothing) {
  const TempFolder folder;
  write_voc(folder, "voc");
  write_dogs(folder, "dogs");
  folder.put("voc/Annotations/2008_000002.xml", annotation_of({{"raccoon"}}));
  expect_failure(prepare("voc-crop", folder / "voc", folder / "out"), 1,
                 {"error: ", "2008_000002.xml", "raccoon", "--class-names"});
  folder.put("dogs/Annotation/n02110806-basenji/n02110806_7", "<annotation>");
  expect_failure(prepare("dogs120", folder / "dogs", folder / "out"), 1,
                 {"error: ", "n02110806_7", "not XML"});
  expect_failure(prepare("dogs120", folder / "voc", folder / "out"), 1,
                 {"voc", "layout of Stanford Dogs"});
  expect_failure(prepare("voc-animals", folder / "voc", folder / "out", {"--class-names", "cow"}),
                 2, {"--class-names", "voc-animals"});
  EXPECT_EQ(folder.listing(), (Names{"dogs", "voc"}));
  const ProgramResult own = prepare("voc-multilabel", folder / "voc", folder / "out",
                                    {"--class-names", "raccoon,cow,dog,person,sofa"});
  ASSERT_EQ(own.code, 0) << own.err;
  EXPECT_EQ(read_image_folder(folder / "out").train.classes,
            (Names{"00.raccoon", "01.cow", "02.dog", "03.person", "04.sofa"}));
}

// The same losses to the last bit: the same pictures in the same order.
TEST(PrepareSets, TrainingOnAPartIsTrainingOnAHalf) {
  const TempFolder folder;
  write_pictures(folder / "toys", 9, 3);
  const ProgramResult split =
      prepare("split", folder / "toys", folder / "halves", {"--fraction", "50"});
  ASSERT_EQ(split.code, 0) << split.err;
  EXPECT_NE(split.out.find("a: train"), std::string::npos) << split.out;
  const auto train = [&](const fs::path& data, const std::string& name, const Names& more) {
    Names words{"--data",       data.string(), "--arch",       "resnet18",
                "--image-size", "32",          "--epochs",     "1",
                "--batch-size", "6",           "--lr",         "0.01",
                "--threads",    "1",           "--output-dir", (folder / name).string()};
    words.insert(words.end(), more.begin(), more.end());
    const ProgramResult run = run_program("concord-train", words);
    EXPECT_EQ(run.code, 0) << run.err;
    return untimed(folder / name / "metrics.jsonl");
  };
  for (const std::string half : {"a", "b"}) {
    const std::string expected = train(folder / "toys", "half-" + half, {"--half", half});
    EXPECT_NE(expected, "");
    EXPECT_EQ(train(folder / "halves" / half, "part-" + half, {}), expected) << half;
  }
  EXPECT_NE(text_of(folder / "half-a/metrics.jsonl"), text_of(folder / "half-b/metrics.jsonl"));
  expect_failure(prepare("split", folder / "toys", folder / "x", {"--fraction", "100"}), 2,
                 {"--fraction"});
  expect_failure(prepare("split", folder / "toys", folder / "x", {"--no-crop"}), 2, {"--no-crop"});
}

// Reads a published layout with no copy on the disk; the features' names are those of the prepared
// folder.
TEST(PrepareSets, ProgramsReadPublishedSetsAsTheyLie) {
  const TempFolder folder;
  write_birds(folder, "cub");
  const std::string data = "cub200:" + (folder / "cub").string();
  const ProgramResult train =
      run_program("concord-train",
                  {"--data", data, "--arch", "resnet18", "--image-size", "32", "--epochs", "1",
                   "--batch-size", "2", "--lr", "0.01", "--output-dir", (folder / "run").string()});
  ASSERT_EQ(train.code, 0) << train.err;
  const ProgramResult features =
      run_program("concord-features",
                  {"--weights", (folder / "run/best.safetensors").string(), "--layer", "layer3",
                   "--data", data, "--split", "val", "--output-dir", (folder / "maps").string()});
  ASSERT_EQ(features.code, 0) << features.err;
  EXPECT_NE(text_of(folder / "maps/index.json").find("test/001.Auk/bird_2.jpg"), std::string::npos);
  const std::string maps = (folder / "maps").string(), net = (folder / "net").string();
  const ProgramResult trans_net =
      run_program("concord-transnet", {"--features-a", maps, "--features-b", maps, "--epochs", "1",
                                       "--batch-size", "2", "--lr", "1e-3", "--output-dir", net});
  ASSERT_EQ(trans_net.code, 0) << trans_net.err;
  const ProgramResult pictures =
      run_program("concord-visualize",
                  {"--weights", net + "/best.safetensors", "--features-a", maps, "--features-b",
                   maps, "--data", data, "--output-dir", (folder / "pictures").string()});
  EXPECT_EQ(pictures.code, 0) << pictures.err;
  EXPECT_EQ(pictures.err.find("without its photograph"), std::string::npos) << pictures.err;
  const ProgramResult evaluate = run_program(
      "concord-train",
      {"--evaluate", "--weights", (folder / "run/best.safetensors").string(), "--data", data});
  EXPECT_EQ(evaluate.code, 0) << evaluate.err;
  expect_failure(
      run_program("concord-train", {"--data", (folder / "cub").string(), "--arch", "resnet18",
                                    "--output-dir", (folder / "x").string()}),
      1, {"CUB-200-2011 layout", "give cub200:"});
}

TEST(PrepareSets, AChangedFolderIsNoticedByEveryProgram) {
  const TempFolder folder;
  write_birds(folder, "cub");
  ASSERT_EQ(prepare("cub200", folder / "cub", folder / "out").code, 0);
  folder.put("out/train/001.Auk/stray.jpg", drawn_jpeg(3));
  expect_failure(
      run_program("concord-train", {"--data", (folder / "out").string(), "--arch", "resnet18",
                                    "--output-dir", (folder / "run").string()}),
      1, {"class 001.Auk has 2 images in train", "manifest.json says 1", "delete manifest.json"});
}

TEST(PrepareSets, PreparesTheRealSamples) {
  CONCORD_NEEDS_SHARED_DATA(data);
  const TempFolder folder;
  const ProgramResult dogs = prepare("dogs120", data / "StanfordDogs", folder / "dogs");
  ASSERT_EQ(dogs.code, 0) << dogs.err;
  EXPECT_EQ(manifest_of(folder / "dogs")["train"], 200);
  EXPECT_EQ(manifest_of(folder / "dogs")["test"], 200);
  expect_failure(prepare("voc-crop", data / "VOC", folder / "voc"), 1, {"raccoon"});
  const ProgramResult voc =
      prepare("voc-crop", data / "VOC", folder / "voc", {"--class-names", "raccoon"});
  ASSERT_EQ(voc.code, 0) << voc.err;
  const auto manifest = manifest_of(folder / "voc");
  EXPECT_EQ(manifest["train"].get<int>() + manifest["val"].get<int>(), 217);
  EXPECT_EQ(manifest["unreadable"].size(), 0U);
  const ProgramResult mix =
      prepare("mix320", (data / "CUB_200_2011").string() + "," + (data / "StanfordDogs").string(),
              folder / "mix");
  ASSERT_EQ(mix.code, 0) << mix.err;
  const ImageFolder read = read_image_folder(folder / "mix");
  EXPECT_EQ(read.train.classes.size(), 40U);
  EXPECT_EQ(read.train.samples.size(), 400U);
  EXPECT_EQ(read.train.groups[1].first, 20);
}

}  // namespace
}  // namespace concord::test
