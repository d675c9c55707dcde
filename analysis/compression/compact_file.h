#pragma once
// A compressed network in as few bytes as its codebooks and codes take, from which its checkpoint
// is restored to the bit. The file is a safetensors file (engine/safetensors.h):
//
//   tensors   of each tensor NAME of the checkpoint, in its order: NAME, as it is; or where its
//             elements are entries of a codebook NAME:codebook, F32 [K] (left out where K = 0),
//             then NAME:codes, U8 [bytes] (analysis/compression/weight_coding.h)
//   metadata  format = "concord-compact", version = "1"
//             tensors = {NAME: {"crc32": of its elements' bytes, "shape": [...] of one with codes}}
//             checkpoint = the checkpoint's metadata, an object of texts
//             checkpoint_crc32 = of that text
//
// crc32 is zlib's. Element i of a tensor with codes is +0 where code i is 0, else entry code - 1 of
// its codebook.

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "analysis/compression/shared_weights.h"
#include "engine/safetensors.h"

namespace concord {

// Writes the checkpoint's tensors, those named in `coded` by their codes. Atomic
// (write_safetensors). Throws, before writing, when a coded weight is not what the checkpoint
// holds, bit for bit, naming it.
void write_compact(const std::filesystem::path& path, const SafetensorsFile& checkpoint,
                   const std::vector<CodedWeight>& coded);

class CompactFile {
 public:
  // Reads and checks all but the codes. Throws naming the file and the tensor, also for a file of
  // another format or a later version. No file, however hostile, does more than throw; what it says
  // of shapes is bounded by kMostElements alone, and is to be compared (shape()) with what is
  // expected before tensor() makes room for it.
  explicit CompactFile(const std::filesystem::path& path);

  // The checkpoint's, in its order.
  const std::vector<std::string>& names() const { return names_; }
  const std::map<std::string, std::string>& metadata() const { return checkpoint_; }
  // These throw for an unknown name.
  Shape shape(const std::string& name) const;
  bool is_coded(const std::string& name) const { return entry(name).is_coded; }
  // What it takes in the file.
  std::uint64_t stored_bytes(const std::string& name) const;
  // As the checkpoint had it, to the bit: compared by its checksum. Throws where that, or a code,
  // shows damage, naming the tensor.
  Tensor tensor(const std::string& name) const;

  static constexpr std::int64_t kMostElements = std::int64_t{1} << 32;  // of all tensors

 private:
  struct Entry {
    bool is_coded = false;
    Shape shape;
    std::uint32_t checksum = 0;
  };
  const Entry& entry(const std::string& name) const;
  void read_entries();
  Tensor decoded(const std::string& name, const Entry& entry) const;

  SafetensorsFile file_;
  std::vector<std::string> names_;
  std::map<std::string, Entry> entries_;
  std::map<std::string, std::string> checkpoint_;
};

}  // namespace concord
