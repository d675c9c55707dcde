#include "analysis/similarity/sample_rows.h"

#include <utility>

#include "engine/autograd.h"
#include "engine/ops/resize.h"

namespace concord::similarity {
namespace {

struct MapShape {
  std::int64_t images, channels, pixels;
};

MapShape map_shape_of(const Shape& shape) {
  check(shape.rank() == 4 || shape.rank() == 2,
        "similarity: features are {}, [N,C,H,W] or [N,C] is expected", shape.to_string());
  return {shape[0], shape[1], shape.rank() == 4 ? shape[2] * shape[3] : 1};
}

Matrix rows_of(const std::vector<double>& values, const MapShape& shape, Rows rows) {
  const Eigen::Map<const Matrix> flat(values.data(), shape.images, shape.channels * shape.pixels);
  if (rows == Rows::kFlatten) return flat;
  Matrix result(rows == Rows::kMean ? shape.images : shape.images * shape.pixels, shape.channels);
  for (std::int64_t i = 0; i < shape.images; ++i) {
    const Eigen::Map<const Matrix> map(flat.row(i).data(), shape.channels, shape.pixels);
    if (rows == Rows::kMean)
      result.row(i) = map.rowwise().mean().transpose();
    else
      result.middleRows(i * shape.pixels, shape.pixels) = map.transpose();
  }
  return result;
}

}  // namespace

Rows rows_of_word(const std::string& word) {
  if (word == "flatten") return Rows::kFlatten;
  if (word == "mean") return Rows::kMean;
  check(word == "positions", "similarity: rows are flatten, mean or positions, not {}", word);
  return Rows::kPositions;
}

std::int64_t row_count(const Shape& maps, std::int64_t images, Rows rows) {
  return rows == Rows::kPositions ? images * map_shape_of(maps).pixels : images;
}

std::int64_t row_width(const Shape& maps, Rows rows) {
  const MapShape shape = map_shape_of(maps);
  return rows == Rows::kFlatten ? shape.channels * shape.pixels : shape.channels;
}

Matrix sample_rows(const Tensor& maps, Rows rows, Size2d size) {
  map_shape_of(maps.shape());
  const bool resized = rows == Rows::kPositions && maps.shape().rank() == 4 &&
                       (maps.dim(2) != size.height || maps.dim(3) != size.width);
  const NoGradGuard no_gradients;
  const Tensor used = resized ? resize_bilinear(maps, size) : maps;
  return rows_of(used.to_vector<double>(), map_shape_of(used.shape()), rows);
}

void ColumnMeans::add(const Matrix& rows) {
  if (rows.rows() == 0) return;
  if (count_ == 0) {
    first_ = rows.row(0);
    sums_ = RowVector::Zero(rows.cols());
  }
  check(rows.cols() == first_.size(), "similarity: rows of {} features follow rows of {}",
        rows.cols(), first_.size());
  sums_ += (rows.rowwise() - first_).colwise().sum();
  count_ += rows.rows();
}

RowVector ColumnMeans::means() const {
  check(count_ > 0, "similarity: no samples were given");
  return first_ + sums_ / static_cast<double>(count_);
}

Matrix centred(Matrix rows) {
  ColumnMeans means;
  means.add(rows);
  rows.rowwise() -= means.means();
  return rows;
}

}  // namespace concord::similarity
