#pragma once
// How much of one network's features another one knows: Trans-Nets between networks at layers, for
// the experiments that train them on the way (diagnosis, compression, distillation).

#include <filesystem>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "tools/common/trans_net_training.h"
#include "tools/common/variance_report.h"

namespace concord::tool {

// One side of a comparison.
struct NetworkAtLayer {
  std::shared_ptr<Network> network;  // on the device of the run
  std::string layer;
  std::string name;  // short, also that of the folder for its features: "strong", "generation-1"
};

// --orders --kernel --padding --input-norm --affine --stage-norm --fix-p --alpha --no-penalty
// --feature-disk, and with a prefix --transnet-epochs --transnet-lr --transnet-lr-schedule
// --transnet-weight-decay --transnet-batch-size. The optimiser is Adam.
struct ConsistencyOptions {
  TransNetChoice net;
  PenaltyOptions penalty;
  OptimizerOptions optimizer = {.optimizer = "adam", .lr = 1e-4, .epochs = 800};
  std::int64_t batch_size = 64;
  // The features of two networks are stored on the disk while Trans-Nets are trained on them where
  // they take no more than this, in GiB; else every batch computes them anew. The last bits of the
  // two ways differ where a network's arithmetic depends on the batch.
  double feature_disk_gib = 32;
};
// An empty prefix is for programs that train nothing else; the batch size is then that of the
// images.
void add_consistency_options(CommandLine& line, ConsistencyOptions& options,
                             const std::string& prefix = "transnet-");
// Their names with the prefix "transnet-": what has no effect where nothing is compared.
extern const std::vector<std::string> kConsistencyOptions;
void add_settings(nlohmann::ordered_json& settings, const ConsistencyOptions& options);
// For RunOptions::force of the run around it: the runs and stores that a ConsistencyMeter made in
// `folder` between networks of these names, removed but for files of others. Throws before it
// removes anything where one of `inputs` lies there.
void remove_consistency(const std::filesystem::path& folder, const std::vector<std::string>& names,
                        const std::vector<std::string>& inputs);

// The images on which networks are compared.
struct ComparedImages {
  ImageFolder folder;  // without val/ or test/ what is measured is measured on the training images
  ImageOptions options;  // of its loaders
};

struct Consistency {
  std::unique_ptr<TransNet> net;  // of the last epoch
  VarianceReport report;          // on the held-out images
};

// Trains Trans-Nets between pairs of networks on the same images. Works in subfolders of `folder`:
// FROM-to-TO is the run of a Trans-Net, features-NAME-train and -val are what is kept of features
// until the end.
class ConsistencyMeter {
 public:
  // `run` gives seed and whether to resume; `line` the command for the configurations. Keeps
  // references to all but `device`.
  ConsistencyMeter(std::filesystem::path folder, const ComparedImages& images,
                   const ConsistencyOptions& options, const RunOptions& run,
                   const DeviceOptions& device, const CommandLine& line);

  // A Trans-Net from `from`'s features to `to`'s, trained to the last epoch (or from where a killed
  // run was, where the run resumes) and measured on the held-out images. What is not computable
  // from `from` is the report's delta.
  Consistency measure(const NetworkAtLayer& from, const NetworkAtLayer& to);

  // Removes the features that measure() stored.
  void finish();

 private:
  PairSources sources(const NetworkAtLayer& from, const NetworkAtLayer& to, bool stored);
  std::unique_ptr<Loader> loader(bool training, std::int64_t batch_size, bool shuffle) const;
  // The store of a network's features on the images to train or to measure on, extracted unless it
  // is there.
  std::filesystem::path store(const NetworkAtLayer& side, bool training);
  // Removes the stores of all networks but these.
  void drop_stores(const std::vector<std::string>& but);
  bool fits_on_disk(const NetworkAtLayer& from, const NetworkAtLayer& to) const;

  std::filesystem::path folder_;
  const ComparedImages& images_;
  const ConsistencyOptions& options_;
  const RunOptions& run_;
  DeviceOptions device_;
  const CommandLine& line_;
  std::set<std::string> stored_;  // networks whose features are on the disk
};

// Splits the features B of all pairs into orders by the Trans-Net, in evaluation mode, and sums
// their variances. `each`, where given, sees every batch, its orders and x_delta. Throws
// Interrupted on a signal, and when a feature is NaN or infinite.
VarianceReport measure_orders(
    TransNet& net, FeaturePairs& pairs,
    const std::function<void(const PairBatch&, const Orders&, const Tensor&)>& each = {});

}  // namespace concord::tool
