#pragma once
// Small pictures and features, made by the tests themselves.

#include <fmt/core.h>

#include <nlohmann/json.hpp>
#include <string>

#include "data/image.h"
#include "engine/random.h"
#include "engine/safetensors.h"
#include "tests/tools/program_run.h"

namespace concord::test {

// ROOT/{train,val}/{amber,blue,green}/NN.png: noise on a colour of its own per class.
inline void write_pictures(const fs::path& root, int train_per_class = 8, int val_per_class = 4,
                           int side = 36) {
  const std::string classes[] = {"amber", "blue", "green"};
  random::Stream noise(20, 26);
  for (const char* split : {"train", "val"})
    for (int label = 0; label < 3; ++label) {
      const fs::path folder = root / split / classes[label];
      fs::create_directories(folder);
      const int count = split == std::string("train") ? train_per_class : val_per_class;
      for (int i = 0; i < count; ++i) {
        Image image(side, side);
        for (std::size_t at = 0; at < image.rgb.size(); ++at)
          image.rgb[at] = static_cast<std::uint8_t>(
              40 + (static_cast<int>(at % 3) == label ? 90 : 0) + noise.below(100));
        write_png(folder / fmt::format("{:02}.png", i), image);
      }
    }
}

// ROOT/{train,val}/images/NN.png and ROOT/labels.json: several labels an image. The picture i shows
// the class k of red, green and blue where bit k of i % 8 is set, and has its colour channel
// raised.
inline void write_multi_label_pictures(const fs::path& root, int train = 24, int val = 10) {
  random::Stream noise(20, 27);
  nlohmann::ordered_json labels = {{"classes", {"red", "green", "blue"}}};
  for (const std::string split : {"train", "val"}) {
    fs::create_directories(root / split / "images");
    for (int i = 0; i < (split == "train" ? train : val); ++i) {
      Image image(36, 36);
      for (std::size_t at = 0; at < image.rgb.size(); ++at)
        image.rgb[at] =
            static_cast<std::uint8_t>(40 + ((i % 8) >> (at % 3) & 1 ? 90 : 0) + noise.below(100));
      const std::string name = fmt::format("{}/images/{:02}.png", split, i);
      write_png(root / name, image);
      auto& shown = labels["images"][name] = nlohmann::ordered_json::array();
      for (int label = 0; label < 3; ++label)
        if ((i % 8) >> label & 1) shown.push_back(label);
    }
  }
  write_file(root / "labels.json", labels.dump());
}

// ROOT as write_pictures makes it, with a manifest in which amber is the group birds, and blue and
// green are dogs.
inline void write_grouped_pictures(const fs::path& root, int train_per_class, int val_per_class) {
  write_pictures(root, train_per_class, val_per_class);
  nlohmann::ordered_json manifest = {
      {"kind", "mix320"}, {"version", "0"}, {"class_names", {"amber", "blue", "green"}}};
  for (const char* name : {"amber", "blue", "green"})
    manifest["classes"][name] = {{"train", train_per_class}, {"val", val_per_class}};
  manifest["groups"] = {{"birds", {{"first", 0}, {"count", 1}}},
                        {"dogs", {{"first", 1}, {"count", 2}}}};
  write_file(root / "manifest.json", manifest.dump());
}

inline Tensor random_features(const Shape& shape, std::uint64_t seed) {
  random::Generator generator(seed);
  Tensor features = Tensor::empty(shape);
  random::fill_normal(features, generator, 0.2, 1.5);
  return features;
}

// A safetensors file with one tensor `features`; returns its path.
inline std::string write_features(const fs::path& path, const Tensor& features) {
  write_safetensors(path, {{"features", features}});
  return path.string();
}

// metrics.jsonl without what depends on the clock.
inline std::string untimed(const fs::path& metrics) {
  std::string text = text_of(metrics);
  for (auto at = text.find(",\"seconds\""); at != std::string::npos;
       at = text.find(",\"seconds\"", at))
    text.erase(at, text.find('}', at) - at);
  return text;
}

inline std::vector<std::string> file_names(const fs::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder))
    names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace concord::test
