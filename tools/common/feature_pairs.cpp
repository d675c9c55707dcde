#include "tools/common/feature_pairs.h"

#include <algorithm>
#include <numeric>
#include <span>
#include <utility>

#include "engine/autograd.h"
#include "engine/ops/resize.h"
#include "kernels/arithmetic.h"
#include "kernels/gather_rows.h"
#include "kernels/memory.h"
#include "tools/common/tensorboard.h"
#include "tools/common/terminal.h"

namespace concord::tool {
namespace {

Shape map_shape(const Shape& shape) {
  return shape.rank() == 2 ? Shape{shape[0], shape[1], 1, 1} : shape;
}

// Of both stores: what tells a change of the features.
std::string fingerprint_of(const FeatureStore& a, const FeatureStore& b) {
  const auto describe = [](const FeatureStore& store) {
    const Tensor first = store.rows(0, 1);
    return fmt::format("{} {} {:08x}", store.info().layer, store.shape().to_string(),
                       crc32c({static_cast<const char*>(first.view().data), first.bytes()}));
  };
  return describe(a) + ", " + describe(b);
}

class ResidentPairs : public FeaturePairs {
 public:
  ResidentPairs(const FeatureStore& a, const FeatureStore& b, const PairOrder& order)
      : order_(order), shape_a_(a.shape()), shape_b_(b.shape()) {
    check_same_images(a, b);
    check(order.batch_size > 0, "pairs: a batch of {}", order.batch_size);
    fingerprint_ = fingerprint_of(a, b);
    a_ = load(a);
    b_ = load(b);
  }

  void start(std::int64_t epoch, std::int64_t first_batch) override {
    check(epoch >= 0 && 0 <= first_batch && first_batch <= batches(),
          "pairs: epoch {} cannot begin at batch {} of {}", epoch, first_batch, batches());
    rows_ = shuffled_order(size(), order_.seed, epoch);
    if (!order_.shuffle) std::iota(rows_.begin(), rows_.end(), std::int64_t{0});
    next_ = first_batch;
  }

  bool next(PairBatch& batch) override {
    batch.a = Tensor();
    batch.b = Tensor();
    if (rows_.empty() || next_ >= batches()) return false;
    const auto begin = static_cast<std::size_t>(next_ * order_.batch_size);
    const std::size_t count =
        std::min(static_cast<std::size_t>(order_.batch_size), rows_.size() - begin);
    const auto rows = std::span(rows_).subspan(begin, count);
    batch.b = as_maps(gather(b_, rows));
    batch.a = at_size(as_maps(gather(a_, rows)), batch.b.dim(2), batch.b.dim(3));
    batch.number = next_++;
    return true;
  }

  std::int64_t batches() const override {
    return (size() + order_.batch_size - 1) / order_.batch_size;
  }
  std::int64_t size() const override { return shape_a_[0]; }
  Shape shape_a() const override { return map_shape(shape_a_); }
  Shape shape_b() const override { return map_shape(shape_b_); }
  std::string fingerprint() const override { return fingerprint_; }

 private:
  // Some rows at a time, so that the host never holds them all.
  Tensor load(const FeatureStore& store) const {
    constexpr std::int64_t kPieceBytes = std::int64_t{64} << 20;
    Tensor result = Tensor::empty(store.shape(), {.device = order_.device});
    const std::int64_t row_bytes = result.shape().with(0, 1).numel() * std::int64_t{sizeof(float)};
    const std::int64_t piece =
        std::max<std::int64_t>(1, kPieceBytes / std::max<std::int64_t>(1, row_bytes));
    for (std::int64_t begin = 0; begin < store.size(); begin += piece) {
      const std::int64_t end = std::min(store.size(), begin + piece);
      result.rows(begin, end).copy_from(store.rows(begin, end));
    }
    return result;
  }

  static Tensor gather(const Tensor& from, std::span<const std::int64_t> rows) {
    Tensor to = Tensor::empty(from.shape().with(0, std::ssize(rows)), from.options());
    kernels::gather_rows(from.device(), from.view(), rows, to.view());
    return to;
  }

