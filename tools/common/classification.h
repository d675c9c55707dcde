#pragma once
// Classifiers in files, and how good they are.

#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "data/loader.h"
#include "models/network.h"

namespace concord::tool {

// A network read from a checkpoint, with what the file says of it.
struct SavedNetwork {
  std::shared_ptr<Network> network;      // in evaluation mode
  std::vector<std::string> class_names;  // empty in a file that Concord did not write
  int image_size = 0;                    // 0 likewise
  std::shared_ptr<random::Generator> generator;
};

// Builds the network that the file's configuration names and loads it. `arch`, where not empty, is
// used instead; a bare state dict needs it (the number of classes is that of the last layer).
// Throws naming the first tensor that does not fit.
SavedNetwork load_network(const std::string& weights, const std::string& arch = "");

// How many classes the network scores above `label` (or as high, with a lower index) in row `row`
// of logits [N,M]: 0 is a top-1 hit.
std::int64_t rank_of_label(const Tensor& logits, std::int64_t row, std::int64_t label);

// In how many rows of logits [N,M], on any device, rank_of_label is below 1 and below 5. labels:
// int64 [N] on the host; throws for one outside [0, M).
struct Hits {
  std::int64_t top1 = 0;
  std::int64_t top5 = 0;
};
Hits count_hits(const Tensor& logits, const Tensor& labels);

// How many classes the classifier in the file tells apart: the rows of its last layer's weight.
std::int64_t classes_in(const std::string& weights);

// Rewrites the labels of `set` as indices into `class_names`, by the names of the classes; -1 for a
// class that is not there. Its groups become ranges of these indices too; one that is no range of
// them is left out. Returns the first missing class, or an empty string.
std::string match_classes(ImageSet& set, const std::vector<std::string>& class_names);

// match_classes for a network of `classes` that was read from the file `weights`, of which
// class_names is what the file says. Throws, naming it, where a class of `set` is not among them,
// or labels of several an image are not these in this order; without names where their number
// differs.
void adopt_classes(ImageSet& set, const std::vector<std::string>& class_names, std::int64_t classes,
                   const std::string& weights);

struct Accuracy {
  std::string group;         // of classes (ImageSet::groups); empty: all images
  std::int64_t samples = 0;  // images
  double loss = 0;           // cross-entropy, of a multi-label set binary cross-entropy: the mean
  double top1 = 0;           // shares, 0..1
  double top5 = 0;
  double labels_right =
      0;  // of a multi-label set, which has no top1 and top5: (logit > 0) == label
};
struct Evaluation {
  bool multi_label = false;
  Accuracy all;
  std::vector<Accuracy> groups;  // in the order of ImageSet::groups
};

// The accuracy of logits that come batch by batch.
class EvaluationSums {
 public:
  // Of images of this set, which must outlive this: its multi_labels and groups.
  explicit EvaluationSums(const ImageSet& set);
  // logits [N,M] of the batch, on any device.
  void add(const Batch& batch, const Tensor& logits);
  // Of all that was added.
  Evaluation result() const;

 private:
  const ImageSet& set_;
  Evaluation sums_;
};

// images, loss, and top1 and top5 (of a multi-label set accuracy); likewise of each group under
// "groups", by name.
nlohmann::ordered_json to_json(const Evaluation& evaluation);

// Runs the network in evaluation mode over one epoch of the loader. `each`, where given, sees every
// batch and, on the host, its logits. Groups of
// classes (ImageSet::groups) are counted apart, too. Throws Interrupted on a signal.
Evaluation evaluate_classifier(Network& network, Loader& loader,
                               const std::function<void(const Batch&, const Tensor&)>& each = {});

// Share of the images whose label is the network's first choice; absent where the labels are not
// its classes.
std::optional<double> top1_on(const SavedNetwork& saved, ImageSet set, const LoaderOptions& loader);

}  // namespace concord::tool
