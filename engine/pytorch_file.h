#pragma once
// Files of torch.save as programs read them: a state dict by name, the optimiser's state where the
// file is a checkpoint that holds one, and what else Concord understands of it.

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "engine/pytorch_object.h"

namespace concord {

// The state dict of a file, mapped into memory; its tensors may refer to the mapping.
class PytorchFile {
 public:
  // Finds the state dict: the object itself, or the one dict of tensors at most two dicts down
  // ({"state_dict": ..., "optimizer": ...}), optimisers aside. Of several one is taken that stands
  // under a name such as state_dict or model, with a note; otherwise throws naming them. Values of
  // a bare state dict that are no tensors are left out with a note. Beside it the state of the
  // optimiser (engine/pytorch_optimizer.h), under Concord's names for it:
  // "optimizer/momentum_buffer/fc.weight". Throws what PytorchObject throws.
  explicit PytorchFile(const std::filesystem::path& path);

  const std::filesystem::path& path() const { return path_; }
  // In the order of the file.
  const std::vector<std::string>& names() const { return names_; }
  bool contains(const std::string& name) const { return tensors_.contains(name); }
  Shape shape(const std::string& name) const { return entry(name).shape; }
  // The dtype in the file: "float32", "float16", "int32", ...
  std::string dtype(const std::string& name) const;
  // As read_stored has it. Throws also for an unknown name, naming those near it.
  Tensor tensor(const std::string& name) const;
  // Of a file that Concord wrote what its checkpoint had (engine/checkpoint.h); of any other that
  // says so, "epoch" and a "configuration" with "arch".
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  // What was done to the contents on the way in, for the user: sentences without a full stop.
  const std::vector<std::string>& notes() const { return notes_; }

 private:
  class Reader;
  void add(const std::string& name, StoredTensor tensor);
  const StoredTensor& entry(const std::string& name) const;

  std::filesystem::path path_;
  std::vector<std::string> names_;
  std::map<std::string, StoredTensor> tensors_;
  std::map<std::string, std::string> metadata_;
  std::vector<std::string> notes_;
};

// The member of the zip form that holds the metadata of a file that Concord wrote: a JSON object of
// strings.
inline constexpr std::string_view kConcordMember = "concord.json";

}  // namespace concord
