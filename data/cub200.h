#pragma once
// CUB-200-2011 as published, and what is laid out like it: to a folder of cropped images.
// Source: Wah, Branson, Welinder, Perona, Belongie, "The Caltech-UCSD Birds-200-2011 Dataset".

#include <array>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "data/image.h"
#include "data/workers.h"

namespace concord {

// x, y of the left top corner, width and height, in pixels.
struct BoundingBox {
  double x = 0.0;
  double y = 0.0;
  double width = 0.0;
  double height = 0.0;
};

struct CubImage {
  std::string file;  // relative to ROOT/images
  std::int64_t label = 0;
  bool train = false;
  BoundingBox box;
};

struct Cub200 {
  std::filesystem::path root;
  std::vector<std::string> classes;  // in the order of classes.txt
  std::vector<CubImage> images;      // in the order of images.txt
};

// Reads images.txt, classes.txt, image_class_labels.txt, train_test_split.txt and, if `boxes`,
// bounding_boxes.txt; ROOT may also be the folder that holds CUB_200_2011. Throws Error with file
// and line for malformed lines, ids that are missing, unknown or given twice, paths that leave
// ROOT/images, and boxes that are not numbers with positive sides.
Cub200 read_cub200(const std::filesystem::path& root, bool boxes = true);

// The pixels of a box as (left, top, right, bottom), half open: int(x), int(y), int(x + w),
// int(y + h), as Pillow's crop((int(x), int(y), int(x + w), int(y + h))) has them, clipped to the
// picture and at least one pixel wide and high. Throws Error naming `name` when the box lies wholly
// outside.
std::array<int, 4> crop_rectangle(const BoundingBox& box, int width, int height,
                                  const std::string& name);

struct Cub200Options {
  bool crop = true;
  bool strict = false;  // an unreadable image is an Error instead of an entry in the report
  int quality = 95;     // of the JPEG files, 1..100
  int threads = 0;      // 0: all
  std::int64_t max_pixels = std::int64_t{1} << 26;
  bool replace = false;  // an output folder that is not empty
  ProgressCallback progress = {};
};

struct Cub200Report {
  std::int64_t train = 0;  // images written
  std::int64_t test = 0;
  std::int64_t clipped = 0;             // boxes that reached past the picture
  std::int64_t copied = 0;              // colour JPEGs kept whole, byte for byte
  std::vector<std::string> unreadable;  // messages, in the order of images.txt
  std::vector<std::string> classes;
  std::vector<std::int64_t> train_counts;  // per class
  std::vector<std::int64_t> test_counts;
};

// Writes OUT/train/CLASS/*.jpg and OUT/test/CLASS/*.jpg with manifest.json; the folder appears
// complete or not at all. Grayscale is widened to colour; a colour JPEG of which all is kept is
// copied rather than compressed a second time. Throws Error, also when a class is left without
// images in a split.
Cub200Report prepare_cub200(const std::filesystem::path& source,
                            const std::filesystem::path& output, const Cub200Options& options);

}  // namespace concord
