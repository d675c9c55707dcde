// concord-diagnose: what of a weak network's features a strong one cannot explain, and what of the
// strong one's features the weak one does not know.

#include <algorithm>

#include "data/files.h"
#include "data/resize.h"
#include "engine/autograd.h"
#include "engine/ops/arithmetic.h"
#include "tools/common/chosen_images.h"
#include "tools/common/consistency.h"
#include "tools/common/interrupt.h"
#include "tools/common/panel.h"
#include "tools/common/run_directory.h"
#include "tools/common/saved_configuration.h"
#include "tools/common/terminal.h"

namespace concord::tool {
namespace {

struct Options {
  std::string weights_strong, weights_weak, layer, layer_strong, layer_weak;
  ImageOptions images;
  ConsistencyOptions consistency;
  RunOptions run;
  DeviceOptions device;
  std::int64_t channels = 10;
  std::int64_t map_channels = 2;
  std::vector<std::string> pictures;
};

// One of the two questions.
struct Question {
  const char* key;    // of diagnose.json and of the files
  const char* name;   // of the table
  const char* title;  // of the picture
};
constexpr Question kUnreliable = {
    "unreliable", "unreliable",
    "Unreliable features: what the weak network computes and the strong one does not confirm"};
constexpr Question kBlindSpots = {
    "blind-spots", "blind spots",
    "Blind spots: what the strong network knows and the weak one does not"};

constexpr int kPhotograph = 256;  // side in pixels

class Diagnosis {
 public:
  Diagnosis(Options& options, const CommandLine& line)
      : options_(options),
        strong_saved_(load_network(options.weights_strong)),
        weak_saved_(load_network(options.weights_weak)),
        images_(prepare(options, line)),
        strong_(side(strong_saved_, options.layer_strong, "strong")),
        weak_(side(weak_saved_, options.layer_weak, "weak")),
        directory_(settled(),
                   {"config.json", "diagnose.json", "unreliable.csv", "unreliable.png",
                    "blind-spots.csv", "blind-spots.png"},
                   "strong-to-weak"),
        meter_(directory_.path(), images_, options.consistency, options.run, options.device, line) {
    directory_.write_config(line);
  }

  void run(const CommandLine& line) {
    nlohmann::ordered_json json;
    const auto describe = [](const NetworkAtLayer& side, const std::string& weights) {
      return nlohmann::ordered_json{
          {"arch", side.network->arch()}, {"layer", side.layer}, {"weights", weights}};
    };
    json["strong"] = describe(strong_, options_.weights_strong);
    json["weak"] = describe(weak_, options_.weights_weak);
    const LoaderOptions loader = loader_options(images_.options, options_.device.place);
    const auto strong_top1 = top1_on(strong_saved_, measured_on(), loader);
    const auto weak_top1 = top1_on(weak_saved_, measured_on(), loader);
    if (strong_top1) json["strong"]["top1"] = *strong_top1;
    if (weak_top1) json["weak"]["top1"] = *weak_top1;
    if (strong_top1 && weak_top1 && *strong_top1 < *weak_top1)
      warn(
          "{} recognises {:.2f} % of the images and {}, the weak one, {:.2f} %; what follows "
          "takes the first as the judge",
          options_.weights_strong, 100 * *strong_top1, options_.weights_weak, 100 * *weak_top1);
    const Consistency unreliable = meter_.measure(strong_, weak_);
    const Consistency blind = meter_.measure(weak_, strong_);
    write(kUnreliable, unreliable, strong_, weak_, json);
    write(kBlindSpots, blind, weak_, strong_, json);
    json["command"] = line.command();
    json["version"] = CONCORD_VERSION;
    write_file(directory_.path() / "diagnose.json", text_of_json(json, 2) + "\n");
    meter_.finish();
    print(unreliable.report, blind.report);
  }

