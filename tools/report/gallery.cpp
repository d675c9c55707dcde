#include "tools/report/gallery.h"

#include <fmt/core.h>

#include <algorithm>
#include <filesystem>
#include <map>

#include "engine/autograd.h"
#include "tools/common/feature_maps.h"
#include "tools/common/interrupt.h"
#include "tools/common/progress.h"
#include "tools/common/terminal.h"
#include "tools/report/gallery_maps.h"
#include "tools/report/photographs.h"

namespace concord::report {
namespace fs = std::filesystem;

namespace {

constexpr int kPhotographQuality = 85;

Json rounded(const std::vector<double>& values, const std::vector<std::int64_t>& channels) {
  Json json = Json::array();
  for (const std::int64_t channel : channels)
    json.push_back(six_digits(values[static_cast<std::size_t>(channel)]));
  return json;
}

// The pictures of the page, each once.
class Photos {
 public:
  // The numbers in the page of the first images of a network.
  Json numbers(const GalleryNetwork& network, std::int64_t first_images) {
    Json numbers = Json::array();
    const GalleryFeatures& features = network.features;
    for (std::int64_t image = 0; image < first_images; ++image) {
      const std::string& name = features.names[static_cast<std::size_t>(image)];
      const std::int64_t number = features.images[static_cast<std::size_t>(image)];
      const std::string key = name.empty() ? fmt::format("{} {}", network.identity.store, number)
                                           : features.data + "\n" + name;
      const auto [known, added] = numbers_.try_emplace(key, json_.size());
      numbers.push_back(known->second);
      if (added) json_.push_back(photo(key, features.data, name, number));
    }
    return numbers;
  }
  // Begins a page anew.
  void clear() {
    numbers_.clear();
    json_ = Json::array();
  }
  const Json& json() const { return json_; }

 private:
  const Json& photo(const std::string& key, const std::string& data, const std::string& name,
                    std::int64_t number) {
    if (const auto known = read_.find(key); known != read_.end()) return known->second;
    auto [photographs, fresh] = photographs_.try_emplace(data, data);
    const Image photograph = photographs->second.of(name);
    const std::string picture =
        photograph.width == 0
            ? ""
            : "data:image/jpeg;base64," + base64(encode_jpeg(photograph, kPhotographQuality));
    return read_[key] = {{"name", name.empty() ? fmt::format("image {}", number) : name},
                         {"label", fs::path(name).parent_path().filename().string()},
                         {"picture", picture}};
  }

  std::map<std::string, Photographs> photographs_;
  std::map<std::string, Json> read_;
  std::map<std::string, std::size_t> numbers_;
  Json json_ = Json::array();
};

class Gallery {
 public:
  Gallery(const GalleryOptions& options, Findings& findings)
      : options_(options), findings_(findings), wanted_(options.channels) {}

  std::string make(const std::vector<GalleryDirection>& directions, std::int64_t bytes) {
    const NoGradGuard no_gradients;
    const auto count = static_cast<std::int64_t>(directions.size());
    tool::Progress progress("maps", 2 * count, "Trans-Nets");
    sources_ = read_gallery(directions, options_, findings_, progress);
    if (sources_.trans_nets.empty()) return "";
    tell_where_no_channel_is_listed();
    amount_ = {most_images(), wanted_.count};
    const GalleryAmount whole = amount_;
    const std::size_t all = sources_.trans_nets.size();
    // More than could be shown even if the maps are mostly zeros is not computed.
    constexpr double kPacked = 4;
    while (!sources_.trans_nets.empty() && values() > kPacked * static_cast<double>(bytes))
      take_less(kPacked * static_cast<double>(bytes) / values());
    std::int64_t done = count;
    for (const GalleryTransNet& trans_net : sources_.trans_nets) {
      parts_.push_back(trans_net_maps(trans_net, sources_, wanted_, amount_, options_.device));
      progress.update(++done);
    }
    for (const GalleryNetwork& network : sources_.networks)
      maps_.push_back(network_maps(network, wanted_, amount_));
    std::string page;
    while (!sources_.trans_nets.empty()) {
      tool::stop_if_interrupted();
      page = text();
      const auto size = static_cast<std::int64_t>(page.size());
      if (size <= bytes) break;
      page.clear();
      take_less(static_cast<double>(bytes) / static_cast<double>(size));
    }
    tell_what_is_missing(whole, all);
    return page;
  }

