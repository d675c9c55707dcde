#pragma once
// Features on disk: a directory with index.json and safetensors shards, written once; rows are
// mapped without copying, or read into memory of the caller's (data/feature_reader.h reads ahead).

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "data/stored_dtype.h"
#include "engine/safetensors.h"
#include "engine/tensor.h"

namespace concord {

inline constexpr std::size_t kShardBytes = std::size_t{256} << 20;

struct FeatureStoreInfo {
  std::string arch;     // of the network that made them
  std::string layer;    // as the user wrote it
  std::string dataset;  // path of the data
  std::string split;    // train, val or test
  std::string weights;  // checkpoint
  std::int64_t image_size = 0;
};

// Appends batches and writes shards of at most `shard_bytes` of features (or of one row, where that
// is more), which are held in memory until then; finish() writes index.json last, so that a
// directory without one is not a store. A destructor without finish() removes the shards, and the
// directory where it was made for them.
class FeatureStoreWriter {
 public:
  // Features are stored as float32, or rounded to bf16 or fp16 (data/stored_dtype.h). Throws when
  // the directory cannot be made or holds a store or shards of one already.
  FeatureStoreWriter(std::filesystem::path directory, FeatureStoreInfo info,
                     std::size_t shard_bytes = kShardBytes,
                     StoredDType dtype = StoredDType::kFloat32);
  ~FeatureStoreWriter();
  // features [n,C,H,W] (any format; stored plain), labels int64 [n], whether the label is
  // in the network's top 1 and top 3 (uint8 [n]), and the images' file names. Throws for counts
  // that differ, for another [C,H,W] than before, for a finite value that the stored dtype cannot
  // hold, and when the disk is full.
  void append(const Tensor& features, const Tensor& labels, const std::vector<std::uint8_t>& top1,
              const std::vector<std::uint8_t>& top3, const std::vector<std::string>& names);
  // Throws when nothing was appended.
  void finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// A finished store, or a single safetensors file with a tensor `features` [N,C,H,W] (then labels
// and names are absent). Features of any floating dtype are given as float32, converted when they
// are read. Throws naming the file when a shard is missing, short or of another shape, and for
// rows that are not there.
class FeatureStore {
 public:
  explicit FeatureStore(const std::filesystem::path& path);

  std::int64_t size() const;
  const Shape& shape() const;  // [N,C,H,W]
  StoredDType dtype() const;   // of the first shard
  const FeatureStoreInfo& info() const;
  bool has_labels() const;
  const std::vector<std::int64_t>& labels() const;
  const std::vector<std::uint8_t>& top1() const;
  const std::vector<std::uint8_t>& top3() const;
  const std::vector<std::string>& names() const;
  // Rows [begin, end) as one tensor (no copy when they lie in one shard and are stored as float32).
  Tensor rows(std::int64_t begin, std::int64_t end) const;
  // Rows in any order, gathered.
  Tensor gather(const std::vector<std::int64_t>& rows) const;
  // The same into `to`, on the calling thread alone and without mapping: what was read takes no
  // memory but the target's and that of the system's cache, which it gives up when asked.
  void read(std::span<const std::int64_t> rows, float* to) const;
  // Asks the system to fetch rows that will be read, and does not wait.
  void announce(std::span<const std::int64_t> rows) const;

 private:
  struct State;
  std::shared_ptr<const State> state_;
};

}  // namespace concord
