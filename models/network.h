#pragma once
// Classifiers by name, and features at any of their modules.

#include <memory>
#include <string>
#include <vector>

#include "engine/module.h"
#include "engine/random.h"

namespace concord {

// A classifier as a row of steps, each a module (or a block of them), so that it can be run up to a
// layer and on from it.
class Network : public Module {
 public:
  const std::string& arch() const { return arch_; }
  std::int64_t classes() const { return classes_; }

  // The output of `layer`: an alias of the architecture (aliases()) or any module name
  // ("features.24", "layer3.0.conv1"). Runs no step after it. Throws for an unknown layer, naming
  // those near it.
  Tensor features(const Tensor& x, const std::string& layer);
  // The rest of the network after `layer`: logits from that layer's features. Throws where the
  // layer lies inside a residual block, whose rest needs more than its output.
  Tensor from_features(const Tensor& h, const std::string& layer);

  // Alias and what it stands for: {"conv4_3", "features.30"}, {"FC7", "classifier.3"},
  // {"layer3", "the last block of layer3 before its ReLU"}.
  std::vector<Named<std::string>> aliases() const;
  // Every layer that features() accepts.
  std::vector<std::string> layers();

 protected:
  Tensor forward(const Tensor& x) override;
  // (private members to be designed by the author of models/)

 private:
  std::string arch_;
  std::int64_t classes_ = 0;
};

// The accepted names: alexnet, vgg11 ... vgg19_bn, resnet18 ... resnext101_32x8d.
std::vector<std::string> network_names();

// Built and initialised as torchvision does (draws from `generator`). Throws for an unknown name.
std::shared_ptr<Network> make_network(const std::string& arch, std::int64_t classes,
                                      random::Generator& generator);

}  // namespace concord
