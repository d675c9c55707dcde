#pragma once
// Model stitching: how well network B's rest works on A's features, behind a trained 1x1
// convolution. Source: Lenc, Vedaldi, CVPR 2015; Bansal, Nakkiran, Barak, NeurIPS 2021.

#include <string>

#include "tools/common/options.h"
#include "tools/common/run_directory.h"

namespace concord::tool {

// --weights-b --layer-b --val-features-a --val-features-b, and those of training.
struct StitchingOptions {
  std::string weights_b;
  std::string layer_b;  // empty: what B's store says
  std::string val_features_a, val_features_b;
  OptimizerOptions optimizer;
};
void add_stitching_options(CommandLine& line, StitchingOptions& options);
// The options that only stitching heeds.
extern const std::vector<std::string> kStitchingOnly;

struct Stitching {
  double top1 = 0;      // share of the images that B's rest recognises from A's features, 0..1
  double own_top1 = 0;  // from B's own features
  std::int64_t images = 0;
  std::int64_t epoch = 0;  // which top1 is of: the best on held-out images, else the last
  bool held_out = false;   // whether the images are others than those trained on
};

// Trains y = W a + b per pixel (a 1x1 convolution from A's channels to B's, bias) so that the rest
// of network B after `layer_b`, frozen and in evaluation, gives the labels of A's store from it:
// cross-entropy. A's maps are first brought to the size of B's (bilinear). The accuracies are those
// over the val features, else over those trained on. Checkpoints of the convolution (weight, bias)
// and logs go into the directory (tools/common/training.h). Throws for stores of different images
// or without labels, labels that are no classes of B, and features that B's layer does not have.
Stitching stitch(const StitchingOptions& options, const std::string& features_a,
                 const std::string& features_b, std::int64_t batch_size, const RunOptions& run,
                 const DeviceOptions& device, const CommandLine& line, RunDirectory& directory);

}  // namespace concord::tool
