#include "tools/report/gallery_plan.h"

#include <fmt/core.h>

#include <algorithm>

#include "tools/report/comparison.h"

namespace concord::report {
namespace fs = std::filesystem;

namespace {

// The options of a run, its paths as they are now.
struct RunOptions {
  Json config;
  RunPaths paths;

  std::string text(const std::string& name) const {
    const Json value = option_of(config, name);
    return value.is_string() ? value.get<std::string>() : "";
  }
  std::string path(const std::string& name) const { return paths.now(text(name)); }
  int whole(const std::string& name) const {
    const Json value = option_of(config, name);
    return value.is_number_integer() ? value.get<int>() : 0;
  }
};

RunOptions options_of(const Findings& findings, const fs::path& folder) {
  const Finding* config = findings.config_of(folder);
  return {config == nullptr ? Json::object() : config->json, findings.paths_of(folder)};
}

std::string layer_of(const RunOptions& run, const std::string& side) {
  const std::string own = run.text("layer-" + side);
  return own.empty() ? run.text("layer") : own;
}

GallerySide side_of(const RunOptions& run, const std::string& side, const std::string& words) {
  const std::string store = run.path("features-" + side);
  if (!store.empty()) return {store, "", "", words};
  return {"", run.path("weights-" + side), layer_of(run, side), words};
}

// Those that the run had, for a checkpoint that does not say.
tool::TransNetChoice norms_of(const RunOptions& run) {
  tool::TransNetChoice norms;
  if (const std::string input = run.text("input-norm"); !input.empty()) norms.input_norm = input;
  if (const std::string stage = run.text("stage-norm"); !stage.empty()) norms.stage_norm = stage;
  const Json affine = option_of(run.config, "affine");
  norms.affine = affine.is_boolean() && affine.get<bool>();
  return norms;
}

// Of concord-variance and concord-transnet, whose options are alike.
GalleryDirection direction_of(const RunOptions& run, const std::string& name,
                              const std::string& trans_net, const std::string& words_a,
                              const std::string& words_b) {
  return {.name = name,
          .trans_net = trans_net,
          .norms = norms_of(run),
          .from = side_of(run, "a", words_a),
          .to = side_of(run, "b", words_b),
          .data = run.path("data"),
          .image_size = run.whole("image-size"),
          .split = run.text("split"),
          .channels = nullptr,
          .images = ""};
}

class Plan {
 public:
  explicit Plan(Findings& findings) : findings_(findings) {}

  std::vector<GalleryDirection> make() {
    each(findings_, findings_.variances, [&](const Finding& finding) { add_variance(finding); });
    each(findings_, findings_.trans_nets, [&](const Finding& finding) { add_trans_net(finding); });
    each(findings_, findings_.diagnoses, [&](const Finding& finding) { add_diagnosis(finding); });
    each(findings_, findings_.compressions,
         [&](const Finding& finding) { add_compression(finding); });
    each(findings_, findings_.generations,
         [&](const Finding& finding) { add_generations(finding); });
    return std::move(directions_);
  }

 private:
  void add(GalleryDirection direction) {
    std::error_code error;
    if (!fs::exists(direction.trans_net, error)) {
      findings_.notes.push_back(fmt::format("The maps of {}: its Trans-Net {} is not there.",
                                            direction.name, direction.trans_net));
      return;
    }
    directions_.push_back(std::move(direction));
  }

  void add_variance(const Finding& finding) {
    const RunOptions run = options_of(findings_, finding.folder);
    const std::string trans_net = run.path("weights");
    if (trans_net.empty()) return;  // of an orders file
    const std::string a = describe_network(finding.json.value("a", Json::object()));
    const std::string b = describe_network(finding.json.value("b", Json::object()));
    GalleryDirection direction = direction_of(run, finding.name, trans_net, a, b);
    direction.channels = finding.json.value("channels", Json());
    direction.images = "all images that were measured";
    add(std::move(direction));
  }

