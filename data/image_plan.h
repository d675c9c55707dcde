#pragma once
// What the reader of a data set makes of its source, and what prepare() carries out.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "data/bounding_box.h"
#include "data/class_group.h"

namespace concord {

// One image of the prepared folder: the whole of a file of the source, or a rectangle of it. A file
// may be named by several, each with a box and a target of its own.
struct PlannedImage {
  std::string file;        // in the source
  std::string target;      // below the output folder: "train/CLASS/name.jpg"
  std::int64_t label = 0;  // index into ImagePlan::classes; -1 where there are multi_labels
  std::string split;       // one of ImagePlan::splits
  std::optional<BoundingBox> box = {};  // absent: the whole image
  std::size_t source = 0;               // which of the sources that prepare() is given
};

struct ImagePlan {
  std::string kind;                  // "cub200"
  std::vector<std::string> classes;  // by label
  std::vector<std::string> splits;   // "train", and "test" or "val"
  std::vector<PlannedImage> images;
  std::vector<ClassGroup> groups = {};
  // [images x classes], 0 or 1; empty where every image has its one label.
  std::vector<std::uint8_t> multi_labels = {};
  // Images of each split as published, in the order of `splits`; empty where nothing is published.
  std::vector<std::int64_t> published = {};
};

// Throws Error naming what is wrong: no class or image; a class that cannot name a folder or is
// there twice; a label, split or source (of `sources`) that does not exist; a target that is not
// below a folder of its split or that two images have; groups or multi-labels of other sizes.
void check_plan(const ImagePlan& plan, std::size_t sources);

// Whether a name from a list can be joined to a folder and stays below it, where readers of folders
// find it: relative, not empty, no part that begins with '.', no control characters.
bool is_plain_path(const std::string& path);
// Whether it can name a single folder or file.
bool is_plain_name(const std::string& name);
// The file name of a path, with the extension .jpg: what the prepared image is called.
std::string jpeg_name(const std::string& path);

}  // namespace concord
