#pragma once
// Prepared folders whose images show several classes: ROOT/train/images/*.jpg with ROOT/val (or
// test) beside it, and ROOT/labels.json.

#include <filesystem>

#include "data/image_set.h"

namespace concord {

// Whether the folder holds labels.json.
bool is_multi_label_folder(const std::filesystem::path& root);

// Reads {"classes": [name...], "images": {"train/images/NAME.jpg": [label...]}}: the labels of an
// image are indices into the classes, of which it may show none. Samples are in byte order. Throws
// Error naming labels.json and the entry when it is no JSON or malformed, an image is listed that
// is not there or is there and not listed, a label is out of range or given twice, or a split is
// missing.
ImageFolder read_multi_label_folder(const std::filesystem::path& root);

}  // namespace concord
