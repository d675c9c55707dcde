#include "data/voc.h"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "data/object_annotation.h"
#include "data/text_table.h"
#include "kernels/error.h"

namespace concord {
namespace {

using Texts = std::map<std::string, std::vector<std::uint8_t>>;

struct ListedImage {
  std::string name;  // without extension
  std::string split;
};

// Labels of the classes by name, and the folders they get.
struct Classes {
  std::vector<std::string> folders;
  std::unordered_map<std::string, std::int64_t> label_of;
};

Classes number_classes(const std::vector<std::string>& names) {
  Classes classes;
  const std::size_t digits = std::max<std::size_t>(2, fmt::format("{}", names.size() - 1).size());
  for (const std::string& name : names) {
    check(is_plain_name(name), "voc: '{}' cannot name a class", name);
    const std::size_t label = classes.folders.size();
    check(classes.label_of.emplace(name, static_cast<std::int64_t>(label)).second,
          "voc: class {} is given twice", name);
    classes.folders.push_back(fmt::format("{:0{}}.{}", label, digits, name));
  }
  return classes;
}

std::string find_root(const FileSource& source) {
  const auto root = source.find_root({"ImageSets/Main/", "Annotations/", "JPEGImages/"});
  check(root.has_value(),
        "{}: holds no ImageSets/Main, Annotations and JPEGImages, so it is not in the layout of "
        "Pascal VOC",
        source.location().string());
  return *root;
}

std::vector<ListedImage> read_lists(const FileSource& source, const std::string& root,
                                    const std::vector<std::string>& splits) {
  const auto list_of = [&](const std::string& split) {
    return root + "ImageSets/Main/" + split + ".txt";
  };
  const Texts texts = source.read_where([&](const std::string& file) {
    return std::any_of(splits.begin(), splits.end(),
                       [&](const std::string& split) { return file == list_of(split); });
  });
  std::vector<ListedImage> images;
  std::unordered_set<std::string> seen;
  for (const std::string& split : splits) {
    const auto text = texts.find(list_of(split));
    check(text != texts.end(), "{}: no such file", source.name_of(list_of(split)));
    const std::size_t before = images.size();
    for (const TextLine& line : read_text_table(text->second, source.name_of(list_of(split)), 1)) {
      const std::string& name = line.fields[0];
      if (!is_plain_name(name)) line.refuse(fmt::format("'{}' cannot name an image", name));
      if (!seen.insert(name).second) line.refuse(fmt::format("{} is listed twice", name));
      images.push_back({name, split});
    }
    check(images.size() > before, "{}: names no image", source.name_of(list_of(split)));
  }
  return images;
}

std::string list_of(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

// The label of an object, of all classes that the source may hold.
std::int64_t label_of(const AnnotatedObject& object, const Classes& known,
                      const std::vector<std::string>& names, const std::string& file) {
  const auto label = known.label_of.find(object.name);
  check(label != known.label_of.end(),
        "{}: an object of class {}, which is none of {}; a source with classes of its own is "
        "prepared "
        "by concord-prepare voc-crop or voc-multilabel with --class-names",
        file, object.name, list_of(names));
  return label->second;
}

void add_objects(ImagePlan& plan, const ListedImage& image, const std::string& file,
                 const std::vector<AnnotatedObject>& objects,
                 const std::vector<std::int64_t>& labels, const VocOptions& options) {
  for (std::size_t i = 0; i < objects.size(); ++i) {
    if (objects[i].difficult || labels[i] < 0) continue;
    PlannedImage& sample = plan.images.emplace_back();
    sample.file = file;
    sample.target =
        fmt::format("{}/{}/{}_{:02}.jpg", image.split,
                    plan.classes[static_cast<std::size_t>(labels[i])], image.name, i + 1);
    sample.label = labels[i];
    sample.split = image.split;
    if (options.boxes) sample.box = objects[i].box;
  }
}

void add_whole(ImagePlan& plan, const ListedImage& image, const std::string& file,
               const std::vector<AnnotatedObject>& objects,
               const std::vector<std::int64_t>& labels) {
  plan.images.push_back({.file = file,
                         .target = fmt::format("{}/images/{}.jpg", image.split, image.name),
                         .label = -1,
                         .split = image.split});
  const std::size_t row = plan.multi_labels.size();
  plan.multi_labels.resize(row + plan.classes.size(), 0);
  for (std::size_t i = 0; i < objects.size(); ++i)
    if (!objects[i].difficult) plan.multi_labels[row + static_cast<std::size_t>(labels[i])] = 1;
}

// Without the classes that no sample has, of a source that holds a part of VOC.
void leave_out_empty_classes(ImagePlan& plan) {
  std::vector<std::int64_t> samples(plan.classes.size(), 0);
  for (const PlannedImage& image : plan.images) ++samples[static_cast<std::size_t>(image.label)];
  std::vector<std::string> classes;
  std::vector<std::int64_t> renumbered;
  for (std::size_t label = 0; label < plan.classes.size(); ++label) {
    renumbered.push_back(static_cast<std::int64_t>(classes.size()));
    if (samples[label] > 0) classes.push_back(plan.classes[label]);
  }
  for (PlannedImage& image : plan.images)
    image.label = renumbered[static_cast<std::size_t>(image.label)];
  plan.classes = std::move(classes);
}

const char* kind_of(VocTask task) {
  return task == VocTask::kCrop      ? "voc-crop"
         : task == VocTask::kAnimals ? "voc-animals"
                                     : "voc-multilabel";
}

std::vector<std::int64_t> published_counts(VocTask task) {
  return task == VocTask::kCrop      ? std::vector<std::int64_t>{13609, 13841}
         : task == VocTask::kAnimals ? std::vector<std::int64_t>{2961, 3001}
                                     : std::vector<std::int64_t>{5717, 5823};
}

}  // namespace

const std::vector<std::string>& voc_classes() {
  static const std::vector<std::string> names{
      "cow",  "aeroplane", "cat",         "bicycle",     "tvmonitor", "horse",     "bird",
      "dog",  "bottle",    "boat",        "person",      "train",     "motorbike", "sheep",
      "sofa", "bus",       "pottedplant", "diningtable", "chair",     "car"};
  return names;
}

const std::vector<std::string>& voc_animals() {
  static const std::vector<std::string> names{"cow", "cat", "horse", "bird", "dog", "sheep"};
  return names;
}

ImagePlan plan_voc(const FileSource& source, VocTask task, const VocOptions& options) {
  const bool own_classes = !options.classes.empty();
  check(!own_classes || task != VocTask::kAnimals, "voc-animals: its classes are given by VOC");
  const std::vector<std::string>& names = own_classes ? options.classes : voc_classes();
  const Classes known = number_classes(names);
  const std::string root = find_root(source);
  ImagePlan plan{
      .kind = kind_of(task), .classes = known.folders, .splits = {"train", "val"}, .images = {}};
  if (!own_classes) plan.published = published_counts(task);

  const auto listed = read_lists(source, root, plan.splits);
  std::unordered_set<std::string> wanted;
  for (const ListedImage& image : listed)
    wanted.insert(root + "Annotations/" + image.name + ".xml");
  const Texts texts =
      source.read_where([&](const std::string& file) { return wanted.contains(file); });
  for (const ListedImage& image : listed) {
    const std::string annotation = root + "Annotations/" + image.name + ".xml";
    const auto text = texts.find(annotation);
    check(text != texts.end(), "{}: no such annotation, but {} names the image",
          source.name_of(annotation),
          source.name_of(root + "ImageSets/Main/" + image.split + ".txt"));
    const auto objects = read_annotation(text->second, source.name_of(annotation));
    std::vector<std::int64_t> labels;
    for (const AnnotatedObject& object : objects) {
      labels.push_back(label_of(object, known, names, source.name_of(annotation)));
      const auto& animals = voc_animals();
      if (task == VocTask::kAnimals &&
          std::find(animals.begin(), animals.end(), object.name) == animals.end())
        labels.back() = -1;
    }
    const std::string file = root + "JPEGImages/" + image.name + ".jpg";
    if (task == VocTask::kMultiLabel)
      add_whole(plan, image, file, objects, labels);
    else
      add_objects(plan, image, file, objects, labels, options);
  }
  if (task != VocTask::kMultiLabel) leave_out_empty_classes(plan);
  check(!plan.images.empty(), "{}: no image of it has an object of {}", source.location().string(),
        plan.kind);
  return plan;
}

}  // namespace concord
