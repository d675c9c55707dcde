#pragma once
// The tensors of a file that a program is given as weights, whoever wrote it.

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "engine/pytorch_file.h"
#include "engine/safetensors.h"

namespace concord {

// A safetensors file or one of torch.save, told apart by what is in it, not by its name. The names
// are those of the file without "module." wherever it stands (PyTorch's DataParallel puts it
// there).
class WeightsFile {
 public:
  // Throws what SafetensorsFile and PytorchFile throw, and when two names stand for one.
  explicit WeightsFile(const std::filesystem::path& path);

  const std::filesystem::path& path() const;
  // SafetensorsFile's or PytorchFile's.
  const std::map<std::string, std::string>& metadata() const;
  // In the order of the file.
  const std::vector<std::string>& names() const { return names_; }
  bool contains(const std::string& name) const { return originals_.contains(name); }
  // The following throw for an unknown name, naming those near it.
  Tensor tensor(const std::string& name) const;
  Shape shape(const std::string& name) const;
  // The dtype in the file, as its format names it: "float16", or in safetensors "F16".
  std::string dtype(const std::string& name) const;
  // The name in the file.
  const std::string& original(const std::string& name) const;
  // What was done to the contents on the way in, for the user.
  const std::vector<std::string>& notes() const { return notes_; }

 private:
  std::variant<SafetensorsFile, PytorchFile> file_;
  std::vector<std::string> names_;
  std::map<std::string, std::string> originals_;
  std::vector<std::string> notes_;
};

}  // namespace concord
