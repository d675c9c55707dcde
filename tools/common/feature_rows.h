#pragma once
// A feature store as rows for the similarity measures, read piece by piece.

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "analysis/similarity/sample_rows.h"
#include "data/feature_store.h"

namespace concord::tool {

// The features cannot be read or are not numbers: the run ends, whatever was to be measured.
class UnreadableFeatures : public Error {
 public:
  using Error::Error;
};

class FeatureRows {
 public:
  // Of `images` images of the store, evenly spaced over it (0: of all). Throws for more than it
  // has, and for features that are not [N,C,H,W] or [N,C].
  FeatureRows(const std::string& path, similarity::Rows rows, std::int64_t images);

  const std::string& path() const { return path_; }
  const FeatureStore& store() const { return store_; }
  std::int64_t images() const { return static_cast<std::int64_t>(selected_.size()); }
  bool by_positions() const { return rows_ == similarity::Rows::kPositions; }
  // Height and width of the maps.
  Size2d size() const;
  // Rows that an image gives at `size`, and columns of each.
  std::int64_t rows_per_image(Size2d size) const;
  std::int64_t width() const { return similarity::row_width(store_.shape(), rows_); }
  // Values of an image in the store.
  std::int64_t values() const;

  // The rows of images [begin, end), or of those numbers, at `size` for positions
  // (similarity::sample_rows). Throws UnreadableFeatures naming the store and the image, and
  // Interrupted on a signal.
  similarity::Matrix read(std::int64_t begin, std::int64_t end, Size2d size) const;
  similarity::Matrix gather(std::span<const std::int64_t> images, Size2d size) const;

 private:
  std::string path_;
  similarity::Rows rows_;
  FeatureStore store_;
  std::vector<std::int64_t> selected_;
};

}  // namespace concord::tool
