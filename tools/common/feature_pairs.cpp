#include "tools/common/feature_pairs.h"

#include <algorithm>
#include <utility>

#include "engine/autograd.h"
#include "engine/ops/resize.h"
#include "kernels/arithmetic.h"
#include "tools/common/tensorboard.h"
#include "tools/common/terminal.h"

namespace concord::tool {
namespace {

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

Shape map_shape(const Shape& shape) {
  return shape.rank() == 2 ? Shape{shape[0], shape[1], 1, 1} : shape;
}

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

std::string fingerprint(const FeatureStore& store) {
  const Tensor first = store.rows(0, 1);
  return fmt::format("{} {} {:08x}", store.info().layer, store.shape().to_string(),
                     crc32c({static_cast<const char*>(first.view().data), first.bytes()}));
}

std::optional<double> top1_of(const FeatureStore& store) {
  if (!store.has_labels() || store.top1().empty()) return std::nullopt;
  const auto hits = std::count(store.top1().begin(), store.top1().end(), std::uint8_t{1});
  return static_cast<double>(hits) / static_cast<double>(store.size());
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

std::unique_ptr<FeaturePairs> pairs_from_networks(std::shared_ptr<Network> a, std::string layer_a,
                                                  std::shared_ptr<Network> b, std::string layer_b,
                                                  std::unique_ptr<Loader> loader,
                                                  std::string fingerprint) {
  return std::make_unique<NetworkPairs>(std::move(a), std::move(layer_a), std::move(b),
                                        std::move(layer_b), std::move(loader),
                                        std::move(fingerprint));
}

}  // namespace concord::tool
