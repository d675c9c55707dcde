#include "data/planned_set.h"

#include <algorithm>
#include <filesystem>
#include <numeric>

#include "data/cub200.h"
#include "data/dogs120.h"
#include "data/image_folder.h"
#include "data/mix320.h"
#include "data/voc.h"
#include "kernels/error.h"

namespace concord {
namespace {

constexpr const char* kKinds[] = {"cub200",   "dogs120",     "mix320",
                                  "voc-crop", "voc-animals", "voc-multilabel"};

// The numbers that the labels of a plan have where classes are in byte order, as folders are read.
// Those of a multi-label plan stay: labels.json keeps their order.
std::vector<std::int64_t> numbers_by_name(const ImagePlan& plan) {
  std::vector<std::int64_t> order(plan.classes.size());
  std::iota(order.begin(), order.end(), 0);
  if (plan.multi_labels.empty())
    std::sort(order.begin(), order.end(), [&](std::int64_t a, std::int64_t b) {
      return plan.classes[static_cast<std::size_t>(a)] < plan.classes[static_cast<std::size_t>(b)];
    });
  std::vector<std::int64_t> number(order.size());
  for (std::size_t i = 0; i < order.size(); ++i)
    number[static_cast<std::size_t>(order[i])] = static_cast<std::int64_t>(i);
  return number;
}

void check_every_class(const ImageSet& set) {
  const auto counts = count_classes(set);
  const auto empty = std::find(counts.begin(), counts.end(), 0);
  if (empty != counts.end())
    fail("{}: class {} has no image in {}; every split needs one", set.root.string(),
         set.classes[static_cast<std::size_t>(empty - counts.begin())], set.name);
}

ImageSet set_of(const ImagePlan& plan, const std::vector<const FileSource*>& sources,
                const std::string& split) {
  const auto number = numbers_by_name(plan);
  std::vector<std::size_t> chosen;
  for (std::size_t i = 0; i < plan.images.size(); ++i)
    if (plan.images[i].split == split) chosen.push_back(i);
  // A target begins with split and class: folders are listed class by class and by bytes.
  const auto key = [&](std::size_t i) {
    const std::string& target = plan.images[i].target;
    const std::size_t slash = target.rfind('/');
    return std::pair(std::string_view(target).substr(0, slash),
                     std::string_view(target).substr(slash));
  };
  std::sort(chosen.begin(), chosen.end(),
            [&](std::size_t a, std::size_t b) { return key(a) < key(b); });

  ImageSet set;
  set.root = sources.front()->location();
  set.name = split;
  set.groups = plan.groups;
  set.classes.resize(plan.classes.size());
  for (std::size_t label = 0; label < number.size(); ++label)
    set.classes[static_cast<std::size_t>(number[label])] = plan.classes[label];
  for (const std::size_t i : chosen) {
    const PlannedImage& image = plan.images[i];
    set.samples.push_back(
        {.path = sources[image.source]->path_of(image.file),
         .label = image.label < 0 ? -1 : number[static_cast<std::size_t>(image.label)],
         .box = image.box,
         .name = image.target});
    if (!plan.multi_labels.empty()) {
      const auto row =
          plan.multi_labels.begin() + static_cast<std::ptrdiff_t>(i * plan.classes.size());
      set.multi_labels.insert(set.multi_labels.end(), row,
                              row + static_cast<std::ptrdiff_t>(plan.classes.size()));
    }
  }
  check(!set.samples.empty(), "{}: has no image in {}", set.root.string(), split);
  if (plan.multi_labels.empty()) check_every_class(set);
  return set;
}

using Warn = std::function<void(const std::string&)>;

void compare_with_published(const ImagePlan& plan, const std::string& data, const Warn& warn) {
  for (std::size_t split = 0; warn && split < plan.published.size(); ++split) {
    const std::string& name = plan.splits[split];
    const auto count =
        std::count_if(plan.images.begin(), plan.images.end(),
                      [&](const PlannedImage& image) { return image.split == name; });
    if (count != plan.published[split])
      warn(
          fmt::format("{}: {} has {} images where {} are published: this is a part of the data "
                      "set, or another",
                      data, name, count, plan.published[split]));
  }
}

// Before an archive is read from end to end in vain.
void refuse_archive(const std::string& path) {
  std::error_code error;
  check(!std::filesystem::is_regular_file(path, error),
        "{}: is no folder, and of an archive single images cannot be read at will; run "
        "concord-prepare, or unpack it",
        path);
}

ImageFolder read_mix(const std::string& data, const std::string& paths, const Warn& warn) {
  const std::size_t comma = paths.find(',');
  check(comma != paths.npos && comma > 0 && comma + 1 < paths.size(),
        "mix320:{}: give mix320:CUB_FOLDER,DOGS_FOLDER, the two unpacked data sets", paths);
  refuse_archive(paths.substr(0, comma));
  refuse_archive(paths.substr(comma + 1));
  const FileSource birds(paths.substr(0, comma)), dogs(paths.substr(comma + 1));
  const ImagePlan plan = plan_mix320(plan_cub200(birds), plan_dogs120(dogs));
  compare_with_published(plan, data, warn);
  return image_folder_of(plan, {&birds, &dogs});
}

}  // namespace

ImageFolder image_folder_of(const ImagePlan& plan, const std::vector<const FileSource*>& sources) {
  check_plan(plan, sources.size());
  check(plan.splits.size() == 2, "{}: {} splits where a training and a held-out one are expected",
        plan.kind, plan.splits.size());
  return {set_of(plan, sources, plan.splits[0]), set_of(plan, sources, plan.splits[1])};
}

bool names_planned_set(const std::string& data) {
  return std::any_of(std::begin(kKinds), std::end(kKinds),
                     [&](const char* kind) { return data.starts_with(std::string(kind) + ":"); });
}

ImageFolder read_images(const std::string& data, const Warn& warn) {
  if (!names_planned_set(data)) return read_image_folder(data);
  const std::size_t colon = data.find(':');
  const std::string kind = data.substr(0, colon), path = data.substr(colon + 1);
  check(!path.empty(), "{}: names no folder after the colon", data);
  if (kind == "mix320") return read_mix(data, path, warn);
  refuse_archive(path);
  const FileSource source(path);
  const ImagePlan plan = kind == "cub200"        ? plan_cub200(source)
                         : kind == "dogs120"     ? plan_dogs120(source)
                         : kind == "voc-crop"    ? plan_voc(source, VocTask::kCrop)
                         : kind == "voc-animals" ? plan_voc(source, VocTask::kAnimals)
                                                 : plan_voc(source, VocTask::kMultiLabel);
  compare_with_published(plan, data, warn);
  return image_folder_of(plan, {&source});
}

}  // namespace concord
