#pragma once
// The synthetic data set: photographs of toys, drawn by formula, as JPEG files. Free of licences
// and downloads, hard enough to need training, and a person sees what is on them.

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "data/image.h"
#include "data/workers.h"

namespace concord {

enum class SyntheticLayout : std::uint8_t {
  kFolder,  // OUT/train/CLASS/*.jpg and OUT/val/CLASS/*.jpg, the object filling the picture
  kCub,     // as CUB-200-2011: small objects in pictures of several formats, true boxes, one split
            // file
};

struct SyntheticOptions {
  SyntheticLayout layout = SyntheticLayout::kFolder;
  int classes = 10;           // 2..10, the first of synthetic_classes()
  int train_per_class = 200;  // images
  int val_per_class = 50;     // images; in the CUB layout these are the test images
  int image_size = 128;       // longest side in pixels, 32..1024
  std::uint64_t seed = 0;
  int quality = 92;      // of the JPEG files, 1..100
  int threads = 0;       // 0: all; the files do not depend on it
  bool replace = false;  // an output folder that is not empty
  ProgressCallback progress = {};
};

// The names of the ten classes; neighbours are pairs that share shape or texture.
const std::vector<std::string>& synthetic_classes();

// One picture and the true box of its object, in pixels from the left top corner, clipped to the
// picture (what clutter hides is included).
struct SyntheticImage {
  Image image;
  float x = 0.0F;
  float y = 0.0F;
  float width = 0.0F;
  float height = 0.0F;
};

// The picture number `index` of a class: a pure function of its arguments. `fill` is the share of
// the shorter side that the object spans, about. Throws Error for a class or size that does not
// exist.
SyntheticImage draw_synthetic(int label, std::uint64_t seed, std::uint64_t index, int width,
                              int height, float fill);

// Writes the data set with manifest.json; the folder appears complete or not at all. Throws Error.
void write_synthetic(const std::filesystem::path& output, const SyntheticOptions& options);

}  // namespace concord