  PairOrder order_;
  Shape shape_a_;
  Shape shape_b_;
  std::string fingerprint_;
  Tensor a_;
  Tensor b_;
  std::vector<std::int64_t> rows_;
  std::int64_t next_ = 0;
};

class StorePairs : public FeaturePairs {
 public:
  StorePairs(const FeatureStore& a, const FeatureStore& b, const PairOrder& order)
      : a_(a), b_(b), device_(order.device), reader_(make_reader(a, b, order)) {
    if (order.read_ahead_mib > 0 && reader_->ahead() == 0)
      note("a batch of {} takes {:.0f} MiB, --read-ahead is {:.0f}: nothing is read ahead",
           order.batch_size, static_cast<double>(reader_->batch_bytes()) / (1 << 20),
           order.read_ahead_mib);
  }

  void start(std::int64_t epoch, std::int64_t first_batch) override {
    reader_->start(epoch, first_batch);
  }

  bool next(PairBatch& batch) override {
    batch.a = Tensor();  // its memory is wanted for a batch ahead
    batch.b = Tensor();
    FeatureBatch rows;
    if (!reader_->next(rows)) return false;
    batch.b = as_maps(rows.features[1]).to(device_);
    batch.a = at_size(as_maps(rows.features[0]).to(device_), batch.b.dim(2), batch.b.dim(3));
    batch.number = rows.number;
    return true;
  }

  std::int64_t batches() const override { return reader_->batches(); }
  std::int64_t size() const override { return a_.size(); }
  Shape shape_a() const override { return map_shape(a_.shape()); }
  Shape shape_b() const override { return map_shape(b_.shape()); }

  std::string fingerprint() const override { return fingerprint_of(a_, b_); }

 private:
  static std::unique_ptr<FeatureReader> make_reader(const FeatureStore& a, const FeatureStore& b,
                                                    const PairOrder& order) {
    check_same_images(a, b);
    return std::make_unique<FeatureReader>(
        std::vector{a, b}, FeatureReaderOptions{.batch_size = order.batch_size,
                                                .shuffle = order.shuffle,
                                                .seed = order.seed,
                                                .ahead_bytes = static_cast<std::size_t>(
                                                    order.read_ahead_mib * 1024 * 1024)});
  }

  FeatureStore a_;
  FeatureStore b_;
  Device device_;
  std::unique_ptr<FeatureReader> reader_;
};

class NetworkPairs : public FeaturePairs {
 public:
  NetworkPairs(std::shared_ptr<Network> a, std::string layer_a, std::shared_ptr<Network> b,
               std::string layer_b, std::unique_ptr<Loader> loader, std::string fingerprint)
      : a_(std::move(a)),
        b_(std::move(b)),
        layer_a_(std::move(layer_a)),
        layer_b_(std::move(layer_b)),
        loader_(std::move(loader)),
        fingerprint_(std::move(fingerprint)) {
    a_->set_training(false);
    b_->set_training(false);
    loader_->start(0);
    Batch batch;
    check(loader_->next(batch), "{}: no image could be read", loader_->set().root.string());
    const NoGradGuard no_gradients;
    shape_a_ = map_shape(a_->features(batch.images, layer_a_).shape()).with(0, size());
    shape_b_ = map_shape(b_->features(batch.images, layer_b_).shape()).with(0, size());
  }

  void start(std::int64_t epoch, std::int64_t first_batch) override {
    loader_->start(epoch, first_batch);
  }

  bool next(PairBatch& batch) override {
    Batch images;
    if (!loader_->next(images)) return false;
    const NoGradGuard no_gradients;
    batch.b = as_maps(b_->features(images.images, layer_b_));
    batch.a =
        at_size(as_maps(a_->features(images.images, layer_a_)), batch.b.dim(2), batch.b.dim(3));
    batch.number = images.number;
    return true;
  }

  std::int64_t batches() const override { return loader_->batches(); }
  std::int64_t size() const override { return loader_->size(); }
  Shape shape_a() const override { return shape_a_; }
  Shape shape_b() const override { return shape_b_; }
  std::string fingerprint() const override { return fingerprint_; }