 private:
  std::int64_t most_images() const {
    std::int64_t most = 0;
    for (const GalleryTransNet& trans_net : sources_.trans_nets)
      most = std::max(most, sources_.networks[trans_net.to].features.maps.dim(0));
    return most;
  }

  // How many the Trans-Nets' parts have.
  double values() const {
    double sum = 0;
    for (const GalleryTransNet& trans_net : sources_.trans_nets) {
      const Tensor& maps = sources_.networks[trans_net.to].features.maps;
      const std::int64_t count = std::min(amount_.images, maps.dim(0)) *
                                 std::min(amount_.channels, maps.dim(1)) * maps.dim(2) *
                                 maps.dim(3);
      sum += static_cast<double>(count) * static_cast<double>(trans_net.orders() + 1);
    }
    return sum;
  }

  // Fewer channels first, about `part` of them, then fewer images, then fewer Trans-Nets.
  void take_less(double part) {
    constexpr std::int64_t kFewChannels = 16;
    constexpr std::int64_t kFewImages = 6;
    const auto less = [&](std::int64_t count, std::int64_t least) {
      return std::clamp(static_cast<std::int64_t>(part * static_cast<double>(count)), least,
                        count - 1);
    };
    if (amount_.channels > kFewChannels)
      amount_.channels = less(amount_.channels, kFewChannels);
    else if (amount_.images > kFewImages)
      amount_.images = less(amount_.images, kFewImages);
    else if (sources_.trans_nets.size() > 1)
      drop_last();
    else if (amount_.channels > 1)
      amount_.channels = less(amount_.channels, 1);
    else if (amount_.images > 1)
      amount_.images = less(amount_.images, 1);
    else
      drop_last();
  }

  void drop_last() {
    sources_.trans_nets.pop_back();
    if (parts_.size() > sources_.trans_nets.size()) parts_.pop_back();
  }

  void tell_what_is_missing(const GalleryAmount& whole, std::size_t trans_nets) {
    const std::size_t dropped = trans_nets - sources_.trans_nets.size();
    if (amount_.channels == whole.channels && amount_.images == whole.images && dropped == 0)
      return;
    if (sources_.trans_nets.empty())
      return tell(
          "The page would have been larger than its limit with any map, so that it has no gallery. "
          "--max-size sets the limit.");
    tell(fmt::format(
        "The page would have been larger than its limit: the gallery has {} of {} channels, {} of "
        "{} images{}. --max-size sets the limit.",
        amount_.channels, whole.channels, amount_.images, whole.images,
        dropped == 0 ? ""
                     : fmt::format(", and {} Trans-Net{} less", dropped, dropped > 1 ? "s" : "")));
  }

  void tell_where_no_channel_is_listed() {
    if (!wanted_.listed) return;
    const std::int64_t least = *std::min_element(wanted_.listed->begin(), wanted_.listed->end());
    for (const GalleryNetwork& network : sources_.networks)
      if (const std::int64_t channels = network.features.maps.dim(1); least >= channels)
        tell(fmt::format(
            "--channels {}: {} has channels 0 to {}; those of it that vary most are shown.",
            options_.channels, network.features.words, channels - 1));
  }

  void tell(const std::string& note) {
    findings_.notes.push_back(note);
    tool::write_note(note);
  }

  // The gallery's data with what amount_ has room for.
  std::string text() {
    photos_.clear();
    side_numbers_.clear();
    blocks_.clear();
    sides_ = Json::array();
    Json directions = Json::array();
    for (std::size_t i = 0; i < sources_.trans_nets.size(); ++i)
      directions.push_back(direction_json(i));
    const Json json = {{"digits", kBase85}, {"palette", palette()}, {"photos", photos_.json()},
                       {"pairs", pairs()},  {"sides", sides_},      {"directions", directions}};
    return "<script type=\"application/json\" id=\"gallery-data\">" + script_json(json) +
           "</script>\n" + blocks_;
  }

  static Json palette() {
    Json json = Json::array();
    for (int i = -5; i <= 5; ++i) {
      const tool::Colour colour = tool::diverging(i / 5.0);
      json.push_back({colour.red, colour.green, colour.blue});
    }
    return json;
  }

