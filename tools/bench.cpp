// concord-bench: how fast every kernel and the whole steps of the experiments are, against what the
// machine can do.

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>
#include <regex>

#include "kernels/parallel.h"
#include "tools/bench/ceilings.h"
#include "tools/bench/interactive.h"
#include "tools/bench/report.h"
#include "tools/bench/whole_step.h"
#include "tools/common/feature_pairs.h"
#include "tools/common/options.h"
#include "tools/common/terminal.h"

namespace concord::tool {
namespace {

struct Options {
  DeviceOptions device;
  bench::MeasureOptions measure;
  bench::StepOptions step;
  std::string filter;
  std::string step_name;
  std::string format = "table";
  bool list = false;
  bool interactive = false;
  RunOptions run;  // --quiet
};

std::vector<bench::Case> all_cases(const Options& options, Device device) {
  std::vector<bench::Case> cases =
      bench::kernel_cases(device, options.step.batch_size, options.step.seed);
  bench::StepOptions steps = options.step;
  steps.device = device;
  for (const std::string& name : bench::step_names())
    cases.push_back(bench::step_case(name, steps));
  return cases;
}

// The devices to measure: the one asked for; all that there are for "auto".
std::vector<Device> devices_of(DeviceOptions& options) {
  const bool all = options.device == "auto";
  std::vector<Device> devices = {apply(options)};
  if (all && devices[0].type != DeviceType::kCpu) devices.insert(devices.begin(), Device{});
  return devices;
}

std::vector<bench::Case> chosen_cases(const Options& options, const std::vector<Device>& devices) {
  if (!options.step_name.empty()) return {bench::step_case(options.step_name, options.step)};
  std::regex pattern;
  try {
    pattern = std::regex(options.filter);
  } catch (const std::regex_error& error) {
    throw UsageError(
        fmt::format("--filter {}: no regular expression ({})", options.filter, error.what()));
  }
  std::vector<bench::Case> cases;
  for (const Device device : devices)
    for (bench::Case& one : all_cases(options, device))
      if (std::regex_search(one.name, pattern)) cases.push_back(std::move(one));
  check_usage(!cases.empty(), "--filter {}: matches no benchmark; --list shows all",
              options.filter);
  return cases;
}

void list_cases(const Options& options, const std::vector<bench::Case>& cases) {
  if (options.format == "table") {
    for (const bench::Case& one : cases) write_result(one.name + "\n");
    return;
  }
  nlohmann::ordered_json json = nlohmann::ordered_json::array();
  for (const bench::Case& one : cases)
    json.push_back({{"name", one.name}, {"used_by", one.used_by}});
  write_result(json.dump(2) + "\n");
}

void run(Options& options, const CommandLine& line) {
  if (options.step_name.empty())
    line.refuse({"--weights", "--inputs", "--input-batches", "--interactive", "--stores", "--rows",
                 "--store-dtype", "--read-ahead", "--device-memory", "--pinned-memory", "--workers",
                 "--cuda-graph"},
                "needs --step");
  else
    line.refuse({"--filter", "--list"}, "does not apply to --step");
  check_usage(options.step.input_batches == 1 || !options.step.inputs.empty(),
              "--input-batches {} needs --inputs", options.step.input_batches);
  const std::vector<Device> devices = devices_of(options.device);
  options.step.device = options.device.place;
  options.step.cuda_graph = options.device.cuda_graph;
  if (options.interactive) {
    line.refuse({"--min-time", "--repetitions", "--format"}, "does not apply to --interactive");
    return bench::serve_step(options.step_name, options.step);
  }
  const std::vector<bench::Case> cases = chosen_cases(options, devices);
  if (options.list) return list_cases(options, cases);
  // One report for each device.
  for (const Device device : devices) {
    std::vector<bench::Case> own;
    std::ranges::copy_if(cases, std::back_inserter(own),
                         [&](const bench::Case& one) { return one.device == device; });
    if (own.empty()) continue;
    const bench::Ceilings ceilings = bench::measure_ceilings(device);
    const std::vector<bench::Result> results = bench::measure(own, options.measure);
    if (options.format == "table")
      write_result(bench::table_of(device, ceilings, results));
    else
      write_result(bench::json_of(device, ceilings, results, options.device.threads).dump(2) +
                   "\n");
  }
}

}  // namespace
}  // namespace concord::tool

