#include "engine/pytorch_optimizer.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <map>
#include <optional>
#include <set>

#include "kernels/error.h"

namespace concord {
namespace {

using Kind = PickleValue::Kind;
using Index = Pickle::Index;

// Of a dict that is looked through by key: an optimiser's own have a few dozen at most. A value may
// be referred to any number of times, so that without a limit it would multiply the work by its
// size.
constexpr std::size_t kMostKeys = 100;

constexpr std::array<std::string_view, 3> kBuffers = {"momentum_buffer", "exp_avg", "exp_avg_sq"};

// A scalar of the file's own making, or one value repeated over a shape.
template <class T>
StoredTensor repeated(T value, StoredDtype dtype, const Shape& shape) {
  const auto owner = std::make_shared<T>(value);
  StoredTensor result;
  result.dtype = dtype;
  result.data = {reinterpret_cast<const char*>(owner.get()), sizeof(T)};
  result.shape = shape;
  result.strides.assign(shape.rank(), 0);
  result.owner = owner;
  return result;
}

// Why a state is not taken; shown to the user, not thrown further.
struct NotTaken {
  std::string why;
};

class Reader {
 public:
  Reader(const PytorchObject& object, const std::string& where,
         const std::vector<std::pair<std::string, Shape>>& parameters)
      : object_(object), pickle_(object.pickle()), where_(where), parameters_(parameters) {}

  PytorchOptimizerState read() {
    PytorchOptimizerState result;
    const PickleValue* found = nullptr;
    std::string name;
    const PickleValue& root = pickle_.root();
    if (root.kind != Kind::kDict) return result;
    for (std::size_t i = 0; i < root.items.size(); i += 2) {
      const PickleValue& key = pickle_.at(root.items[i]);
      const PickleValue& value = pickle_.at(root.items[i + 1]);
      if (value.kind != Kind::kDict || value.items.size() > 2 * kMostKeys) continue;
      if (key.kind != Kind::kString || key.text.size() > kMostKeys ||
          key.text.find("optim") == std::string::npos)
        continue;
      if (pickle_.find(value, "state") == nullptr || pickle_.find(value, "param_groups") == nullptr)
        continue;
      if (found != nullptr) {
        result.notes.push_back(
            fmt::format("{}: holds the states of several optimisers ({}, {}); none was taken",
                        where_, name.substr(0, 80), key.text.substr(0, 80)));
        return result;
      }
      found = &value;
      name = key.text;
    }
    if (found == nullptr) return result;
    try {
      take(*found, result);
    } catch (const NotTaken& reason) {
      result.tensors.clear();
      result.notes.push_back(
          fmt::format("{}: the state of its optimiser was not taken: {}", where_, reason.why));
    }
    return result;
  }

 private:
  using Numbers = std::map<std::int64_t, std::size_t>;  // the file's number and our parameter

  Numbers numbers_of(const PickleValue& groups) const {
    std::vector<std::int64_t> order;
    if (groups.kind != Kind::kList) throw NotTaken{"its param_groups are no list"};
    std::set<Index> seen;
    for (const Index group : groups.items) {
      const PickleValue& dict = pickle_.at(group);
      if (!seen.insert(group).second || dict.items.size() > 2 * kMostKeys)
        throw NotTaken{"a group of parameters is there twice, or is none"};
      const PickleValue* params = pickle_.find(dict, "params");
      if (params == nullptr || params->kind != Kind::kList)
        throw NotTaken{"a group of parameters has no list of them"};
      for (const Index item : params->items) {
        const PickleValue& number = pickle_.at(item);
        if (number.kind != Kind::kInteger)
          throw NotTaken{fmt::format("a parameter's number is {}", name_of(number.kind))};
        if (order.size() == parameters_.size())
          throw NotTaken{fmt::format("it is of more parameters than the {} of the state dict",
                                     parameters_.size())};
        order.push_back(number.integer);
      }
    }
    Numbers result;
    const std::size_t first = parameters_.size() - order.size();
    for (std::size_t i = 0; i < order.size(); ++i)
      if (!result.emplace(order[i], first + i).second)
        throw NotTaken{fmt::format("parameter {} is in it twice", order[i])};
    return result;
  }

  // The number of updates: a whole number, a float, or a tensor of one element.
  std::int64_t step_of(Index index) const {
    const PickleValue& value = pickle_.at(index);
    double number = std::nan("");
    if (value.kind == Kind::kInteger) number = static_cast<double>(value.integer);
    if (value.kind == Kind::kFloat) number = value.number;
    if (object_.is_tensor(index)) {
      const Tensor tensor = read_stored(object_.tensor(index, "step"), where_ + ": tensor step");
      if (tensor.numel() == 1) number = tensor.to_vector<double>()[0];
    }
    if (!(number >= 0 && number <= 1e15 && number == std::floor(number)))
      throw NotTaken{"its count of updates is no whole number"};
    return static_cast<std::int64_t>(number);
  }

