// concord-convert: PyTorch's and other files of weights to safetensors, and what is in them.

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>

#include "engine/weights_file.h"
#include "tools/common/interrupt.h"
#include "tools/common/program.h"
#include "tools/common/terminal.h"

namespace concord::tool {
namespace {

struct Options {
  std::string in, out;
  bool inspect = false;
  bool force = false;
};

// The cells min, max, mean over the elements that are numbers, and how many are none.
std::vector<std::string> statistics(const Tensor& tensor) {
  double low = std::numeric_limits<double>::infinity();
  double high = -low;
  double sum = 0;
  std::int64_t count = 0;
  for (const double value : tensor.to_vector<double>()) {
    if (std::isnan(value)) continue;
    low = std::min(low, value);
    high = std::max(high, value);
    sum += value;
    ++count;
  }
  const std::string nans = std::to_string(tensor.numel() - count);
  if (count == 0) return {"-", "-", "-", nans};
  return {fmt::format("{:.6g}", low), fmt::format("{:.6g}", high),
          fmt::format("{:.6g}", sum / static_cast<double>(count)), nans};
}

void inspect(const WeightsFile& file) {
  Table table({"tensor", "shape", "dtype", "min", "max", "mean", "NaN"});
  std::int64_t total = 0;
  for (const std::string& name : file.names()) {
    stop_if_interrupted();
    const Tensor tensor = file.tensor(name);
    std::vector<std::string> cells = {name, tensor.shape().to_string(), file.dtype(name)};
    for (std::string& cell : statistics(tensor)) cells.push_back(std::move(cell));
    table.row(std::move(cells));
    total += tensor.numel();
  }
  table.print();
  note("{} tensors, {} elements", file.names().size(), total);
}

void convert(const Options& options) {
  check_usage(options.inspect || !options.out.empty(),
              "nothing to do: give a file OUT to write, or --inspect");
  check_usage(options.out.empty() || options.out.ends_with(".safetensors"),
              "{}: the name of a safetensors file ends in .safetensors; no other kind is written",
              options.out);
  check(options.out.empty() || options.force || !std::filesystem::exists(options.out),
        "{}: exists; give --force to replace it", options.out);
  const WeightsFile file(options.in);
  for (const std::string& text : file.notes()) write_note(text);
  if (options.inspect) inspect(file);
  if (options.out.empty()) return;
  std::vector<Named<Tensor>> tensors;
  for (const std::string& name : file.names()) tensors.emplace_back(name, file.tensor(name));
  write_safetensors(options.out, tensors, file.metadata());
}

}  // namespace
}  // namespace concord::tool

int main(int argc, char** argv) {
  using namespace concord::tool;
  Options options;
  CommandLine line(
      {.name = "concord-convert",
       .summary = "Writes the weights of a PyTorch file (either form) or a safetensors file as "
                  "safetensors, or lists them.",
       .example = "  concord-convert resnet18-f37072fd.pth resnet18.safetensors\n"
                  "  concord-convert --inspect checkpoint.pth.tar\n"
                  "The second prints name, shape, dtype, least, largest and mean value of every "
                  "tensor.",
       .footnote = "No code of a PyTorch file is run. Of a checkpoint the state dict is taken, "
                   "without \"module.\" in its\nnames. Floats become float32, whole numbers int64; "
                   "the dtypes listed are the file's. Every program\nthat takes --weights takes "
                   "PyTorch's files as they are."});
  line.option("in", options.in, "file of weights")->required();
  line.option("out", options.out, "safetensors file to write");
  line.flag("--inspect", options.inspect, "print what is in the file");
  line.flag("--force", options.force, "replace OUT where it exists");
  return run_program(line, argc, argv, [&] { convert(options); });
}
