#include "tools/bench/whole_step.h"

#include <algorithm>

#include "engine/graphed_step.h"
#include "engine/text.h"
#include "models/network.h"
#include "tools/bench/step_inputs.h"
#include "tools/bench/step_kinds.h"
#include "tools/common/program.h"

namespace concord::bench {
namespace {

std::vector<StepKind> all_kinds() {
  std::vector<StepKind> result;
  for (const auto kinds : {classifier_steps(), trans_net_steps(), image_steps(), file_steps()})
    result.insert(result.end(), kinds.begin(), kinds.end());
  return result;
}

struct Parsed {
  StepKind kind;
  std::string argument;
};

Parsed parse(const std::string& name) {
  const std::size_t colon = name.find(':');
  std::vector<std::string> names;
  for (const StepKind& kind : all_kinds()) {
    names.emplace_back(kind.name);
    if (name.substr(0, colon) != kind.name) continue;
    const std::string argument = colon == std::string::npos ? "" : name.substr(colon + 1);
    const std::vector<std::string> architectures = network_names();
    switch (kind.argument) {
      case StepArgument::kNone:
        tool::check_usage(colon == std::string::npos, "step {}: nothing follows {}", name,
                          kind.name);
        break;
      case StepArgument::kArchitecture:
        tool::check_usage(
            std::find(architectures.begin(), architectures.end(), argument) != architectures.end(),
            "step {}: no architecture {}; near it are {}", name, argument,
            nearest_names(argument, architectures));
        break;
      case StepArgument::kMaps:
        tool::check_usage(maps_of(argument).has_value(),
                          "step {}: the shape of maps expected, as in {}:512x28x28", name,
                          kind.name);
        break;
    }
    return {kind, argument};
  }
  throw tool::UsageError(fmt::format("there is no step {}; near it are {}", name,
                                     nearest_names(name.substr(0, colon), names)));
}

}  // namespace

std::string step_help() {
  std::string text;
  for (const StepKind& kind : all_kinds()) {
    const char* argument = kind.argument == StepArgument::kArchitecture ? ":ARCH"
                           : kind.argument == StepArgument::kMaps       ? ":CxHxW"
                                                                        : "";
    text += fmt::format("  {:24} {}\n", std::string(kind.name) + argument, kind.help);
  }
  return text;
}

std::vector<std::string> step_names() {
  std::vector<std::string> names;
  for (const char* maps : {"512x28x28", "512x14x14", "256x14x14", "256x13x13", "1024x14x14"})
    names.push_back(std::string("transnet:") + maps);
  names.emplace_back("disentangle:512x28x28");
  for (const std::string& arch : network_names()) {
    names.push_back("train:" + arch);
    names.push_back("infer:" + arch);
  }
  for (const char* name : {"decode", "decode-only", "resize", "store-write:512x28x28",
                           "store-read:512x28x28", "checkpoint-write:resnet50"})
    names.emplace_back(name);
  return names;
}

void check_step_name(const std::string& name) { parse(name); }

std::unique_ptr<WholeStep> make_step(const std::string& name, const StepOptions& options) {
  const Parsed parsed = parse(name);
  return parsed.kind.make(parsed.argument, options);
}

Case step_case(const std::string& name, const StepOptions& options) {
  return {"step/" + name, parse(name).kind.help,
          [name, options] {
            const std::shared_ptr<WholeStep> step = make_step(name, options);
            // What only the first steps do is not part of a training.
            for (int i = 0; i <= (options.cuda_graph ? GraphedStep::kWarmUps : 0); ++i) step->run();
            return Work{[step] { step->run(); }, step->flops(), step->bytes(), step->images()};
          },
          options.device};
}

}  // namespace concord::bench
