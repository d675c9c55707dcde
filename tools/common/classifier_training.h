#pragma once
// What every training of a classifier shares: its images, its epochs, and how its result is told.

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "data/image_folder.h"
#include "models/network.h"
#include "tools/common/classification.h"
#include "tools/common/options.h"
#include "tools/common/training.h"
#include "tools/common/training_steps.h"

namespace concord::tool {

// --half: "a", "b", or empty for all.
void add_half_option(CommandLine& line, std::string& half);

// Throws for a class whose name is not UTF-8, which a checkpoint could not hold.
void check_class_names(const ImageSet& set);

// The images that a classifier learns from and, where the data set has such, is validated on.
struct ClassifierData {
  std::unique_ptr<Loader> train;       // shuffled by the seed
  std::unique_ptr<Loader> validation;  // null where there are none
};
// Of `half` (split_halves) where it is not empty; throws naming the folder when that has no images.
// A last batch of a single image is left out, and the user told.
ClassifierData classifier_data(ImageFolder folder, const ImageOptions& options,
                               const std::string& half, std::uint64_t seed, Device device);
// Tells of images that could not be read.
void report_skipped(const ClassifierData& data);
void report_skipped(const Loader& loader);

// A checkpoint's description of a classifier of these classes: kind, arch, classes, class_names,
// image_size.
nlohmann::ordered_json describe_classifier(const Network& network,
                                           const std::vector<std::string>& class_names,
                                           int image_size);

// From now on the network's batch normalisations stay in evaluation mode.
void freeze_batch_norm(Network& network);

// Epochs of a classifier on ClassifierData, validated after each. The best is that of the highest
// val_top1, for several labels an image val_accuracy; without validation of the lowest loss.
class ClassifierTask : public TrainingTask {
 public:
  // What is referred to must outlive this. `step` is one of the network's.
  ClassifierTask(Network& network, ClassifierData& data, ClassifierStep step);

  Module& module() override { return network_; }
  std::int64_t steps() const override { return data_.train->batches(); }
  std::int64_t samples() const override { return data_.train->size(); }
  void start(std::int64_t epoch, std::int64_t first_step) override;
  bool step(Step& step) override;
  void update(Optimizer& optimizer, double learning_rate) override;
  void replay() override;
  Values evaluate() override;
  double score(const Values& values) const override;
  // pictures_of_classifier of images that are validated on, or else trained on.
  std::vector<std::pair<std::string, Image>> pictures() override;

 protected:
  ClassifierStep step_;

 private:
  Network& network_;
  ClassifierData& data_;
  Batch batch_;
  std::vector<Image> shown_;  // what pictures() shows, once read
};

// Four images spread over the loader's, at the size that it gives; without those that cannot be
// read.
std::vector<Image> shown_photographs(const Loader& loader);

// val_loss, val_top1 and val_top5, also of each group (val_GROUP_loss, ...); for several labels an
// image val_loss and val_accuracy.
Values values_of(const Evaluation& evaluation);

// "12.34 %" of 0.1234.
std::string percent(double share);

// To stdout: the values of the best epoch (train()), in the order in which they are logged; those
// of `groups` in a table of their own.
void print_best(const std::string& arch, const Values& best, const std::vector<ClassGroup>& groups);

}  // namespace concord::tool
