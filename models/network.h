#pragma once
// Classifiers by name, and features at any of their modules.

#include <memory>
#include <string>
#include <vector>

#include "engine/layers.h"
#include "engine/random.h"

namespace concord {

// A classifier as a row of steps, each a module (or a residual block), so that it can be run up to
// a layer and on from it. Images are [N,3,H,W] of any size that its windows allow; too small a one
// is an error that names the layer and the size. Inputs are brought to the network's device
// and precision (engine/precision.h), results come in their dtype.
class Network : public Module {
 public:
  const std::string& arch() const { return arch_; }
  std::int64_t classes() const { return classes_; }

  // The output of `layer`: an alias of the architecture (aliases()) or any module name
  // ("features.24", "layer3.0.conv1"; a module that holds steps, such as "features", stands for the
  // last of them). Runs no step after it. Vectors come as [N,C,1,1]. Throws for an unknown layer,
  // naming those near it.
  Tensor features(const Tensor& x, const std::string& layer);
  // The rest of the network after `layer`: logits [N,classes] from that layer's features. Throws
  // where the layer lies inside a residual block, whose rest needs more than its output.
  Tensor from_features(const Tensor& h, const std::string& layer);

  // The steps from `layer` on, by their modules' names: from the first that is the layer or lies in
  // it ("layer3" is layer3.0), else that of the alias ("conv5_1"). Throws for a layer that is
  // unknown or lies inside a residual block.
  std::vector<std::string> steps_from(const std::string& layer) const;
  // The last step, which gives the logits: "fc", "classifier.6".
  const std::string& head() const { return step_names_.back(); }
  // Parameters before `layer` (steps_from) require no gradient from now on, so that an optimiser
  // made afterwards neither updates nor decays them. Returns how many tensors are frozen.
  std::int64_t freeze_before(const std::string& layer);
  // The same for the parameters up to and including those of `layer`, which from_features() of that
  // layer does not use. Throws where it does.
  std::int64_t freeze_through(const std::string& layer);

  // Alias and what it stands for: {"conv4_3", "features.30"}, {"FC7", "classifier.3"},
  // {"layer3", "layer3.5 before its ReLU"}.
  std::vector<Named<std::string>> aliases() const;
  // Every layer that features() accepts.
  std::vector<std::string> layers();

 protected:
  Network(std::string arch, std::int64_t classes);
  Tensor forward(Tensor x) override;

  // Appends a step; `name` is its module's name in the network.
  void add_step(std::string name, ModulePtr module);
  // Appends `module` to `sequence`, which is registered here as `name`, and as a step.
  void add_step(const std::string& name, Sequential& sequence, ModulePtr module);
  // Lets `alias` stand for the output of the last step added.
  void add_alias(std::string alias, bool before_relu = false);

 private:
  struct Alias {
    std::string name;
    std::size_t step = 0;
    bool before_relu = false;  // of the residual block that the step is
  };
  // Where a layer's output appears.
  struct Place {
    std::size_t step = 0;
    bool before_relu = false;
    const Module* inside = nullptr;  // a module within the step; null: the step itself
  };
  Place find(const std::string& layer);
  // As find(); throws for a layer that lies inside a residual block.
  Place find_continuable(const std::string& layer);
  std::size_t first_step(const std::string& layer) const;
  // Of the steps [0, end): see freeze_before().
  std::int64_t freeze_steps(std::size_t end);
  // Steps [begin, end). `image` is the shape of the images, for messages; null where unknown.
  Tensor run(Tensor x, std::size_t begin, std::size_t end, const Shape* image);
  void check_window(std::size_t step, const Shape& maps, const Shape* image) const;
  void check_images(const Tensor& x) const;

  std::string arch_;
  std::int64_t classes_ = 0;
  std::vector<std::string> step_names_;
  std::vector<ModulePtr> steps_;
  std::size_t flat_from_ = 0;  // the first step whose output is [N,C]
  std::vector<Alias> aliases_;
};

// The accepted names: alexnet, vgg11 ... vgg19_bn, resnet18 ... resnext101_32x8d.
std::vector<std::string> network_names();

// Built and initialised as torchvision does (draws from `generator`). The dropout layers go on
// drawing from `generator` whenever they run in training: it is the run's own, outlives the
// network, and a checkpoint's generator state is assigned to it. Throws for an unknown name, naming
// those near it.
std::shared_ptr<Network> make_network(const std::string& arch, std::int64_t classes,
                                      random::Generator& generator);

}  // namespace concord