 private:
  std::shared_ptr<Network> a_;
  std::shared_ptr<Network> b_;
  std::string layer_a_;
  std::string layer_b_;
  std::unique_ptr<Loader> loader_;
  std::string fingerprint_;
  Shape shape_a_;
  Shape shape_b_;
};

}  // namespace

void check_finite(const PairBatch& batch) {
  const auto finite = [&](const char* what, const Tensor& features) {
    check(kernels::all_finite(features.device(), features.view()),
          "features {} hold a NaN or infinity in batch {} (of {}); extract them again", what,
          batch.number + 1, features.shape().to_string());
  };
  finite("A", batch.a);
  finite("B", batch.b);
}

void check_same_images(const FeatureStore& a, const FeatureStore& b) {
  const std::string what = fmt::format("features A are {}, features B are {}",
                                       a.shape().to_string(), b.shape().to_string());
  check(
      a.size() == b.size(),
      "the two feature stores hold different numbers of images, {} and {} ({}); extract both from "
      "the same data and split",
      a.size(), b.size(), what);
  check(a.size() > 0, "the feature stores hold no images ({})", what);
  const auto usable = [](const Shape& shape) { return shape.rank() == 2 || shape.rank() == 4; };
  check(usable(a.shape()) && usable(b.shape()),
        "features must be [N,C,H,W] or [N,C] ({}); extract them again at another layer", what);
  if (a.names().empty() || b.names().empty()) return;
  for (std::int64_t i = 0; i < a.size(); ++i) {
    const auto row = static_cast<std::size_t>(i);
    check(a.names()[row] == b.names()[row],
          "the two feature stores are of different images: number {} is {} in A and {} in B; "
          "extract both from the same data and split",
          i, a.names()[row], b.names()[row]);
  }
  if (a.info().dataset != b.info().dataset)
    warn("features A are of {}, features B of {}: the images must be the same", a.info().dataset,
         b.info().dataset);
}

Tensor as_maps(const Tensor& features) {
  if (features.shape().rank() != 2) return features;
  return features.reshaped(map_shape(features.shape()));
}

Tensor at_size(const Tensor& features, std::int64_t height, std::int64_t width) {
  if (features.dim(2) == height && features.dim(3) == width) return features;
  const NoGradGuard no_gradients;
  return resize_bilinear(features, {height, width});
}

void add_store_dtype_option(CommandLine& line, std::string& dtype) {
  line.option("--store-dtype", dtype,
              "of the features on disk: fp32; bf16 or fp16, half as large and rounded by at most "
              "2^-8 or 2^-11 of each value",
              one_of({"fp32", "bf16", "fp16"}));
}

StoredDType stored_dtype_of_option(const std::string& dtype) {
  if (dtype == "bf16") return StoredDType::kBFloat16;
  return dtype == "fp16" ? StoredDType::kFloat16 : StoredDType::kFloat32;
}

void add_read_ahead_option(CommandLine& line, double& mib) {
  line.option("--read-ahead", mib,
              "memory for batches of stored features that are read ahead, in MiB; never more, and "
              "the batch in use on top; 0 = none",
              in_range(0, 1e7));
}

std::unique_ptr<FeaturePairs> pairs_from_stores(const FeatureStore& a, const FeatureStore& b,
                                                const PairOrder& order) {
  if (order.device.type != DeviceType::kCpu) {
    // A training step needs room beside them: its maps some ten times a batch, and weights.
    const auto row_bytes = [](const FeatureStore& store) {
      return static_cast<double>(store.shape().with(0, 1).numel()) * sizeof(float);
    };
    const double row = row_bytes(a) + row_bytes(b);
    const double available = static_cast<double>(kernels::available_memory(order.device));
    const double left = available - row * static_cast<double>(a.size());
    if (left >= std::max(available / 2, 16 * row * static_cast<double>(order.batch_size))) {
      try {
        return resident_pairs(a, b, order);
      } catch (const Error& error) {
        note("features are read batch by batch, for they could not be brought to {}: {}",
             name_of(order.device), error.what());
      }
    }
  }
  return std::make_unique<StorePairs>(a, b, order);
}

std::unique_ptr<FeaturePairs> resident_pairs(const FeatureStore& a, const FeatureStore& b,
                                             const PairOrder& order) {
  return std::make_unique<ResidentPairs>(a, b, order);
}

std::unique_ptr<FeaturePairs> pairs_from_networks(std::shared_ptr<Network> a, std::string layer_a,
                                                  std::shared_ptr<Network> b, std::string layer_b,
                                                  std::unique_ptr<Loader> loader,
                                                  std::string fingerprint) {
  return std::make_unique<NetworkPairs>(std::move(a), std::move(layer_a), std::move(b),
                                        std::move(layer_b), std::move(loader),
                                        std::move(fingerprint));
}

}  // namespace concord::tool
