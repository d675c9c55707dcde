#include "data/mix320.h"

#include <algorithm>
#include <filesystem>

#include "kernels/error.h"

namespace concord {
namespace {

// Adds the images of one part, its classes from `prefix` + name on in byte order.
void add_part(ImagePlan& mix, const ImagePlan& part, std::size_t source, const std::string& prefix,
              const char* group) {
  std::vector<std::string> sorted = part.classes;
  std::sort(sorted.begin(), sorted.end());
  const auto first = static_cast<std::int64_t>(mix.classes.size());
  for (PlannedImage image : part.images) {
    const std::string& name = part.classes[static_cast<std::size_t>(image.label)];
    image.label = first + (std::lower_bound(sorted.begin(), sorted.end(), name) - sorted.begin());
    image.target = fmt::format("{}/{}{}/{}", image.split, prefix, name,
                               std::filesystem::path(image.target).filename().string());
    image.source = source;
    mix.images.push_back(std::move(image));
  }
  for (const std::string& name : sorted) mix.classes.push_back(prefix + name);
  mix.groups.push_back({group, first, static_cast<std::int64_t>(sorted.size())});
}

}  // namespace

ImagePlan plan_mix320(const ImagePlan& birds, const ImagePlan& dogs) {
  check_plan(birds, 1);
  check_plan(dogs, 1);
  check(birds.splits == dogs.splits, "mix320: the birds and the dogs have other splits");
  check(birds.multi_labels.empty() && dogs.multi_labels.empty(),
        "mix320: its parts have one label an image");
  ImagePlan mix{.kind = "mix320", .classes = {}, .splits = birds.splits, .images = {}};
  const bool in_order = *std::max_element(birds.classes.begin(), birds.classes.end()) <
                        *std::min_element(dogs.classes.begin(), dogs.classes.end());
  add_part(mix, birds, 0, in_order ? "" : "birds.", "birds");
  add_part(mix, dogs, 1, in_order ? "" : "dogs.", "dogs");
  if (birds.published.size() == mix.splits.size() && dogs.published.size() == mix.splits.size())
    for (std::size_t i = 0; i < mix.splits.size(); ++i)
      mix.published.push_back(birds.published[i] + dogs.published[i]);
  return mix;
}

}  // namespace concord
