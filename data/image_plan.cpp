#include "data/image_plan.h"

#include <algorithm>
#include <filesystem>
#include <unordered_set>

#include "kernels/error.h"

namespace concord {
namespace fs = std::filesystem;

namespace {

void check_classes(const ImagePlan& plan) {
  check(!plan.classes.empty(), "{}: the plan names no class", plan.kind);
  std::unordered_set<std::string> seen;
  for (const std::string& name : plan.classes) {
    check(is_plain_name(name), "{}: '{}' cannot name a folder", plan.kind, name);
    check(seen.insert(name).second, "{}: class {} is given twice", plan.kind, name);
  }
  const auto classes = static_cast<std::int64_t>(plan.classes.size());
  for (const ClassGroup& group : plan.groups)
    check(group.first >= 0 && group.count > 0 && group.first <= classes - group.count,
          "{}: the group {} of {} classes from {} on is not within {} classes", plan.kind,
          group.name, group.count, group.first, classes);
}

}  // namespace

bool is_plain_path(const std::string& text) {
  const fs::path path = text;
  const auto is_control = [](unsigned char c) { return c < 0x20 || c == 0x7F; };
  const auto is_hidden = [](const fs::path& part) { return part.string().starts_with('.'); };
  return !path.empty() && path.is_relative() && path.has_filename() &&
         std::none_of(text.begin(), text.end(), is_control) &&
         std::none_of(path.begin(), path.end(), is_hidden);
}

bool is_plain_name(const std::string& name) {
  return is_plain_path(name) && name.find('/') == std::string::npos;
}

std::string jpeg_name(const std::string& path) {
  return fs::path(path).filename().replace_extension(".jpg").string();
}

void check_plan(const ImagePlan& plan, std::size_t sources) {
  check_classes(plan);
  check(!plan.images.empty(), "{}: the plan names no image", plan.kind);
  check(plan.published.empty() || plan.published.size() == plan.splits.size(),
        "{}: {} published counts for {} splits", plan.kind, plan.published.size(),
        plan.splits.size());
  const bool multi = !plan.multi_labels.empty();
  check(!multi || plan.multi_labels.size() == plan.images.size() * plan.classes.size(),
        "{}: {} multi-labels for {} images of {} classes", plan.kind, plan.multi_labels.size(),
        plan.images.size(), plan.classes.size());
  std::unordered_set<std::string> targets;
  for (const PlannedImage& image : plan.images) {
    check(image.source < sources, "{}: {} is of source {} where there are {}", plan.kind,
          image.file, image.source, sources);
    check(multi ? image.label == -1
                : image.label >= 0 && image.label < static_cast<std::int64_t>(plan.classes.size()),
          "{}: {} has label {} where there are {} classes", plan.kind, image.file, image.label,
          plan.classes.size());
    check(std::find(plan.splits.begin(), plan.splits.end(), image.split) != plan.splits.end(),
          "{}: {} is of an unknown split '{}'", plan.kind, image.file, image.split);
    check(is_plain_path(image.target) && image.target.starts_with(image.split + "/"),
          "{}: {} would be written to {}, which is not below {}/", plan.kind, image.file,
          image.target, image.split);
    if (targets.insert(image.target).second) continue;
    if (multi) fail("{}: two images would be written to {}", plan.kind, image.target);
    fail("{}: two images of class {} have the same file name {}", plan.kind,
         plan.classes[static_cast<std::size_t>(image.label)],
         fs::path(image.file).filename().string());
  }
}

}  // namespace concord
