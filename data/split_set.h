#pragma once
// The two parts of a data set that networks learn from apart (spec section 5.1).

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "data/workers.h"

namespace concord {

struct SplitOptions {
  int percent = 50;      // of each class's training images that go to part a, 1..99
  bool replace = false;  // an output folder that is not empty
  ProgressCallback progress = {};
};

struct SplitReport {
  std::vector<std::string> classes;
  std::string held_out;         // "val" or "test"
  std::vector<std::int64_t> a;  // training images of each class, or that show it
  std::vector<std::int64_t> b;
  std::vector<std::int64_t> held_out_images;
  std::int64_t a_images = 0;  // of all classes
  std::int64_t b_images = 0;
  std::int64_t held_out_total = 0;
  std::int64_t copied = 0;  // files that could not be linked
};

// Writes OUT/a and OUT/b, each a data set as read_image_folder reads it: of train/ the first
// floor(n * percent / 100) images of every class in byte order of their names, or the rest
// (split_halves; at 50 what concord-train --half a and b use); of a set with several labels an
// image the images are one list. val/ or test/ is in both whole, as are groups and labels. Files
// are hard links to the source's where the file system allows it, else copies; each part has a
// manifest.json. The folder appears complete or not at all. Throws Error as read_image_folder does,
// and when the source has no train/, a class would have no image in a part, or a file cannot be
// written.
SplitReport split_data_set(const std::filesystem::path& source, const std::filesystem::path& output,
                           const SplitOptions& options);

}  // namespace concord
