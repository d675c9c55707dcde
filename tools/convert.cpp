// concord-convert: files of weights, PyTorch's and safetensors, from one form to the other, and
// what is in them.

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>

#include "engine/optimizer.h"
#include "engine/pytorch_writer.h"
#include "engine/weights_file.h"
#include "tools/common/interrupt.h"
#include "tools/common/program.h"
#include "tools/common/terminal.h"

namespace concord::tool {
namespace {

struct Options {
  std::string in, out;
  bool inspect = false;
  bool state_dict = false;
  bool force = false;
};

// The cells min, max, mean and standard deviation over the elements that are numbers, and how many
// are none.
std::vector<std::string> statistics(const Tensor& tensor) {
  double low = std::numeric_limits<double>::infinity();
  double high = -low;
  double sum = 0;
  std::int64_t count = 0;
  const std::vector<double> values = tensor.to_vector<double>();
  for (const double value : values) {
    if (std::isnan(value)) continue;
    low = std::min(low, value);
    high = std::max(high, value);
    sum += value;
    ++count;
  }
  const std::string nans = std::to_string(tensor.numel() - count);
  if (count == 0) return {"-", "-", "-", "-", nans};
  const double mean = sum / static_cast<double>(count);
  double squares = 0;
  for (const double value : values)
    if (!std::isnan(value)) squares += (value - mean) * (value - mean);
  const double deviation = std::sqrt(squares / static_cast<double>(count));
  return {fmt::format("{:.6g}", low), fmt::format("{:.6g}", high), fmt::format("{:.6g}", mean),
          fmt::format("{:.6g}", deviation), nans};
}

void inspect(const WeightsFile& file) {
  constexpr std::size_t kColumns = 8;
  std::vector<std::string> unread;
  Table table({"tensor", "shape", "dtype", "min", "max", "mean", "std", "NaN"});
  std::int64_t total = 0;
  for (const std::string& name : file.names()) {
    stop_if_interrupted();
    std::vector<std::string> cells = {name, file.shape(name).to_string(), file.dtype(name)};
    try {
      for (std::string& cell : statistics(file.tensor(name))) cells.push_back(std::move(cell));
    } catch (const Error& error) {
      cells.resize(kColumns, "-");
      unread.emplace_back(error.what());
    }
    table.row(std::move(cells));
    total += file.shape(name).numel();
  }
  table.print();
  for (const std::string& text : unread) write_warning(text);
  note("{} tensors, {} elements", file.names().size(), total);
  for (const auto& [key, text] : file.metadata()) {
    constexpr std::size_t kMost = 200;
    note("{}: {}{}", key, text.substr(0, kMost), text.size() > kMost ? "..." : "");
  }
}

bool is_optimizer(const std::string& name) { return name.starts_with("optimizer/"); }

bool is_pytorch_name(const std::string& path) {
  for (const char* ending : {".pth", ".pt", ".pth.tar", ".bin", ".ckpt"})
    if (path.ends_with(ending)) return true;
  return false;
}

// What a checkpoint of Concord's says of its run, in PyTorch's terms.
PytorchCheckpoint describe(const WeightsFile& file, bool with_optimizer) {
  const auto json = [&](const char* key) {
    const auto found = file.metadata().find(key);
    const auto value = found == file.metadata().end()
                           ? nlohmann::json()
                           : nlohmann::json::parse(found->second, nullptr, false);
    return value.is_object() ? value : nlohmann::json::object();
  };
  const auto object = [](const nlohmann::json& from, const char* key) {
    const auto found = from.find(key);
    return found != from.end() && found->is_object() ? *found : nlohmann::json::object();
  };
  const auto number = [](const nlohmann::json& from, const char* key, double otherwise) {
    const auto found = from.find(key);
    return found != from.end() && found->is_number() ? found->get<double>() : otherwise;
  };
  const auto text = [](const nlohmann::json& from, const char* key) {
    const auto found = from.find(key);
    return found != from.end() && found->is_string() ? found->get<std::string>() : std::string();
  };
  const nlohmann::json configuration = json("configuration");
  const nlohmann::json settings = object(configuration, "settings");
  PytorchCheckpoint result;
  result.arch = text(configuration, "arch");
  if (const auto epoch = file.metadata().find("epoch"); epoch != file.metadata().end())
    result.epoch = std::strtoll(epoch->second.c_str(), nullptr, 10);
  const nlohmann::json best = object(json("metrics"), "best");
  if (best.contains("val_top1")) result.best_acc1 = 100 * number(best, "val_top1", 0);
  if (!with_optimizer) return result;
  result.optimizer.emplace();
  result.optimizer->momentum = number(settings, "--momentum", 0);
  result.optimizer->weight_decay = number(settings, "--weight-decay", 0);
  // The rate of the epoch that comes next, where the schedule has one.
  const double rate = number(settings, "--lr", 0);
  const std::string schedule = text(settings, "--lr-schedule");
  result.optimizer->learning_rate = rate;
  if (rate > 0 && !schedule.empty()) {
    const auto epochs = static_cast<std::int64_t>(number(settings, "--epochs", 1));
    const std::int64_t next = result.epoch.value_or(0);
    const bool is_over = schedule.starts_with("logspace") && next >= epochs;
    result.optimizer->learning_rate =
        LearningRateSchedule(schedule, rate, std::max<std::int64_t>(1, epochs))
            .at(is_over ? std::max<std::int64_t>(0, epochs - 1) : next);
  }
  return result;
}

// A few bytes may stand for any number of elements where tensors are expanded.
void check_size(const WeightsFile& file) {
  constexpr double kMostBytes = double{1 << 30} * 4;
  constexpr double kMostTimes = 64;
  double bytes = 0;
  for (const std::string& name : file.names())
    bytes += 8 * static_cast<double>(file.shape(name).numel());
  const double stored = static_cast<double>(std::filesystem::file_size(file.path()));
  check(bytes <= kMostBytes || bytes <= kMostTimes * stored,
        "{}: its tensors would take {:.0f} GB, {:.0f} times the file: they repeat their elements; "
        "save tensor.clone()",
        file.path().string(), bytes / 1e9, bytes / stored);
}

void convert(const Options& options) {
  check_usage(options.inspect || !options.out.empty(),
              "nothing to do: give a file OUT to write, or --inspect");
  const bool pytorch = is_pytorch_name(options.out);
  check_usage(options.out.empty() || pytorch || options.out.ends_with(".safetensors"),
              "{}: the name says which kind to write: .safetensors, or .pth, .pt, .pth.tar, .bin "
              "or .ckpt for PyTorch",
              options.out);
  check(options.out.empty() || options.force || !std::filesystem::exists(options.out),
        "{}: exists; give --force to replace it", options.out);
  const WeightsFile file(options.in);
  for (const std::string& text : file.notes()) write_note(text);
  check_size(file);
  if (options.inspect) inspect(file);
  if (options.out.empty()) return;
  std::vector<Named<Tensor>> tensors;
  bool with_optimizer = false;
  for (const std::string& name : file.names()) {
    if (is_optimizer(name) && options.state_dict) continue;
    with_optimizer = with_optimizer || is_optimizer(name);
    tensors.emplace_back(name, file.tensor(name));
  }
  if (!pytorch) return write_safetensors(options.out, tensors, file.metadata());
  const PytorchCheckpoint checkpoint = describe(file, with_optimizer);
  write_pytorch(options.out, tensors, with_optimizer ? &checkpoint : nullptr, file.metadata());
}

}  // namespace
}  // namespace concord::tool

