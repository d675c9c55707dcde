// concord-variance: how much of B's features each order explains, and how much none does.

#include <algorithm>

#include "data/files.h"
#include "engine/autograd.h"
#include "engine/ops/arithmetic.h"
#include "tools/common/feature_pairs.h"
#include "tools/common/interrupt.h"
#include "tools/common/progress.h"
#include "tools/common/run_directory.h"
#include "tools/common/terminal.h"
#include "tools/common/trans_net_file.h"
#include "tools/common/variance_report.h"

namespace concord::tool {
namespace {

struct Options {
  std::string weights, features_a, features_b, orders_file;
  std::int64_t batch_size = 64;
  FeatureMemory memory;
  RunOptions run;
  DeviceOptions device;
  TransNetChoice net;
};

std::optional<double> top1_of(const FeatureStore& store) {
  if (!store.has_labels() || store.top1().empty()) return std::nullopt;
  const auto hits = std::count(store.top1().begin(), store.top1().end(), std::uint8_t{1});
  return static_cast<double>(hits) / static_cast<double>(store.size());
}

VarianceReport from_trans_net(const Options& options) {
  const SavedTransNet saved = load_trans_net(options.weights, options.net);
  saved.net->to(options.device.place);
  const FeatureStore a(options.features_a);
  const FeatureStore b(options.features_b);
  const auto pairs = pairs_from_stores(
      a, b,
      {.batch_size = options.batch_size, .device = options.device.place, .memory = options.memory});
  check_fits(*saved.net, pairs->shape_a(), pairs->shape_b(), options.weights);
  VarianceReport report;
  report.top1_a = top1_of(a);
  report.top1_b = top1_of(b);
  for (const float p : saved.net->gates().to_vector<float>()) report.gates.push_back(p);
  Progress progress("splitting", pairs->size(), "images");
  std::int64_t done = 0;
  pairs->start(0, 0);
  for (PairBatch pair; pairs->next(pair);) {
    stop_if_interrupted();
    check_finite(pair);
    const Orders result = saved.net->disentangle(pair.a);
    report.add(result.orders, subtract(pair.b, result.y));
    done += pair.b.dim(0);
    progress.update(done);
  }
  return report;
}

VarianceReport from_file(const Options& options) {
  const SafetensorsFile file(options.orders_file);
  std::vector<Tensor> orders;
  for (std::string name = "order0"; file.contains(name);
       name = fmt::format("order{}", orders.size()))
    orders.push_back(file.tensor(name));
  check(!orders.empty() && file.contains("delta"),
        "{}: has no tensors order0 and delta; give a file that concord-transnet --evaluate wrote",
        options.orders_file);
  const Tensor delta = file.tensor("delta");
  const bool floating = delta.dtype() == DType::kFloat32 || delta.dtype() == DType::kFloat64;
  check(delta.shape().rank() == 4 && delta.numel() > 0 && floating,
        "{}: delta is {} {}, floating [N,C,H,W] is expected", options.orders_file,
        delta.shape().to_string(), name_of(delta.dtype()));
  for (const Tensor& order : orders)
    check(order.shape() == delta.shape() && order.dtype() == delta.dtype(),
          "{}: an order is {} {}, but delta is {} {}", options.orders_file,
          order.shape().to_string(), name_of(order.dtype()), delta.shape().to_string(),
          name_of(delta.dtype()));
  VarianceReport report;
  for (std::int64_t begin = 0; begin < delta.dim(0); begin += options.batch_size) {
    stop_if_interrupted();
    const std::int64_t end = std::min(delta.dim(0), begin + options.batch_size);
    std::vector<Tensor> batch;
    for (const Tensor& order : orders) batch.push_back(order.rows(begin, end));
    report.add(batch, delta.rows(begin, end));
  }
  return report;
}

void measure(Options& options, const CommandLine& line) {
  const bool from_orders = !options.orders_file.empty();
  check_usage(from_orders != !options.weights.empty(),
              "give either --orders-file, or --weights with --features-a and --features-b");
  check_usage(from_orders || (!options.features_a.empty() && !options.features_b.empty()),
              "--weights needs --features-a and --features-b");
  const NoGradGuard no_gradients;
  const VarianceReport report = from_orders ? from_file(options) : from_trans_net(options);
  if (!options.run.output_dir.empty()) {
    const RunDirectory directory(options.run, {"variance.json"});
    nlohmann::ordered_json json = report.json();
    json["command"] = line.command();
    json["version"] = CONCORD_VERSION;
    write_file(directory.path() / "variance.json", text_of_json(json, 2) + "\n");
  }
  report.print();
}

}  // namespace
}  // namespace concord::tool

int main(int argc, char** argv) {
  using namespace concord::tool;
  Options options;
  CommandLine line(
      {.name = "concord-variance",
       .summary = "Prints Var(x(0)) .. Var(x(K-1)), Var(x_delta) and the instability "
                  "Var(x_delta) / (sum of all).",
       .example =
           "  concord-variance --weights trans-net/best.safetensors --features-a features-a \\\n"
           "      --features-b features-b --output-dir variance\n"
           "An instability of 0 says that B's features follow from A's, 1 that nothing of them "
           "does.",
       .footnote =
           "Per order: the mean of each channel over images and space, then the mean squared "
           "deviation\nfrom it over everything. Use features of test images."});
  line.option("--weights", options.weights, "Trans-Net, a checkpoint of concord-transnet");
  line.option("--features-a", options.features_a, "A's features, a store or a safetensors file");
  line.option("--features-b", options.features_b, "B's features, of the same images");
  line.option("--orders-file", options.orders_file,
              "instead: orders.safetensors of concord-transnet --evaluate");
  add_batch_size_option(line, options.batch_size);
  add_feature_memory_options(line, options.memory);
  add_output_options(line, options.run, "folder for variance.json, also per channel (optional)");
  line.option("--input-norm", options.net.input_norm,
              "where the file does not say it: scale, instance or batch",
              one_of({"scale", "instance", "batch"}));
  line.flag("--affine", options.net.affine, "likewise: of the instance or batch norm");
  line.option("--stage-norm", options.net.stage_norm, "likewise: sample or batch",
              one_of({"sample", "batch"}));
  add_device_options(line, options.device);
  return run_program(line, argc, argv, [&] {
    apply(options.device);
    measure(options, line);
  });
}
