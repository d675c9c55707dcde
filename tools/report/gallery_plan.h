#pragma once
// Which Trans-Nets a report can show at work: those whose features lie in stores on the disk, or
// can be computed from networks and images that do.

#include <string>
#include <vector>

#include "tools/common/trans_net_file.h"
#include "tools/report/findings.h"

namespace concord::report {

// One network of a pair.
struct GallerySide {
  std::string store;           // of its features; empty: computed from the following
  std::string weights, layer;  // its checkpoint, and where its features are taken
  std::string words;           // "resnet18 layer2, seed 0"

  bool operator==(const GallerySide& other) const = default;
};

// A Trans-Net from one network's features to the other's.
struct GalleryDirection {
  std::string name;            // of its run
  std::string trans_net;       // its checkpoint
  tool::TransNetChoice norms;  // where the checkpoint does not say
  GallerySide from, to;
  std::string data;    // the images' folder; empty: what the store says
  int image_size = 0;  // side in pixels, where features are computed
  std::string split;   // "train": the images to train on; else the held-out ones
  Json channels;       // the channels' variances over all images (Comparison::channels) or null
  std::string images;  // of these: "500 held-out images"; may be empty
};

// In the order of the page: what concord-variance measured, other Trans-Nets of concord-transnet,
// diagnosis, compression, distillation.
std::vector<GalleryDirection> plan_gallery(Findings& findings);

}  // namespace concord::report
