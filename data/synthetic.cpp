#include "data/synthetic.h"

#include <nlohmann/json.hpp>

#include "data/files.h"
#include "data/staging_folder.h"
#include "kernels/error.h"
#include "kernels/philox.h"

namespace concord {
namespace fs = std::filesystem;

namespace {

// Keeps the formats of CUB pictures apart from the other uses of a seed.
constexpr std::uint64_t kFormatStream = std::uint64_t{0x464F524D} << 32;
// Validation pictures have indices of their own: no number of training pictures runs into them.
constexpr std::uint64_t kValidationStart = std::uint64_t{1} << 23;

void check_options(const SyntheticOptions& options) {
  const auto most = static_cast<int>(synthetic_classes().size());
  check(options.classes >= 2 && options.classes <= most, "synthetic: {} classes; give 2 to {}",
        options.classes, most);
  check(options.train_per_class >= 1 && options.train_per_class <= 1 << 22 &&
            options.val_per_class >= 1 && options.val_per_class <= 1 << 22,
        "synthetic: {} and {} images a class; give at least 1 of each", options.train_per_class,
        options.val_per_class);
  check(options.image_size >= 32 && options.image_size <= 1024,
        "synthetic: image size {} is not in 32..1024", options.image_size);
  check(options.quality >= 1 && options.quality <= 100, "synthetic: quality {} is not in 1..100",
        options.quality);
}

// One file of the data set: which picture it holds and where it goes.
struct Item {
  int label = 0;
  bool train = true;
  std::uint64_t index = 0;
  std::string file;  // relative to the folder of images
};

std::vector<Item> list_items(const SyntheticOptions& options) {
  const bool cub = options.layout == SyntheticLayout::kCub;
  std::vector<Item> items;
  for (int label = 0; label < options.classes; ++label) {
    const std::string& name = synthetic_classes()[static_cast<std::size_t>(label)];
    for (int i = 0; i < options.train_per_class + options.val_per_class; ++i) {
      Item item;
      item.label = label;
      item.train = i < options.train_per_class;
      const int number = item.train ? i : i - options.train_per_class;
      item.index = static_cast<std::uint64_t>(number) + (item.train ? 0 : kValidationStart);
      item.file = cub ? fmt::format("{:03}.{}/{}_{:05}.jpg", label + 1, name, name, i + 1)
                      : fmt::format("{}/{}/{}_{:05}.jpg", item.train ? "train" : "val", name, name,
                                    number + 1);
      items.push_back(std::move(item));
    }
  }
  return items;
}

SyntheticImage draw_item(const Item& item, const SyntheticOptions& options) {
  if (options.layout == SyntheticLayout::kFolder)
    return draw_synthetic(item.label, options.seed, item.index, options.image_size,
                          options.image_size, 0.8F);
  // Uncropped photographs: landscape or portrait, the object at about half their shorter side.
  random::Stream stream(
      options.seed, kFormatStream + (static_cast<std::uint64_t>(item.label) << 24) + item.index);
  const int shorter = static_cast<int>(options.image_size * stream.uniform(0.65, 1.0));
  const bool landscape = stream.below(3) != 0;
  const auto fill = static_cast<float>(stream.uniform(0.45, 0.75));
  return draw_synthetic(item.label, options.seed, item.index,
                        landscape ? options.image_size : shorter,
                        landscape ? shorter : options.image_size, fill);
}

void write_cub_lists(const fs::path& folder, const std::vector<Item>& items,
                     const std::vector<SyntheticImage>& boxes, int classes) {
  std::string images, labels, box_lines, split, names;
  for (std::size_t i = 0; i < items.size(); ++i) {
    images += fmt::format("{} {}\n", i + 1, items[i].file);
    labels += fmt::format("{} {}\n", i + 1, items[i].label + 1);
    box_lines += fmt::format("{} {:.1f} {:.1f} {:.1f} {:.1f}\n", i + 1, boxes[i].x, boxes[i].y,
                             boxes[i].width, boxes[i].height);
    split += fmt::format("{} {}\n", i + 1, items[i].train ? 1 : 0);
  }
  for (int label = 0; label < classes; ++label)
    names += fmt::format("{} {:03}.{}\n", label + 1, label + 1,
                         synthetic_classes()[static_cast<std::size_t>(label)]);
  write_file(folder / "images.txt", images);
  write_file(folder / "image_class_labels.txt", labels);
  write_file(folder / "bounding_boxes.txt", box_lines);
  write_file(folder / "train_test_split.txt", split);
  write_file(folder / "classes.txt", names);
}

}  // namespace

void write_synthetic(const fs::path& output, const SyntheticOptions& options) {
  check_options(options);
  const bool cub = options.layout == SyntheticLayout::kCub;
  StagingFolder staging(output, options.replace);
  const fs::path root = cub ? staging.path() / "images" : staging.path();
  const std::vector<Item> items = list_items(options);
  std::error_code error;
  for (const Item& item : items) {
    const fs::path folder = (root / item.file).parent_path();
    fs::create_directories(folder, error);
    check(!error, "{}: cannot be created: {}", folder.string(), error.message());
  }
  std::vector<SyntheticImage> boxes(items.size());
  for_each_item(
      static_cast<std::int64_t>(items.size()), options.threads,
      [&](std::int64_t i) {
        const auto index = static_cast<std::size_t>(i);
        SyntheticImage picture = draw_item(items[index], options);
        write_file(root / items[index].file, encode_jpeg(picture.image, options.quality));
        picture.image = {};  // only the box is wanted later
        boxes[index] = std::move(picture);
      },
      options.progress);
  if (cub) write_cub_lists(staging.path(), items, boxes, options.classes);
  nlohmann::ordered_json manifest;
  manifest["kind"] = "synthetic";
  manifest["layout"] = cub ? "cub" : "folder";
  manifest["version"] = CONCORD_VERSION;
  manifest["seed"] = options.seed;
  manifest["image_size"] = options.image_size;
  manifest["quality"] = options.quality;
  for (int label = 0; label < options.classes; ++label)
    manifest["classes"][synthetic_classes()[static_cast<std::size_t>(label)]] = {
        {"train", options.train_per_class}, {cub ? "test" : "val", options.val_per_class}};
  write_file(staging.path() / "manifest.json", manifest.dump(2) + "\n");
  staging.commit();
}

}  // namespace concord