 private:
  static ComparedImages prepare(Options& options, const CommandLine& line) {
    if (options.layer_strong.empty()) options.layer_strong = options.layer;
    if (options.layer_weak.empty()) options.layer_weak = options.layer;
    check_usage(!options.layer_strong.empty() && !options.layer_weak.empty(),
                "give --layer, or --layer-strong and --layer-weak");
    if (!line.given("--image-size"))
      if (const int size = saved_size(options.weights_strong); size > 0)
        options.images.image_size = size;
    options.consistency.batch_size = options.images.batch_size;
    options.run.inputs = {options.weights_strong, options.weights_weak};
    return {images_of_data(options.images.data), options.images};
  }
  static int saved_size(const std::string& weights) {
    return saved_configuration(weights).value("image_size", 0);
  }
  // On the device, after one image has gone through it: a wrong layer is known before anything is
  // written or removed.
  NetworkAtLayer side(const SavedNetwork& saved, const std::string& layer, const char* name) const {
    saved.network->to(options_.device.place);
    const NoGradGuard no_gradients;
    const int size = images_.options.image_size;
    saved.network->features(Tensor::zeros({1, 3, size, size}).to(options_.device.place), layer);
    return {saved.network, layer, name};
  }
  // What else is known to be wrong before the work begins; then what --force replaces is removed.
  const RunOptions& settled() const {
    chosen();
    penalties(options_.consistency.penalty, options_.consistency.net.orders);
    trans_net_options(options_.consistency.net, 1, 1);
    if (options_.run.force)
      remove_consistency(options_.run.output_dir, {"strong", "weak"},
                         {options_.weights_strong, options_.weights_weak});
    return options_.run;
  }
  std::vector<std::int64_t> chosen() const {
    std::vector<std::string> names;
    for (const ImageSample& sample : measured_on().samples)
      names.push_back(name_of_sample(sample, images_.options.data));
    return chosen_images(options_.pictures, static_cast<std::int64_t>(names.size()), names,
                         measured_on().root.string());
  }
  const ImageSet& measured_on() const {
    return images_.folder.validation ? *images_.folder.validation : images_.folder.train;
  }

  void write(const Question& question, const Consistency& result, const NetworkAtLayer& from,
             const NetworkAtLayer& to, nlohmann::ordered_json& json) {
    nlohmann::ordered_json report = result.report.json();
    for (const auto& channel : result.report.channels_by_share())
      report["channels_by_share"].push_back(channel.number);
    json[question.key] = std::move(report);
    const auto file = [&](const char* ending) {
      return directory_.path() / (question.key + std::string(ending));
    };
    write_file(file(".csv"), result.report.channels_csv());
    write_png(file(".png"), draw_panel(sheet(question, result, from, to)));
  }

  MapSheet sheet(const Question& question, const Consistency& result, const NetworkAtLayer& from,
                 const NetworkAtLayer& to) {
    const NoGradGuard no_gradients;
    MapSheet sheet;
    sheet.title = question.title;
    sheet.subtitle =
        fmt::format("{} network: {} at {}; {} network: {} at {}", from.name, from.network->arch(),
                    from.layer, to.name, to.network->arch(), to.layer);
    sheet.gates = result.report.gates;
    sheet.target = to.name + " network";
    sheet.input = false;
    LoaderOptions loader = loader_options(images_.options, options_.device.place);
    loader.subset = chosen();
    loader.batch_size = 1;
    Loader pictures(measured_on(), std::move(loader));
    const auto ranked = result.report.channels_by_share();
    pictures.start(0);
    for (Batch batch; pictures.next(batch);) {
      stop_if_interrupted();
      const ImageSample& sample =
          measured_on().samples[static_cast<std::size_t>(batch.indices.front())];
      const Tensor target = as_maps(to.network->features(batch.images, to.layer));
      const Tensor input = at_size(as_maps(from.network->features(batch.images, from.layer)),
                                   target.dim(2), target.dim(3));
      const Orders orders = result.net->disentangle(input);
      const Tensor delta = subtract(target, orders.y);
      const auto row_of = [&](std::int64_t channel) {
        MapRow row;
        row.image = name_of_sample(sample, images_.options.data);
        if (sample.label >= 0)
          row.label = measured_on().classes[static_cast<std::size_t>(sample.label)];
        row.channel = channel;
        row.photograph = resize_bilinear(load_sample(sample), kPhotograph, kPhotograph);
        row.maps = {{target, 0, channel}, {orders.y, 0, channel}};
        for (const Tensor& order : orders.orders) row.maps.emplace_back(order, 0, channel);
        row.maps.emplace_back(delta, 0, channel);
        sheet.rows.push_back(std::move(row));
      };
      row_of(kAllChannels);
      const auto count = std::min(ranked.size(), static_cast<std::size_t>(options_.map_channels));
      for (std::size_t i = 0; i < count; ++i) row_of(ranked[i].number);
    }
    return sheet;
  }