  Json pairs() const {
    Json json = Json::array();
    for (std::size_t pair = 0; pair < sources_.pairs; ++pair)
      for (const GalleryTransNet& trans_net : sources_.trans_nets)
        if (trans_net.pair == pair && trans_net.forward)
          json.push_back({{"name", trans_net.direction->name},
                          {"a", sources_.networks[trans_net.from].features.words},
                          {"b", sources_.networks[trans_net.to].features.words}});
    return json;
  }

  Json direction_json(std::size_t number) {
    const GalleryTransNet& trans_net = sources_.trans_nets[number];
    const GalleryNetwork& target = sources_.networks[trans_net.to];
    const TransNetMaps& maps = parts_[number];
    const std::vector<std::int64_t> channels = wanted_.of(target, amount_.channels);
    const std::string id = fmt::format("maps-{}", number);
    add_block(id, maps.parts, channels);
    const std::size_t from = side_number(trans_net.from);
    const std::size_t to = side_number(trans_net.to);
    const std::int64_t images = std::min(amount_.images, maps.parts.images);
    return {{"name", trans_net.direction->name},
            {"pair", trans_net.pair},
            {"forward", trans_net.forward},
            {"from", from},
            {"to", to},
            {"photos", photos_.numbers(target, images)},
            {"orders", trans_net.orders()},
            {"gates", maps.gates},
            {"variance", variance_json(*trans_net.direction, target, maps, channels)},
            {"block", id}};
  }

  void add_block(const std::string& id, const GalleryMaps& maps,
                 const std::vector<std::int64_t>& channels) {
    const std::vector<std::size_t> numbers = maps.numbers(amount_.images, channels);
    blocks_ += fmt::format(
        "<script type=\"text/plain\" id=\"{0}\">{1}</script>\n"
        "<script type=\"text/plain\" id=\"{0}-steps\">{2}</script>\n",
        id, maps.maps.values_text(numbers), maps.maps.steps_text(numbers));
  }

  std::size_t side_number(std::size_t index) {
    const auto [known, added] = side_numbers_.try_emplace(index, sides_.size());
    if (!added) return known->second;
    const GalleryNetwork& network = sources_.networks[index];
    const Tensor& maps = network.features.maps;
    const std::vector<std::int64_t> channels = wanted_.of(network, amount_.channels);
    const std::string id = fmt::format("side-{}", sides_.size());
    add_block(id, maps_[index], channels);
    sides_.push_back({{"words", network.features.words},
                      {"channels", channels},
                      {"of", maps.dim(1)},
                      {"height", maps.dim(2)},
                      {"width", maps.dim(3)},
                      {"energy", rounded(network.energy, channels)},
                      {"block", id}});
    return known->second;
  }

  static Json variance_json(const GalleryDirection& direction, const GalleryNetwork& target,
                            const TransNetMaps& maps, const std::vector<std::int64_t>& channels) {
    const std::size_t orders = maps.variances.size() - 1;
    const Json& known = direction.channels;
    const bool measured =
        is_measured(direction, static_cast<std::size_t>(target.features.maps.dim(1))) &&
        known["orders"].size() == orders;
    const auto values = [&](const Json& over_all, std::size_t part) {
      return rounded(measured ? over_all.get<std::vector<double>>() : maps.variances[part],
                     channels);
    };
    Json json = {
        {"over", measured ? direction.images : fmt::format("{} of the images", maps.parts.images)},
        {"orders", Json::array()}};
    for (std::size_t k = 0; k < orders; ++k)
      json["orders"].push_back(values(measured ? known["orders"][k] : Json(), k));
    json["delta"] = values(measured ? known["delta"] : Json(), orders);
    return json;
  }

  const GalleryOptions& options_;
  Findings& findings_;
  const WantedChannels wanted_;
  GallerySources sources_;
  GalleryAmount amount_;
  std::vector<TransNetMaps> parts_;  // of each Trans-Net
  std::vector<GalleryMaps> maps_;    // of each network
  Photos photos_;
  std::map<std::size_t, std::size_t> side_numbers_;
  Json sides_;
  std::string blocks_;
};

}  // namespace

std::string make_gallery(const std::vector<GalleryDirection>& directions,
                         const GalleryOptions& options, std::int64_t bytes, Findings& findings) {
  return Gallery(options, findings).make(directions, bytes);
}

}  // namespace concord::report
