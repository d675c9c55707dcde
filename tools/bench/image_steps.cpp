#include <algorithm>
#include <filesystem>
#include <numeric>
#include <optional>

#include "data/files.h"
#include "data/image.h"
#include "data/image_folder.h"
#include "data/loader.h"
#include "data/resize.h"
#include "data/synthetic.h"
#include "tools/bench/step_kinds.h"
#include "tools/common/options.h"
#include "tools/common/program.h"

namespace concord::bench {
namespace {

namespace fs = std::filesystem;

// Encoded pictures in memory, so that no disk is measured.
std::vector<std::vector<std::uint8_t>> encoded_images(const StepOptions& options) {
  std::vector<std::vector<std::uint8_t>> files;
  if (options.images.empty()) {
    // As large as those of CUB-200-2011.
    for (int i = 0; i < 16; ++i)
      files.push_back(encode_jpeg(
          draw_synthetic(i % 10, options.seed, static_cast<std::uint64_t>(i), 500, 375, 0.5F).image,
          92));
    return files;
  }
  check(fs::is_directory(options.images), "--images {}: no such folder", options.images);
  std::vector<fs::path> paths;
  for (const auto& entry : fs::recursive_directory_iterator(options.images))
    if (entry.is_regular_file() && has_image_extension(entry.path())) paths.push_back(entry.path());
  check(!paths.empty(), "--images {}: holds no image files", options.images);
  std::sort(paths.begin(), paths.end());
  for (const fs::path& path : paths) files.push_back(read_file(path));
  return files;
}

// The mean over the pictures of the mean of their values.
double mean_of(const std::vector<Image>& pictures) {
  double sum = 0;
  for (const Image& picture : pictures)
    sum += static_cast<double>(
               std::accumulate(picture.rgb.begin(), picture.rgb.end(), std::uint64_t{0})) /
           static_cast<double>(picture.rgb.size());
  return sum / static_cast<double>(pictures.size());
}

// Decoding and resizing on one thread, as a worker of the loader does.
class Decode final : public WholeStep {
 public:
  Decode(bool resize, const StepOptions& options)
      : files_(encoded_images(options)),
        results_(files_.size()),
        size_(resize ? options.image_size : 0) {}
  void run() override {
    for (std::size_t i = 0; i < files_.size(); ++i) {
      results_[i] = decode_image(files_[i], "a picture");
      if (size_ > 0) results_[i] = resize_bilinear(results_[i], size_, size_);
    }
  }
  double value() const override { return mean_of(results_); }
  double images() const override { return static_cast<double>(files_.size()); }
  double bytes() const override {
    double bytes = 0;
    for (const auto& file : files_) bytes += static_cast<double>(file.size());
    return bytes;
  }
  std::string shape() const override {
    return size_ > 0 ? fmt::format("to{}x{}", size_, size_) : "full-size";
  }

 private:
  std::vector<std::vector<std::uint8_t>> files_;
  std::vector<Image> results_;
  int size_;
};

class ResizeImages final : public WholeStep {
 public:
  explicit ResizeImages(const StepOptions& options) : size_(options.image_size) {
    for (const auto& bytes : encoded_images(options))
      pictures_.push_back(decode_image(bytes, "a picture"));
    results_.resize(pictures_.size());
  }
  void run() override {
    for (std::size_t i = 0; i < pictures_.size(); ++i)
      results_[i] = resize_bilinear(pictures_[i], size_, size_);
  }
  double value() const override { return mean_of(results_); }
  double images() const override { return static_cast<double>(pictures_.size()); }
  std::string shape() const override { return fmt::format("to{}x{}", size_, size_); }

 private:
  std::vector<Image> pictures_;
  std::vector<Image> results_;
  int size_;
};

// The next batch of images through the loader, shuffled; nothing is kept decoded.
class LoadImages final : public WholeStep {
 public:
  explicit LoadImages(const StepOptions& options) : batch_size_(options.batch_size) {
    tool::check_usage(!options.images.empty(), "give --images, a data set's folder with train/");
    tool::ImageOptions images;
    images.data = options.images;
    images.image_size = options.image_size;
    images.batch_size = options.batch_size;
    images.workers = options.workers;
    images.cache_mib = 0;
    LoaderOptions loader = tool::loader_options(images, options.device);
    loader.shuffle = true;
    loader.seed = options.seed;
    loader.drop_last = true;
    loader_.emplace(read_image_folder(options.images).train, loader);
    check(loader_->batches() > 0, "{}: holds less than a batch of {} images", options.images,
          options.batch_size);
    loader_->start(0);
  }
  void run() override {
    if (loader_->next(batch_)) return;
    loader_->start(++epoch_);
    loader_->next(batch_);
  }
  double images() const override { return static_cast<double>(batch_size_); }
  std::string shape() const override {
    return fmt::format("{}x3x{}x{}", batch_size_, size(), size());
  }

 private:
  std::int64_t size() const { return batch_.images.defined() ? batch_.images.dim(2) : 0; }

  std::int64_t batch_size_;
  std::optional<Loader> loader_;
  std::int64_t epoch_ = 0;
  Batch batch_;
};

constexpr StepKind kKinds[] = {
    {"decode", StepArgument::kNone, "JPEG to pixels and resizing, one thread",
     make_step_of<Decode, true>},
    {"decode-only", StepArgument::kNone, "JPEG to pixels, one thread", make_step_of<Decode, false>},
    {"resize", StepArgument::kNone, "resizing of pixels, one thread", make_step_of<ResizeImages>},
    {"load", StepArgument::kNone, "the next batch of the data set --images through the loader",
     make_step_of<LoadImages>}};

}  // namespace

std::span<const StepKind> image_steps() { return kKinds; }

}  // namespace concord::bench
