#pragma once
// One step of each training, without data, optimiser and loop: what the programs train with is what
// concord-bench measures.

#include <vector>

#include "data/loader.h"
#include "models/network.h"
#include "models/trans_net.h"
#include "tools/common/feature_pairs.h"
#include "tools/common/training.h"

namespace concord::tool {

// Forward and backward pass of a classifier in training mode, with cross-entropy: gradients are
// left in the parameters. The step's means: loss, top1.
Step classifier_step(Network& network, const Batch& batch);

// Forward and backward pass of a Trans-Net in training mode: mean((y - b)^2) + sum_i alpha_i p_i^2.
// The step's means: loss, mse, penalty, and where the gates are learnt dL/dp_0, dL/dp_1, ...
Step trans_net_step(TransNet& net, const PairBatch& batch, const std::vector<double>& alpha);

}  // namespace concord::tool
