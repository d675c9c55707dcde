#include "tools/report/gallery_sources.h"

#include <fmt/core.h>

#include <algorithm>
#include <filesystem>

#include "analysis/channel_variance.h"
#include "tools/common/chosen_images.h"
#include "tools/common/interrupt.h"
#include "tools/common/terminal.h"
#include "tools/common/trans_net_file.h"
#include "tools/report/channel_ranking.h"

namespace concord::report {
namespace fs = std::filesystem;

namespace {

// `count` of the numbers below `size`, evenly apart.
std::vector<std::int64_t> spread(std::int64_t count, std::int64_t size) {
  std::vector<std::int64_t> chosen;
  count = std::min(count, size);
  for (std::int64_t i = 0; i < count; ++i) chosen.push_back((2 * i + 1) * size / (2 * count));
  return chosen;
}

class Reader {
 public:
  Reader(const GalleryOptions& options, Findings& findings)
      : options_(options), findings_(findings) {}

  GallerySources read(const std::vector<GalleryDirection>& directions, tool::Progress& progress) {
    std::int64_t done = 0;
    for (const GalleryDirection& direction : directions) {
      open(direction);
      progress.update(++done);
    }
    for (GalleryNetwork& network : sources_.networks)
      if (network.energy.empty()) {
        ChannelVariance variance;
        variance.add(network.features.maps);
        network.energy = variance.channels();
      }
    return std::move(sources_);
  }

 private:
  void open(const GalleryDirection& direction) {
    tool::stop_if_interrupted();
    try {
      tool::SavedTransNet saved = tool::load_trans_net(direction.trans_net, direction.norms);
      const std::size_t from = network_of(direction.from, direction);
      const std::size_t to = network_of(direction.to, direction);
      const GalleryFeatures& a = sources_.networks[from].features;
      const GalleryFeatures& b = sources_.networks[to].features;
      check(a.size == b.size && a.images == b.images && a.names == b.names,
            "A's features are of other images than B's ({} and {} images)", a.size, b.size);
      tool::check_fits(*saved.net, a.maps.shape(), b.maps.shape(), direction.trans_net);
      take_statistics(direction, sources_.networks[to]);
      add({&direction, std::move(saved.net), from, to});
    } catch (const tool::Interrupted&) {
      throw;
    } catch (const Error& error) {
      const std::string between =
          direction.from.words.empty() || direction.to.words.empty()
              ? ""
              : fmt::format(", {} to {}", direction.from.words, direction.to.words);
      leave_out(direction.name + between, error.what());
    }
  }

  void leave_out(const std::string& what, const std::string& why) {
    findings_.notes.push_back(fmt::format("The maps of {}: {}", what, why));
    tool::warn("the maps of {} are not shown: {}", what, why);
  }

  std::size_t network_of(const GallerySide& identity, const GalleryDirection& direction) {
    const auto choose = [&](std::int64_t size, const std::vector<std::string>& names) {
      return options_.images.empty()
                 ? spread(options_.image_count, size)
                 : tool::chosen_images(options_.images, size, names, direction.name);
    };
    const std::string images =
        identity.store.empty()
            ? fmt::format("{} {} {}", direction.data, direction.split, direction.image_size)
            : "";
    std::vector<GalleryNetwork>& networks = sources_.networks;
    for (std::size_t i = 0; i < networks.size(); ++i)
      if (networks[i].identity == identity && networks[i].images == images) return i;
    std::error_code error;
    const RunPaths paths = identity.store.empty()
                               ? RunPaths()
                               : findings_.paths_of(fs::weakly_canonical(identity.store, error));
    networks.push_back(
        {.identity = identity,
         .images = images,
         .features = read_features(identity, direction, paths, options_.device, choose),
         .energy = {}});
    return networks.size() - 1;
  }

  // The variances that the run measured over all images, where they are of these channels.
  static void take_statistics(const GalleryDirection& direction, GalleryNetwork& target) {
    if (!is_measured(direction, static_cast<std::size_t>(target.features.maps.dim(1)))) return;
    if (target.missing.empty())
      for (const RankedChannel& channel : ranked_channels(direction.channels))
        target.missing.push_back(static_cast<std::int64_t>(channel.number));
    if (target.measured || !direction.channels.contains("target")) return;
    target.energy = direction.channels["target"].get<std::vector<double>>();
    target.measured = true;
  }

  void add(GalleryTransNet added) {
    std::vector<GalleryTransNet>& all = sources_.trans_nets;
    const auto back = std::find_if(all.begin(), all.end(), [&](const GalleryTransNet& other) {
      const bool opposite =
          other.from == added.to && other.to == added.from && other.from != other.to;
      return opposite && std::none_of(all.begin(), all.end(), [&](const GalleryTransNet& third) {
               return third.pair == other.pair && third.forward != other.forward;
             });
    });
    added.pair = back == all.end() ? sources_.pairs++ : back->pair;
    added.forward = back == all.end() || !back->forward;
    all.push_back(std::move(added));
  }

  const GalleryOptions& options_;
  Findings& findings_;
  GallerySources sources_;
};

}  // namespace

bool is_measured(const GalleryDirection& direction, std::size_t channels) {
  if (!direction.channels.is_object()) return false;
  const auto fits = [&](const Json& values) {
    return values.is_array() && values.size() == channels &&
           std::all_of(values.begin(), values.end(),
                       [](const Json& value) { return value.is_number(); });
  };
  const Json orders = direction.channels.value("orders", Json());
  return fits(direction.channels.value("delta", Json())) && orders.is_array() &&
         std::all_of(orders.begin(), orders.end(), fits) &&
         (!direction.channels.contains("target") || fits(direction.channels["target"]));
}

GallerySources read_gallery(const std::vector<GalleryDirection>& directions,
                            const GalleryOptions& options, Findings& findings,
                            tool::Progress& progress) {
  return Reader(options, findings).read(directions, progress);
}

}  // namespace concord::report
