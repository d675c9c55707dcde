#pragma once
// How feature maps become the rows that similarity measures compare.

#include <cstdint>
#include <string>

#include "analysis/similarity/matrix.h"
#include "engine/tensor.h"
#include "kernels/conv2d.h"

namespace concord::similarity {

enum class Rows : std::uint8_t {
  kFlatten,    // a row per image, every value of its maps a feature: n x CHW
  kMean,       // a row per image, the mean of each channel over space: n x C
  kPositions,  // a row per image and pixel, the channels its features: nHW x C
};
// "flatten", "mean", "positions"; throws for another word.
Rows rows_of_word(const std::string& word);

// Rows and columns that `images` maps of [N,C,H,W] or [N,C] become.
std::int64_t row_count(const Shape& maps, std::int64_t images, Rows rows);
std::int64_t row_width(const Shape& maps, Rows rows);

// maps [n,C,H,W] or [n,C], float32 or float64, on the host, as rows. For kPositions they are first
// brought to `size` (bilinear, engine/ops/resize.h) where that is not theirs; the other kinds leave
// it aside.
Matrix sample_rows(const Tensor& maps, Rows rows, Size2d size);

// The mean of every column, exact for columns whose values are all equal: they are zero once it is
// subtracted, so that what is constant is known as such.
class ColumnMeans {
 public:
  // Throws for another width than before.
  void add(const Matrix& rows);
  // Throws before any row.
  RowVector means() const;
  std::int64_t count() const { return count_; }

 private:
  RowVector first_;
  RowVector sums_;  // of the differences from first_
  std::int64_t count_ = 0;
};

// Every column less its mean.
Matrix centred(Matrix rows);

}  // namespace concord::similarity
