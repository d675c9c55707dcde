#include "data/multi_label_folder.h"

#include <nlohmann/json.hpp>
#include <unordered_map>
#include <unordered_set>

#include "data/files.h"
#include "data/image_folder.h"
#include "kernels/error.h"

namespace concord {
namespace fs = std::filesystem;

namespace {

using Json = nlohmann::json;

std::vector<std::string> read_classes(const Json& labels, const std::string& file) {
  const auto listed = labels.find("classes");
  check(listed != labels.end() && listed->is_array() && !listed->empty(),
        "{}: has no list of classes", file);
  std::vector<std::string> classes;
  std::unordered_set<std::string> seen;
  for (const Json& name : *listed) {
    check(name.is_string() && !name.get_ref<const std::string&>().empty(),
          "{}: class {} is no name", file, classes.size());
    classes.push_back(name.get<std::string>());
    check(seen.insert(classes.back()).second, "{}: class {} is given twice", file, classes.back());
  }
  return classes;
}

// A row of multi_labels.
void append_row(ImageSet& set, const Json& labels, const std::string& file,
                const std::string& image) {
  check(labels.is_array(), "{}: {}: its labels are no list", file, image);
  const std::size_t row = set.multi_labels.size();
  set.multi_labels.resize(row + set.classes.size(), 0);
  for (const Json& label : labels) {
    check(label.is_number_unsigned() && label.get<std::uint64_t>() < set.classes.size(),
          "{}: {}: label {} is not in 0..{}", file, image,
          label.dump(-1, ' ', true, Json::error_handler_t::replace), set.classes.size() - 1);
    std::uint8_t& shown = set.multi_labels[row + label.get<std::size_t>()];
    check(shown == 0, "{}: {}: label {} is given twice", file, image, label.get<std::size_t>());
    shown = 1;
  }
}

}  // namespace

bool is_multi_label_folder(const fs::path& root) {
  std::error_code error;
  return fs::exists(root / "labels.json", error);
}

ImageFolder read_multi_label_folder(const fs::path& root) {
  const std::string file = (root / "labels.json").string();
  const auto bytes = read_file(root / "labels.json");
  const Json labels = Json::parse(bytes.begin(), bytes.end(), nullptr, false);
  check(!labels.is_discarded() && labels.is_object(), "{}: is no JSON object", file);
  const auto classes = read_classes(labels, file);
  const auto images = labels.find("images");
  check(images != labels.end() && images->is_object(), "{}: has no object of images", file);
  std::unordered_map<std::string, const Json*> labels_of;
  for (const auto& [name, listed] : images->items()) labels_of.emplace(name, &listed);

  const auto read_split = [&](const std::string& split) {
    ImageSet set = read_class_folder(root / split, split);
    check(set.classes == std::vector<std::string>{"images"},
          "{}: holds the folder {}, where only images/ is expected beside labels.json",
          set.root.string(), set.classes.back());
    set.classes = classes;
    for (ImageSample& sample : set.samples) {
      const std::string name = name_of_sample(sample, root);
      const auto listed = labels_of.find(name);
      check(listed != labels_of.end(), "{}: says nothing about {}", file, name);
      append_row(set, *listed->second, file, name);
      labels_of.erase(listed);
      sample.label = -1;
    }
    return set;
  };
  std::error_code error;
  const bool test = !fs::exists(root / "val", error) && fs::exists(root / "test", error);
  ImageFolder folder;
  folder.train = read_split("train");
  folder.validation = read_split(test ? "test" : "val");
  check(labels_of.empty(), "{}: {} is listed and not there ({} such images)", file,
        labels_of.empty() ? "" : labels_of.begin()->first, labels_of.size());
  return folder;
}

}  // namespace concord
