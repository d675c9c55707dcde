#include "tools/common/feature_rows.h"

#include <cmath>
#include <numeric>

#include "tools/common/interrupt.h"

namespace concord::tool {

using similarity::Matrix;

FeatureRows::FeatureRows(const std::string& path, similarity::Rows rows, std::int64_t images)
    : path_(path), rows_(rows), store_(path) {
  const Shape& shape = store_.shape();
  check(shape.rank() == 2 || shape.rank() == 4,
        "{}: features are {}, [N,C,H,W] or [N,C] is expected; extract them again at another layer",
        path, shape.to_string());
  check(store_.size() > 0 && values() > 0, "{}: holds no features ({})", path, shape.to_string());
  check(images <= store_.size(), "{}: holds {} images, --images asks for {}", path, store_.size(),
        images);
  const std::int64_t count = images > 0 ? images : store_.size();
  for (std::int64_t i = 0; i < count; ++i) selected_.push_back(i * store_.size() / count);
}

Size2d FeatureRows::size() const {
  const Shape& shape = store_.shape();
  return shape.rank() == 4 ? Size2d{shape[2], shape[3]} : Size2d{1, 1};
}

std::int64_t FeatureRows::rows_per_image(Size2d size) const {
  return by_positions() ? size.height * size.width : 1;
}

std::int64_t FeatureRows::values() const { return store_.shape().numel() / store_.size(); }

Matrix FeatureRows::read(std::int64_t begin, std::int64_t end, Size2d size) const {
  std::vector<std::int64_t> images(static_cast<std::size_t>(end - begin));
  std::iota(images.begin(), images.end(), begin);
  return gather(images, size);
}

Matrix FeatureRows::gather(std::span<const std::int64_t> images, Size2d size) const {
  stop_if_interrupted();
  std::vector<std::int64_t> rows;
  for (const std::int64_t image : images)
    rows.push_back(selected_[static_cast<std::size_t>(image)]);
  Tensor maps = Tensor::empty(store_.shape().with(0, static_cast<std::int64_t>(rows.size())));
  try {
    store_.read(rows, maps.data<float>());
  } catch (const Error& error) {
    throw UnreadableFeatures(error.what());
  }
  const float* values = maps.data<float>();
  for (std::int64_t i = 0; i < maps.numel(); ++i) {
    if (std::isfinite(values[i])) [[likely]]
      continue;
    const auto row = static_cast<std::size_t>(rows[static_cast<std::size_t>(i / this->values())]);
    const std::string name =
        store_.names().empty() ? "" : fmt::format(" ({})", store_.names()[row]);
    const std::int64_t channel = i % this->values() * store_.shape()[1] / this->values();
    throw UnreadableFeatures(
        fmt::format("{}: the features of image {}{} hold {} in channel {}; extract them again",
                    path_, row, name, values[i], channel));
  }
  return similarity::sample_rows(maps, rows_, size);
}

}  // namespace concord::tool
