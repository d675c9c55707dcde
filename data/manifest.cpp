#include "data/manifest.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "data/files.h"
#include "kernels/error.h"

namespace concord {
namespace fs = std::filesystem;

namespace {

using Json = nlohmann::json;

constexpr const char* kRemedy =
    "restore the files or prepare the folder again, or, if the change is meant, delete "
    "manifest.json";

// A number of images. `what` says of what, for the message.
std::int64_t count_in(const Json& object, const std::string& key, const std::string& file,
                      const std::string& what) {
  const auto entry = object.find(key);
  check(entry != object.end() && entry->is_number_unsigned() &&
            entry->get<std::uint64_t>() <= std::uint64_t{1} << 40,
        "{}: says no count of {}; {}", file, what, kRemedy);
  return entry->get<std::int64_t>();
}

void compare_classes(const Json& listed, const ImageSet& set, const std::string& file) {
  const auto counts = count_classes(set);
  for (std::size_t label = 0; label < counts.size(); ++label) {
    const std::string& name = set.classes[label];
    const auto entry = listed.find(name);
    check(entry != listed.end(), "{}: knows no class {}, which {} has; {}", file, name,
          set.root.string(), kRemedy);
    check(entry->is_object(), "{}: class {} is no object of counts; {}", file, name, kRemedy);
    const std::int64_t expected =
        count_in(*entry, set.name, file, fmt::format("class {} in {}", name, set.name));
    check(counts[label] == expected, "{}: class {} has {} images in {}, but {} says {}; {}",
          set.root.parent_path().string(), name, counts[label], set.name, file, expected, kRemedy);
  }
  for (const auto& [name, entry] : listed.items())
    check(std::find(set.classes.begin(), set.classes.end(), name) != set.classes.end(),
          "{}: class {} is missing from {}, but {} names it; {}", set.root.parent_path().string(),
          name, set.name, file, kRemedy);
}

// An image without any class is in no class's count.
void compare_total(const Json& manifest, const ImageSet& set, const std::string& file) {
  const std::int64_t expected = count_in(manifest, set.name, file, "the images in " + set.name);
  check(static_cast<std::int64_t>(set.samples.size()) == expected,
        "{}: {} has {} images, but {} says {}; {}", set.root.parent_path().string(), set.name,
        set.samples.size(), file, expected, kRemedy);
}

std::vector<ClassGroup> read_groups(const Json& manifest, const ImageSet& set,
                                    const std::string& file) {
  std::vector<ClassGroup> groups;
  const auto listed = manifest.find("groups");
  if (listed == manifest.end()) return groups;
  check(listed->is_object(), "{}: its groups are no object; {}", file, kRemedy);
  const auto classes = static_cast<std::int64_t>(set.classes.size());
  for (const auto& [name, group] : listed->items()) {
    check(group.is_object(), "{}: group {} is no object; {}", file, name, kRemedy);
    const std::int64_t first = count_in(group, "first", file, "classes before the group " + name);
    const std::int64_t count = count_in(group, "count", file, "classes in the group " + name);
    check(count > 0 && first <= classes - count,
          "{}: the group {} of {} classes from {} on is not within {} classes; {}", file, name,
          count, first, classes, kRemedy);
    groups.push_back({name, first, count});
  }
  std::sort(groups.begin(), groups.end(),
            [](const ClassGroup& a, const ClassGroup& b) { return a.first < b.first; });
  return groups;
}

}  // namespace

void apply_manifest(const fs::path& root, ImageFolder& folder) {
  const fs::path path = root / "manifest.json";
  std::error_code error;
  if (!fs::exists(path, error)) return;
  const std::string file = path.string();
  const auto bytes = read_file(path);
  const Json manifest = Json::parse(bytes.begin(), bytes.end(), nullptr, false);
  check(!manifest.is_discarded(), "{}: is no JSON; {}", file, kRemedy);
  // Other programs call their files so too.
  if (!manifest.is_object() || !manifest.contains("kind") || !manifest.contains("version")) return;
  const auto classes = manifest.find("classes");
  check(classes != manifest.end() && classes->is_object(), "{}: names no classes; {}", file,
        kRemedy);
  const auto compare = [&](const ImageSet& set) {
    compare_classes(*classes, set, file);
    if (!set.multi_labels.empty()) compare_total(manifest, set, file);
  };
  compare(folder.train);
  if (folder.validation) compare(*folder.validation);
  folder.train.groups = read_groups(manifest, folder.train, file);
  if (folder.validation) folder.validation->groups = folder.train.groups;
}

}  // namespace concord
