#pragma once
// Batches of rows of feature stores, read ahead by a thread of their own, so that the disk works
// while the training computes. The order depends on the seed and the epoch only, and the values on
// nothing but the stores.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "data/feature_store.h"

namespace concord {

inline constexpr std::size_t kReadAheadBytes = std::size_t{512} << 20;

struct FeatureReaderOptions {
  std::int64_t batch_size = 64;
  bool shuffle = false;
  std::uint64_t seed = 0;
  // Memory for batches that are read ahead, never exceeded; at most 16 batches are. The batch in
  // use comes on top. Less than a batch: rows are read by next() itself.
  std::size_t ahead_bytes = kReadAheadBytes;
  // Where batches go from here: they lie in memory of the host that this device copies from without
  // the processor (engine/staging.h).
  Device device = {};
};

struct FeatureBatch {
  std::vector<Tensor> features;  // of each store [n,C,H,W], float32
  std::int64_t number = 0;       // position in the epoch
};

class FeatureReader {
 public:
  // Throws unless the stores, one at least, have equally many rows and the batch size is positive.
  FeatureReader(std::vector<FeatureStore> stores, FeatureReaderOptions options);
  ~FeatureReader();
  FeatureReader(const FeatureReader&) = delete;
  FeatureReader& operator=(const FeatureReader&) = delete;

  // Begins (or begins again, an epoch may be abandoned) the given epoch at batch `first_batch`.
  void start(std::int64_t epoch, std::int64_t first_batch = 0);
  // The next batch, the same rows of every store, or false at the end of the epoch. Releases what
  // `batch` held before it makes room for another. Throws naming the file that cannot be read; the
  // epoch must then be begun again.
  bool next(FeatureBatch& batch);

  std::int64_t batches() const;  // of an epoch
  std::int64_t size() const;     // rows of each store
  // Batches read ahead, and the bytes of one (of all stores).
  std::int64_t ahead() const;
  std::size_t batch_bytes() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace concord
