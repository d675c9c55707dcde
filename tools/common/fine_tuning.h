#pragma once
// Training that starts from a network's weights and keeps its first layers (spec section 4, the
// variants "_ft").

#include <string>
#include <vector>

#include "models/network.h"
#include "tools/common/program.h"

namespace concord::tool {

// --finetune --train-from --reset-from
struct FineTuningOptions {
  bool on = false;
  std::string train_from;  // empty: that of the architecture
  std::string reset_from;
};
void add_fine_tuning_options(CommandLine& line, FineTuningOptions& options);

// The names of architectures, and with "_ft" those of their fine-tuning variants.
std::vector<std::string> architecture_names();
// Takes "_ft" off the name of an architecture; true where it stood there.
bool remove_fine_tuning_suffix(std::string& arch);

// Fills in what was not given: VGG trains from conv5_1 on (vgg16_bn: features.34) and AlexNet from
// features.10, the other layers keeping the file's weights; ResNet and ResNeXt train layer3, layer4
// and fc, which start anew, or of these what --train-from leaves. Throws UsageError for a layer
// that would start anew and be frozen so.
void settle(FineTuningOptions& options, const Network& network);

// Loads `weights` into the network but for the layers that start anew: those from --reset-from on,
// and the last one where the file's has another number of outputs. The parameters before
// --train-from are frozen. Says to the user what was done.
void start_fine_tuning(const FineTuningOptions& options, const std::string& weights,
                       Network& network);
// Freezes the parameters before --train-from: of a network that goes on being fine-tuned.
void freeze(const FineTuningOptions& options, Network& network);

}  // namespace concord::tool
