#include "models/network.h"

#include <algorithm>
#include <set>

#include "engine/ops/activation.h"
#include "engine/ops/shape.h"
#include "engine/precision.h"
#include "engine/text.h"
#include "models/alexnet.h"
#include "models/residual_block.h"
#include "models/resnet.h"
#include "models/vgg.h"

namespace concord {
namespace {

// Keeps the output of one module; of its last run where it runs more than once.
class Capture final : public ForwardObserver {
 public:
  explicit Capture(const Module* target) : target_(target) {}
  void after(const Module& module, const Tensor& output) override {
    if (&module == target_) output_ = output;
  }
  const Tensor& output() const { return output_; }

 private:
  const Module* target_;
  Tensor output_;
};

// The vectors of fully connected layers as maps of one pixel.
Tensor as_maps(const Tensor& y) {
  return y.shape().rank() == 2 ? reshape(y, {y.dim(0), y.dim(1), 1, 1}) : y;
}

}  // namespace

Network::Network(std::string arch, std::int64_t classes)
    : arch_(std::move(arch)), classes_(classes) {
  check(classes > 0, "{}: {} classes; at least 1 is needed", arch_, classes);
}

void Network::add_step(std::string name, ModulePtr module) {
  step_names_.push_back(std::move(name));
  steps_.push_back(std::move(module));
  if (dynamic_cast<const Flatten*>(steps_.back().get()) != nullptr) flat_from_ = steps_.size() - 1;
}

void Network::add_step(const std::string& name, Sequential& sequence, ModulePtr module) {
  sequence.append(module);
  add_step(fmt::format("{}.{}", name, sequence.children().size() - 1), std::move(module));
}

void Network::add_alias(std::string alias, bool before_relu) {
  aliases_.push_back({std::move(alias), steps_.size() - 1, before_relu});
}

std::vector<Named<std::string>> Network::aliases() const {
  std::vector<Named<std::string>> result;
  for (const Alias& alias : aliases_)
    result.emplace_back(alias.name,
                        step_names_[alias.step] + (alias.before_relu ? " before its ReLU" : ""));
  return result;
}

std::vector<std::string> Network::layers() {
  std::vector<std::string> result;
  std::set<std::string> seen;
  for (const Alias& alias : aliases_) {
    seen.insert(alias.name);
    result.push_back(alias.name);
  }
  for (const auto& [name, module] : named_modules())
    if (!name.empty() && seen.insert(name).second) result.push_back(name);
  return result;
}

Network::Place Network::find(const std::string& layer) {
  for (const Alias& alias : aliases_)
    if (alias.name == layer) return {.step = alias.step, .before_relu = alias.before_relu};
  for (const auto& [name, module] : named_modules()) {
    if (name.empty() || name != layer) continue;
    for (std::size_t i = steps_.size(); i-- > 0;) {
      const std::string& step = step_names_[i];
      if (step == layer || step.starts_with(layer + ".")) return {.step = i};
      if (layer.starts_with(step + ".")) return {.step = i, .inside = module};
    }
  }
  fail("{}: no layer {}; near it are {}", arch_, layer, nearest_names(layer, layers(), 6));
}

Network::Place Network::find_continuable(const std::string& layer) {
  const Place place = find(layer);
  check(place.inside == nullptr,
        "{}: layer {} lies inside the residual block {}, whose rest needs more than its output; "
        "take the block's own",
        arch_, layer, step_names_[place.step]);
  return place;
}

std::size_t Network::first_step(const std::string& layer) const {
  for (std::size_t i = 0; i < step_names_.size(); ++i)
    if (step_names_[i] == layer || step_names_[i].starts_with(layer + ".")) return i;
  for (const Alias& alias : aliases_)
    if (alias.name == layer) return alias.step;
  for (const std::string& step : step_names_)
    check(!layer.starts_with(step + "."), "{}: layer {} lies inside {}; name that block", arch_,
          layer, step);
  std::vector<std::string> known = step_names_;
  for (const Alias& alias : aliases_) known.push_back(alias.name);
  fail("{}: no layer {}; near it are {}", arch_, layer, nearest_names(layer, known, 6));
}

std::vector<std::string> Network::steps_from(const std::string& layer) const {
  return {step_names_.begin() + static_cast<std::ptrdiff_t>(first_step(layer)), step_names_.end()};
}

std::int64_t Network::freeze_before(const std::string& layer) {
  return freeze_steps(first_step(layer));
}

std::int64_t Network::freeze_through(const std::string& layer) {
  return freeze_steps(find_continuable(layer).step + 1);
}

std::int64_t Network::freeze_steps(std::size_t end) {
  std::int64_t frozen = 0;
  for (std::size_t i = 0; i < end; ++i)
    for (auto& [name, parameter] : steps_[i]->named_parameters()) {
      Tensor(parameter).set_requires_grad(false);
      ++frozen;
    }
  return frozen;
}

void Network::check_images(const Tensor& x) const {
  check(x.shape().rank() == 4 && x.dim(1) == 3, "{}: images [N,3,H,W] expected, got {}", arch_,
        x.shape().to_string());
}

void Network::check_window(std::size_t step, const Shape& maps, const Shape* image) const {
  const auto* window = dynamic_cast<const WindowModule*>(steps_[step].get());
  if (window == nullptr || maps.rank() != 4) return;
  const Size2d least = window->smallest_input();
  if (maps[2] >= least.height && maps[3] >= least.width) return;
  const std::string origin =
      image == nullptr ? "" : fmt::format(" (of images {}x{})", (*image)[2], (*image)[3]);
  fail("{}: layer {} needs maps of at least {}x{}, it gets {}x{}{}; use larger images", arch_,
       step_names_[step], least.height, least.width, maps[2], maps[3], origin);
}

Tensor Network::run(Tensor x, std::size_t begin, std::size_t end, const Shape* image) {
  const auto has_window = [&](std::size_t step) {
    return dynamic_cast<const WindowModule*>(steps_[step].get()) != nullptr;
  };
  while (begin < end) {
    check_window(begin, x.shape(), image);
    std::size_t next = begin + 1;
    while (next < end && !has_window(next)) ++next;
    x = run_in_order(std::span(steps_).subspan(begin, next - begin), std::move(x));
    begin = next;
  }
  return x;
}

Tensor Network::forward(Tensor x) {
  check_images(x);
  const Shape image = x.shape();
  const DType given = x.dtype();
  x = in_network_precision(x.to(device()));
  return convert_dtype(run(std::move(x), 0, steps_.size(), &image), given);
}

Tensor Network::features(const Tensor& images, const std::string& layer) {
  const Place place = find(layer);
  check_images(images);
  const DType given = images.dtype();
  const Tensor x = in_network_precision(images.to(device()));
  const Shape image = x.shape();
  if (place.before_relu) {
    Tensor h = run(x, 0, place.step, &image);
    h = dynamic_cast<ResidualBlock&>(*steps_[place.step]).before_relu(std::move(h));
    return convert_dtype(h, given);
  }
  if (place.inside == nullptr)
    return convert_dtype(as_maps(run(x, 0, place.step + 1, &image)), given);
  const Tensor h = run(x, 0, place.step, &image);
  const Capture capture(place.inside);
  run(h, place.step, place.step + 1, &image);
  check(capture.output().defined(), "{}: layer {} was not run", arch_, layer);
  return convert_dtype(as_maps(capture.output()), given);
}

Tensor Network::from_features(const Tensor& h, const std::string& layer) {
  const Place place = find_continuable(layer);
  Tensor x = in_network_precision(h.to(device()));
  if (place.before_relu) x = relu(x);
  if (place.step >= flat_from_ && x.shape().rank() > 2) x = flatten(x);
  return convert_dtype(run(std::move(x), place.step + 1, steps_.size(), nullptr), h.dtype());
}

std::vector<std::string> network_names() {
  std::vector<std::string> names = {"alexnet"};
  for (const std::string& name : vgg_names()) names.push_back(name);
  for (const std::string& name : resnet_names()) names.push_back(name);
  return names;
}

std::shared_ptr<Network> make_network(const std::string& arch, std::int64_t classes,
                                      random::Generator& generator) {
  const auto is_in = [&](const std::vector<std::string>& names) {
    return std::find(names.begin(), names.end(), arch) != names.end();
  };
  if (arch == "alexnet") return make_alexnet(classes, generator);
  if (is_in(vgg_names())) return make_vgg(arch, classes, generator);
  if (is_in(resnet_names())) return make_resnet(arch, classes, generator);
  fail("no architecture {}; near it are {}", arch, nearest_names(arch, network_names(), 6));
}

}  // namespace concord
