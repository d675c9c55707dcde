#include "data/image_set.h"

#include <algorithm>
#include <numeric>

#include "kernels/error.h"

namespace concord {

Image load_sample(const ImageSample& sample, const DecodeOptions& options) {
  Image image = load_image(sample.path, options);
  if (!sample.box) return image;
  const auto [left, top, right, bottom] =
      crop_rectangle(*sample.box, image.width, image.height, sample.path.string());
  if (left == 0 && top == 0 && right == image.width && bottom == image.height) return image;
  return crop(image, left, top, right, bottom);
}

std::string name_of_sample(const ImageSample& sample, const std::filesystem::path& data) {
  return sample.name.empty() ? sample.path.lexically_relative(data).generic_string() : sample.name;
}

std::vector<std::int64_t> count_classes(const ImageSet& set,
                                        const std::vector<std::int64_t>& samples) {
  const std::size_t classes = set.classes.size();
  std::vector<std::int64_t> counts(classes, 0);
  for (const std::int64_t i : samples) {
    const auto index = static_cast<std::size_t>(i);
    if (set.multi_labels.empty())
      ++counts[static_cast<std::size_t>(set.samples[index].label)];
    else
      for (std::size_t label = 0; label < classes; ++label)
        counts[label] += set.multi_labels[index * classes + label];
  }
  return counts;
}

std::vector<std::int64_t> count_classes(const ImageSet& set) {
  std::vector<std::int64_t> all(set.samples.size());
  std::iota(all.begin(), all.end(), 0);
  return count_classes(set, all);
}

Halves split_halves(const ImageSet& set, int percent) {
  check(percent >= 0 && percent <= 100, "a share of {} per cent is not in 0..100", percent);
  const auto list_of = [&](const ImageSample& sample) {
    return set.multi_labels.empty() ? static_cast<std::size_t>(sample.label) : std::size_t{0};
  };
  std::vector<std::int64_t> sizes(std::max<std::size_t>(1, set.classes.size()), 0);
  for (const ImageSample& sample : set.samples) ++sizes[list_of(sample)];
  std::vector<std::int64_t> seen(sizes.size(), 0);
  Halves halves;
  for (std::size_t i = 0; i < set.samples.size(); ++i) {
    const std::size_t list = list_of(set.samples[i]);
    (seen[list]++ < sizes[list] * percent / 100 ? halves.first : halves.second)
        .push_back(static_cast<std::int64_t>(i));
  }
  return halves;
}

}  // namespace concord
