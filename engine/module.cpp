#include "engine/module.h"

#include <algorithm>

namespace concord {
namespace {

thread_local ForwardObserver* innermost_observer = nullptr;

template <class T>
bool has_name(const std::vector<Named<T>>& entries, const std::string& name) {
  return std::any_of(entries.begin(), entries.end(),
                     [&](const Named<T>& entry) { return entry.first == name; });
}

std::string joined(const std::string& prefix, const std::string& name) {
  return prefix.empty() ? name : prefix + "." + name;
}

}  // namespace

ForwardObserver::ForwardObserver() : outer_(innermost_observer) { innermost_observer = this; }
ForwardObserver::~ForwardObserver() { innermost_observer = outer_; }
ForwardObserver* ForwardObserver::current() { return innermost_observer; }

Tensor Module::operator()(Tensor x) {
  Tensor y = forward(std::move(x));
  for (ForwardObserver* observer = innermost_observer; observer; observer = observer->outer_)
    observer->after(*this, y);
  return y;
}

void Module::collect(const std::string& prefix, bool parameters, bool buffers,
                     std::vector<Named<Tensor>>& into) const {
  if (parameters)
    for (const auto& [name, tensor] : parameters_) into.emplace_back(joined(prefix, name), tensor);
  if (buffers)
    for (const auto& [name, tensor] : buffers_) into.emplace_back(joined(prefix, name), tensor);
  for (const auto& [name, module] : modules_)
    module->collect(joined(prefix, name), parameters, buffers, into);
}

std::vector<Named<Tensor>> Module::named_parameters() const {
  std::vector<Named<Tensor>> result;
  collect("", true, false, result);
  return result;
}

std::vector<Named<Tensor>> Module::named_buffers() const {
  std::vector<Named<Tensor>> result;
  collect("", false, true, result);
  return result;
}

std::vector<Named<Module*>> Module::named_modules() {
  std::vector<Named<Module*>> result = {{"", this}};
  for (const auto& [name, module] : modules_)
    for (const auto& [below, found] : module->named_modules())
      result.emplace_back(below.empty() ? name : joined(name, below), found);
  return result;
}

std::vector<Named<Tensor>> Module::named_state() const {
  std::vector<Named<Tensor>> result = named_parameters();
  collect("", false, true, result);
  return result;
}

void Module::set_training(bool training) {
  training_ = training && !mode_frozen_;
  for (const auto& [name, module] : modules_) module->set_training(training_);
}

void Module::freeze_mode() {
  mode_frozen_ = true;
  training_ = false;
  for (const auto& [name, module] : modules_) module->freeze_mode();
}

void Module::zero_grad() {
  for (auto& [name, tensor] : named_parameters()) tensor.set_grad({});
}

void Module::to(Device device) {
  for (auto& [name, tensor] : named_state())
    if (is_floating(tensor.dtype())) tensor.move_to(device);
}

Device Module::device() const {
  const auto parameters = named_parameters();
  return parameters.empty() ? Device{} : parameters.front().second.device();
}

Tensor Module::register_parameter(std::string name, Tensor tensor) {
  check_new_name(name);
  tensor.set_requires_grad(true);
  parameters_.emplace_back(std::move(name), tensor);
  return tensor;
}

Tensor Module::register_buffer(std::string name, Tensor tensor) {
  check_new_name(name);
  buffers_.emplace_back(std::move(name), tensor);
  return tensor;
}

void Module::add_module(std::string name, ModulePtr module) {
  check_new_name(name);
  check(module != nullptr, "module: sub-module \"{}\" is null", name);
  modules_.emplace_back(std::move(name), std::move(module));
}

void Module::check_new_name(const std::string& name) const {
  check(!name.empty() && name.find('.') == std::string::npos,
        "module: \"{}\" cannot name a part: a name has at least one character and no dot", name);
  check(!has_name(parameters_, name) && !has_name(buffers_, name) && !has_name(modules_, name),
        "module: the name \"{}\" is taken", name);
}

}  // namespace concord
