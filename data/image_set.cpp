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

void keep_samples(ImageSet& set, const std::vector<std::int64_t>& indices) {
  const std::size_t labels = set.multi_labels.empty() ? 0 : set.classes.size();
  std::vector<ImageSample> samples;
  std::vector<std::uint8_t> multi_labels;
  for (const std::int64_t index : indices) {
    const auto i = static_cast<std::size_t>(index);
    check(index >= 0 && i < set.samples.size(), "{}: no sample {} among {}", set.root.string(),
          index, set.samples.size());
    samples.push_back(set.samples[i]);
    const auto row = set.multi_labels.begin() + static_cast<std::ptrdiff_t>(i * labels);
    multi_labels.insert(multi_labels.end(), row, row + static_cast<std::ptrdiff_t>(labels));
  }
  set.samples = std::move(samples);
  set.multi_labels = std::move(multi_labels);
}

void keep_group(ImageSet& set, const std::string& name) {
  std::string known;
  for (const ClassGroup& group : set.groups) known += (known.empty() ? "" : ", ") + group.name;
  const auto found = std::find_if(set.groups.begin(), set.groups.end(),
                                  [&](const ClassGroup& group) { return group.name == name; });
  check(found != set.groups.end(), "{}: has no group of classes {}; it has {}", set.root.string(),
        name, known.empty() ? "none" : known);
  const ClassGroup group = *found;
  const auto inside = [&](std::int64_t label) {
    return label >= group.first && label < group.first + group.count;
  };
  std::erase_if(set.samples, [&](const ImageSample& sample) { return !inside(sample.label); });
  check(!set.samples.empty(), "{}: no image is of the group {}", set.root.string(), name);
  for (ImageSample& sample : set.samples) sample.label -= group.first;
  const auto first = set.classes.begin() + static_cast<std::ptrdiff_t>(group.first);
  set.classes = std::vector<std::string>(first, first + static_cast<std::ptrdiff_t>(group.count));
  set.groups.clear();
}

}  // namespace concord
