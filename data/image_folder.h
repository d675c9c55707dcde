#pragma once
// Folders of class folders: ROOT/train/CLASS/*.jpg with ROOT/val or ROOT/test beside it, or
// ROOT/CLASS/*.jpg alone.

#include <filesystem>
#include <string>

#include "data/image_set.h"

namespace concord {

// Whether the name ends in .jpg, .jpeg or .png, in any case.
bool has_image_extension(const std::filesystem::path& path);

// Reads one folder of class folders. Hidden entries are passed over. Throws Error naming the folder
// when it is missing or holds no class folders, when a class folder holds no images or holds
// folders.
ImageSet read_class_folder(const std::filesystem::path& root, std::string name = "all");

// Reads either layout, or a folder with several labels an image (data/multi_label_folder.h). A
// manifest.json that concord-prepare wrote is held against the folder (data/manifest.h). Throws
// Error as these do, and when train/ has neither val/ nor test/ beside it, the class names of the
// two splits differ, or the folder is in a published layout, which is read otherwise or prepared
// first (CUB-200-2011, Stanford Dogs, Pascal VOC).
ImageFolder read_image_folder(const std::filesystem::path& root);

}  // namespace concord
