#include "tools/common/trans_net_file.h"

#include <set>

#include "engine/checkpoint.h"
#include "engine/layers.h"
#include "engine/weights_file.h"
#include "tools/common/non_finite.h"
#include "tools/common/saved_configuration.h"

namespace concord::tool {
namespace {

InputNorm input_norm_of(const std::string& word) {
  return word == "instance" ? InputNorm::kInstanceNorm
         : word == "batch"  ? InputNorm::kBatchNorm
                            : InputNorm::kScale;
}

std::string word_of(InputNorm norm) {
  return norm == InputNorm::kInstanceNorm ? "instance"
         : norm == InputNorm::kBatchNorm  ? "batch"
                                          : "scale";
}

TransNetOptions from_json(const nlohmann::json& json, const std::string& weights) {
  try {
    TransNetOptions options;
    options.channels_in = json.at("channels_in");
    options.channels_out = json.at("channels_out");
    options.orders = json.at("orders");
    options.kernel = json.at("kernel");
    options.padding = json.at("padding");
    options.input_norm = input_norm_of(json.at("input_norm"));
    options.affine = json.at("affine");
    options.stage_norm = json.at("stage_norm") == "batch" ? StageNorm::kBatch : StageNorm::kSample;
    options.fixed_gates = json.at("fixed_gates");
    return options;
  } catch (const nlohmann::json::exception& error) {
    fail("{}: its Trans-Net configuration is damaged ({}); train it again", weights, error.what());
  }
}

constexpr const char* kFirstConvolution = "linearLayers_conv.0.weight";

// What the tensors of a bare state dict tell.
TransNetOptions infer(const std::string& weights, const TransNetChoice& choice) {
  const WeightsFile file(weights);
  const auto name_of = [](std::int64_t i) { return fmt::format("linearLayers_conv.{}.weight", i); };
  TransNetOptions options;
  options.orders = 0;
  while (file.contains(name_of(options.orders))) ++options.orders;
  check(options.orders > 0, "{}: is no Trans-Net: there is no tensor {}", weights, name_of(0));
  const Shape shape = file.shape(name_of(0));
  check(shape.rank() == 4, "{}: {} is {}, not [channels,channels,kernel,kernel]", weights,
        name_of(0), shape.to_string());
  options.channels_in = options.channels_out = shape[0];
  options.kernel = shape[2];
  options.padding = (options.kernel - 1) / 2;
  options.input_norm = input_norm_of(choice.input_norm);
  options.affine = choice.affine;
  options.stage_norm = choice.stage_norm == "batch" ? StageNorm::kBatch : StageNorm::kSample;
  options.fixed_gates = choice.fix_p;
  // The only other convolution is that of the entry, for features of another channel count.
  for (const std::string& name : file.names())
    if (!name.starts_with("linearLayers_conv.") && !name.starts_with("optimizer/") &&
        file.shape(name).rank() == 4)
      options.channels_in = file.shape(name)[1];
  return options;
}

}  // namespace

void add_trans_net_options(CommandLine& line, TransNetChoice& choice) {
  line.option("--orders", choice.orders, "K: convolutions, one more than gated ReLUs",
              in_range(1, 64));
  line.option("--kernel", choice.kernel, "of the convolutions, in pixels", in_range(1, 63));
  line.option("--padding", choice.padding, "in pixels; the maps must keep their size",
              in_range(0, 31));
  line.option("--input-norm", choice.input_norm, "of the input: scale, instance or batch",
              one_of({"scale", "instance", "batch"}));
  line.flag("--affine", choice.affine,
            "the instance or batch norm of the input learns scale, shift");
  line.option("--stage-norm", choice.stage_norm,
              "of each stage: sample, or batch (with a running average)",
              one_of({"sample", "batch"}));
  line.flag("--fix-p", choice.fix_p, "the gates stay where they start");
}

void add_norm_options(CommandLine& line, TransNetChoice& choice) {
  line.option("--input-norm", choice.input_norm,
              "where the file does not say it: scale, instance or batch",
              one_of({"scale", "instance", "batch"}));
  line.flag("--affine", choice.affine, "likewise: of the instance or batch norm");
  line.option("--stage-norm", choice.stage_norm, "likewise: sample or batch",
              one_of({"sample", "batch"}));
}

TransNetOptions trans_net_options(const TransNetChoice& choice, std::int64_t channels_in,
                                  std::int64_t channels_out) {
  check_usage(2 * choice.padding == choice.kernel - 1,
              "--kernel {} with --padding {} changes the size of the maps; --padding must be "
              "(kernel - 1) / 2",
              choice.kernel, choice.padding);
  check_usage(!choice.affine || choice.input_norm != "scale",
              "--affine needs --input-norm instance or batch");
  TransNetOptions options;
  options.channels_in = channels_in;
  options.channels_out = channels_out;
  options.orders = choice.orders;
  options.kernel = choice.kernel;
  options.padding = choice.padding;
  options.input_norm = input_norm_of(choice.input_norm);
  options.affine = choice.affine;
  options.stage_norm = choice.stage_norm == "batch" ? StageNorm::kBatch : StageNorm::kSample;
  options.fixed_gates = choice.fix_p;
  return options;
}

nlohmann::ordered_json to_json(const TransNetOptions& options) {
  return {{"channels_in", options.channels_in},
          {"channels_out", options.channels_out},
          {"orders", options.orders},
          {"kernel", options.kernel},
          {"padding", options.padding},
          {"input_norm", word_of(options.input_norm)},
          {"affine", options.affine},
          {"stage_norm", options.stage_norm == StageNorm::kBatch ? "batch" : "sample"},
          {"fixed_gates", options.fixed_gates}};
}

SavedTransNet load_trans_net(const std::string& weights, const TransNetChoice& choice) {
  const nlohmann::json configuration = saved_configuration(weights);
  // A checkpoint of the original's names the architecture whose features were rebuilt.
  check(!configuration.contains("arch") || WeightsFile(weights).contains(kFirstConvolution),
        "{}: holds the classifier {}, not a Trans-Net; give a file of concord-transnet", weights,
        configuration.value("arch", ""));
  SavedTransNet saved;
  saved.configured = configuration.contains("trans_net");
  random::Generator generator(0);
  const TransNetOptions options =
      saved.configured ? from_json(configuration["trans_net"], weights) : infer(weights, choice);
  {
    const UninitializedParameters loaded_next;
    saved.net = std::make_unique<TransNet>(options, generator);
  }
  load_weights(weights, *saved.net);
  check_finite(weights, *saved.net);
  saved.net->set_training(false);
  return saved;
}

void check_fits(const TransNet& net, const Shape& a, const Shape& b, const std::string& weights) {
  check(a[1] == net.options().channels_in && b[1] == net.options().channels_out,
        "{}: maps {} channels to {}, but the features have {} (A is {}) and {} (B is {})", weights,
        net.options().channels_in, net.options().channels_out, a[1], a.to_string(), b[1],
        b.to_string());
}

}  // namespace concord::tool
