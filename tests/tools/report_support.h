#pragma once
// Runs to make reports of, and what is in a page.

#include <openssl/evp.h>
#include <zlib.h>

#include <cmath>
#include <cstring>
#include <memory>

#include "data/feature_store.h"
#include "tests/tools/small_data.h"

namespace concord::test {

using Json = nlohmann::ordered_json;

// By another library than ours.
inline std::vector<std::uint8_t> decoded_base64(const std::string& text) {
  std::vector<std::uint8_t> bytes(text.size() / 4 * 3);
  const int count =
      EVP_DecodeBlock(bytes.data(), reinterpret_cast<const std::uint8_t*>(text.data()),
                      static_cast<int>(text.size()));
  EXPECT_EQ(count, static_cast<int>(bytes.size())) << "no base64: " << text.substr(0, 40);
  for (std::size_t i = text.size(); i-- > 0 && text[i] == '=';) bytes.pop_back();
  return bytes;
}

// As report::base85 says, digit by digit.
inline std::vector<std::uint8_t> decoded_base85(const std::string& text) {
  const std::string digits =
      "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%()*+,.:;=?@[]^_{|}~";
  std::vector<std::uint8_t> bytes;
  for (std::size_t i = 0; i < text.size(); i += 5) {
    const std::string group = text.substr(i, 5);
    std::uint64_t value = 0;
    for (std::size_t k = 0; k < 5; ++k) {
      const std::size_t digit = k < group.size() ? digits.find(group[k]) : 84;
      EXPECT_NE(digit, std::string::npos) << "no digit: " << group;
      value = 85 * value + digit;
    }
    EXPECT_LT(value, std::uint64_t{1} << 32) << group;
    for (std::size_t k = 0; k + 1 < group.size(); ++k)
      bytes.push_back(static_cast<std::uint8_t>(value >> (24 - 8 * k)));
  }
  return bytes;
}

// The text of the page's <script> with this id.
inline std::string script_of(const std::string& page, const std::string& id) {
  const std::size_t at = page.find("id=\"" + id + "\">");
  EXPECT_NE(at, std::string::npos) << id;
  if (at == std::string::npos) return "";
  const std::size_t begin = page.find('>', at) + 1;
  return page.substr(begin, page.find("</script>", begin) - begin);
}

inline Json gallery_of(const std::string& page) {
  return Json::parse(script_of(page, "gallery-data"));
}

struct Block {
  std::int64_t width = 0, height = 0;
  std::vector<std::int8_t> values;
  std::vector<float> steps;
  std::size_t pixels() const { return static_cast<std::size_t>(width * height); }
};

// Steps and values as EncodedMaps writes them.
inline Block unpacked(const std::string& steps_text, const std::string& values_text,
                      std::int64_t width, std::int64_t height) {
  Block block{width, height, {}, {}};
  const auto steps = decoded_base85(steps_text);
  block.steps.resize(steps.size() / 4);
  std::memcpy(block.steps.data(), steps.data(), steps.size());
  const auto packed = decoded_base85(values_text);
  std::vector<std::uint8_t> left(block.steps.size() * block.pixels() + 1);
  uLongf size = left.size();
  EXPECT_EQ(uncompress(left.data(), &size, packed.data(), packed.size()), Z_OK);
  EXPECT_EQ(size + 1, left.size()) << "a value for every pixel, no more";
  block.values.resize(left.size() - 1);
  for (std::size_t i = 0; i < block.values.size(); ++i) {
    const std::size_t x = i % static_cast<std::size_t>(width);
    const std::size_t y = i % block.pixels() / static_cast<std::size_t>(width);
    double foretold = 0;
    if (x > 0 && y > 0)
      foretold = std::floor((block.values[i - 1] + block.values[i - std::size_t(width)]) / 2.0);
    else if (x > 0)
      foretold = block.values[i - 1];
    else if (y > 0)
      foretold = block.values[i - std::size_t(width)];
    block.values[i] = static_cast<std::int8_t>(left[i] + static_cast<int>(foretold));
  }
  return block;
}

// A block of the page, whose maps have the size of this side of the gallery.
inline Block block_of(const std::string& page, const std::string& id, const Json& side) {
  return unpacked(script_of(page, id + "-steps"), script_of(page, id),
                  side["width"].get<std::int64_t>(), side["height"].get<std::int64_t>());
}

// The number-th map, as a reader of the page has it.
inline std::vector<double> values_of(const Block& block, std::size_t number) {
  std::vector<double> values;
  for (std::size_t i = 0; i < block.pixels(); ++i)
    values.push_back(block.values[number * block.pixels() + i] * double{block.steps[number]});
  return values;
}

inline double value_at(const Tensor& maps, std::int64_t row, std::int64_t channel, std::size_t i) {
  const std::int64_t pixels = maps.dim(2) * maps.dim(3);
  const Tensor plain = maps.in_format(MemoryFormat::kPlain);
  return plain.data<float>()[(row * maps.dim(1) + channel) * pixels + static_cast<std::int64_t>(i)];
}

// The number-th map of the block is this channel of this row, to half a step.
inline void expect_map(const Block& block, std::size_t number, const Tensor& maps, std::int64_t row,
                       std::int64_t channel) {
  const std::vector<double> values = values_of(block, number);
  ASSERT_EQ(values.size(), static_cast<std::size_t>(maps.dim(2) * maps.dim(3)));
  double largest = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double expected = value_at(maps, row, channel, i);
    largest = std::max(largest, std::abs(expected));
    EXPECT_LE(std::abs(values[i] - expected), block.steps[number] / 2.0 * (1 + 1e-4) + 1e-6)
        << "map " << number << ", place " << i;
  }
  EXPECT_NEAR(block.steps[number], largest / 127, 1e-5 * largest + 1e-12);
}