int main(int argc, char** argv) {
  using namespace concord::tool;
  Options options;
  CommandLine line(
      {.name = "concord-convert",
       .summary = "Writes the weights of a PyTorch file (either form) or a safetensors file as "
                  "safetensors or for PyTorch, or lists them.",
       .example =
           "  concord-convert resnet18-f37072fd.pth resnet18.safetensors\n"
           "  concord-convert --inspect checkpoint.pth.tar\n"
           "  concord-convert run/best.safetensors best.pth\n"
           "The second prints name, shape, dtype, least, largest and mean value and standard\n"
           "deviation of every tensor. What the third writes, torch.load(\"best.pth\", "
           "weights_only=True) gives "
           "back as a state dict.",
       .footnote =
           "No code of a PyTorch file is run. Of a checkpoint the state dict is taken, "
           "without \"module.\" in its\nnames, and the state of SGD or Adam where it is for "
           "these parameters. Floats become float32, whole\nnumbers int64; the dtypes listed "
           "are the file's. With an optimiser's state in it a .pth file is a\ncheckpoint "
           "{epoch, arch, state_dict, best_acc1, optimizer}; without it is a bare state dict. "
           "Every "
           "program\nthat takes --weights takes PyTorch's files as they are."});
  line.option("in", options.in, "file of weights").required();
  line.option("out", options.out,
              "file to write: NAME.safetensors, or NAME.pth (.pt .pth.tar .bin .ckpt)");
  line.flag("--inspect", options.inspect, "print what is in the file");
  line.flag("--state-dict", options.state_dict,
            "write the network's tensors only, no optimiser's state");
  line.flag("--force", options.force, "replace OUT where it exists");
  return run_program(line, argc, argv, [&] { convert(options); });
}
