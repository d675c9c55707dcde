#pragma once
// Tensors as they lie in files of PyTorch and safetensors, and what they become.

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/tensor.h"

namespace concord {

// The dtypes of a file: those that become float32, those that become int64, and the rest, which are
// recognised but not read.
enum class StoredDtype : std::uint8_t {
  kFloat32,
  kFloat64,
  kFloat16,
  kBFloat16,
  kInt64,
  kInt32,
  kInt16,
  kInt8,
  kUInt8,
  kBool,
  kUInt16,
  kUInt32,
  kUInt64,
  kFirstUnread,
};
// As PyTorch calls it: "float16".
std::string_view name_of(StoredDtype dtype);
// Of an element; of those that are not read, too.
std::uint64_t bytes_of(StoredDtype dtype);
// By PyTorch's name, by that of its storages ("HalfStorage"), by safetensors' ("F16"); none where
// it is not known.
std::optional<StoredDtype> stored_dtype(std::string_view name);
std::optional<StoredDtype> stored_dtype_of_storage(std::string_view name);
std::optional<StoredDtype> stored_dtype_of_safetensors(std::string_view name);

// A tensor as it lies in a file, checked against its storage.
struct StoredTensor {
  StoredDtype dtype = StoredDtype::kFloat32;
  std::string_view data;  // from the tensor's first element to the storage's end
  Shape shape;
  std::vector<std::int64_t> strides;  // in elements
  std::shared_ptr<void> owner;        // of the data
};

// float32 for every float and int64 for whole numbers and booleans, contiguous; shares the data (to
// be read only) where the file has it so. Throws, beginning with `where` (file and tensor), for
// complex numbers and what else has no place there, whole numbers beyond int64, and an expanded
// tensor of more than 2^28 elements.
Tensor read_stored(const StoredTensor& stored, const std::string& where);

// What read_stored converted, of so many tensors of each dtype, for the user: "FILE: 3 of its
// tensors are float16 and were converted to float32".
std::vector<std::string> conversion_notes(const std::string& file,
                                          const std::map<StoredDtype, std::size_t>& counts);

}  // namespace concord