// What a file could be called by someone who wishes the reader ill.
inline const std::string kHostile =
    "\"'></script><script>pwned=1</script><img src=x onerror=pwned=1>&amp;";

// A store of features with these images' names.
inline void write_named_store(const fs::path& folder, const Tensor& features,
                              const std::vector<std::string>& names, const FeatureStoreInfo& info) {
  const std::vector<std::uint8_t> right(names.size(), 1);
  FeatureStoreWriter writer(folder, info);
  writer.append(features,
                Tensor::of({static_cast<std::int64_t>(names.size())},
                           std::vector<std::int64_t>(names.size(), 0)),
                right, right, names);
  writer.finish();
}

// config.json as a program writes it, with as much as a report needs.
inline void write_run(const fs::path& folder, const std::string& program,
                      const Json& options = Json::object(), const Json& more = Json::object()) {
  fs::create_directories(folder);
  Json config = {{"program", program},
                 {"version", "0.1.0"},
                 {"command", program + " " + folder.filename().string()},
                 {"options", options}};
  config.update(more);
  write_file(folder / "config.json", config.dump());
}

// FOLDER/data: pictures; maps-a, maps-b: features of 4 and 3 channels; runs/: Trans-Nets both ways
// and their variances by Concord's programs, and a training that was stopped after 2 epochs of 7,
// by a name that is hostile.
class ReportTest : public ::testing::Test {
 protected:
  static constexpr std::int64_t kImages = 12;

  static void SetUpTestSuite() {
    folder_ = std::make_unique<TemporaryFolder>();
    write_pictures(*folder_ / "data", 1, 4);
    std::vector<std::string> names;
    for (const char* name : {"amber", "blue", "green"})
      for (int i = 0; i < 4; ++i) names.push_back(fmt::format("val/{}/{:02}.png", name, i));
    names[5] = "val/" + kHostile + ".png";
    a_ = random_features({kImages, 4, 5, 6}, 1);
    b_ = random_features({kImages, 3, 5, 6}, 2);
    FeatureStoreInfo info;
    info.arch = "net" + kHostile;
    info.layer = "conv1";
    info.dataset = path("data");
    write_named_store(path("maps-a"), a_, names, info);
    info.arch = "other";
    write_named_store(path("maps-b"), b_, names, info);
    for (const bool forward : {true, false}) {
      const std::string net = path(forward ? "runs/ab" : "runs/ba");
      const std::vector<std::string> stores = {"--features-a", path(forward ? "maps-a" : "maps-b"),
                                               "--features-b", path(forward ? "maps-b" : "maps-a"),
                                               "--quiet"};
      run("concord-transnet",
          {"--epochs", "2", "--batch-size", "4", "--lr", "1e-2", "--threads", "1", "--output-dir",
           net},
          stores);
      run("concord-variance",
          {"--weights", net + "/last.safetensors", "--threads", "1", "--output-dir",
           path(forward ? "runs/variance-ab" : "runs/variance-ba")},
          stores);
    }
    write_run(path("runs/train"), "concord-train", {{"epochs", 7}, {"seed", 3}},
              {{"command", "concord-train " + kHostile},
               {"network", {{"kind", "classifier"}, {"arch", "resnet18"}, {"classes", 3}}}});
    write_file(
        path("runs/train/metrics.jsonl"),
        std::string("{\"epoch\":1,\"loss\":2.5,\"top1\":0.25,\"val_loss\":3,\"val_top1\":0.5}"
                    "\n{\"epoch\":2,\"loss\":1.5,\"top1\":0.5,\"val_loss\":2,\"val_top1\":0.375}"
                    "\n"));
  }
  static void TearDownTestSuite() { folder_.reset(); }

  static std::string path(const std::string& name) { return (*folder_ / name).string(); }
  static const Tensor& a() { return a_; }
  static const Tensor& b() { return b_; }

  static ProgramResult visualize(std::vector<std::string> words) {
    words.insert(words.end(), {"--threads", "1"});
    return run_program("concord-visualize", words);
  }
  // The page of runs/.
  static std::string make(const std::string& name, const std::vector<std::string>& more = {}) {
    std::vector<std::string> words = {"--report", path("runs"), "--output-dir", path(name)};
    words.insert(words.end(), more.begin(), more.end());
    const ProgramResult run = visualize(words);
    EXPECT_EQ(run.code, 0) << run.err;
    return text_of(path(name) + "/index.html");
  }

 private:
  static void run(const std::string& program, std::vector<std::string> words,
                  const std::vector<std::string>& more) {
    words.insert(words.end(), more.begin(), more.end());
    const ProgramResult result = run_program(program, words);
    ASSERT_EQ(result.code, 0) << result.err;
  }

  static inline std::unique_ptr<TemporaryFolder> folder_;
  static inline Tensor a_, b_;
};

}  // namespace concord::test
