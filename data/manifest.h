#pragma once
// The manifest.json of a prepared folder, held against what lies in the folder.

#include <filesystem>

#include "data/image_set.h"

namespace concord {

// Reads ROOT/manifest.json, if Concord wrote one (it names a kind, a version and classes), compares
// its counts of each class and split with `folder`, which was read from there, and gives the sets
// the groups that it names. Throws Error naming the file when it is no JSON or not as Concord
// writes it; naming class, split and both counts when an image was added or is missing, so that no
// experiment runs on a part of a data set unnoticed.
void apply_manifest(const std::filesystem::path& root, ImageFolder& folder);

}  // namespace concord
