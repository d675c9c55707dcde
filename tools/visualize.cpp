// concord-visualize: feature maps, their orders and what is left, as a picture and a page.

#include <algorithm>
#include <filesystem>
#include <numeric>
#include <unordered_map>

#include "analysis/channel_variance.h"
#include "data/files.h"
#include "data/planned_set.h"
#include "data/resize.h"
#include "engine/autograd.h"
#include "engine/ops/arithmetic.h"
#include "tools/common/chosen_images.h"
#include "tools/common/feature_pairs.h"
#include "tools/common/interrupt.h"
#include "tools/common/page.h"
#include "tools/common/panel.h"
#include "tools/common/run_directory.h"
#include "tools/common/terminal.h"
#include "tools/common/trans_net_file.h"

namespace concord::tool {
namespace {

namespace fs = std::filesystem;

struct Options {
  std::string weights, features_a, features_b, data, variance, title;
  std::vector<std::string> images;
  std::string channels = "best:2";
  RunOptions run;
  DeviceOptions device;
  TransNetChoice net;
};

constexpr std::int64_t kBatch = 64;  // rows read at a time

std::vector<std::int64_t> chosen_channels(const std::string& wanted, const FeatureStore& target) {
  const std::int64_t channels = target.shape()[1];
  std::vector<std::int64_t> result;
  if (wanted.starts_with("best:")) {
    const std::int64_t count = whole_number(wanted.substr(5));
    check_usage(count > 0, "--channels {}: give best:N or indices", wanted);
    ChannelVariance variance;
    for (std::int64_t begin = 0; begin < target.size(); begin += kBatch) {
      stop_if_interrupted();
      variance.add(as_maps(target.rows(begin, std::min(target.size(), begin + kBatch))));
    }
    const std::vector<double> values = variance.channels();
    result.resize(values.size());
    std::iota(result.begin(), result.end(), 0);
    std::stable_sort(result.begin(), result.end(), [&](std::int64_t x, std::int64_t y) {
      return values[static_cast<std::size_t>(x)] > values[static_cast<std::size_t>(y)];
    });
    result.resize(static_cast<std::size_t>(std::min(count, channels)));
    return result;
  }
  for (std::size_t begin = 0; begin <= wanted.size();) {
    const std::size_t end = std::min(wanted.find(',', begin), wanted.size());
    const std::int64_t channel = whole_number(wanted.substr(begin, end - begin));
    check_usage(channel >= 0, "--channels {}: give best:N or indices", wanted);
    check(channel < channels, "--channels {}: there are channels 0 to {}", channel, channels - 1);
    result.push_back(channel);
    begin = end + 1;
  }
  return result;
}

constexpr int kPhotograph = 256;  // side in pixels

// The photographs of rows, by the names that the store has for them.
class Photographs {
 public:
  explicit Photographs(std::string data) : data_(std::move(data)) {
    if (!names_planned_set(data_)) return;
    ImageFolder folder = read_images(data_);
    const auto add = [&](ImageSet& set) {
      for (ImageSample& sample : set.samples) {
        std::string name = sample.name;
        planned_.emplace(std::move(name), std::move(sample));
      }
    };
    add(folder.train);
    if (folder.validation) add(*folder.validation);
  }

  // As a square; empty where it cannot be shown.
  Image of(const std::string& name) const {
    if (data_.empty() || name.empty()) return {};
    try {
      const auto planned = planned_.find(name);
      const Image image = planned == planned_.end() ? load_image(fs::path(data_) / name)
                                                    : load_sample(planned->second);
      return resize_bilinear(image, kPhotograph, kPhotograph);
    } catch (const Error& error) {
      warn("{}; the row is shown without its photograph", error.what());
      return {};
    }
  }

