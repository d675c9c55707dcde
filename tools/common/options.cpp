#include "tools/common/options.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <thread>

#include "data/files.h"
#include "kernels/conv2d.h"
#include "kernels/device.h"
#include "kernels/parallel.h"
#include "kernels/precision.h"
#include "tools/common/progress.h"
#include "tools/common/tensorboard.h"
#include "tools/common/terminal.h"

namespace concord::tool {
namespace {

constexpr double kMost = 1e9;  // of counts: far above sense, far below overflow

}  // namespace

OptionCheck device_word() {
  return [](const std::string& text) -> std::string {
    const bool indexed =
        text.starts_with("cuda:") && text.size() > 5 && text.size() < 9 &&
        std::all_of(text.begin() + 5, text.end(), [](char c) { return c >= '0' && c <= '9'; });
    if (text == "auto" || text == "cpu" || text == "cuda" || indexed) return "";
    return text + " is none of: auto, cpu, cuda, cuda:N";
  };
}

OptionCheck learning_rate_schedule() {
  return [](const std::string& text) -> std::string {
    try {
      LearningRateSchedule(text, 1, 2);
      return "";
    } catch (const Error& error) {
      return error.what();
    }
  };
}

void add_device_options(CommandLine& line, DeviceOptions& options) {
  line.option("--device", options.device, "auto, cpu or cuda[:N]", device_word());
  line.option("--precision", options.precision,
              "fp32; on a GPU also tf32 (factors of products rounded to 10 bits) or bf16 (maps "
              "stored in bfloat16, parameters and their updates in float32)",
              one_of({"fp32", "tf32", "bf16"}));
  line.option("--threads", options.threads, "threads that compute; 0 = one per core",
              in_range(0, 1024));
  line.option("--convolution", options.convolution,
              "algorithm of 3x3 convolutions: auto, direct or winograd",
              one_of({"auto", "direct", "winograd"}));
  line.option("--cudnn-search", options.cudnn_search,
              "on a GPU, of the algorithm for each shape: heuristic (cuDNN's ranking), or measure "
              "(the fastest; the clock then chooses the last bits, from run to run)",
              one_of({"heuristic", "measure"}));
  line.option("--cudnn-workspace", options.cudnn_workspace_mib,
              "on a GPU: memory that an algorithm may take, in MiB", in_range(0, 1e6));
  line.option("--deterministic", options.deterministic,
              "on a GPU: true, or false to let cuDNN sum in any order, faster for some shapes",
              one_of({"true", "false"}));
  options.line = &line;
}

void add_cuda_graph_option(CommandLine& line, DeviceOptions& options) {
  line.flag("--cuda-graph", options.cuda_graph,
            "training steps of one shape as graphs of the GPU, which replays them without waiting "
            "for the host; to the same bits");
}

void add_settings(nlohmann::ordered_json& settings, const DeviceOptions& options) {
  settings["--device"] = options.device;
  settings["--precision"] = options.precision;
  settings["--threads"] = options.threads;
  settings["--convolution"] = options.convolution;
  if (options.place.type != DeviceType::kCuda) return;
  settings["--cudnn-search"] = options.cudnn_search;
  settings["--cudnn-workspace"] = options.cudnn_workspace_mib;
  settings["--deterministic"] = options.deterministic;
}

namespace {

// Readies the CUDA device `index`; returns what is in the way.
std::string try_cuda(int index) {
  std::string problem = kernels::load_kernels(DeviceType::kCuda);
  if (!problem.empty()) return problem;
  try {
    kernels::use_device({DeviceType::kCuda, index}, index);
  } catch (const Error& error) {
    problem = error.what();
  }
  return problem;
}

}  // namespace

Device ready_device(const std::string& flag, const std::string& word) {
  Device device;
  if (word == "cpu") return device;
  device.type = DeviceType::kCuda;
  if (word.size() > 5) device.index = std::stoi(word.substr(5));
  const std::string problem = try_cuda(device.index);
  check(problem.empty(), "{} {}: {}", flag, word, problem);
  return device;
}

Device apply(DeviceOptions& options) {
  // Only a machine with NVIDIA's driver is asked further: CUDA's libraries take a second to load.
  if (options.device == "auto") {
    const bool asks = std::filesystem::exists("/dev/nvidiactl");
    const std::string problem = asks ? try_cuda(0) : "";
    options.device = asks && problem.empty() ? "cuda:0" : "cpu";
    if (!problem.empty())
      note("this runs on the CPU, though there is an NVIDIA driver: {}", problem);
  }
  const Device device = ready_device("--device", options.device);
  check(options.precision == "fp32" || device.type == DeviceType::kCuda,
        "--precision {}: needs a CUDA device, this run is on the CPU; use --precision fp32",
        options.precision);
  check_usage(!options.cuda_graph || device.type == DeviceType::kCuda,
              "--cuda-graph: needs a CUDA device, this run is on the CPU; leave it out");
  if (device.type == DeviceType::kCpu && options.line != nullptr)
    for (const char* name : {"--cudnn-search", "--cudnn-workspace", "--deterministic"})
      check_usage(
          !options.line->given(name),
          "{}: needs a CUDA device, as it is about cuDNN, and this run is on the CPU; leave it out",
          name);
  kernels::set_cudnn_search(
      {.measure = options.cudnn_search == "measure",
       .deterministic = options.deterministic == "true",
       .workspace_bytes = static_cast<std::size_t>(options.cudnn_workspace_mib * 1024 * 1024)});
  kernels::set_precision(options.precision == "tf32"   ? kernels::Precision::kTf32
                         : options.precision == "bf16" ? kernels::Precision::kBFloat16
                                                       : kernels::Precision::kFloat32);
  options.place = device;
  if (options.threads == 0)
    options.threads = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  set_thread_count(options.threads);
  kernels::set_convolution_algorithm(options.convolution == "direct" ? ConvolutionAlgorithm::kDirect
                                     : options.convolution == "winograd"
                                         ? ConvolutionAlgorithm::kWinograd
                                         : ConvolutionAlgorithm::kAuto);
  return device;
}

void add_output_options(CommandLine& line, RunOptions& options, const std::string& what) {
  line.option("--output-dir", options.output_dir, what);
  line.flag("--force", options.force,
            "write into a folder that is not empty; Concord's own files there are replaced, others "
            "stay");
  add_quiet_option(line, options);
}

void add_quiet_option(CommandLine& line, RunOptions& options) {
  line.flag("--quiet", options.quiet, "no progress and no notes, only results and warnings");
  line.when_parsed([&options] { set_quiet(options.quiet); });
}

void add_seed_option(CommandLine& line, RunOptions& options) {
  line.option("--seed", options.seed, "fixes initial weights, order of the images and dropout");
}

void add_resume_option(CommandLine& line, RunOptions& options) {
  options.resumable = true;
  line.flag("--resume", options.resume,
            "go on from last.safetensors in the output folder, to the same bits as without the "
            "break");
}

void add_tensorboard_option(CommandLine& line, RunOptions& options) {
  line.option("--tensorboard", options.tensorboard,
              "event files: scalars (some 1 KiB an epoch), all (also histograms of weights and "
              "gradients at up to 50 epochs, some 4 KiB each for a parameter, and pictures at up "
              "to 10), or none; the result is the same to the bit",
              one_of({"all", "scalars", "none"}));
}

void add_training_run_options(CommandLine& line, RunOptions& run, DeviceOptions& device) {
  add_resume_option(line, run);
  add_tensorboard_option(line, run);
  add_seed_option(line, run);
  add_device_options(line, device);
  add_cuda_graph_option(line, device);
}

void add_batch_size_option(CommandLine& line, std::int64_t& batch_size) {
  line.option("--batch-size", batch_size, "images a step", in_range(1, 1e6));
}

void add_image_options(CommandLine& line, ImageOptions& options,
                       const std::string& image_size_help) {
  line.option("--data", options.data,
              "folder with train/ and val/ (or test/) of class folders, or of class folders alone; "
              "or KIND:FOLDER, a published data set as it lies: cub200, dogs120, voc-crop, "
              "voc-animals, voc-multilabel, or mix320:CUB_FOLDER,DOGS_FOLDER");
  line.option("--image-size", options.image_size, image_size_help, in_range(1, 4096));
  add_batch_size_option(line, options.batch_size);
  line.option("--workers", options.workers, "threads that decode images", in_range(1, 256));
  line.flag("--strict", options.strict,
            "an unreadable image ends the run instead of being skipped");
  line.option("--max-megapixels", options.max_megapixels,
              "images with more pixels are refused unread", in_range(0.001, 4000));
  line.option("--cache", options.cache_mib, "memory for decoded images in MiB, 0 = none",
              in_range(0, 1e7));
}

LoaderOptions loader_options(const ImageOptions& options, Device device) {
  LoaderOptions loader;
  loader.device = device;
  loader.image_size = options.image_size;
  loader.batch_size = options.batch_size;
  loader.workers = options.workers;
  loader.strict = options.strict;
  loader.max_pixels = std::llround(options.max_megapixels * 1e6);
  loader.cache_bytes = static_cast<std::size_t>(options.cache_mib * 1024 * 1024);
  loader.warn = [](const std::string& problem) { write_warning(problem + "; skipped"); };
  return loader;
}

ImageFolder images_of_data(const std::string& data) {
  const Waiting waiting("reading " + data);
  return read_images(data, write_warning);
}

ImageSet read_split(const std::string& data, const std::string& split) {
  ImageFolder folder = images_of_data(data);
  if (split == "train") return std::move(folder.train);
  check(folder.validation.has_value(),
        "{}: has no val/ or test/ folder; use --split train, or name a folder with train/ and val/",
        data);
  return std::move(*folder.validation);
}

namespace {

std::string sample_text(const ImageSample& sample, const std::filesystem::path& root) {
  std::string text = name_of_sample(sample, root);
  if (sample.box)
    text += fmt::format(" {} {} {} {}", sample.box->x, sample.box->y, sample.box->width,
                        sample.box->height);
  return text;
}

}  // namespace

std::string fingerprint(const ImageSet& set) {
  std::string names;
  for (const std::string& name : set.classes) names += name + '\n';
  for (const ImageSample& sample : set.samples) names += sample_text(sample, set.root) + '\n';
  // Only where there are any: runs on sets without them must go on as they began.
  names.append(set.multi_labels.begin(), set.multi_labels.end());
  return fmt::format("{} images of {} classes, names {:08x}", set.samples.size(),
                     set.classes.size(), crc32c(names));
}

void add_optimizer_options(CommandLine& line, OptimizerOptions& options) {
  line.option("--epochs", options.epochs, "passes over the training data", in_range(1, kMost));
  line.option("--optimizer", options.optimizer, "sgd or adam", one_of({"sgd", "adam"}));
  line.option("--lr", options.lr, "learning rate of the first epoch", above(0));
  line.option("--lr-schedule", options.lr_schedule,
              "logspace:DECADES, step:EPOCHS:FACTOR or constant", learning_rate_schedule());
  line.option("--momentum", options.momentum, "of sgd", in_range(0, 1));
  line.option("--weight-decay", options.weight_decay, "added to the gradient, times the weight",
              in_range(0, kMost));
}

void add_settings(nlohmann::ordered_json& settings, const OptimizerOptions& options) {
  settings["--optimizer"] = options.optimizer;
  settings["--lr"] = options.lr;
  settings["--lr-schedule"] = options.lr_schedule;
  if (options.optimizer == "sgd") settings["--momentum"] = options.momentum;
  settings["--weight-decay"] = options.weight_decay;
  // More epochs leave those already done as they were, unless the schedule is stretched over them.
  if (options.lr_schedule.starts_with("logspace")) settings["--epochs"] = options.epochs;
}

std::unique_ptr<Optimizer> make_optimizer(const OptimizerOptions& options,
                                          std::vector<Named<Tensor>> parameters) {
  if (options.optimizer == "adam")
    return make_adam(std::move(parameters), {.weight_decay = options.weight_decay});
  return make_sgd(std::move(parameters),
                  {.momentum = options.momentum, .weight_decay = options.weight_decay});
}

}  // namespace concord::tool
