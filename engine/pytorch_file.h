#pragma once
// Files of torch.save, of both forms, read without running anything (engine/pickle.h). Source:
// torch/serialization.py (_save and _legacy_save) and torch/_utils.py (_rebuild_tensor_v2).
//
// Zip form (PyTorch 1.6 and later): members PREFIX/data.pkl and PREFIX/data/KEY, stored as they
// are. Legacy form: the pickles of a magic number, a protocol version, the system's properties, the
// object and the list of storage keys, then for each key int64 count and the elements.

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/tensor.h"

namespace concord {

// The state dict of a file, mapped into memory; its tensors may refer to the mapping.
class PytorchFile {
 public:
  // Whether a file that begins so is one of torch.save, or of its oldest form, a tar.
  static bool recognises(std::string_view bytes);

  // Finds the state dict: the object itself, or the one dict of tensors at most two dicts down
  // ({"state_dict": ..., "optimizer": ...}), optimisers aside. Of several one is taken that stands
  // under a name such as state_dict or model, with a note; otherwise throws naming them. Values of
  // a bare state dict that are no tensors are left out with a note.
  // Every tensor is checked against its storage, with overflow. Throws naming the file for any that
  // is damaged, big-endian, TorchScript, a tar, or asks for a Python object that is no plain value.
  explicit PytorchFile(const std::filesystem::path& path);

  const std::filesystem::path& path() const { return path_; }
  std::vector<std::string> names() const;
  bool contains(const std::string& name) const { return tensors_.contains(name); }
  Shape shape(const std::string& name) const { return entry(name).shape; }
  // The dtype in the file: "float32", "float16", "int32", ...
  std::string dtype(const std::string& name) const;
  // float32 for every float and int64 for whole numbers and booleans, contiguous; shares the
  // mapping (to be read only) where the file has it so. Throws for an unknown name (naming those
  // near it), for complex numbers and what else has no place there, and for an expanded tensor of
  // more than 2^28 elements.
  Tensor tensor(const std::string& name) const;
  // What was done to the contents on the way in, for the user: sentences without a full stop.
  const std::vector<std::string>& notes() const { return notes_; }

 private:
  struct Entry {
    int dtype = 0;          // index into the table of dtypes
    std::string_view data;  // from the tensor's first element to the storage's end
    Shape shape;
    std::vector<std::int64_t> strides;  // in elements
  };
  class Reader;
  const Entry& entry(const std::string& name) const;

  std::filesystem::path path_;
  std::shared_ptr<void> owner_;
  std::map<std::string, Entry> tensors_;
  std::vector<std::string> notes_;
};

}  // namespace concord
