#include "data/dogs120.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <unordered_set>

#include "data/mat_file.h"
#include "data/object_annotation.h"
#include "data/text_table.h"
#include "kernels/error.h"

namespace concord {
namespace {

struct Layout {
  std::string root;
  std::string list_extension;
  std::string list(const std::string& split) const {
    return root + split + "_list" + list_extension;
  }
};

Layout find_layout(const FileSource& source) {
  for (const char* extension : {".mat", ".txt"})
    if (const auto root = source.find_root({std::string("train_list") + extension, "Images/"}))
      return {*root, extension};
  fail(
      "{}: holds no train_list.mat (or train_list.txt) beside Images/, so it is not in the layout "
      "of Stanford Dogs",
      source.location().string());
}

std::vector<std::string> read_names(const std::vector<std::uint8_t>& bytes, const std::string& name,
                                    const Layout& layout) {
  if (layout.list_extension == ".mat") return read_mat_texts(bytes, name, "file_list");
  std::vector<std::string> names;
  for (const TextLine& line : read_text_table(bytes, name, 1)) names.push_back(line.fields[0]);
  return names;
}

// Adds the images of a list, their labels yet unknown.
void add_list(ImagePlan& plan, const std::string& split, const std::vector<std::string>& names,
              const std::string& list, const Layout& layout,
              std::unordered_set<std::string>& seen) {
  check(!names.empty(), "{}: names no image", list);
  for (std::size_t i = 0; i < names.size(); ++i) {
    const std::filesystem::path path = names[i];
    check(is_plain_path(names[i]) && is_plain_name(path.parent_path().string()),
          "{}: entry {}: '{}' is not BREED/NAME.jpg", list, i + 1, names[i]);
    check(seen.insert(names[i]).second, "{}: entry {}: {} is listed twice", list, i + 1, names[i]);
    plan.images.push_back(
        {.file = layout.root + "Images/" + names[i],
         .target = fmt::format("{}/{}/{}", split, path.parent_path().string(), jpeg_name(names[i])),
         .split = split});
  }
}

void number_classes(ImagePlan& plan) {
  const auto breed = [](const PlannedImage& image) {
    return std::filesystem::path(image.target).parent_path().filename().string();
  };
  std::map<std::string, std::int64_t> label_of;
  for (const PlannedImage& image : plan.images) label_of.emplace(breed(image), 0);
  for (auto& [name, label] : label_of) {
    label = static_cast<std::int64_t>(plan.classes.size());
    plan.classes.push_back(name);
  }
  for (PlannedImage& image : plan.images) image.label = label_of.at(breed(image));
}

BoundingBox enclosing(const std::vector<AnnotatedObject>& objects) {
  double left = objects[0].box.x, right = left + objects[0].box.width;
  double top = objects[0].box.y, bottom = top + objects[0].box.height;
  for (const AnnotatedObject& object : objects) {
    left = std::min(left, object.box.x);
    top = std::min(top, object.box.y);
    right = std::max(right, object.box.x + object.box.width);
    bottom = std::max(bottom, object.box.y + object.box.height);
  }
  return {left, top, right - left, bottom - top};
}

void read_boxes(const FileSource& source, const std::string& root, ImagePlan& plan) {
  std::map<std::string, PlannedImage*> image_of;
  for (PlannedImage& image : plan.images) {
    const std::string name = image.file.substr(root.size() + std::string("Images/").size());
    image_of[root + "Annotation/" + std::filesystem::path(name).replace_extension().string()] =
        &image;
  }
  const auto texts =
      source.read_where([&](const std::string& file) { return image_of.contains(file); });
  for (const auto& [file, image] : image_of) {
    const auto text = texts.find(file);
    check(text != texts.end(),
          "{}: no such annotation; without it {} cannot be cropped (give --no-crop to keep whole "
          "images)",
          source.name_of(file), image->file);
    const auto objects = read_annotation(text->second, source.name_of(file));
    check(!objects.empty(), "{}: annotates no object", source.name_of(file));
    image->box = enclosing(objects);
  }
}

}  // namespace

ImagePlan plan_dogs120(const FileSource& source, bool boxes) {
  const Layout layout = find_layout(source);
  ImagePlan plan{.kind = "dogs120",
                 .classes = {},
                 .splits = {"train", "test"},
                 .images = {},
                 .published = {12000, 8580}};
  const auto lists = source.read_where([&](const std::string& file) {
    return file == layout.list("train") || file == layout.list("test");
  });
  std::unordered_set<std::string> seen;
  for (const std::string& split : plan.splits) {
    const std::string list = source.name_of(layout.list(split));
    const auto bytes = lists.find(layout.list(split));
    check(bytes != lists.end(), "{}: no such file", list);
    add_list(plan, split, read_names(bytes->second, list, layout), list, layout, seen);
  }
  number_classes(plan);
  if (boxes) read_boxes(source, layout.root, plan);
  return plan;
}

}  // namespace concord
