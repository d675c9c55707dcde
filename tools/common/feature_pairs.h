#pragma once
// The features of two networks on the same images, batch by batch: from two feature stores, or
// computed while they are needed.

#include <cstdint>
#include <memory>
#include <optional>
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

// Memory for features from stores.
struct FeatureMemory {
  double device_mib = -1;  // of a GPU; negative: what leaves a training step half of what is free
  double read_ahead_mib = static_cast<double>(kReadAheadBytes >> 20);
  double pinned_mib = -1;  // negative: half of what the host has free
};

struct PairOrder {
  std::int64_t batch_size = 64;
  bool shuffle = false;
  std::uint64_t seed = 0;
  Device device = {};  // of the batches
  FeatureMemory memory = {};
};

// --store-dtype fp32|bf16|fp16, and what it names.
void add_store_dtype_option(CommandLine& line, std::string& dtype);
StoredDType stored_dtype_of_option(const std::string& dtype);

// --read-ahead, --device-memory and --pinned-memory
void add_feature_memory_options(CommandLine& line, FeatureMemory& memory);

// On the CPU batches are read ahead (data/feature_reader.h). For a CUDA device the features go, and
// a note says where and why not further up,
//   1. into the device's memory, where --device-memory allows it and it holds both stores with
//      room to spare (resident_pairs),
//   2. else into page-locked memory of the host, where --pinned-memory allows it (pinned_pairs),
//   3. else nowhere: they are read ahead from their files, and each batch is copied to the device
//      while it computes on the one before.
// The batches are the same to the bit. Throws when the two hold different numbers of images, or
// different images by name, and for --device-memory and --pinned-memory on the CPU.
std::unique_ptr<FeaturePairs> pairs_from_stores(const FeatureStore& a, const FeatureStore& b,
                                                const PairOrder& order);

// As pairs_from_stores, with all features in the device's memory for good.
std::unique_ptr<FeaturePairs> resident_pairs(const FeatureStore& a, const FeatureStore& b,
                                             const PairOrder& order);
// With all features in page-locked memory of the host, from which rows are copied to the device
// while it computes on the batch before.
std::unique_ptr<FeaturePairs> pinned_pairs(const FeatureStore& a, const FeatureStore& b,
                                           const PairOrder& order);
// With no more in memory than batches that are read ahead.
std::unique_ptr<FeaturePairs> read_pairs(const FeatureStore& a, const FeatureStore& b,
                                         const PairOrder& order);

// `loader` gives the images. The networks run in evaluation mode.
std::unique_ptr<FeaturePairs> pairs_from_networks(std::shared_ptr<Network> a, std::string layer_a,
                                                  std::shared_ptr<Network> b, std::string layer_b,
                                                  std::unique_ptr<Loader> loader,
                                                  std::string fingerprint);

// Throws when a feature is NaN or infinite.
void check_finite(const PairBatch& batch);

// Layer, shape and a checksum of the first image's features: changes when a store is of other ones;
// for --resume.
std::string fingerprint(const FeatureStore& store);

// Throws when the two stores are not of the same images.
void check_same_images(const FeatureStore& a, const FeatureStore& b);

// Share of the images whose label is the network's first choice; absent where the store does not
// say.
std::optional<double> top1_of(const FeatureStore& store);

// Of features [n,C] as maps [n,C,1,1]; that of maps stays as it is.
Shape map_shape(const Shape& shape);
// Features [n,C] as maps [n,C,1,1]; maps stay as they are.
Tensor as_maps(const Tensor& features);
// `features`, bilinearly at `height` x `width` where that is another size.
Tensor at_size(const Tensor& features, std::int64_t height, std::int64_t width);

}  // namespace concord::tool
