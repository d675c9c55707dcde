#pragma once
// Batches of normalised images, decoded ahead by worker threads. The order depends on the seed and
// the epoch only, never on the number of workers.

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "data/image_folder.h"
#include "engine/tensor.h"

namespace concord {

// ImageNet's channel means and deviations, of values in 0..1 (spec section 4).
inline constexpr std::array<float, 3> kImageNetMean{0.485F, 0.456F, 0.406F};
inline constexpr std::array<float, 3> kImageNetStd{0.229F, 0.224F, 0.225F};

struct LoaderOptions {
  int image_size = 224;  // both sides in pixels; the aspect is not kept
  std::int64_t batch_size = 128;
  int workers = 2;
  // Batches decoded ahead of the one in use. Memory: (prefetch + 1) batches of
  // batch_size * 3 * image_size^2 * 4 bytes, one decoded image per worker (at most 3 * max_pixels
  // bytes), and the cache.
  int prefetch = 2;
  bool shuffle = false;
  std::uint64_t seed = 0;
  bool drop_last = false;  // leave out a last batch of fewer than batch_size
  bool strict = false;     // an unreadable image is an Error instead of a warning
  std::int64_t max_pixels = std::int64_t{1} << 26;
  std::size_t cache_bytes = std::size_t{1} << 30;  // of decoded 8-bit pictures; 0 for none
  std::array<float, 3> mean = kImageNetMean;
  std::array<float, 3> std = kImageNetStd;
  // Where Batch::images lie. For another device than the CPU pictures wait as bytes in pinned
  // memory (a quarter of the size), are copied while the batch before is in use, and are normalised
  // there, to the same bits; a batch more is then kept.
  Device device = {};
  // Indices into ImageSet::samples to use, in this order; empty for all.
  std::vector<std::int64_t> subset = {};
  // Called on the thread of next(), once per unreadable image, in the order of the batches.
  std::function<void(const std::string&)> warn = {};
};

struct Batch {
  Tensor images;         // [N,3,H,W] float32, (v / 255 - mean) / std, on the device
  Tensor labels;         // [N] int64, on the host
  Tensor device_labels;  // the same on the device
  // [N,classes] float32 on the device, the rows of ImageSet::multi_labels; undefined without them.
  Tensor targets;
  std::vector<std::int64_t> indices;  // into ImageSet::samples, N of them
  std::int64_t number = 0;            // position in the epoch; resume with first_batch = number + 1
};

class Loader {
 public:
  // Throws Error on options that make no sense, an empty set, a subset index out of range, or
  // multi-labels of another size than samples x classes.
  Loader(ImageSet set, LoaderOptions options);
  ~Loader();
  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;

  // Begins (or begins again, an epoch may be abandoned) the given epoch at batch `first_batch`.
  void start(std::int64_t epoch, std::int64_t first_batch = 0);

  // The next batch, or false at the end of the epoch. The images that `batch` held are let go
  // first. Unreadable images are left out of their
  // batch, which is then smaller, and a batch with none left is passed over; the others stay where
  // they are. Throws Error for an unreadable image under `strict`, when a whole epoch has no
  // readable image, and whatever else a worker threw.
  bool next(Batch& batch);

  // Batches of one epoch, and samples of one epoch before drop_last.
  std::int64_t batches() const;
  std::int64_t size() const;
  const ImageSet& set() const;
  // Both sides of its images, in pixels.
  int image_size() const;
  // Distinct unreadable images met so far.
  std::int64_t skipped() const;
  // Bytes that the decode-once cache holds, at most options.cache_bytes.
  std::size_t cached_bytes() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

// The order of an epoch: positions 0..count-1 shuffled by Fisher and Yates with unbiased Philox
// numbers of stream (seed, epoch); the same on every platform.
std::vector<std::int64_t> shuffled_order(std::int64_t count, std::uint64_t seed,
                                         std::int64_t epoch);

}  // namespace concord
