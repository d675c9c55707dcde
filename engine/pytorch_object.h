#pragma once
// The object in a file of torch.save, of either form, and the tensors that it holds. Source:
// torch/serialization.py (_save and _legacy_save) and torch/_utils.py (_rebuild_tensor_v2).
//
// Zip form (PyTorch 1.6 and later): members PREFIX/data.pkl and PREFIX/data/KEY, stored as they
// are. Legacy form: the pickles of a magic number, a protocol version, the system's properties, the
// object and the list of storage keys, then for each key int64 count and the elements.

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/pickle.h"
#include "engine/stored_tensor.h"

namespace concord {

class PytorchObject {
 public:
  // Whether a file that begins so is one of torch.save, or of its oldest form, a tar.
  static bool recognises(std::string_view bytes);

  // Reads the object and finds its storages. Throws, naming `where` (the file), for one that is
  // damaged, big-endian, TorchScript, a tar, or asks for a Python object that is no plain value.
  // `owner` keeps `bytes` alive.
  PytorchObject(std::string_view bytes, std::shared_ptr<void> owner, std::string where);

  const Pickle& pickle() const { return *pickle_; }
  // Whether the value is a tensor or a Parameter.
  bool is_tensor(Pickle::Index index) const { return tensor_call(index) != nullptr; }
  // The value, a tensor, with offset, sizes and strides checked against its storage, with overflow.
  // `name` stands in messages. Throws.
  StoredTensor tensor(Pickle::Index index, const std::string& name) const;
  // The member PREFIX/extra/NAME of the zip form; empty where there is none.
  std::string_view extra(const std::string& name) const;

 private:
  struct Storage {
    std::optional<StoredDtype> dtype;  // none: bytes
    std::uint64_t count = 0;           // elements, or bytes
    std::string_view data;
  };
  void read_zip(std::string_view file);
  void read_legacy(std::string_view file);
  std::uint64_t bytes_of(const std::string& key, const Storage& storage) const;
  const std::vector<Pickle::Index>& storage_id(const PickleValue& persistent) const;
  void find_storages();
  const PickleValue* tensor_call(Pickle::Index index) const;
  std::int64_t whole_number(const std::string& name, Pickle::Index index, const char* what) const;
  std::vector<std::int64_t> whole_numbers(const std::string& name, Pickle::Index index,
                                          const char* what) const;

  std::shared_ptr<void> owner_;
  std::string where_;
  std::optional<Pickle> pickle_;
  std::map<std::string, Storage> storages_;
  std::map<std::string, std::string_view> extras_;
};

}  // namespace concord
