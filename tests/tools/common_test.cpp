// What the programs share, piece by piece.

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>

#include "kernels/conv2d.h"
#include "kernels/parallel.h"
#include "tests/expect_error.h"
#include "tests/tools/small_data.h"
#include "tools/common/canvas.h"
#include "tools/common/classification.h"
#include "tools/common/feature_maps.h"
#include "tools/common/host_memory.h"
#include "tools/common/non_finite.h"
#include "tools/common/options.h"
#include "tools/common/progress.h"
#include "tools/common/run_directory.h"
#include "tools/common/saved_configuration.h"
#include "tools/common/stroke_font.h"
#include "tools/common/tensor_stream.h"
#include "tools/common/terminal.h"

namespace concord::tool {
namespace {

using test::TemporaryFolder;

TEST(DeviceOptions, CudnnSearchIsAsAskedFor) {
  const kernels::CudnnSearch before = kernels::cudnn_search();
  EXPECT_FALSE(before.measure);
  EXPECT_TRUE(before.deterministic);
  DeviceOptions options;
  options.device = "cpu";
  options.threads = thread_count();
  options.cudnn_search = "measure";
  options.cudnn_workspace_mib = 64.5;
  options.deterministic = "false";
  apply(options);
  const kernels::CudnnSearch search = kernels::cudnn_search();
  EXPECT_TRUE(search.measure);
  EXPECT_FALSE(search.deterministic);
  EXPECT_EQ(search.workspace_bytes, 129U << 19);
  kernels::set_cudnn_search(before);

  // A run goes on with what changes its bits only; on the CPU nothing of it does.
  nlohmann::ordered_json settings;
  add_settings(settings, options);
  EXPECT_FALSE(settings.contains("--cudnn-search"));
  options.place = {DeviceType::kCuda, 0};
  add_settings(settings, options);
  EXPECT_EQ(settings["--cudnn-search"], "measure");
  EXPECT_EQ(settings["--cudnn-workspace"], 64.5);
  EXPECT_EQ(settings["--deterministic"], "false");
}

TEST(HostMemory, IsWhatTheSystemSays) {
  const std::size_t available = available_host_memory();
  EXPECT_GT(available, std::size_t{1} << 20);
  EXPECT_LT(available, std::size_t{1} << 50);
}

// What is counted on the network's device is what rank_of_label says, of ties and of NaN too.
TEST(Classification, HitsAreTheRanksOfTheLabels) {
  for (const std::int64_t classes : {1, 2, 5, 6, 40}) {
    constexpr std::int64_t kRows = 400;
    random::Stream numbers(3, static_cast<std::uint64_t>(classes));
    std::vector<float> values(static_cast<std::size_t>(kRows * classes));
    for (float& value : values) {
      const std::uint64_t drawn = numbers.below(9);
      value = drawn == 0 ? NAN : static_cast<float>(drawn);
    }
    std::vector<std::int64_t> labels;
    for (std::int64_t i = 0; i < kRows; ++i)
      labels.push_back(
          static_cast<std::int64_t>(numbers.below(static_cast<std::uint64_t>(classes))));
    const Tensor logits = Tensor::of({kRows, classes}, values);
    Hits expected;
    for (std::int64_t i = 0; i < kRows; ++i) {
      const std::int64_t rank = rank_of_label(logits, i, labels[static_cast<std::size_t>(i)]);
      expected.top1 += rank < 1;
      expected.top5 += rank < 5;
    }
    const Hits hits = count_hits(logits, Tensor::of({kRows}, labels));
    EXPECT_EQ(hits.top1, expected.top1) << classes;
    EXPECT_EQ(hits.top5, expected.top5) << classes;
    EXPECT_EQ(expected.top1<kRows, classes> 1) << "nothing is missed";
  }
  test::expect_error(
      [] {
        count_hits(Tensor::zeros({1, 7}), Tensor::of<std::int64_t>({1}, {7}));
      },
      {"label 7 of sample 0", "[0, 7)"});
}

TEST(Terminal, NamesFromFilesDoNotSteerIt) {
  EXPECT_EQ(without_controls("a\x1b[2J\rb\x7f\n\tc"), "a\\x1b[2J\\x0db\\x7f\n\tc");
  EXPECT_EQ(without_controls("\xC2\x9B"
                             "2J \xC3\xBC\xC2\xB5\xC2"),
            "\\x9b2J \xC3\xBC\xC2\xB5\xC2");
  Table table({"class"});
  table.row({"\x1b[2J"});
  EXPECT_EQ(table.to_string(), "class\n\\x1b[2J\n");
}

TEST(Terminal, TablesAlign) {
  Table table({"network", "top-1"});
  table.row({"a", "5.00 %"});
  table.row({"resnet18", "100.00 %"});
  EXPECT_EQ(table.to_string(),
            "network      top-1\n"
            "a           5.00 %\n"
            "resnet18  100.00 %\n");
  Table wide({"class", "images"});
  wide.row({"V\xC3\xB6gel", "3"});
  EXPECT_EQ(wide.to_string(), "class  images\nV\xC3\xB6gel       3\n");
}

TEST(Terminal, DurationsForPeople) {
  EXPECT_EQ(duration(0.2), "1 s");
  EXPECT_EQ(duration(59.5), "1 min 00 s");
  EXPECT_EQ(duration(185), "3 min 05 s");
  EXPECT_EQ(duration(7860), "2 h 11 min");
}

TEST(Terminal, TheBarGivesWayToTheNumbers) {
  EXPECT_EQ(live_line("going", 0.5, {{"50 %", 4}}, 200), "going [==========          ]  50 %");
  EXPECT_EQ(live_line("going", 1.0, {{"100 %", 4}}, 24), "going [=========]  100 %");
  // What matters least goes first, the bar before what matters.
  const std::vector<LinePart> parts = {{"half", 5}, {"some", 1}, {"rate", 2}, {"9 s left", 0}};
  EXPECT_EQ(live_line("going", 0.5, parts, 36), "going [===   ]  some  rate  9 s left");
  EXPECT_EQ(live_line("going", 0.5, parts, 30), "going  some  rate  9 s left");
  EXPECT_EQ(live_line("going", 0.5, parts, 22), "going  some  9 s left");
  EXPECT_EQ(live_line("going", 0.5, parts, 20), "going  9 s left");
  EXPECT_EQ(live_line("going", 0.5, parts, 9), "going  9 ");
  const std::vector<LinePart> padded = {{"some", 1}, {"9 s left   ", 0}};
  EXPECT_EQ(live_line("going", 0.5, padded, 22), "going  some  9 s left ");
}

TEST(Terminal, ColumnsAreWhatATerminalTakes) {
  EXPECT_EQ(columns_of("abc"), 3U);
  EXPECT_EQ(columns_of("V\xC3\xB6gel"), 5U);
  EXPECT_EQ(columns_of("e\xCC\x81"), 1U) << "a combining accent";
  EXPECT_EQ(columns_of("\xE9\xB3\xA5"), 2U) << "a wide character";
  EXPECT_EQ(columns_of("\xFF\xC3"), 2U) << "not UTF-8";
  EXPECT_EQ(beginning_of("V\xC3\xB6gel", 2), "V\xC3\xB6");
  EXPECT_EQ(beginning_of("\xE9\xB3\xA5\xE9\xB3\xA5", 3), "\xE9\xB3\xA5");
  EXPECT_EQ(folded({"epoch 1/2", "loss 0.5", "9 s"}, 20), "epoch 1/2  loss 0.5\n  9 s");
  EXPECT_EQ(folded({"epoch 1/2", "loss 0.5"}, 1000), "epoch 1/2  loss 0.5");
}

TEST(Pictures, ColoursDivergeFromWhite) {
  const auto equal = [](Colour colour, int red, int green, int blue) {
    return colour.red == red && colour.green == green && colour.blue == blue;
  };
  EXPECT_TRUE(equal(diverging(0), 255, 255, 255));
  EXPECT_TRUE(equal(diverging(1), 103, 0, 31));
  EXPECT_TRUE(equal(diverging(7), 103, 0, 31));
  EXPECT_TRUE(equal(diverging(-1), 5, 48, 97));
  EXPECT_GT(diverging(0.5).red, diverging(0.5).blue);
  EXPECT_LT(diverging(-0.5).red, diverging(-0.5).blue);
}

TEST(Pictures, OneScaleForARowAndBlocksForValues) {
  const Tensor maps = Tensor::of<float>({1, 2, 1, 2}, {9, 9, -3, 1.5});
  MapRow row;
  row.maps = {FeatureMap(maps, 0, 1), FeatureMap(maps, 0, 2)};
  EXPECT_TRUE(row.maps[1].values.empty()) << "there is no channel 2";
  EXPECT_EQ(row.scale(), 3);
  const Image image = coloured(row.maps[0], row.scale(), 3);
  ASSERT_EQ(image.width, 6);
  ASSERT_EQ(image.height, 3);
  EXPECT_EQ(image.pixel(0, 0)[0], 5) << "-3 is the end of the scale";
  EXPECT_EQ(image.pixel(2, 2)[0], 5);
  EXPECT_EQ(image.pixel(3, 0)[0], diverging(0.5).red);
}

TEST(Pictures, BarsAreOneThenTheGatesFromTheLast) {
  MapSheet sheet;
  sheet.gates = {0.165, 0.282};
  EXPECT_EQ(sheet.bar(0), 1);
  EXPECT_EQ(sheet.bar(1), 0.282);
  EXPECT_EQ(sheet.bar(2), 0.165);
  EXPECT_EQ(sheet.bar_name(2), "p_0 = 0.165");
  EXPECT_EQ(sheet.columns().size(), 7U);
}

TEST(Pictures, EveryCharacterHasAShapeOfItsOwn) {
  std::vector<Image> seen;
  for (char character = '!'; character <= '~'; ++character) {
    EXPECT_FALSE(glyph(character).strokes.empty()) << character;
    Canvas canvas(40, 40);
    canvas.text(5, 28, std::string(1, character), 20, kInk);
    for (const Image& other : seen) EXPECT_NE(canvas.image().rgb, other.rgb) << character;
    seen.push_back(canvas.image());
  }
  EXPECT_EQ(fitted("abc", 10, 1000), "abc");
  const std::string shorter = fitted("val/ring/0012.jpg", 10, 60, true);
  EXPECT_LE(text_width(shorter, 10), 60);
  EXPECT_TRUE(shorter.starts_with("..") && shorter.ends_with(".jpg")) << shorter;
}

TEST(TensorStream, WritesWhatSafetensorsReads) {
  const TemporaryFolder folder;
  const Tensor y = test::random_features({5, 2, 3, 1}, 7);
  {
    TensorStream stream(folder / "t.safetensors", {{"y", y.shape()}, {"z", Shape{5, 1}}});
    stream.write("y", 3, y.rows(3, 5));
    stream.write("y", 0, y.rows(0, 3));
    stream.write("z", 0, Tensor::full({5, 1}, 4));
    test::expect_error([&] { stream.write("y", 4, y.rows(0, 2)); }, {"t.safetensors", "y"});
    EXPECT_FALSE(std::filesystem::exists(folder / "t.safetensors"));
    stream.finish();
  }
  const SafetensorsFile file(folder / "t.safetensors");
  EXPECT_EQ(file.tensor("y").to_vector<float>(), y.to_vector<float>());
  EXPECT_EQ(file.tensor("z").to_vector<float>(), std::vector<float>(5, 4.0F));
  { TensorStream unfinished(folder / "u.safetensors", {{"y", y.shape()}}); }
  EXPECT_EQ(test::file_names(folder.path()), std::vector<std::string>{"t.safetensors"});
}

TEST(NonFinite, NamesTheFirst) {
  const Tensor good = Tensor::zeros({3});
  Tensor bad = Tensor::zeros({3});
  bad.data<float>()[1] = std::nanf("");
  const Tensor count = Tensor::zeros({}, {.dtype = DType::kInt64});
  EXPECT_EQ(first_non_finite({{"a", good}, {"n", count}}), "");
  EXPECT_EQ(first_non_finite({{"a", good}, {"n", count}, {"b", bad}, {"c", bad}}), "b");
}

// What RunDirectory leaves in `folder` when a run that wrote `files` ends by an exception.
std::vector<std::string> left_by_failure(const TemporaryFolder& folder, RunOptions options,
                                         const std::vector<std::string>& files) {
  options.output_dir = (folder / "run").string();
  try {
    const RunDirectory directory(options, kTrainingFiles);
    for (const std::string& name : files) write_file(directory.path() / name, std::string("x"));
    fail("the run fails");
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "the run fails");
  }
  std::vector<std::string> names;
  if (std::filesystem::exists(options.output_dir))
    for (const auto& entry : std::filesystem::directory_iterator(options.output_dir))
      names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

TEST(RunDirectory, AFailureLeavesOnlyWhatIsOfUse) {
  using Names = std::vector<std::string>;
  RunOptions resuming, forcing;
  resuming.resume = true;
  forcing.force = true;
  {
    const TemporaryFolder folder;
    EXPECT_EQ(
        left_by_failure(folder, {}, {"config.json", "metrics.jsonl", "events.out.tfevents.1"}),
        Names{});
    EXPECT_FALSE(std::filesystem::exists(folder / "run"));
  }
  {
    const TemporaryFolder folder;
    EXPECT_EQ(left_by_failure(folder, {}, {"config.json", "last.safetensors"}),
              (Names{"config.json", "last.safetensors"}))
        << "a run to go on with";
    EXPECT_EQ(left_by_failure(folder, resuming, {"metrics.jsonl"}),
              (Names{"config.json", "last.safetensors", "metrics.jsonl"}));
  }
  const TemporaryFolder folder;
  std::filesystem::create_directory(folder / "run");
  write_file(folder / "run/notes.txt", std::string("mine"));
  EXPECT_EQ(left_by_failure(folder, forcing, {"config.json"}), Names{"notes.txt"});
}

// A run of several parts goes on from their folders.
TEST(RunDirectory, OfPartsGoesOnFromThem) {
  const TemporaryFolder folder;
  RunOptions options;
  options.output_dir = (folder / "run").string();
  const auto fails = [&](bool with_part) {
    try {
      const RunDirectory directory(options, {"config.json"}, "part-*");
      write_file(directory.path() / "config.json", std::string("x"));
      if (with_part) std::filesystem::create_directories(directory.path() / "part-0");
      fail("the run fails");
    } catch (const Error&) {
    }
    return std::filesystem::exists(folder / "run/config.json");
  };
  EXPECT_FALSE(fails(false));
  EXPECT_FALSE(std::filesystem::exists(folder / "run"));
  EXPECT_TRUE(fails(true));
  test::expect_error([&] { RunDirectory(options, {"config.json"}, "part-*"); }, {"not empty"});
  options.resume = true;
  EXPECT_TRUE(RunDirectory(options, {"config.json"}, "part-*").resuming());
  EXPECT_FALSE(RunDirectory(options, {"config.json"}, "section-*").resuming());
}

TEST(SavedConfiguration, NamesWhatIsDamaged) {
  const TemporaryFolder folder;
  const auto with = [&](const std::string& configuration) {
    write_safetensors(folder / "net.safetensors", {{"w", Tensor::zeros({1})}},
                      {{"configuration", configuration}});
    return (folder / "net.safetensors").string();
  };
  EXPECT_EQ(saved_configuration(with(R"({"arch":"vgg11","classes":3})"))["classes"], 3);
  EXPECT_TRUE(saved_configuration(with("no JSON")).empty());
  for (const char* bad : {R"({"arch":5})", R"({"classes":-3})", R"({"classes":"3"})",
                          R"({"image_size":1e99})", R"({"class_names":["a",1]})"})
    test::expect_error([&] { saved_configuration(with(bad)); },
                       {"net.safetensors", "configuration is damaged"});
}

TEST(Options, RangesRefuseWhatIsNoNumber) {
  const auto message = [](const OptionCheck& check, const char* text) { return check(text); };
  for (const char* text : {"0", "1", "0.5", "1e-3"})
    EXPECT_EQ(message(in_range(0, 1), text), "") << text;
  for (const char* text : {"nan", "inf", "-0.1", "1.1", "", "1x", "x"})
    EXPECT_NE(message(in_range(0, 1), text), "") << text;
  EXPECT_NE(message(above(0), "0"), "");
  EXPECT_NE(message(above(0), "inf"), "");
  EXPECT_EQ(message(one_of({"a", "b"}), "b"), "");
  EXPECT_NE(message(one_of({"a", "b"}), "c").find("a, b"), std::string::npos);
}

}  // namespace
}  // namespace concord::tool
