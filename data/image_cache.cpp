#include "data/image_cache.h"

#include <utility>

namespace concord {

ImageCache::ImageCache(std::size_t samples, std::size_t limit_bytes)
    : entries_(samples), limit_(limit_bytes) {}

std::shared_ptr<const ImageCache::Pixels> ImageCache::find(std::size_t sample) const {
  const std::lock_guard lock(mutex_);
  return entries_.at(sample);
}

void ImageCache::insert(std::size_t sample, std::shared_ptr<const Pixels> pixels) {
  const std::lock_guard lock(mutex_);
  if (entries_.at(sample) != nullptr || pixels->size() > limit_ - bytes_) return;
  bytes_ += pixels->size();
  entries_[sample] = std::move(pixels);
}

std::size_t ImageCache::bytes() const {
  const std::lock_guard lock(mutex_);
  return bytes_;
}

}  // namespace concord
