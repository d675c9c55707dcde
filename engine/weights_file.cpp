#include "engine/weights_file.h"

#include <utility>

#include "engine/mapped_file.h"
#include "engine/text.h"
#include "kernels/error.h"

namespace concord {
namespace {

// `name` without its components "module".
std::string without_module(std::string_view name) {
  constexpr std::string_view kPart = "module.";
  std::string result;
  for (bool at_start = true; !name.empty();) {
    if (at_start && name.starts_with(kPart)) {
      name.remove_prefix(kPart.size());
      continue;
    }
    at_start = name.front() == '.' || name.front() == '/';
    result += name.front();
    name.remove_prefix(1);
  }
  return result;
}

std::variant<SafetensorsFile, PytorchFile> open(const std::filesystem::path& path) {
  if (PytorchObject::recognises(MappedFile(path, "a file of weights").bytes()))
    return PytorchFile(path);
  return SafetensorsFile(path);
}

}  // namespace

WeightsFile::WeightsFile(const std::filesystem::path& path) : file_(open(path)) {
  if (const auto* pytorch = std::get_if<PytorchFile>(&file_)) notes_ = pytorch->notes();
  if (const auto* safetensors = std::get_if<SafetensorsFile>(&file_)) {
    std::map<StoredDtype, std::size_t> converted;
    for (const std::string& name : safetensors->names()) {
      const auto dtype = stored_dtype_of_safetensors(safetensors->dtype(name));
      const bool as_it_is = dtype == StoredDtype::kFloat64 || dtype == StoredDtype::kUInt8;
      if (dtype && !as_it_is) ++converted[*dtype];
    }
    notes_ = conversion_notes(path.string(), converted);
  }
  const std::vector<std::string> all =
      std::visit([](const auto& file) { return std::vector<std::string>(file.names()); }, file_);
  for (const std::string& name : all) {
    const auto [entry, added] = originals_.emplace(without_module(name), name);
    names_.push_back(entry->first);
    check(added, "{}: its tensors {} and {} stand for the same parameter", path.string(),
          entry->second, name);
  }
}

const std::filesystem::path& WeightsFile::path() const {
  return std::visit(
      [](const auto& file) -> const auto& { return file.path(); }, file_);
}

const std::map<std::string, std::string>& WeightsFile::metadata() const {
  return std::visit(
      [](const auto& file) -> const auto& { return file.metadata(); }, file_);
}

const std::string& WeightsFile::original(const std::string& name) const {
  const auto found = originals_.find(name);
  if (found == originals_.end())
    fail("{}: no tensor {} among its {}; near it are {}", path().string(), name, originals_.size(),
         nearest_names(name, names()));
  return found->second;
}

Tensor WeightsFile::tensor(const std::string& name) const {
  return std::visit([&](const auto& file) { return file.tensor(original(name)); }, file_);
}

std::string WeightsFile::dtype(const std::string& name) const {
  return std::visit([&](const auto& file) { return std::string(file.dtype(original(name))); },
                    file_);
}

Shape WeightsFile::shape(const std::string& name) const {
  return std::visit([&](const auto& file) { return file.shape(original(name)); }, file_);
}

}  // namespace concord
