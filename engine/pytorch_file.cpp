#include "engine/pytorch_file.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "engine/mapped_file.h"
#include "engine/pytorch_optimizer.h"
#include "engine/text.h"
#include "kernels/error.h"

namespace concord {
namespace fs = std::filesystem;

namespace {

using Kind = PickleValue::Kind;
using Index = Pickle::Index;

constexpr std::size_t kMaxName = 1024;
constexpr std::size_t kMaxDicts = 10000;  // looked into for a state dict
constexpr std::size_t kMostListed = 8;    // names in a message

}  // namespace

// Finds in a file's object what the PytorchFile shows of it.
class PytorchFile::Reader {
 public:
  Reader(PytorchFile& file, const PytorchObject& object)
      : file_(file), object_(object), pickle_(object.pickle()), where_(file.path_.string()) {}

  void read() {
    std::vector<Found> found = candidates(/*strict=*/true);
    if (found.empty()) found = candidates(/*strict=*/false);
    check(!found.empty(),
          "{}: holds no state dict (tensors by name) but {}; save a network's state_dict() with "
          "torch.save",
          where_, description_of_root());
    if (found.size() > 1) {
      std::vector<std::string> paths;
      for (const Found& place : found) paths.push_back(place.path);
      const auto usual = [](const Found& place) { return place.usual; };
      const auto chosen = std::find_if(found.begin(), found.end(), usual);
      check(std::count_if(found.begin(), found.end(), usual) == 1,
            "{}: holds several state dicts and it is not clear which is meant: {}; save the one by "
            "itself",
            where_, listed(paths));
      file_.notes_.push_back(fmt::format("{}: holds several state dicts ({}); {} was read", where_,
                                         listed(paths), chosen->path));
      found = {Found(*chosen)};
    }
    take(pickle_.at(found.front().index));
    take_optimizer();
    take_metadata();
  }

 private:
  struct Found {
    std::string path;  // "state_dict"; empty for the object itself
    Index index;
    bool usual;  // every part of the path is a usual name
  };

  bool has_text_keys(const PickleValue& dict) const {
    for (std::size_t i = 0; i < dict.items.size(); i += 2)
      if (pickle_.at(dict.items[i]).kind != Kind::kString) return false;
    return !dict.items.empty();
  }
  // Extra state of a module is whatever the module likes.
  static bool is_extra(std::string_view name) { return name.ends_with("_extra_state"); }

  // Whether the dict holds tensors by name: and nothing else (`strict`) or only plain values
  // beside them.
  bool is_state_dict(Index index, bool strict) const {
    const PickleValue& dict = pickle_.at(index);
    if (dict.kind != Kind::kDict || !has_text_keys(dict)) return false;
    bool any = false;
    for (std::size_t i = 0; i < dict.items.size(); i += 2) {
      if (is_extra(pickle_.at(dict.items[i]).text)) continue;
      if (object_.is_tensor(dict.items[i + 1])) {
        any = true;
        continue;
      }
      const Kind kind = pickle_.at(dict.items[i + 1]).kind;
      if (strict || kind == Kind::kDict) return false;
    }
    return any;
  }

  static bool is_usual(std::string_view name) {
    static constexpr std::string_view kNames[] = {
        "state_dict", "model_state_dict", "model_state", "model",   "net",
        "network",    "net_state_dict",   "module",      "weights", "params"};
    return std::find(std::begin(kNames), std::end(kNames), name) != std::end(kNames);
  }
  static bool is_of_training(std::string_view name) {
    return name.find("optim") != std::string_view::npos ||
           name.find("sched") != std::string_view::npos;
  }

  std::vector<Found> candidates(bool strict) const {
    constexpr int kLevels = 2;
    std::vector<Found> found;
    std::vector<Found> level = {{"", pickle_.root_index(), true}};
    std::set<Index> seen = {pickle_.root_index()};
    for (int depth = 0; depth <= kLevels; ++depth) {
      std::vector<Found> next;
      for (const Found& place : level) {
        if (is_state_dict(place.index, strict)) {
          found.push_back(place);
          continue;
        }
        const PickleValue& dict = pickle_.at(place.index);
        if (dict.kind != Kind::kDict || depth == kLevels) continue;
        for (std::size_t i = 0; i < dict.items.size(); i += 2) {
          const PickleValue& key = pickle_.at(dict.items[i]);
          if (key.kind != Kind::kString || key.text.size() > kMaxName || is_of_training(key.text))
            continue;
          if (pickle_.at(dict.items[i + 1]).kind != Kind::kDict) continue;
          if (!seen.insert(dict.items[i + 1]).second) continue;  // one dict under two names
          check(seen.size() <= kMaxDicts, "{}: holds more than {} dicts: not a checkpoint", where_,
                kMaxDicts);
          next.push_back({place.path.empty() ? key.text : place.path + "." + key.text,
                          dict.items[i + 1], place.usual && is_usual(key.text)});
        }
      }
      level = std::move(next);
    }
    return found;
  }

