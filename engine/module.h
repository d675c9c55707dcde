#pragma once
// Modules: named parameters, buffers and sub-modules, with torchvision's names
// ("layer3.5.bn2.running_var"), so that checkpoints interchange.

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/tensor.h"

namespace concord {

class Module;
using ModulePtr = std::shared_ptr<Module>;
template <class T>
using Named = std::pair<std::string, T>;

// Watches the output of every module run in its lifetime on this thread, inner modules before the
// one that holds them; for features and for finding the layer where a NaN appears. `module` is the
// one that ran. Observers nest: the innermost is told first, then those around it.
class ForwardObserver {
 public:
  ForwardObserver();
  virtual ~ForwardObserver();
  ForwardObserver(const ForwardObserver&) = delete;
  ForwardObserver& operator=(const ForwardObserver&) = delete;
  virtual void after(const Module& module, const Tensor& output) = 0;
  // The innermost observer of this thread, or null. While one watches, no module is fused with the
  // next (batch norm with ReLU), so that each shows its own output.
  static ForwardObserver* current();

 private:
  friend class Module;
  ForwardObserver* outer_;
};

class Module {
 public:
  virtual ~Module() = default;
  Module() = default;
  Module(const Module&) = delete;
  Module& operator=(const Module&) = delete;

  // forward(), shown to the observer. An x that nobody else holds (moved in) may be overwritten.
  Tensor operator()(Tensor x);

  // Depth first in order of registration, names joined by dots. Tensors are handles: assigning to
  // their elements changes the module.
  std::vector<Named<Tensor>> named_parameters() const;
  std::vector<Named<Tensor>> named_buffers() const;
  // The module itself (name "") and all below it.
  std::vector<Named<Module*>> named_modules();
  // Parameters, then buffers: what a checkpoint holds of a module.
  std::vector<Named<Tensor>> named_state() const;

  // Training or evaluation, for this module and all below it. Frozen modules stay in evaluation.
  void set_training(bool training);
  bool training() const { return training_; }
  // Keeps this module (and those below) in evaluation mode whatever set_training says: frozen
  // batch-norm.
  void freeze_mode();

  void zero_grad();

  // Moves parameters and floating buffers to the device; whole-number ones (counters) stay on the
  // host, where they are used. Before an optimiser is made, whose buffers lie beside the
  // parameters.
  void to(Device device);
  // Where the parameters are; the CPU where there are none.
  Device device() const;

 protected:
  virtual Tensor forward(Tensor x) = 0;

  // Returns the tensor, as a leaf that requires a gradient. Names are unique within a module and
  // hold no dot; throws otherwise.
  Tensor register_parameter(std::string name, Tensor tensor);
  Tensor register_buffer(std::string name, Tensor tensor);
  template <class T>
  std::shared_ptr<T> register_module(std::string name, std::shared_ptr<T> module) {
    add_module(std::move(name), module);
    return module;
  }

 private:
  void add_module(std::string name, ModulePtr module);
  void check_new_name(const std::string& name) const;
  void collect(const std::string& prefix, bool parameters, bool buffers,
               std::vector<Named<Tensor>>& into) const;

  std::vector<Named<Tensor>> parameters_;
  std::vector<Named<Tensor>> buffers_;
  std::vector<Named<ModulePtr>> modules_;
  bool training_ = true;
  bool mode_frozen_ = false;
};

}  // namespace concord