  void print(const VarianceReport& unreliable, const VarianceReport& blind) const {
    Table table(joined({"", "from", "to"}, unreliable.titles()));
    const auto add = [&](const Question& question, const VarianceReport& report, const char* from,
                         const char* to) {
      table.row(joined({question.name, from, to}, report.cells()));
    };
    add(kUnreliable, unreliable, "strong", "weak");
    add(kBlindSpots, blind, "weak", "strong");
    table.print();
    unreliable.warn_where_untrained();
    blind.warn_where_untrained();
    if (options_.channels == 0) return;
    write_result("\nThe weak network's least reliable channels\n");
    unreliable.print_channels(options_.channels);
    write_result("\nThe strong network's channels that the weak one knows least of\n");
    blind.print_channels(options_.channels);
  }

  Options& options_;
  SavedNetwork strong_saved_, weak_saved_;
  ComparedImages images_;
  NetworkAtLayer strong_, weak_;
  RunDirectory directory_;
  ConsistencyMeter meter_;
};

}  // namespace
}  // namespace concord::tool

int main(int argc, char** argv) {
  using namespace concord::tool;
  Options options;
  options.images.batch_size = 64;
  CommandLine line(
      {.name = "concord-diagnose",
       .summary = "Finds a weak network's unreliable features and blind spots by a strong one, "
                  "whatever the architectures, layers and sizes.",
       .example =
           "  concord-diagnose --weights-strong resnet34/best.safetensors --layer-strong layer3 "
           "\\\n"
           "      --weights-weak alexnet/best.safetensors --layer-weak conv5 --data birds \\\n"
           "      --output-dir diagnosis\n"
           "prints the share of the weak network's features that cannot be computed from the "
           "strong "
           "one's\n(unreliable) and the share of the strong one's that cannot be computed from the "
           "weak one's\n(blind spots), and the channels where they are largest. Expect blind spots "
           "to be the larger.",
       .footnote =
           "Two Trans-Nets are trained, from strong to weak and from weak to strong "
           "(strong-to-weak/, "
           "weak-to-strong/).\nThe input is brought to the target's size bilinearly and to its "
           "channels by a learnt 1x1 convolution.\ndiagnose.json has everything, *.csv every "
           "channel, *.png the maps of some images.\nChannels are ranked by the share of x_delta "
           "in "
           "their variance; those that vary less than a hundredth\nof the mean come last."});
  line.option("--weights-strong", options.weights_strong, "the strong network's checkpoint")
      .required();
  line.option("--weights-weak", options.weights_weak, "the weak network's checkpoint").required();
  line.option("--layer", options.layer, "of both networks");
  line.option("--layer-strong", options.layer_strong, "of the strong network");
  line.option("--layer-weak", options.layer_weak, "of the weak network");
  add_image_options(line, options.images,
                    "both sides in pixels, for both (default: as the strong one was trained)");
  line.at("--image-size").without_default();
  line.at("--data").required();
  add_consistency_options(line, options.consistency, "");
  line.option("--channels", options.channels, "of each list of channels that is printed",
              in_range(0, 1e6));
  line.option("--map-channels", options.map_channels,
              "channels of each image in the pictures, the first of the list", in_range(0, 1000));
  line.option("--images", options.pictures,
              "in the pictures: numbers or file names, comma-separated (default: three spread over "
              "the held-out images)");
  add_output_options(line, options.run, "folder for results and runs; must be new or empty");
  line.at("--output-dir").required();
  add_training_run_options(line, options.run, options.device);
  return run_program(line, argc, argv, [&] {
    apply(options.device);
    Diagnosis(options, line).run(line);
  });
}