 private:
  std::string data_;
  std::unordered_map<std::string, ImageSample> planned_;
};

MapSheet make_sheet(const Options& options, TransNet& net, const FeatureStore& a,
                    const FeatureStore& b) {
  MapSheet sheet;
  const Photographs photographs(options.data);
  for (const float p : net.gates().to_vector<float>()) sheet.gates.push_back(p);
  const auto channels = chosen_channels(options.channels, b);
  for (const std::int64_t image :
       chosen_images(options.images, b.size(), b.names(), options.features_b)) {
    stop_if_interrupted();
    const Tensor maps_a = as_maps(a.rows(image, image + 1));
    const Tensor maps_b = as_maps(b.rows(image, image + 1));
    const Orders orders = net.disentangle(at_size(maps_a, maps_b.dim(2), maps_b.dim(3)));
    const Tensor delta = subtract(maps_b.to(orders.y.device()), orders.y);
    const std::string name = b.names().empty() ? "" : b.names()[static_cast<std::size_t>(image)];
    const Image photograph = photographs.of(name);
    for (const std::int64_t channel : channels) {
      MapRow row;
      row.image = name.empty() ? fmt::format("image {}", image) : name;
      row.label = fs::path(name).parent_path().filename().string();
      row.channel = channel;
      row.photograph = photograph;
      row.maps = {{maps_a, 0, channel}, {maps_b, 0, channel}, {orders.y, 0, channel}};
      for (const Tensor& order : orders.orders) row.maps.emplace_back(order, 0, channel);
      row.maps.emplace_back(delta, 0, channel);
      sheet.rows.push_back(std::move(row));
    }
  }
  return sheet;
}

PageNetwork describe(const FeatureStore& store) {
  PageNetwork network{store.info().arch, store.info().layer, store.info().weights, -1};
  if (const auto top1 = top1_of(store)) network.top1 = *top1;
  return network;
}

nlohmann::json read_variance(const std::string& file) {
  if (file.empty()) return nullptr;
  const auto bytes = read_file(file);
  auto json = nlohmann::json::parse(bytes.begin(), bytes.end(), nullptr, false);
  check(json.is_object() && json.contains("var_orders") && json.contains("share_delta"),
        "{}: is no variance.json of concord-variance", file);
  return json;
}

void visualize(const Options& options) {
  const NoGradGuard no_gradients;
  const FeatureStore a(options.features_a);
  const FeatureStore b(options.features_b);
  check_same_images(a, b);
  const SavedTransNet saved = load_trans_net(options.weights, options.net);
  saved.net->to(options.device.place);
  check_fits(*saved.net, a.shape(), b.shape(), options.weights);

  PageContent content;
  content.variance = read_variance(options.variance);
  content.a = describe(a);
  content.b = describe(b);
  content.images = b.size();
  content.sheet = make_sheet(options, *saved.net, a, b);
  content.sheet.title = options.title;
  const std::string layer = content.b.layer.empty() ? "" : " at " + content.b.layer;
  content.sheet.subtitle = content.b.name.empty()
                               ? fmt::format("features {}", b.shape().to_string())
                               : fmt::format("A: {}, B: {}{}, features {}", content.a.name,
                                             content.b.name, layer, b.shape().to_string());

  const RunDirectory directory(options.run, {"panel.png", "index.html"});
  write_png(directory.path() / "panel.png", draw_panel(content.sheet));
  write_file(directory.path() / "index.html", make_page(content));
  Table table({"rows", "picture", "page"});
  table.row({std::to_string(content.sheet.rows.size()), (directory.path() / "panel.png").string(),
             (directory.path() / "index.html").string()});
  table.print();
}

}  // namespace
}  // namespace concord::tool

int main(int argc, char** argv) {
  using namespace concord::tool;
  Options options;
  options.title = "How much of network B does network A know?";
  CommandLine line(
      {.name = "concord-visualize",
       .summary =
           "Shows feature maps, their orders and what is left, as a picture (panel.png) and a "
           "page (index.html).",
       .example =
           "  concord-visualize --weights trans-net/best.safetensors --features-a features-a \\\n"
           "      --features-b features-b --data shapes --output-dir pictures\n"
           "writes a panel of three images and the two channels that vary most.",
       .footnote = "Per row: image, A's map, B's map, y, x(0) .. x(K-1), x_delta; blue negative, "
                   "white 0, red\npositive, on one symmetric scale; below, bars of 1, p_1, p_0."});
  line.option("--weights", options.weights, "Trans-Net, a checkpoint of concord-transnet")
      ->required();
  line.option("--features-a", options.features_a, "A's features")->required();
  line.option("--features-b", options.features_b, "B's features, of the same images")->required();
  line.option("--data", options.data, "the images' folder, as given to concord-features");
  line.option("--images", options.images,
              "numbers or file names, comma-separated (default: three spread over the store)");
  line.option("--channels", options.channels,
              "numbers, comma-separated, or best:N, those whose target varies most");
  line.option("--variance", options.variance, "variance.json of concord-variance, for the page");
  line.option("--title", options.title, "of the panel and the page");
  add_output_options(line, options.run, "folder for panel.png and index.html; new or empty");
  line.app().get_option("--output-dir")->required();
  add_norm_options(line, options.net);
  add_device_options(line, options.device);
  return run_program(line, argc, argv, [&] {
    apply(options.device);
    visualize(options);
  });
}
