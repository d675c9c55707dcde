#pragma once
// Trans-Nets on the command line and in files.

#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "models/trans_net.h"
#include "tools/common/program.h"

namespace concord::tool {

// --orders --kernel --padding --input-norm --affine --stage-norm --fix-p
struct TransNetChoice {
  std::int64_t orders = 3;
  std::int64_t kernel = 3;
  std::int64_t padding = 1;
  std::string input_norm = "scale";
  bool affine = false;
  std::string stage_norm = "sample";
  bool fix_p = false;
};
void add_trans_net_options(CommandLine& line, TransNetChoice& choice);
// --input-norm --affine --stage-norm, for programs that only read Trans-Nets.
void add_norm_options(CommandLine& line, TransNetChoice& choice);
// The choice with the channels of the features. Throws UsageError when kernel and padding do not
// keep the size of the maps.
TransNetOptions trans_net_options(const TransNetChoice& choice, std::int64_t channels_in,
                                  std::int64_t channels_out);

nlohmann::ordered_json to_json(const TransNetOptions& options);

struct SavedTransNet {
  std::unique_ptr<TransNet> net;  // in evaluation mode
  bool configured = false;        // the file's own configuration built it
};

// Builds and loads the Trans-Net of a file: from its configuration, or, where the file has none,
// from its tensors (linearLayers_conv.I.weight, nonLinearLayers_p_pre), which give orders,
// channels, kernel and padding; the norms, which leave no trace in them, are then those of
// `choice`. Throws naming the file and the tensor that does not fit, or the option that contradicts
// the file.
SavedTransNet load_trans_net(const std::string& weights, const TransNetChoice& choice);

// Throws unless the Trans-Net maps features of the first shape [N,C,H,W] to those of the second.
void check_fits(const TransNet& net, const Shape& a, const Shape& b, const std::string& weights);

}  // namespace concord::tool
