// concord-visualize: feature maps, their orders and what is left, as a picture and a page.

#include <algorithm>
#include <filesystem>

#include "analysis/channel_variance.h"
#include "data/files.h"
#include "engine/autograd.h"
#include "engine/ops/arithmetic.h"
#include "tools/common/chosen_images.h"
#include "tools/common/feature_pairs.h"
#include "tools/common/interrupt.h"
#include "tools/common/panel.h"
#include "tools/common/run_directory.h"
#include "tools/common/terminal.h"
#include "tools/common/trans_net_file.h"
#include "tools/report/channel_ranking.h"
#include "tools/report/gallery_maps.h"
#include "tools/report/page.h"
#include "tools/report/photographs.h"

namespace concord::tool {
namespace {

namespace fs = std::filesystem;

struct Options {
  std::string weights, features_a, features_b, data, variance, title;
  std::vector<std::string> report;
  std::vector<std::string> images;
  std::string channels;
  double max_size_mb = 15;
  RunOptions run;
  DeviceOptions device;
  TransNetChoice net;
};

constexpr std::int64_t kBatch = 64;  // rows read at a time

std::vector<std::int64_t> chosen_channels(const std::string& text, const FeatureStore& target) {
  const std::int64_t channels = target.shape()[1];
  const report::WantedChannels wanted(text);
  if (wanted.listed) {
    for (const std::int64_t channel : *wanted.listed)
      check(channel < channels, "--channels {}: there are channels 0 to {}", channel, channels - 1);
    return *wanted.listed;
  }
  ChannelVariance variance;
  for (std::int64_t begin = 0; begin < target.size(); begin += kBatch) {
    stop_if_interrupted();
    variance.add(as_maps(target.rows(begin, std::min(target.size(), begin + kBatch))));
  }
  std::vector<std::int64_t> result = report::ranked_by(variance.channels());
  result.resize(static_cast<std::size_t>(std::min(wanted.count, channels)));
  return result;
}

MapSheet make_sheet(const Options& options, TransNet& net, const FeatureStore& a,
                    const FeatureStore& b) {
  MapSheet sheet;
  report::Photographs photographs(options.data);
  for (const float p : net.gates().to_vector<float>()) sheet.gates.push_back(p);
  const auto channels = chosen_channels(options.channels.empty() ? "best:2" : options.channels, b);
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

report::PageOptions page_options(const Options& options) {
  report::PageOptions page;
  page.title = options.title;
  page.gallery.images = options.images;
  if (!options.channels.empty()) page.gallery.channels = options.channels;
  page.gallery.device = options.device.place;
  page.max_bytes = static_cast<std::int64_t>(options.max_size_mb * 1e6);
  return page;
}

// variance.json as something that was found; nothing where none is given.
void add_variance(report::Findings& findings, const std::string& file) {
  if (file.empty()) return;
  const auto bytes = read_file(file);
  auto json = report::Json::parse(bytes.begin(), bytes.end(), nullptr, false);
  check(json.is_object() && json.contains("var_orders") && json.contains("share_delta"),
        "{}: is no variance.json of concord-variance", file);
  const fs::path folder = fs::absolute(file).parent_path();
  findings.variances.push_back(
      {folder.filename().string(), folder, fs::path(file).filename().string(), std::move(json)});
}

void write_page(const fs::path& file, report::Findings& findings,
                const std::vector<report::GalleryDirection>& gallery,
                const report::PageOptions& options) {
  const std::string page = report::make_page(findings, gallery, options);
  write_file(file, page);
  const double megabytes = static_cast<double>(page.size()) / 1e6;
  if (static_cast<std::int64_t>(page.size()) > options.max_bytes)
    warn("{}: {:.2f} MB, more than --max-size {:.2f}: the page takes that without any map",
         file.string(), megabytes, static_cast<double>(options.max_bytes) / 1e6);
  else
    note("{}: {:.2f} MB", file.string(), megabytes);
}

// One Trans-Net and two stores: a picture and a page of it.
void show_trans_net(const Options& options) {
  const NoGradGuard no_gradients;
  const FeatureStore a(options.features_a);
  const FeatureStore b(options.features_b);
  check_same_images(a, b);
  const SavedTransNet saved = load_trans_net(options.weights, options.net);
  saved.net->to(options.device.place);
  check_fits(*saved.net, a.shape(), b.shape(), options.weights);
  report::Findings findings;
  add_variance(findings, options.variance);

  MapSheet sheet = make_sheet(options, *saved.net, a, b);
  sheet.title = options.title;
  const std::string layer = b.info().layer.empty() ? "" : " at " + b.info().layer;
  sheet.subtitle = b.info().arch.empty() ? fmt::format("features {}", b.shape().to_string())
                                         : fmt::format("A: {}, B: {}{}, features {}", a.info().arch,
                                                       b.info().arch, layer, b.shape().to_string());

  const RunDirectory directory(options.run, {"panel.png", "index.html"});
  const fs::path picture = directory.path() / "panel.png";
  const fs::path page = directory.path() / "index.html";
  write_png(picture, draw_panel(sheet));
  const auto words = [](const FeatureStore& store, const char* other) {
    const std::string text =
        store.info().arch + (store.info().layer.empty() ? "" : " at ") + store.info().layer;
    return text.empty() ? std::string(other) : text;
  };
  report::GalleryDirection direction;
  direction.name = fs::path(options.weights).parent_path().filename().string();
  direction.trans_net = options.weights;
  direction.norms = options.net;
  direction.from = {options.features_a, "", "", words(a, "network A")};
  direction.to = {options.features_b, "", "", words(b, "network B")};
  direction.data = options.data;
  if (!findings.variances.empty()) {
    direction.channels = findings.variances.front().json.value("channels", report::Json());
    direction.images = "all images that were measured";
  }
  report::PageOptions content = page_options(options);
  content.picture = "panel.png";
  write_page(page, findings, {direction}, content);
  Table table({"rows", "picture", "page"});
  table.row({std::to_string(sheet.rows.size()), picture.string(), page.string()});
  table.print();
}

// Everything that lies in the folders: a page.
void show_folders(const Options& options) {
  report::WantedChannels(page_options(options).gallery.channels);  // before anything is read
  report::Findings findings = report::find(options.report);
  const RunDirectory directory(options.run, {"index.html"});
  const fs::path page = directory.path() / "index.html";
  write_page(page, findings, report::plan_gallery(findings), page_options(options));
  Table table({"runs", "left out", "page"});
  table.row({std::to_string(findings.configs.size()),
             std::to_string(findings.damages.size() + findings.notes.size()), page.string()});
  table.print();
}

void visualize(const Options& options, const CommandLine& line) {
  if (!options.report.empty()) {
    line.refuse({"--weights", "--features-a", "--features-b", "--data", "--variance",
                 "--input-norm", "--affine", "--stage-norm"},
                "does not apply to --report, which finds them itself");
    return show_folders(options);
  }
  check_usage(
      !options.weights.empty() && !options.features_a.empty() && !options.features_b.empty(),
      "give --report with folders, or --weights, --features-a and --features-b");
  show_trans_net(options);
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
           "Shows what was measured: a report of any runs as one page (--report), or the feature "
           "maps of one Trans-Net, their orders and what is left, as a picture and a page.",
       .example =
           "  concord-visualize --report small --output-dir small-report\n"
           "writes small-report/index.html: tables, curves and a gallery of the maps of every "
           "run\nunder small/, in one file that opens in a browser without a network.\n"
           "  concord-visualize --weights trans-net/best.safetensors --features-a features-a \\\n"
           "      --features-b features-b --data shapes --output-dir pictures\n"
           "writes a picture (panel.png) of three images and the two channels that vary most, and "
           "a page\n(index.html) of 20 images and 64 channels.",
       .footnote = "Per row: image, A's map, B's map, y, x(0) .. x(K-1), x_delta; blue negative, "
                   "white 0, red\npositive, on one symmetric scale; below, bars of 1, p_1, p_0.\n"
                   "In the page maps have 8 bits a value; it says how exact that is."});
  line.option("--report", options.report,
              "folders with outputs of any of Concord's programs, finished or not, and folders of "
              "such; comma-separated");
  line.option("--weights", options.weights, "Trans-Net, a checkpoint of concord-transnet");
  line.option("--features-a", options.features_a, "A's features");
  line.option("--features-b", options.features_b, "B's features, of the same images");
  line.option("--data", options.data, "the images' folder, as given to concord-features");
  line.option("--images", options.images,
              "numbers or file names, comma-separated (default: spread over the store, three in "
              "the picture, 20 in the page)");
  line.option("--channels", options.channels,
              "numbers, comma-separated, or best:N, those whose target varies most (default: "
              "best:2 in the picture, best:64 in the page)");
  line.option("--max-size", options.max_size_mb,
              "of the page, in MB; beyond it fewer channels, images and Trans-Nets are shown",
              in_range(0.1, 2000));
  line.option("--variance", options.variance, "variance.json of concord-variance, for the page");
  line.option("--title", options.title, "of the picture and the page");
  add_output_options(line, options.run, "folder for index.html and panel.png; new or empty");
  line.at("--output-dir").required();
  add_norm_options(line, options.net);
  add_device_options(line, options.device);
  return run_program(line, argc, argv, [&] {
    apply(options.device);
    visualize(options, line);
  });
}
