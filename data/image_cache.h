#pragma once
// The decode-once cache of the loader.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

namespace concord {

// Decoded and resized 8-bit pictures by sample index, up to a number of bytes. What came first
// stays: an epoch visits every sample once, so evicting the oldest would throw out exactly what is
// needed next. Safe to use from several threads.
class ImageCache {
 public:
  using Pixels = std::vector<std::uint8_t>;

  ImageCache(std::size_t samples, std::size_t limit_bytes);

  // Null when the sample is not held.
  std::shared_ptr<const Pixels> find(std::size_t sample) const;
  // Keeps the pixels unless that would exceed the limit or they are held already.
  void insert(std::size_t sample, std::shared_ptr<const Pixels> pixels);
  // Pixel bytes held, never above the limit.
  std::size_t bytes() const;

 private:
  mutable std::mutex mutex_;
  std::vector<std::shared_ptr<const Pixels>> entries_;
  std::size_t limit_;
  std::size_t bytes_ = 0;
};

}  // namespace concord
