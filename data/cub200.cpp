#include "data/cub200.h"

#include <algorithm>
#include <set>
#include <unordered_map>

#include "data/text_table.h"
#include "kernels/error.h"

namespace concord {
namespace {

constexpr const char* kLists[] = {"images.txt", "classes.txt", "image_class_labels.txt",
                                  "train_test_split.txt", "bounding_boxes.txt"};

// The lists of the data set, read in one pass over the source.
class Lists {
 public:
  explicit Lists(const FileSource& source) : source_(source) {
    const auto root = source.find_root({"images.txt"});
    check(root.has_value(), "{}: holds no images.txt, so it is not in the CUB-200-2011 layout",
          source.location().string());
    root_ = *root;
    texts_ = source.read_where([&](const std::string& file) {
      return std::any_of(std::begin(kLists), std::end(kLists),
                         [&](const char* list) { return file == root_ + list; });
    });
  }

  const std::string& root() const { return root_; }
  std::string name_of(const char* list) const { return source_.name_of(root_ + list); }
  bool has(const char* list) const { return texts_.contains(root_ + list); }
  std::vector<TextLine> read(const char* list, std::size_t fields) const {
    const auto text = texts_.find(root_ + list);
    check(text != texts_.end(), "{}: no such file", name_of(list));
    return read_text_table(text->second, name_of(list), fields);
  }

 private:
  const FileSource& source_;
  std::string root_;
  std::map<std::string, std::vector<std::uint8_t>> texts_;
};

// Class folders keep their published names; the names are checked as they become paths.
std::unordered_map<std::int64_t, std::int64_t> read_classes(const Lists& lists, ImagePlan& plan) {
  std::unordered_map<std::int64_t, std::int64_t> label_of;
  std::set<std::string> seen;
  for (const TextLine& line : lists.read("classes.txt", 2)) {
    const std::string& name = line.fields[1];
    if (!is_plain_name(name)) line.refuse(fmt::format("'{}' cannot name a folder", name));
    if (!seen.insert(name).second) line.refuse(fmt::format("class {} is given twice", name));
    if (!label_of.emplace(line.integer(0), static_cast<std::int64_t>(plan.classes.size())).second)
      line.refuse(fmt::format("id {} is given twice", line.fields[0]));
    plan.classes.push_back(name);
  }
  check(!plan.classes.empty(), "{}: names no class", lists.name_of("classes.txt"));
  return label_of;
}

// Where in the plan the image with an id is.
using Positions = std::unordered_map<std::int64_t, std::size_t>;

Positions read_images(const Lists& lists, ImagePlan& plan) {
  Positions position;
  for (const TextLine& line : lists.read("images.txt", 2)) {
    if (!is_plain_path(line.fields[1]))
      line.refuse(fmt::format("'{}' leaves the folder of images", line.fields[1]));
    if (!position.emplace(line.integer(0), plan.images.size()).second)
      line.refuse(fmt::format("image id {} is given twice", line.fields[0]));
    plan.images.emplace_back().file = lists.root() + "images/" + line.fields[1];
  }
  check(!plan.images.empty(), "{}: names no image", lists.name_of("images.txt"));
  return position;
}

// Calls use(image, line) for each line of a list, which must name every image exactly once.
template <class Use>
void read_list(const Lists& lists, ImagePlan& plan, const Positions& position, const char* list,
               std::size_t fields, Use&& use) {
  std::vector<bool> seen(plan.images.size(), false);
  for (const TextLine& line : lists.read(list, fields)) {
    const auto found = position.find(line.integer(0));
    if (found == position.end())
      line.refuse(fmt::format("image id {} is not in images.txt", line.fields[0]));
    if (seen[found->second]) line.refuse(fmt::format("image id {} is given twice", line.fields[0]));
    seen[found->second] = true;
    use(plan.images[found->second], line);
  }
  const auto missing = std::find(seen.begin(), seen.end(), false);
  if (missing != seen.end())
    fail("{}: says nothing about {}", lists.name_of(list),
         plan.images[static_cast<std::size_t>(missing - seen.begin())].file.substr(
             lists.root().size() + std::string("images/").size()));
}

}  // namespace

ImagePlan plan_cub200(const FileSource& source, bool boxes) {
  const Lists lists(source);
  ImagePlan plan{.kind = "cub200",
                 .classes = {},
                 .splits = {"train", "test"},
                 .images = {},
                 .published = {5994, 5794}};
  const auto label_of = read_classes(lists, plan);
  const Positions position = read_images(lists, plan);
  read_list(lists, plan, position, "image_class_labels.txt", 2,
            [&](PlannedImage& image, const TextLine& line) {
              const auto label = label_of.find(line.integer(1));
              if (label == label_of.end())
                line.refuse(fmt::format("class id {} is not in classes.txt", line.fields[1]));
              image.label = label->second;
            });
  read_list(lists, plan, position, "train_test_split.txt", 2,
            [&](PlannedImage& image, const TextLine& line) {
              const std::int64_t flag = line.integer(1);
              if (flag != 0 && flag != 1)
                line.refuse(fmt::format("'{}' is neither 1 (train) nor 0 (test)", line.fields[1]));
              image.split = flag == 1 ? "train" : "test";
            });
  for (PlannedImage& image : plan.images)
    image.target = image.split + "/" + plan.classes[static_cast<std::size_t>(image.label)] + "/" +
                   jpeg_name(image.file);
  if (!boxes) return plan;
  check(lists.has("bounding_boxes.txt"),
        "{}: is missing; without it images cannot be cropped (give --no-crop to keep them whole)",
        lists.name_of("bounding_boxes.txt"));
  read_list(lists, plan, position, "bounding_boxes.txt", 5,
            [&](PlannedImage& image, const TextLine& line) {
              image.box = {line.number(1), line.number(2), line.number(3), line.number(4)};
              if (!(image.box->width > 0.0 && image.box->height > 0.0))
                line.refuse(fmt::format("a box of {} x {} pixels is empty", line.fields[3],
                                        line.fields[4]));
            });
  return plan;
}

}  // namespace concord
