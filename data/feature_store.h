#pragma once
// Features on disk: a directory with index.json and memory-mapped safetensors shards, written once
// and read without copying.

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "engine/safetensors.h"
#include "engine/tensor.h"

namespace concord {

struct FeatureStoreInfo {
  std::string arch;     // of the network that made them
  std::string layer;    // as the user wrote it
  std::string dataset;  // path of the data
  std::string split;    // train, val or test
  std::string weights;  // checkpoint
  std::int64_t image_size = 0;
};

// Appends batches and writes shards of at most `shard_bytes` of features (or of one row, where that
// is more); finish() writes index.json last, so that a directory without one is not a store. A
// destructor without finish() removes the shards, and the directory where it was made for them.
class FeatureStoreWriter {
 public:
  // Throws when the directory cannot be made or holds a store or shards of one already.
  FeatureStoreWriter(std::filesystem::path directory, FeatureStoreInfo info,
                     std::size_t shard_bytes = std::size_t{256} << 20);
  ~FeatureStoreWriter();
  // features [n,C,H,W] (any format; stored plain float32), labels int64 [n], whether the label is
  // in the network's top 1 and top 3 (uint8 [n]), and the images' file names. Throws for counts
  // that differ, for another [C,H,W] than before, and when the disk is full.
  void append(const Tensor& features, const Tensor& labels, const std::vector<std::uint8_t>& top1,
              const std::vector<std::uint8_t>& top3, const std::vector<std::string>& names);
  // Throws when nothing was appended.
  void finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// A finished store, or a single safetensors file with a tensor `features` [N,C,H,W] (then labels
// and names are absent). Features of other floating dtypes are converted to float32 when the store
// is opened. Throws naming the file when a shard is missing, short or of another shape, and for
// rows that are not there.
class FeatureStore {
 public:
  explicit FeatureStore(const std::filesystem::path& path);

  std::int64_t size() const;
  const Shape& shape() const;  // [N,C,H,W]
  const FeatureStoreInfo& info() const;
  bool has_labels() const;
  const std::vector<std::int64_t>& labels() const;
  const std::vector<std::uint8_t>& top1() const;
  const std::vector<std::uint8_t>& top3() const;
  const std::vector<std::string>& names() const;
  // Rows [begin, end) as one tensor (no copy when they lie in one shard).
  Tensor rows(std::int64_t begin, std::int64_t end) const;
  // Rows in any order, gathered.
  Tensor gather(const std::vector<std::int64_t>& rows) const;

 private:
  struct State;
  std::shared_ptr<const State> state_;
};

}  // namespace concord
