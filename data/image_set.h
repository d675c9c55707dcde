#pragma once
// Labelled images: what a data set is to the programs, wherever its files lie.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "data/bounding_box.h"
#include "data/class_group.h"
#include "data/image.h"

namespace concord {

struct ImageSample {
  std::filesystem::path path;
  std::int64_t label = 0;  // index into ImageSet::classes; -1 in a set with multi_labels
  std::optional<BoundingBox> box = {};  // the part of the picture that is the sample; absent: all
  // Of a sample whose file is called otherwise: what it would be called in a prepared folder,
  // "train/CLASS/NAME.jpg". Empty where the path says it.
  std::string name = {};
};

// The labelled images of one split. Classes are in byte order of their names (in a set with
// multi_labels in the order of its list), samples follow class by class in the byte order of their
// file names: the numbering is the same everywhere.
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

// The picture of a sample, cropped to its box as crop_rectangle has it. Throws Error naming the
// file when it cannot be decoded or the box lies outside.
Image load_sample(const ImageSample& sample, const DecodeOptions& options = {});

// What a sample is called in results: its name, else its path below `data`.
std::string name_of_sample(const ImageSample& sample, const std::filesystem::path& data);

// How many samples, of all or of those with these indices, have each class, or show it in a set
// with multi_labels.
std::vector<std::int64_t> count_classes(const ImageSet& set);
std::vector<std::int64_t> count_classes(const ImageSet& set,
                                        const std::vector<std::int64_t>& samples);

// The samples of each class cut in its sorted list: first the indices of floor(n * percent / 100)
// of each class, then those of the rest; a set with multi_labels is one list. At 50 these are the
// two halves of the training set of spec section 5.1. Throws Error unless 0 <= percent <= 100.
struct Halves {
  std::vector<std::int64_t> first;
  std::vector<std::int64_t> second;
};
Halves split_halves(const ImageSet& set, int percent = 50);

// Leaves the samples with these indices, in this order.
void keep_samples(ImageSet& set, const std::vector<std::int64_t>& indices);
// Leaves the classes of one of the groups, numbered from 0, with their samples. Throws Error naming
// the groups when `name` is none of them, and when the group has no sample.
void keep_group(ImageSet& set, const std::string& name);

}  // namespace concord