  // Of the names, the first few, for a message.
  static std::string listed(const std::vector<std::string>& names) {
    std::string text;
    for (std::size_t i = 0; i < std::min(kMostListed, names.size()); ++i)
      text += (i == 0 ? "" : ", ") + (names[i].empty() ? "the whole" : names[i].substr(0, 80));
    return names.size() > kMostListed ? text + ", ..." : text;
  }

  // "a dict with the keys epoch, args"
  std::string description_of_root() const {
    const PickleValue& root = pickle_.root();
    if (object_.is_tensor(pickle_.root_index())) return "a tensor";
    if (root.kind != Kind::kDict) return std::string(name_of(root.kind));
    std::vector<std::string> keys;
    for (std::size_t i = 0; i < root.items.size() && keys.size() <= kMostListed; i += 2) {
      const PickleValue& key = pickle_.at(root.items[i]);
      keys.push_back(key.kind == Kind::kString ? key.text.substr(0, kMaxName)
                                               : std::string(name_of(key.kind)));
    }
    return keys.empty() ? "an empty dict" : "a dict with the keys " + listed(keys);
  }

  void take(const PickleValue& dict) {
    std::vector<std::string> left_out;
    for (std::size_t i = 0; i < dict.items.size(); i += 2) {
      const std::string& name = pickle_.at(dict.items[i]).text;
      check(name.size() <= kMaxName, "{}: a tensor's name of {} bytes, at most {} are read", where_,
            name.size(), kMaxName);
      if (object_.is_tensor(dict.items[i + 1]))
        file_.add(name, object_.tensor(dict.items[i + 1], name));
      else if (left_out.size() <= kMostListed)
        left_out.push_back(name);
    }
    if (!left_out.empty())
      file_.notes_.push_back(
          fmt::format("{}: its state dict holds what is no tensor and was left out: {}", where_,
                      listed(left_out)));
    std::map<StoredDtype, std::size_t> counts;
    for (const auto& [name, tensor] : file_.tensors_) ++counts[tensor.dtype];
    for (std::string& note : conversion_notes(where_, counts))
      file_.notes_.push_back(std::move(note));
  }

  // Before the metadata and after the state dict, whose parameters it is for.
  void take_optimizer() {
    std::vector<std::pair<std::string, Shape>> parameters;
    for (const std::string& name : file_.names_) {
      if (!is_buffer_name(name)) parameters.emplace_back(name, file_.shape(name));
    }
    PytorchOptimizerState state = read_optimizer_state(object_, where_, parameters);
    for (auto& [name, tensor] : state.tensors) file_.add("optimizer/" + name, std::move(tensor));
    file_.notes_.insert(file_.notes_.end(), state.notes.begin(), state.notes.end());
  }

  void take_metadata() {
    if (const std::string_view text = object_.extra(std::string(kConcordMember)); !text.empty()) {
      const auto json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
      bool good = json.is_object();
      if (good)
        for (const auto& [key, value] : json.items()) {
          good = good && value.is_string();
          if (good) file_.metadata_[key] = value.get<std::string>();
        }
      check(good, "{}: its member {} is no JSON object of strings: damaged", where_,
            kConcordMember);
      return;
    }
    const PickleValue* arch = pickle_.find(pickle_.root(), "arch");
    if (arch != nullptr && arch->kind == Kind::kString && arch->text.size() <= kMaxName) {
      const nlohmann::json configuration = {{"arch", arch->text}};
      file_.metadata_["configuration"] =
          configuration.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
    }
    const PickleValue* epoch = pickle_.find(pickle_.root(), "epoch");
    if (epoch != nullptr && epoch->kind == Kind::kInteger && epoch->integer >= 0)
      file_.metadata_["epoch"] = std::to_string(epoch->integer);
  }

  PytorchFile& file_;
  const PytorchObject& object_;
  const Pickle& pickle_;
  std::string where_;
};

PytorchFile::PytorchFile(const fs::path& path) : path_(path) {
  const MappedFile mapped(path, "a file of torch.save");
  const PytorchObject object(mapped.bytes(), mapped.owner(), path.string());
  Reader(*this, object).read();
}

void PytorchFile::add(const std::string& name, StoredTensor tensor) {
  check(tensors_.emplace(name, std::move(tensor)).second, "{}: holds tensor {} twice: damaged",
        path_.string(), name);
  names_.push_back(name);
}

const StoredTensor& PytorchFile::entry(const std::string& name) const {
  const auto found = tensors_.find(name);
  check(found != tensors_.end(), "{}: no tensor {} among its {}; near it are {}", path_.string(),
        name, tensors_.size(), nearest_names(name, names()));
  return found->second;
}

std::string PytorchFile::dtype(const std::string& name) const {
  return std::string(name_of(entry(name).dtype));
}

Tensor PytorchFile::tensor(const std::string& name) const {
  return read_stored(entry(name), fmt::format("{}: tensor {}", path_.string(), name));
}

}  // namespace concord
