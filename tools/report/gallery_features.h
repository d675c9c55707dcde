#pragma once
// Features of a few images, from a store or computed from a network.

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "engine/tensor.h"
#include "tools/report/gallery_plan.h"

namespace concord::report {

// Which images of how many, whose names are as given or, where there are none, not known.
using ChooseImages =
    std::function<std::vector<std::int64_t>(std::int64_t size, const std::vector<std::string>&)>;

struct GalleryFeatures {
  std::int64_t size = 0;             // images that there are
  std::vector<std::int64_t> images;  // those chosen
  std::vector<std::string> names;    // of these; empty text where not known
  std::string data;                  // the images' folder; empty where it is not known
  std::string words;                 // what the network is called
  Tensor maps;                       // float32 [n,C,H,W] of the chosen, plain, on the CPU
};

// Of one side of a direction; `paths` are those of the run that made a store. Throws Error where
// store, checkpoint or images are not there or do not fit each other.
GalleryFeatures read_features(const GallerySide& side, const GalleryDirection& direction,
                              const RunPaths& paths, Device device, const ChooseImages& choose);

}  // namespace concord::report
