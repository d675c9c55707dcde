#pragma once
// Small pictures and features, made by the tests themselves.

#include <fmt/core.h>

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
