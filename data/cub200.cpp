#include "data/cub200.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>
#include <unordered_map>

#include "data/files.h"
#include "data/image_folder.h"
#include "data/text_table.h"
#include "kernels/error.h"

namespace concord {
namespace fs = std::filesystem;

namespace {

fs::path find_root(const fs::path& root) {
  std::error_code error;
  check(fs::exists(root, error), "{}: no such folder", root.string());
  check(fs::is_directory(root, error), "{}: is a file; unpack the archive and name its folder",
        root.string());
  for (const fs::path& candidate : {root, root / "CUB_200_2011"})
    if (fs::exists(candidate / "images.txt", error)) return candidate;
  fail("{}: holds no images.txt, so it is not in the CUB-200-2011 layout", root.string());
}

// A name that stays below the folder it is joined to.
bool is_plain_path(const fs::path& path) {
  return !path.empty() && path.is_relative() &&
         std::none_of(path.begin(), path.end(), [](const fs::path& part) { return part == ".."; });
}

// Class folders keep their published names; the names are checked as they become paths.
std::unordered_map<std::int64_t, std::int64_t> read_classes(Cub200& set) {
  std::unordered_map<std::int64_t, std::int64_t> label_of;
  std::set<std::string> seen;
  for (const TextLine& line : read_text_table(set.root / "classes.txt", 2)) {
    const std::string& name = line.fields[1];
    if (!is_plain_path(name) || fs::path(name).has_parent_path())
      line.refuse(fmt::format("'{}' cannot name a folder", name));
    if (!seen.insert(name).second) line.refuse(fmt::format("class {} is given twice", name));
    if (!label_of.emplace(line.integer(0), static_cast<std::int64_t>(set.classes.size())).second)
      line.refuse(fmt::format("id {} is given twice", line.fields[0]));
    set.classes.push_back(name);
  }
  check(!set.classes.empty(), "{}: names no class", (set.root / "classes.txt").string());
  return label_of;
}

// Calls use(image, line) for each line of a list, which must name every image exactly once.
template <class Use>
void read_list(Cub200& set, const std::unordered_map<std::int64_t, std::size_t>& position,
               const char* file, std::size_t fields, Use&& use) {
  std::vector<bool> seen(set.images.size(), false);
  for (const TextLine& line : read_text_table(set.root / file, fields)) {
    const auto found = position.find(line.integer(0));
    if (found == position.end())
      line.refuse(fmt::format("image id {} is not in images.txt", line.fields[0]));
    if (seen[found->second]) line.refuse(fmt::format("image id {} is given twice", line.fields[0]));
    seen[found->second] = true;
    use(set.images[found->second], line);
  }
  const auto missing = std::find(seen.begin(), seen.end(), false);
  if (missing != seen.end())
    fail("{}: says nothing about {}", (set.root / file).string(),
         set.images[static_cast<std::size_t>(missing - seen.begin())].file);
}

struct Written {
  bool done = false;
  bool clipped = false;
  bool copied = false;
  std::string problem;
};

fs::path target_of(const CubImage& image, const Cub200& set) {
  fs::path name = fs::path(image.file).filename();
  name.replace_extension(".jpg");
  return fs::path(image.train ? "train" : "test") /
         set.classes[static_cast<std::size_t>(image.label)] / name;
}

Written prepare_image(const Cub200& set, const CubImage& entry, const fs::path& target,
                      const Cub200Options& options) {
  Written written;
  const std::string name = (set.root / "images" / entry.file).string();
  std::vector<std::uint8_t> bytes;
  try {
    bytes = read_file(name);
    Image image = decode_image(bytes, name, {.max_pixels = options.max_pixels});
    bool whole = true;
    if (options.crop) {
      const BoundingBox& box = entry.box;
      // In whole pixels: a box that ends within the last pixel loses nothing.
      written.clipped = box.x <= -1.0 || box.y <= -1.0 || box.x + box.width >= image.width + 1.0 ||
                        box.y + box.height >= image.height + 1.0;
      const auto [left, top, right, bottom] = crop_rectangle(box, image.width, image.height, name);
      whole = left == 0 && top == 0 && right == image.width && bottom == image.height;
      if (!whole) image = crop(image, left, top, right, bottom);
    }
    written.copied = whole && is_color_jpeg(bytes);
    if (!written.copied) bytes = encode_jpeg(image, options.quality);
  } catch (const Error& error) {
    if (options.strict) throw;
    written.problem = error.what();
    return written;
  }
  write_file(target, bytes);  // outside: a full disk is no property of the image
  written.done = true;
  return written;
}

void write_manifest(const fs::path& file, const Cub200& set, const Cub200Report& report,
                    const Cub200Options& options) {
  nlohmann::ordered_json manifest;
  manifest["kind"] = "cub200";
  manifest["version"] = CONCORD_VERSION;
  manifest["source"] = set.root.string();
  manifest["crop"] = options.crop;
  manifest["quality"] = options.quality;
  manifest["train"] = report.train;
  manifest["test"] = report.test;
  manifest["boxes_clipped"] = report.clipped;
  manifest["copied_whole"] = report.copied;
  for (std::size_t label = 0; label < set.classes.size(); ++label)
    manifest["classes"][set.classes[label]] = {{"train", report.train_counts[label]},
                                               {"test", report.test_counts[label]}};
  manifest["unreadable"] = report.unreadable;
  write_file(file,
             manifest.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n");
}

Cub200Report summarise(const Cub200& set, const std::vector<Written>& written) {
  Cub200Report report;
  report.classes = set.classes;
  report.train_counts.resize(set.classes.size());
  report.test_counts.resize(set.classes.size());
  for (std::size_t i = 0; i < written.size(); ++i) {
    const CubImage& image = set.images[i];
    if (!written[i].done) {
      report.unreadable.push_back(written[i].problem);
      continue;
    }
    const auto label = static_cast<std::size_t>(image.label);
    ++(image.train ? report.train : report.test);
    ++(image.train ? report.train_counts : report.test_counts)[label];
    report.clipped += written[i].clipped ? 1 : 0;
    report.copied += written[i].copied ? 1 : 0;
  }
  for (std::size_t label = 0; label < set.classes.size(); ++label)
    check(
        report.train_counts[label] > 0 && report.test_counts[label] > 0,
        "{}: class {} has {} readable training and {} readable test images; both splits need one{}",
        set.root.string(), set.classes[label], report.train_counts[label],
        report.test_counts[label],
        report.unreadable.empty() ? "" : " (the first unreadable: " + report.unreadable[0] + ")");
  return report;
}

}  // namespace

Cub200 read_cub200(const fs::path& root, bool boxes) {
  Cub200 set;
  set.root = find_root(root);
  const auto label_of = read_classes(set);
  std::unordered_map<std::int64_t, std::size_t> position;
  for (const TextLine& line : read_text_table(set.root / "images.txt", 2)) {
    if (!is_plain_path(line.fields[1]))
      line.refuse(fmt::format("'{}' leaves the folder of images", line.fields[1]));
    if (!position.emplace(line.integer(0), set.images.size()).second)
      line.refuse(fmt::format("image id {} is given twice", line.fields[0]));
    set.images.emplace_back().file = line.fields[1];
  }
  check(!set.images.empty(), "{}: names no image", (set.root / "images.txt").string());
  read_list(set, position, "image_class_labels.txt", 2, [&](CubImage& image, const TextLine& line) {
    const auto label = label_of.find(line.integer(1));
    if (label == label_of.end())
      line.refuse(fmt::format("class id {} is not in classes.txt", line.fields[1]));
    image.label = label->second;
  });
  read_list(set, position, "train_test_split.txt", 2, [&](CubImage& image, const TextLine& line) {
    const std::int64_t flag = line.integer(1);
    if (flag != 0 && flag != 1)
      line.refuse(fmt::format("'{}' is neither 1 (train) nor 0 (test)", line.fields[1]));
    image.train = flag == 1;
  });
  if (!boxes) return set;
  check(fs::exists(set.root / "bounding_boxes.txt"),
        "{}: is missing; without it images cannot be cropped (give --no-crop to keep them whole)",
        (set.root / "bounding_boxes.txt").string());
  read_list(set, position, "bounding_boxes.txt", 5, [&](CubImage& image, const TextLine& line) {
    image.box = {line.number(1), line.number(2), line.number(3), line.number(4)};
    if (!(image.box.width > 0.0 && image.box.height > 0.0))
      line.refuse(fmt::format("a box of {} x {} pixels is empty", line.fields[3], line.fields[4]));
  });
  return set;
}

std::array<int, 4> crop_rectangle(const BoundingBox& box, int width, int height,
                                  const std::string& name) {
  check(box.x < width && box.y < height && box.x + box.width > 0.0 && box.y + box.height > 0.0,
        "{}: its box (x {}, y {}, {} x {}) lies outside the image of {}x{}", name, box.x, box.y,
        box.width, box.height, width, height);
  // Clamped as double first: a huge number must not overflow an int.
  const auto pixel = [](double v, int low, int high) {
    return static_cast<int>(std::clamp(v, static_cast<double>(low), static_cast<double>(high)));
  };
  const int left = pixel(box.x, 0, width - 1), top = pixel(box.y, 0, height - 1);
  return {left, top, pixel(box.x + box.width, left + 1, width),
          pixel(box.y + box.height, top + 1, height)};
}

Cub200Report prepare_cub200(const fs::path& source, const fs::path& output,
                            const Cub200Options& options) {
  check(options.quality >= 1 && options.quality <= 100, "cub200: quality {} is not in 1..100",
        options.quality);
  const Cub200 set = read_cub200(source, options.crop);
  StagingFolder staging(output, options.replace);
  std::error_code error;
  for (const char* split : {"train", "test"})
    for (const std::string& name : set.classes) {
      fs::create_directories(staging.path() / split / name, error);
      check(!error, "{}: cannot be created: {}", (staging.path() / split / name).string(),
            error.message());
    }
  std::vector<fs::path> targets;
  std::set<fs::path> taken;
  for (const CubImage& image : set.images) {
    targets.push_back(staging.path() / target_of(image, set));
    check(taken.insert(targets.back()).second,
          "{}: two images of class {} have the same file name {}", set.root.string(),
          set.classes[static_cast<std::size_t>(image.label)],
          fs::path(image.file).filename().string());
  }
  std::vector<Written> written(set.images.size());
  for_each_item(
      static_cast<std::int64_t>(set.images.size()), options.threads,
      [&](std::int64_t i) {
        const auto index = static_cast<std::size_t>(i);
        written[index] = prepare_image(set, set.images[index], targets[index], options);
      },
      options.progress);
  const Cub200Report report = summarise(set, written);
  write_manifest(staging.path() / "manifest.json", set, report, options);
  staging.commit();
  return report;
}

}  // namespace concord
