#pragma once
// What a gallery is made of: the Trans-Nets that can be read, and their networks' features on the
// same few images.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "models/trans_net.h"
#include "tools/common/progress.h"
#include "tools/report/findings.h"
#include "tools/report/gallery_features.h"
#include "tools/report/gallery_plan.h"

namespace concord::report {

struct GalleryOptions {
  std::vector<std::string> images;  // numbers or names; empty: up to image_count over all
  std::int64_t image_count = 20;
  std::string channels = "best:64";  // numbers apart by commas, or those that vary most
  Device device = {};
};

// One network on some images.
struct GalleryNetwork {
  GallerySide identity;
  std::string images;  // on which its features are computed; empty of a store
  GalleryFeatures features;
  std::vector<double> energy;  // variance of each channel
  bool measured = false;       // over all images, not those of the gallery alone
  // Channels as they are ranked as a target (channel_ranking.h); empty where that was not measured.
  std::vector<std::int64_t> missing = {};
};

struct GalleryTransNet {
  const GalleryDirection* direction = nullptr;
  std::unique_ptr<TransNet> net;  // on the CPU
  std::size_t from = 0, to = 0;   // into GallerySources::networks
  std::size_t pair = 0;           // two networks and up to one Trans-Net of each direction
  bool forward = true;            // from the pair's first network to its second

  std::size_t orders() const { return static_cast<std::size_t>(net->options().orders); }
};

struct GallerySources {
  std::vector<GalleryNetwork> networks;
  std::vector<GalleryTransNet> trans_nets;  // in the order of the directions
  std::size_t pairs = 0;
};

// Reads them; what cannot be read is a note of the findings and a warning. `progress` counts the
// directions from 0 on. Throws Interrupted on a signal.
GallerySources read_gallery(const std::vector<GalleryDirection>& directions,
                            const GalleryOptions& options, Findings& findings,
                            tool::Progress& progress);

// Whether direction.channels has variances of each order and of x_delta for so many channels.
bool is_measured(const GalleryDirection& direction, std::size_t channels);

}  // namespace concord::report