  void take_parameter(const PickleValue& state, std::size_t parameter) {
    if (state.kind != Kind::kDict || state.items.size() > 2 * kMostKeys)
      throw NotTaken{"the state of a parameter is no dict of a few entries"};
    const auto& [name, shape] = parameters_[parameter];
    for (std::size_t i = 0; i < state.items.size(); i += 2) {
      const PickleValue& key = pickle_.at(state.items[i]);
      const Index index = state.items[i + 1];
      if (key.kind != Kind::kString) throw NotTaken{"a key of its state is no text"};
      if (key.text == "step") {
        const std::int64_t step = step_of(index);
        if (step_ && *step_ != step)
          throw NotTaken{fmt::format("its parameters have had {} and {} updates", *step_, step)};
        step_ = step;
      } else if (std::find(kBuffers.begin(), kBuffers.end(), key.text) != kBuffers.end()) {
        if (pickle_.at(index).kind == Kind::kNone) continue;
        if (!object_.is_tensor(index))
          throw NotTaken{fmt::format("{} of {} is no tensor", key.text, name)};
        const std::string full = key.text + "/" + name;
        StoredTensor tensor = object_.tensor(index, full);
        if (tensor.shape != shape)
          throw NotTaken{fmt::format("{} of {} is {}, the parameter is {}", key.text, name,
                                     tensor.shape.to_string(), shape.to_string())};
        kinds_.insert(key.text);
        found_.insert_or_assign(full, std::move(tensor));
      } else if (pickle_.at(index).kind != Kind::kNone) {
        throw NotTaken{
            fmt::format("it has {}, which neither SGD nor Adam has here", key.text.substr(0, 80))};
      }
    }
  }

  void take(const PickleValue& optimizer, PytorchOptimizerState& result) {
    const Numbers numbers = numbers_of(*pickle_.find(optimizer, "param_groups"));
    const PickleValue& states = *pickle_.find(optimizer, "state");
    if (states.kind != Kind::kDict) throw NotTaken{"its state is no dict"};
    std::set<std::size_t> seen;
    for (std::size_t i = 0; i < states.items.size(); i += 2) {
      const PickleValue& number = pickle_.at(states.items[i]);
      const auto found =
          number.kind == Kind::kInteger ? numbers.find(number.integer) : numbers.end();
      if (found == numbers.end()) throw NotTaken{"it has a state for a parameter of no group"};
      if (!seen.insert(found->second).second)
        throw NotTaken{fmt::format("it has two states for parameter {}", number.integer)};
      take_parameter(pickle_.at(states.items[i + 1]), found->second);
    }
    const bool adam = kinds_.contains("exp_avg") || kinds_.contains("exp_avg_sq");
    if (adam && (!step_ || kinds_.contains("momentum_buffer")))
      throw NotTaken{"it is neither SGD's nor Adam's"};
    if (adam) kinds_ = {"exp_avg", "exp_avg_sq"};
    for (const std::string_view kind : kBuffers) {
      if (!kinds_.contains(std::string(kind))) continue;
      for (const auto& [number, parameter] : numbers) {
        const auto& [name, shape] = parameters_[parameter];
        const std::string full = fmt::format("{}/{}", kind, name);
        const auto found = found_.find(full);
        result.tensors.emplace_back(full, found != found_.end()
                                              ? found->second
                                              : repeated(0.0F, StoredDtype::kFloat32, shape));
      }
    }
    // Of SGD without momentum, or before the first update, there is nothing.
    if (!kinds_.empty() || step_)
      result.tensors.emplace_back("step",
                                  repeated(step_.value_or(0), StoredDtype::kInt64, Shape{}));
  }

  const PytorchObject& object_;
  const Pickle& pickle_;
  const std::string& where_;
  const std::vector<std::pair<std::string, Shape>>& parameters_;
  std::optional<std::int64_t> step_;
  std::set<std::string> kinds_;
  std::map<std::string, StoredTensor> found_;
};

}  // namespace

bool is_buffer_name(std::string_view name) {
  const std::string_view last = name.substr(name.rfind('.') + 1);
  return last == "running_mean" || last == "running_var" || last == "num_batches_tracked";
}

PytorchOptimizerState read_optimizer_state(
    const PytorchObject& object, const std::string& where,
    const std::vector<std::pair<std::string, Shape>>& parameters) {
  return Reader(object, where, parameters).read();
}

}  // namespace concord
