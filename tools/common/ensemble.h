#pragma once
// Several classifiers as one.

#include <vector>

#include "data/image_set.h"
#include "tools/common/classification.h"

namespace concord::tool {

// The mean of the classifiers' probabilities: of softmax(logits), for several labels an image of
// sigmoid(logit) of each. Source: Furlanello et al., Born-Again Neural Networks, ICML 2018, section
// 3 (born-again ensembles). Holds one or, for several labels, two float64 numbers for each image
// and class.
class Ensemble {
 public:
  explicit Ensemble(const ImageSet& set);

  // Logits [N,M] of one more classifier, on the host, of the set's images with these indices; each
  // classifier adds every image once.
  void add(const std::vector<std::int64_t>& indices, const Tensor& logits);
  // How good the mean is on the images that were added, as evaluate_classifier has it.
  Evaluation evaluate() const;

 private:
  const ImageSet& set_;
  std::size_t classes_;
  bool multi_label_;
  // log of the sums over the classifiers: of each probability, and of each 1 - sigmoid(logit).
  std::vector<double> log_sums_;
  std::vector<double> log_rests_;
  std::vector<std::int64_t> members_;  // of each image
};

}  // namespace concord::tool