  // A run of concord-transnet that nobody measured: its own features, of the images to train on
  // unless others are given.
  void add_trans_net(const Finding& finding) {
    if (text_of(finding.json, "program") != "concord-transnet") return;
    const std::string file = (finding.folder / "last.safetensors").string();
    std::error_code error;
    for (const GalleryDirection& known : directions_) {
      const fs::path trans_net(known.trans_net);
      if (fs::equivalent(trans_net.parent_path(), finding.folder, error)) return;
    }
    if (!fs::exists(file, error)) return;  // it has not come to the end of an epoch
    const RunOptions run = options_of(findings_, finding.folder);
    GalleryDirection direction = direction_of(run, finding.name, file, "", "");
    const std::string val_a = run.path("val-features-a");
    const std::string val_b = run.path("val-features-b");
    if (!val_a.empty() && !val_b.empty()) {
      direction.from.store = val_a;
      direction.to.store = val_b;
    }
    add(std::move(direction));
  }

  // Trans-Nets between two networks, each by its file, that a program left in folders of its own.
  void add_between(const Finding& finding, const RunOptions& run, const GallerySide& from,
                   const GallerySide& to, const std::string& folder, const Json& report) {
    add({.name = finding.name,
         .trans_net = (finding.folder / folder / "last.safetensors").string(),
         .norms = norms_of(run),
         .from = from,
         .to = to,
         .data = run.path("data"),
         .image_size = run.whole("image-size"),
         .split = "",
         .channels = report.value("channels", Json()),
         .images = "all images that were measured"});
  }

  void add_diagnosis(const Finding& finding) {
    const RunOptions run = options_of(findings_, finding.folder);
    const auto side = [&](const char* name) {
      const Json& network = finding.json.at(name);
      return GallerySide{"", run.paths.now(text_of(network, "weights")), text_of(network, "layer"),
                         fmt::format("{}: {}", name, describe_network(network))};
    };
    add_between(finding, run, side("strong"), side("weak"), "strong-to-weak",
                finding.json.at("unreliable"));
    add_between(finding, run, side("weak"), side("strong"), "weak-to-strong",
                finding.json.at("blind-spots"));
  }

  void add_compression(const Finding& finding) {
    if (!finding.json.contains("original_from_compressed")) return;
    const RunOptions run = options_of(findings_, finding.folder);
    const std::string layer = text_of(finding.json, "layer");
    const GallerySide original = {"", run.path("weights"), layer, "original at " + layer};
    const GallerySide compressed = {"", (finding.folder / "compressed.safetensors").string(), layer,
                                    "compressed at " + layer};
    add_between(finding, run, compressed, original, "compressed-to-original",
                finding.json.at("original_from_compressed"));
    add_between(finding, run, original, compressed, "original-to-compressed",
                finding.json.at("compressed_from_original"));
  }

  void add_generations(const Finding& finding) {
    const Json consistency = finding.json.value("consistency", Json());
    if (!consistency.is_object()) return;
    const RunOptions run = options_of(findings_, finding.folder);
    const std::string layer = text_of(consistency, "layer");
    const auto side = [&](int number) {
      const Json& generation = finding.json.at("generations").at(static_cast<std::size_t>(number));
      return GallerySide{"", run.paths.now(text_of(generation, "weights")), layer,
                         fmt::format("generation {}", number)};
    };
    for (const Json& pair : consistency.at("pairs")) {
      const int from = pair.at("from").get<int>();
      const int to = pair.at("to").get<int>();
      add_between(finding, run, side(from), side(to),
                  fmt::format("generation-{}-to-generation-{}", from, to), pair);
    }
  }

  Findings& findings_;
  std::vector<GalleryDirection> directions_;
};

}  // namespace

std::vector<GalleryDirection> plan_gallery(Findings& findings) { return Plan(findings).make(); }

}  // namespace concord::report
