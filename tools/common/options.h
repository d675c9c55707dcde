#pragma once
// Options that mean the same in every program, in groups that a program picks from.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "data/loader.h"
#include "data/planned_set.h"
#include "engine/optimizer.h"
#include "tools/common/program.h"

namespace concord::tool {

// --device --precision --threads --convolution --cudnn-search --cudnn-workspace --deterministic
struct DeviceOptions {
  std::string device = "auto";
  std::string precision = "fp32";
  int threads = 0;
  std::string convolution = "auto";
  std::string cudnn_search = "heuristic";
  double cudnn_workspace_mib = 1024;
  std::string deterministic = "true";
  bool cuda_graph = false;
  const CommandLine* line = nullptr;  // by add_device_options: to tell what was given
  Device place;                       // what `device` came to, by apply()
};
void add_device_options(CommandLine& line, DeviceOptions& options);
// --cuda-graph, where a program has training steps.
void add_cuda_graph_option(CommandLine& line, DeviceOptions& options);
// Those that change the bits of a result, into `settings` by option name.
void add_settings(nlohmann::ordered_json& settings, const DeviceOptions& options);
// Sets up the process and writes what "auto" and 0 came to back into `options`. Throws when this
// build or machine lacks the device or precision, saying what was found, and on the CPU for an
// option that only cuDNN heeds.
Device apply(DeviceOptions& options);
// Accepts auto, cpu, cuda and cuda:N.
OptionCheck device_word();
// The device that cpu, cuda or cuda:N stands for, readied. Throws naming `flag` and the word where
// this build or machine lacks it. A process uses one GPU.
Device ready_device(const std::string& flag, const std::string& word);

// --output-dir --seed --force --quiet, and --resume and --tensorboard (training_events.h) where a
// run has epochs.
struct RunOptions {
  std::string output_dir;
  std::uint64_t seed = 0;
  bool resume = false;
  bool force = false;
  bool quiet = false;
  std::string tensorboard = "all";
  bool resumable = false;                // the program has --resume
  std::vector<std::string> inputs = {};  // files that --force must not remove, set by the program
};
void add_output_options(CommandLine& line, RunOptions& options, const std::string& what);
void add_seed_option(CommandLine& line, RunOptions& options);
void add_resume_option(CommandLine& line, RunOptions& options);
// --tensorboard all|scalars|none
void add_tensorboard_option(CommandLine& line, RunOptions& options);
// --resume --tensorboard --seed, those of the device, --cuda-graph: of a program that trains
// networks.
void add_training_run_options(CommandLine& line, RunOptions& run, DeviceOptions& device);
void add_quiet_option(CommandLine& line, RunOptions& options);

// --data --image-size --batch-size --workers --strict --max-pixels --cache
struct ImageOptions {
  std::string data;
  int image_size = 224;
  std::int64_t batch_size = 128;
  int workers = 2;
  bool strict = false;
  double max_megapixels = 67;
  double cache_mib = 1024;
};
// `image_size_help` says where the default comes from.
void add_image_options(CommandLine& line, ImageOptions& options,
                       const std::string& image_size_help);
void add_batch_size_option(CommandLine& line, std::int64_t& batch_size);
// What a loader of batches on `device` needs of these; its warnings go to the terminal.
LoaderOptions loader_options(const ImageOptions& options, Device device);
// What --data names (read_images), while the live line says so; what is odd about it is a warning.
ImageFolder images_of_data(const std::string& data);
// The asked-for split of the folder: "train", or "val" (val/ or test/). Throws naming the folder
// when there is no validation split.
ImageSet read_split(const std::string& data, const std::string& split);
// A short text that changes when the images (class names, file names) do; for --resume.
std::string fingerprint(const ImageSet& set);

// --optimizer --lr --lr-schedule --momentum --weight-decay --epochs
struct OptimizerOptions {
  std::string optimizer = "sgd";
  double lr = 0.01;
  std::string lr_schedule = "logspace:2";
  double momentum = 0.9;
  double weight_decay = 1e-4;
  std::int64_t epochs = 300;
};
void add_optimizer_options(CommandLine& line, OptimizerOptions& options);
// Accepts what LearningRateSchedule does.
OptionCheck learning_rate_schedule();
// The options of these groups that only training heeds.
inline const std::vector<std::string> kTrainingOnly = {
    "--epochs",       "--optimizer", "--lr",   "--lr-schedule", "--momentum",
    "--weight-decay", "--resume",    "--seed", "--cuda-graph",  "--tensorboard"};
// Those that change the result, into `settings` by option name.
void add_settings(nlohmann::ordered_json& settings, const OptimizerOptions& options);
std::unique_ptr<Optimizer> make_optimizer(const OptimizerOptions& options,
                                          std::vector<Named<Tensor>> parameters);

}  // namespace concord::tool
