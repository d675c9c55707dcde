#pragma once
// Networks A and B on the command line, and their features on the same images as they are needed.

#include <memory>
#include <string>

#include "tools/common/feature_pairs.h"
#include "tools/common/options.h"

namespace concord::tool {

// --weights-a --weights-b --layer --layer-a --layer-b
struct NetworkPairOptions {
  std::string weights_a, weights_b, layer, layer_a, layer_b;
};
void add_network_pair_options(CommandLine& line, NetworkPairOptions& options);

// The images' size is A's where --image-size was not given and A's file says one; where B's is
// another a note says so.
void settle_image_size(const SavedNetwork& a, const SavedNetwork& b, const std::string& weights_b,
                       ImageOptions& images, const CommandLine& line);

struct NetworkPair {
  SavedNetwork a, b;  // on the device
  std::string layer_a, layer_b;

  // Loads both. The size of images is that of A's training unless --image-size was given; where B's
  // was another a note says so. Throws UsageError when a file, a layer or --data is missing.
  static NetworkPair load(const NetworkPairOptions& options, ImageOptions& images,
                          const DeviceOptions& device, const CommandLine& line);
  // Their features on the images of `set`, computed batch by batch.
  std::unique_ptr<FeaturePairs> features_on(ImageSet set, const ImageOptions& images, Device device,
                                            bool shuffle, std::uint64_t seed) const;
};

}  // namespace concord::tool
