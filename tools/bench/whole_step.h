#pragma once
// Whole steps of the experiments, through the code that the programs run.

#include <memory>
#include <string>
#include <vector>

#include "tools/bench/case.h"
#include "tools/common/feature_pairs.h"

namespace concord::bench {

struct StepOptions {
  Device device = {};
  std::int64_t batch_size = 8;
  int image_size = 224;
  std::int64_t classes = 200;
  std::uint64_t seed = 0;
  double lr = 0;            // 0: as the experiments (0.01 for classifiers, 1e-4 for Trans-Nets)
  bool no_dropout = false;  // dropout layers let everything pass
  bool cuda_graph = false;  // training steps as graphs of the device
  std::string weights;      // safetensors file of parameters; empty: initial ones
  std::string inputs;       // safetensors file: images, labels (int64); a, b. Empty: random
  std::int64_t input_batches = 1;  // equal parts of the inputs that training steps take in turn
  std::string images;              // folder of image files to decode; empty: drawn ones
  std::string scratch;             // folder for files to write; empty: the system's
  std::string stores;        // folder of two feature stores, a and b; written where it is not there
  std::int64_t rows = 1000;  // of stores that are written
  std::string store_dtype = "fp32";  // of stores that are written: fp32, bf16 or fp16
  tool::FeatureMemory memory;        // PairOrder's
  int workers = 2;                   // LoaderOptions'
};

class WholeStep {
 public:
  virtual ~WholeStep() = default;
  // Once; what is measured.
  virtual void run() = 0;
  // Of the last run, a number that another implementation must agree with: the loss of a training
  // step (before its update), the mean of |logit| of an inference, the mean of all values of the
  // pictures; else 0.
  virtual double value() const { return 0; }
  virtual double images() const = 0;          // of one run
  virtual double flops() const { return 0; }  // convolutions and linear layers
  virtual double bytes() const { return 0; }  // of files
  virtual std::string shape() const = 0;      // "8x3x224x224"
};

// What each name stands for, for --help.
std::string step_help();

// The steps that are measured when none is named.
std::vector<std::string> step_names();

// Throws UsageError for a name that is none.
void check_step_name(const std::string& name);
// Sets the step up. Throws for files that do not fit, naming the tensor.
std::unique_ptr<WholeStep> make_step(const std::string& name, const StepOptions& options);

// The step as a case, "step/NAME".
Case step_case(const std::string& name, const StepOptions& options);

}  // namespace concord::bench
