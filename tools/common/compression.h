#pragma once
// Experiment 4 of the paper: a classifier pruned, trained on, its weights shared and what they
// share trained, with the accuracy after each stage and the knowledge discarded. Source: Han, Mao,
// Dally, "Deep Compression", ICLR 2016; Liang et al., ICLR 2020, section 5.

#include <cstdint>
#include <string>
#include <vector>

#include "tools/common/compression_report.h"
#include "tools/common/consistency.h"

namespace concord::tool {

struct CompressionOptions {
  ImageOptions images;
  RunOptions run;
  DeviceOptions device;
  OptimizerOptions retraining = {.lr = 1e-3, .epochs = 20};
  std::string weights, arch, half, decode;
  double prune_conv = 0.2;
  double prune_fc = 1;
  std::vector<std::string> prune;
  int centroids = 32;
  int bits = 5;
  std::int64_t share_epochs = 10;
  std::string share_optimizer = "adam";
  double share_lr = 1e-5;
  bool only_codebooks = false;
  bool freeze_batch_norm = false;
  std::string layer;
  ConsistencyOptions consistency;
};

// Compresses the network of options.weights into options.run.output_dir: pruned.safetensors,
// retrain/, shared.safetensors, share/, compressed.safetensors, compact.safetensors and
// compress.json, and with options.layer the Trans-Nets' folders. What was killed is gone on with
// under --resume, to the same bits: what is quick is done again, each training goes on from its
// checkpoint. Fills in the options that the file of weights gives. Throws what train() and the
// parts throw, Interrupted on a signal.
CompressionReport compress(CompressionOptions& options, const CommandLine& line);

}  // namespace concord::tool
