#pragma once
// Folders of class folders: ROOT/train/CLASS/*.jpg with ROOT/val or ROOT/test beside it, or
// ROOT/CLASS/*.jpg alone.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "data/class_group.h"

namespace concord {

struct ImageSample {
  std::filesystem::path path;
  std::int64_t label = 0;  // index into ImageSet::classes; -1 in a set with multi_labels
};

// The labelled images of one split. Classes are the folder names in byte order, samples follow
// class by class in the byte order of their file names: the numbering is the same everywhere.
struct ImageSet {
  std::filesystem::path root;
  std::string name;  // "train", "val", "test" or, without splits, "all"
  std::vector<std::string> classes;
  std::vector<ImageSample> samples;
  // Classes that are also counted apart; empty for most sets.
  std::vector<ClassGroup> groups = {};
  // [samples x classes], 0 or 1: which classes an image shows; empty where each has its one label.
  std::vector<std::uint8_t> multi_labels = {};
  // Files passed over because their extension is none of .jpg .jpeg .png (any case).
  std::int64_t ignored_files = 0;
};

struct ImageFolder {
  ImageSet train;
  // val/ where there is one, else test/; absent for a plain folder of classes, all of which is then
  // in `train` under the name "all".
  std::optional<ImageSet> validation;
};

// Whether the name ends in .jpg, .jpeg or .png, in any case.
bool has_image_extension(const std::filesystem::path& path);

// Reads one folder of class folders. Hidden entries are passed over. Throws Error naming the folder
// when it is missing or holds no class folders, when a class folder holds no images or holds
// folders.
ImageSet read_class_folder(const std::filesystem::path& root, std::string name = "all");

// Reads either layout. Throws Error as read_class_folder does, and when train/ has neither val/ nor
// test/ beside it, the class names of the two splits differ, or the folder is in a published layout
// that concord-prepare must convert first (CUB-200-2011, Stanford Dogs, Pascal VOC).
ImageFolder read_image_folder(const std::filesystem::path& root);

// The samples of one class each cut in the middle of its list: first the indices of floor(n/2) of
// each class, then those of the rest (spec section 5.1, the two halves of the training set).
struct Halves {
  std::vector<std::int64_t> first;
  std::vector<std::int64_t> second;
};
Halves split_halves(const ImageSet& set);

}  // namespace concord
