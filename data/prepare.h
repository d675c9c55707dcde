#pragma once
// Carries out the plan of a data set: from its files to a folder of class folders.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "data/file_source.h"
#include "data/image_plan.h"
#include "data/workers.h"

namespace concord {

struct PrepareOptions {
  bool strict = false;  // an unreadable image is an Error instead of an entry in the report
  int quality = 95;     // of the JPEG files, 1..100
  int threads = 0;      // 0: all; the files do not depend on it
  std::int64_t max_pixels = std::int64_t{1} << 26;  // a picture of more is unreadable
  bool replace = false;                             // an output folder that is not empty
  ProgressCallback progress = {};  // in files of the sources, those of an earlier run included
  std::function<void(const std::string&)> notice = {};  // what the user should know, a line each
};

struct PrepareReport {
  // images[split][label] written, in the order of the plan's splits and classes; of multi-labels,
  // the images that have the label.
  std::vector<std::vector<std::int64_t>> images;
  std::vector<std::int64_t> totals;     // images of each split
  std::int64_t clipped = 0;             // boxes that reached past the picture
  std::int64_t copied = 0;              // colour JPEGs kept whole, byte for byte
  std::int64_t resumed = 0;             // images that an interrupted run had written
  std::vector<std::string> unreadable;  // messages, in the order of the plan
};

// Writes the images at their targets below `output`, and manifest.json; the folder appears complete
// or not at all. Grayscale is widened to colour; a colour JPEG of which all is kept is copied
// rather than compressed a second time. With multi-labels also labels.json: {"classes": [name...],
// "images": {target: [label...]}}.
//
// A run that ends before it is through (killed, stopped by `progress`, or by any error once an
// image is written) leaves a hidden folder beside `output`. The next one with the same sources,
// plan and options goes on from there and yields the same bytes; one with others begins anew and
// says so. Of a source that is a folder it is taken on trust that its images are the same as
// before. Throws Error, also when a class is left without images in a split.
PrepareReport prepare(const std::vector<const FileSource*>& sources, const ImagePlan& plan,
                      const std::filesystem::path& output, const PrepareOptions& options);

}  // namespace concord
