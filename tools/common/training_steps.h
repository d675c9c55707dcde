#pragma once
// One step of each training, without data, optimiser and loop: what the programs train with is what
// concord-bench measures. Each has a part for the device, which never waits for it and may be
// captured as a graph (engine/graphed_step.h), and one for the host, which waits once.

#include <functional>
#include <vector>

#include "data/loader.h"
#include "engine/graphed_step.h"
#include "models/network.h"
#include "models/trans_net.h"
#include "tools/common/feature_pairs.h"
#include "tools/common/training.h"

namespace concord::tool {

// Forward and backward pass of a classifier in training mode: gradients are left in the parameters.
// `truth` is labels, int64 [N], for cross-entropy, or targets, float32 [N,M] of 0 and 1, for binary
// cross-entropy on each logit. Returns bytes on the network's device: for labels the class that
// scores highest for each image, the labels, the loss; for targets the logits, the targets, the
// loss.
Tensor run_classifier(Module& network, const Tensor& images, const Tensor& truth);
// What it returned for labels, read. The means: loss, top1.
Step read_classifier(const Tensor& results);
// What it returned for targets of M `labels` an image. The means: loss, accuracy (the share of
// labels for which (logit > 0) is right).
Step read_multi_label_classifier(const Tensor& results, std::int64_t labels);

// What one classifier learns from another besides the truth: the loss is truth's + lambda KD, with
// KD = -tau^2 / N sum_n sum_m softmax(t/tau) log softmax(s/tau) of its logits s and the teacher's t
// (engine/ops/loss.h). Where an image has several labels softmax over the classes becomes the
// sigmoid of each: KD = -tau^2 mean(sigmoid(t/tau) log sigmoid(s/tau) +
// (1 - sigmoid(t/tau)) log(1 - sigmoid(s/tau))). Source: Furlanello et al., Born-Again Neural
// Networks, ICML 2018.
struct Teaching {
  Network* teacher = nullptr;  // in evaluation mode, on any device; outlives what learns from it
  double lambda = 0.5;
  double tau = 1;
};
// The teacher's logits, on its device, without gradients.
Tensor logits_of_teacher(Network& teacher, const Tensor& images);
// run_classifier with this loss; `lambda` is a float32 scalar, `teacher_logits` are [N,classes].
// Returns what run_classifier does and behind it the truth's loss and KD.
Tensor run_student(Network& network, const Tensor& images, const Tensor& truth,
                   const Tensor& teacher_logits, const Tensor& lambda, double tau);
// What it returned for labels, read. The means: loss, ce, kd, top1.
Step read_student(const Tensor& results);
// What it returned for targets of M `labels` an image. The means: loss, bce, kd, accuracy.
Step read_multi_label_student(const Tensor& results, std::int64_t labels);

// Forward and backward pass of a Trans-Net in training mode: mean((y - b)^2) + sum_i alpha_i p_i^2.
// Returns bytes on its device: loss, mean square, penalty, and where the gates are learnt p_i and
// the gradients of what they are the sigmoids of.
Tensor run_trans_net(TransNet& net, const Tensor& a, const Tensor& b,
                     const std::vector<double>& alpha);
// What it returned, read. The means: loss, mse, penalty, and where the gates are learnt dL/dp_0,
// dL/dp_1, ...
Step read_trans_net(const Tensor& results);

// The steps of a training, in graphs of the device where `graphs`; an update follows each.
class ClassifierStep {
 public:
  // `network` gives logits of Batch::images.
  ClassifierStep(Module& network, bool graphs);
  // Of a student. A teacher on the network's device runs within the graph.
  ClassifierStep(Network& network, const Teaching& teaching, bool graphs);
  // Of a student, from the next step on.
  void set_lambda(double lambda);
  Step run(const Batch& batch);
  void update(Optimizer& optimizer, double learning_rate) {
    step_.update(optimizer, learning_rate);
  }
  // With work of the device before and after each forward and backward pass, in its graph: what a
  // constraint on the parameters needs. `before` may be empty.
  ClassifierStep(Module& network, bool graphs, std::function<void()> before,
                 std::function<void()> after);

 private:
  Network* teacher_ = nullptr;  // null: the truth alone teaches
  bool teacher_apart_ = false;  // on another device than the network
  Tensor lambda_;               // float32 scalar on the network's device
  GraphedStep step_;
};
class TransNetStep {
 public:
  TransNetStep(TransNet& net, std::vector<double> alpha, bool graphs);
  Step run(const PairBatch& batch);
  void update(Optimizer& optimizer, double learning_rate) {
    step_.update(optimizer, learning_rate);
  }

 private:
  GraphedStep step_;
};

}  // namespace concord::tool
