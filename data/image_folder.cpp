#include "data/image_folder.h"

#include <algorithm>
#include <cctype>
#include <iterator>

#include "data/manifest.h"
#include "data/multi_label_folder.h"
#include "kernels/error.h"

namespace concord {
namespace fs = std::filesystem;

namespace {

struct Listing {
  std::vector<std::string> folders;
  std::vector<std::string> files;
};

// The visible entries of a folder in byte order, which is the same on every system and locale.
Listing list(const fs::path& folder) {
  std::error_code error;
  const fs::file_status status = fs::status(folder, error);
  check(fs::exists(status), "{}: no such folder", folder.string());
  check(fs::is_directory(status),
        "{}: is a file, not a folder of images (an archive must be unpacked first)",
        folder.string());
  Listing listing;
  fs::directory_iterator entries(folder, error);
  check(!error, "{}: cannot be read: {}", folder.string(), error.message());
  for (const fs::directory_entry& entry : entries) {
    std::string name = entry.path().filename().string();
    if (name.starts_with('.')) continue;
    (entry.is_directory(error) ? listing.folders : listing.files).push_back(std::move(name));
  }
  std::sort(listing.folders.begin(), listing.folders.end());
  std::sort(listing.files.begin(), listing.files.end());
  return listing;
}

void read_class(const fs::path& folder, std::int64_t label, ImageSet& set) {
  const Listing listing = list(folder);
  // The halves of a split data set, given the folder that holds both.
  check(!std::binary_search(listing.folders.begin(), listing.folders.end(), "train"),
        "{}: is no class folder but a data set of its own, for it holds train/; name it, or one "
        "beside it, instead of {}",
        folder.string(), folder.parent_path().string());
  check(listing.folders.empty(),
        "{}: a class folder holds images only, but this one holds the folder {}", folder.string(),
        listing.folders.empty() ? "" : listing.folders.front());
  const std::size_t before = set.samples.size();
  for (const std::string& file : listing.files) {
    if (has_image_extension(file))
      set.samples.push_back({.path = folder / file, .label = label});
    else
      ++set.ignored_files;
  }
  if (set.samples.size() != before) return;
  fail("{}: no images ({}); add .jpg, .jpeg or .png files or remove the folder", folder.string(),
       listing.files.empty() ? std::string("the folder is empty")
                             : fmt::format("{} files of other kinds, such as {}",
                                           listing.files.size(), listing.files.front()));
}

// A published data set is recognised by its index files, since its class folders alone would read
// as an image folder without crops and split.
void refuse_published_layout(const fs::path& root) {
  const auto refuse = [&](const char* layout, const std::string& kind, const char* others = "") {
    fail(
        "{}: is in the {} layout; give {}:{} to read it as it is{}, or run `concord-prepare {} "
        "--source {} --output-dir DIR` and pass DIR instead",
        root.string(), layout, kind, root.string(), others, kind, root.string());
  };
  if (fs::exists(root / "images.txt") && fs::is_directory(root / "images"))
    refuse("CUB-200-2011", "cub200");
  if (fs::is_directory(root / "Images") && fs::is_directory(root / "Annotation"))
    refuse("Stanford Dogs", "dogs120");
  if (fs::is_directory(root / "JPEGImages") && fs::is_directory(root / "ImageSets"))
    refuse("Pascal VOC", "voc-crop", " (or voc-animals, voc-multilabel)");
}

void check_same_classes(const ImageSet& train, const ImageSet& validation) {
  const auto missing = [](const ImageSet& from, const ImageSet& in) {
    std::vector<std::string> names;
    std::set_difference(from.classes.begin(), from.classes.end(), in.classes.begin(),
                        in.classes.end(), std::back_inserter(names));
    if (!names.empty())
      fail(
          "{}: has no class folder {} ({} of the {} classes of {} are missing); both splits need "
          "the same class folders",
          in.root.string(), names.front(), names.size(), from.classes.size(), from.root.string());
  };
  missing(train, validation);
  missing(validation, train);
}

}  // namespace

bool has_image_extension(const fs::path& path) {
  std::string extension = path.extension().string();
  std::transform(extension.begin(), extension.end(), extension.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return extension == ".jpg" || extension == ".jpeg" || extension == ".png";
}

ImageSet read_class_folder(const fs::path& root, std::string name) {
  ImageSet set;
  set.root = root;
  set.name = std::move(name);
  const Listing listing = list(root);
  check(!listing.folders.empty(),
        "{}: holds no class folders ({}); expected {}/CLASS/*.jpg, or train/ and val/ (or test/) "
        "with class folders in each",
        root.string(),
        listing.files.empty() ? std::string("it is empty")
                              : fmt::format("only {} files", listing.files.size()),
        root.string());
  set.classes = listing.folders;
  for (std::size_t label = 0; label < set.classes.size(); ++label)
    read_class(root / set.classes[label], static_cast<std::int64_t>(label), set);
  return set;
}

namespace {

ImageFolder read_folder(const fs::path& root) {
  std::error_code error;
  if (is_multi_label_folder(root)) return read_multi_label_folder(root);
  ImageFolder folder;
  const bool has_train = fs::is_directory(root / "train", error);
  const char* held_out = fs::is_directory(root / "val", error)    ? "val"
                         : fs::is_directory(root / "test", error) ? "test"
                                                                  : nullptr;
  if (!has_train && held_out == nullptr) {
    folder.train = read_class_folder(root);
    return folder;
  }
  check(has_train, "{}: has {}/ but no train/", root.string(), held_out ? held_out : "");
  check(held_out != nullptr, "{}: has train/ but neither val/ nor test/", root.string());
  folder.train = read_class_folder(root / "train", "train");
  folder.validation = read_class_folder(root / held_out, held_out);
  check_same_classes(folder.train, *folder.validation);
  return folder;
}

}  // namespace

ImageFolder read_image_folder(const fs::path& root) {
  std::error_code error;
  check(fs::exists(root, error), "{}: no such folder", root.string());
  refuse_published_layout(root);
  ImageFolder folder = read_folder(root);
  apply_manifest(root, folder);
  return folder;
}

}  // namespace concord
