#pragma once
// The features of two networks on the same images, batch by batch: from two feature stores, or
// computed while they are needed.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "data/feature_reader.h"
#include "data/feature_store.h"
#include "tools/common/classification.h"
#include "tools/common/program.h"

namespace concord::tool {

struct PairBatch {
  Tensor a;  // [n,C_a,H,W]: already at the height and width of b, on its device
  Tensor b;  // [n,C_b,H,W]
  std::int64_t number = 0;
};

class FeaturePairs {
 public:
  virtual ~FeaturePairs() = default;
  // Begins an epoch at a batch; the order depends on the seed and the epoch only.
  virtual void start(std::int64_t epoch, std::int64_t first_batch) = 0;
  virtual bool next(PairBatch& batch) = 0;
  virtual std::int64_t batches() const = 0;
  virtual std::int64_t size() const = 0;
  // [N,C,H,W] of A and of B as they come from the networks.
  virtual Shape shape_a() const = 0;
  virtual Shape shape_b() const = 0;
  // Changes when the features do; for --resume.
  virtual std::string fingerprint() const = 0;
};

struct PairOrder {
  std::int64_t batch_size = 64;
  bool shuffle = false;
  std::uint64_t seed = 0;
  Device device = {};  // of the batches
  double read_ahead_mib = static_cast<double>(kReadAheadBytes >> 20);
};

// --store-dtype fp32|bf16|fp16, and what it names.
void add_store_dtype_option(CommandLine& line, std::string& dtype);
StoredDType stored_dtype_of_option(const std::string& dtype);

// --read-ahead: PairOrder's.
void add_read_ahead_option(CommandLine& line, double& mib);

// On a CUDA device whose free memory holds both stores with room to spare, resident_pairs; else,
// and on the CPU, batches are read ahead (data/feature_reader.h) and brought to the device one by
// one. The batches are the same either way. Throws when the two hold different numbers of images,
// or different images by name.
std::unique_ptr<FeaturePairs> pairs_from_stores(const FeatureStore& a, const FeatureStore& b,
                                                const PairOrder& order);

// As pairs_from_stores, with all features in the device's memory for good.
std::unique_ptr<FeaturePairs> resident_pairs(const FeatureStore& a, const FeatureStore& b,
                                             const PairOrder& order);

// `loader` gives the images. The networks run in evaluation mode.
std::unique_ptr<FeaturePairs> pairs_from_networks(std::shared_ptr<Network> a, std::string layer_a,
                                                  std::shared_ptr<Network> b, std::string layer_b,
                                                  std::unique_ptr<Loader> loader,
                                                  std::string fingerprint);

// Throws when a feature is NaN or infinite.
void check_finite(const PairBatch& batch);

// Throws when the two stores are not of the same images.
void check_same_images(const FeatureStore& a, const FeatureStore& b);

// Features [n,C] as maps [n,C,1,1]; maps stay as they are.
Tensor as_maps(const Tensor& features);
// `features`, bilinearly at `height` x `width` where that is another size.
Tensor at_size(const Tensor& features, std::int64_t height, std::int64_t width);

}  // namespace concord::tool