int main(int argc, char** argv) {
  using namespace concord::tool;
  Options options;
  CommandLine line(
      {.name = "concord-bench",
       .summary = "Measures every kernel and the whole steps of the experiments, against the "
                  "machine's FMA peak and copy bandwidth, which it measures first.",
       .example = "  concord-bench --filter 'conv2d_forward/8x512x28x28'\n"
                  "  concord-bench --step train:resnet18 --batch-size 16\n"
                  "The first prints a row for each memory format; where Winograd computes it, it\n"
                  "exceeds 100 % of the peak. Without options everything is measured, which\n"
                  "takes a quarter of an hour on 2 cores.",
       .footnote = "Kernels are named DEVICE/KERNEL/SHAPE[/FORMAT], another library's to\n"
                   "compare with onednn/KERNEL/SHAPE, steps step/NAME:\n" +
                   concord::bench::step_help() +
                   "Other work on the machine falsifies every figure."});
  line.option("--filter", options.filter,
              "measure those whose name contains a match of this regular expression");
  line.flag("--list", options.list, "print the names and measure nothing");
  line.option("--format", options.format, "of the result: table or json",
              one_of({"table", "json"}));
  line.option("--min-time", options.measure.min_time, "seconds that a repetition takes at least",
              in_range(1e-6, 3600));
  line.option("--repetitions", options.measure.repetitions, "of each, the median is reported",
              in_range(1, 1000));
  line.option("--step", options.step_name, "measure this step alone, see below");
  add_batch_size_option(line, options.step.batch_size);
  line.option("--image-size", options.step.image_size, "of steps: both sides in pixels",
              in_range(1, 4096));
  line.option("--classes", options.step.classes, "of classifiers", in_range(1, 1e6));
  line.option("--lr", options.step.lr,
              "of training steps (default: 0.01 for classifiers, 1e-4 for Trans-Nets)", above(0));
  line.at("--lr").without_default();
  line.flag("--no-dropout", options.step.no_dropout, "dropout layers let everything pass");
  line.option("--weights", options.step.weights, "of --step: parameters (safetensors or PyTorch)");
  line.option("--inputs", options.step.inputs,
              "of --step: safetensors file with images and labels, or a and b");
  line.option("--input-batches", options.step.input_batches,
              "of --inputs: training steps take so many equal parts of them in turn",
              in_range(1, 1e6));
  line.option("--images", options.step.images,
              "folder of image files to decode (default: 16 drawn ones of 500x375); of the step "
              "load: a data set");
  line.option("--scratch", options.step.scratch,
              "folder for files that steps write (default: the system's temporary one)");
  line.option("--stores", options.step.stores,
              "of transnet-store and store-next: folder of two feature stores, a and b; where it "
              "is not there random ones are written and stay");
  line.option("--rows", options.step.rows, "of the stores that are written", in_range(1, 1e9));
  add_store_dtype_option(line, options.step.store_dtype);
  add_feature_memory_options(line, options.step.memory);
  line.option("--workers", options.step.workers, "of the step load: threads that decode",
              in_range(1, 256));
  line.flag("--interactive", options.interactive,
            "of --step: answer each line \"run N\" on standard input with times, values and peak "
            "memory as JSON");
  add_seed_option(line, options.run);
  add_quiet_option(line, options.run);
  add_device_options(line, options.device);
  add_cuda_graph_option(line, options.device);
  return run_program(line, argc, argv, [&] {
    options.step.seed = options.run.seed;
    if (!options.step_name.empty()) concord::bench::check_step_name(options.step_name);
    run(options, line);
  });
}
