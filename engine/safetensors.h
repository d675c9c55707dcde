#pragma once
// safetensors files: u64 little-endian header length, JSON header, data. Source: the format's
// specification (names, dtype, shape, data_offsets; __metadata__ of strings).

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "engine/module.h"

namespace concord {

// A file mapped into memory; its tensors refer to the mapping, which lives as long as one of them.
class SafetensorsFile {
 public:
  // Validates the whole header: length <= 100,000,000, offsets that cover the data from 0 without
  // holes or overlap and end at its length, shape x itemsize equal to each span with overflow
  // checks, no duplicate keys. Throws naming the file and the tensor. Nothing in a file, however
  // hostile, does more than throw.
  explicit SafetensorsFile(const std::filesystem::path& path);

  const std::filesystem::path& path() const { return path_; }
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  bool contains(const std::string& name) const { return tensors_.contains(name); }
  // In the order of their data, which is the one they were written in.
  std::vector<std::string> names() const;
  // Shares the mapping where the dtype is one of the engine's (F32, F64, I64, U8) and the data is
  // aligned to it, else a copy. F16 and BF16 become float32, other whole numbers and BOOL int64.
  // The elements may be read only. Throws for an unknown name (naming those near it) or another
  // dtype.
  Tensor tensor(const std::string& name) const;
  Shape shape(const std::string& name) const;
  // The dtype in the file, as the format names it: "F32", "F16", "I64", ...
  const std::string& dtype(const std::string& name) const { return entry(name).dtype; }

 private:
  struct Entry {
    std::string dtype;
    Shape shape;
    std::size_t begin = 0;
    std::size_t bytes = 0;
  };
  const Entry& entry(const std::string& name) const;

  std::filesystem::path path_;
  std::shared_ptr<void> mapping_;
  const char* data_ = nullptr;
  std::map<std::string, std::string> metadata_;
  std::map<std::string, Entry> tensors_;
};

// Writes plain copies of the tensors (dtypes F32, F64, BF16, I64, U8), in the order given: to a
// temporary file beside `path`, synced, then renamed over it, so that a reader or a crash never
// sees half a file. Throws naming the file, the cause and (disk full) the bytes needed; the
// temporary is removed. Throws before writing for a name that is empty, given twice, "__metadata__"
// or not UTF-8.
void write_safetensors(const std::filesystem::path& path, const std::vector<Named<Tensor>>& tensors,
                       const std::map<std::string, std::string>& metadata = {});

}  // namespace concord
