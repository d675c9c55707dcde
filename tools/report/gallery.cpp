#include "tools/report/gallery.h"

#include <fmt/core.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <optional>

#include "analysis/channel_variance.h"
#include "engine/autograd.h"
#include "engine/ops/arithmetic.h"
#include "tools/common/chosen_images.h"
#include "tools/common/feature_maps.h"
#include "tools/common/feature_pairs.h"
#include "tools/common/interrupt.h"
#include "tools/common/progress.h"
#include "tools/common/terminal.h"
#include "tools/common/trans_net_file.h"
#include "tools/report/channel_ranking.h"
#include "tools/report/encoded_maps.h"
#include "tools/report/gallery_features.h"
#include "tools/report/photographs.h"

namespace concord::report {
namespace fs = std::filesystem;

namespace {

// What a direction's facts take beside its maps: names, variances of the channels that are shown.
constexpr std::int64_t kFactBytes = 24 << 10;
constexpr int kPhotographQuality = 85;

std::vector<std::int64_t> spread(std::int64_t count, std::int64_t size) {
  std::vector<std::int64_t> chosen;
  count = std::min(count, size);
  for (std::int64_t i = 0; i < count; ++i) chosen.push_back((2 * i + 1) * size / (2 * count));
  return chosen;
}

// The wanted channels by number; absent for best:N, of which `count` is N.
std::optional<std::vector<std::int64_t>> listed_channels(const std::string& wanted,
                                                         std::int64_t& count) {
  if (wanted.starts_with("best:")) {
    count = tool::whole_number(wanted.substr(5));
    tool::check_usage(count > 0, "--channels {}: give best:N or indices", wanted);
    return {};
  }
  std::vector<std::int64_t> numbers;
  for (std::size_t begin = 0; begin <= wanted.size();) {
    const std::size_t end = std::min(wanted.find(',', begin), wanted.size());
    numbers.push_back(tool::whole_number(wanted.substr(begin, end - begin)));
    tool::check_usage(numbers.back() >= 0, "--channels {}: give best:N or indices", wanted);
    begin = end + 1;
  }
  count = static_cast<std::int64_t>(numbers.size());
  return numbers;
}

std::vector<double> variances_of(const Tensor& maps) {
  ChannelVariance variance;
  variance.add(maps);
  return variance.channels();
}

Json rounded(const std::vector<double>& values, const std::vector<std::int64_t>& channels) {
  Json json = Json::array();
  for (const std::int64_t channel : channels)
    json.push_back(six_digits(values[static_cast<std::size_t>(channel)]));
  return json;
}

// One network on some images.
struct Side {
  GallerySide identity;
  std::string images;  // on which its features are computed; empty of a store
  GalleryFeatures features;
  std::vector<double> energy;  // variance of each channel
  bool measured = false;       // over all images, not those that are shown alone
  // Channels as they are ranked as a target (channel_ranking.h); empty where that was not measured.
  std::vector<std::int64_t> missing = {};
  std::vector<std::int64_t> channels;
  std::size_t number = 0;  // in the page
};

// A direction whose Trans-Net and features have been read.
struct Ready {
  const GalleryDirection* direction = nullptr;
  std::unique_ptr<TransNet> net;
  std::size_t from = 0, to = 0;  // into sides
  std::size_t pair = 0;
  bool forward = true;
};

class Gallery {
 public:
  Gallery(const GalleryOptions& options, Findings& findings)
      : options_(options), findings_(findings) {
    listed_ = listed_channels(options.channels, channel_count_);
  }

  std::string make(const std::vector<GalleryDirection>& directions, std::int64_t bytes) {
    const NoGradGuard no_gradients;
    tool::Progress progress("maps", 2 * static_cast<std::int64_t>(directions.size()), "Trans-Nets");
    std::int64_t done = 0;
    for (const GalleryDirection& direction : directions) {
      open(direction);
      progress.update(++done);
    }
    if (ready_.empty()) return "";
    for (Side& side : sides_)
      if (side.energy.empty()) side.energy = variances_of(side.features.maps);
    image_count_ = most_images();
    fit(bytes);
    if (ready_.empty()) return "";
    for (Side& side : sides_) choose_channels(side);
    for (const Ready& ready : ready_) {
      tool::stop_if_interrupted();
      add_direction(ready);
      progress.update(++done);
    }
    return text();
  }

 private:
  void leave_out(const std::string& what, const std::string& why) {
    findings_.notes.push_back(fmt::format("The maps of {}: {}", what, why));
    tool::warn("the maps of {} are not shown: {}", what, why);
  }

  void open(const GalleryDirection& direction) {
    tool::stop_if_interrupted();
    try {
      tool::SavedTransNet saved = tool::load_trans_net(direction.trans_net, direction.norms);
      const std::size_t from = side_of(direction.from, direction);
      const std::size_t to = side_of(direction.to, direction);
      const GalleryFeatures& a = sides_[from].features;
      const GalleryFeatures& b = sides_[to].features;
      check(a.size == b.size && a.images == b.images && a.names == b.names,
            "A's features are of other images than B's ({} and {} images)", a.size, b.size);
      tool::check_fits(*saved.net, a.maps.shape(), b.maps.shape(), direction.trans_net);
      take_statistics(direction, sides_[to]);
      saved.net->to(options_.device);
      add_ready({&direction, std::move(saved.net), from, to});
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

  std::size_t side_of(const GallerySide& identity, const GalleryDirection& direction) {
    const auto choose = [&](std::int64_t size, const std::vector<std::string>& names) {
      return options_.images.empty()
                 ? spread(options_.image_count, size)
                 : tool::chosen_images(options_.images, size, names, direction.name);
    };
    const std::string images =
        identity.store.empty()
            ? fmt::format("{} {} {}", direction.data, direction.split, direction.image_size)
            : "";
    for (std::size_t i = 0; i < sides_.size(); ++i)
      if (sides_[i].identity == identity && sides_[i].images == images) return i;
    std::error_code error;
    const RunPaths paths = identity.store.empty()
                               ? RunPaths()
                               : findings_.paths_of(fs::weakly_canonical(identity.store, error));
    sides_.push_back(
        {.identity = identity,
         .images = images,
         .features = read_features(identity, direction, paths, options_.device, choose),
         .energy = {},
         .channels = {}});
    return sides_.size() - 1;
  }

  // The variances that the run measured over all images, where they are of these channels.
  static void take_statistics(const GalleryDirection& direction, Side& side) {
    const auto channels = static_cast<std::size_t>(side.features.maps.dim(1));
    if (!is_measured(direction, channels)) return;
    if (side.missing.empty())
      for (const RankedChannel& channel : ranked_channels(direction.channels))
        side.missing.push_back(static_cast<std::int64_t>(channel.number));
    if (side.measured || !direction.channels.contains("target")) return;
    side.energy = direction.channels["target"].get<std::vector<double>>();
    side.measured = true;
  }

  static bool is_measured(const GalleryDirection& direction, std::size_t channels) {
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

  // Two networks and up to one Trans-Net of each direction are a pair.
  void add_ready(Ready ready) {
    for (const Ready& other : ready_)
      if (other.from == ready.to && other.to == ready.from && other.from != other.to) {
        const bool taken = std::any_of(ready_.begin(), ready_.end(), [&](const Ready& third) {
          return third.pair == other.pair && third.forward != other.forward;
        });
        if (taken) continue;
        ready.pair = other.pair;
        ready.forward = !other.forward;
        ready_.push_back(std::move(ready));
        return;
      }
    ready.pair = pair_count_++;
    ready_.push_back(std::move(ready));
  }

  std::int64_t most_images() const {
    std::int64_t most = 0;
    for (const Ready& ready : ready_) most = std::max(most, sides_[ready.to].features.maps.dim(0));
    return most;
  }

  // Bytes of the page with so many images and channels of each side.
  std::int64_t size_with(std::int64_t images, std::int64_t channels) const {
    std::int64_t bytes = 0;
    std::vector<bool> shown(sides_.size());
    const auto taken = [&](std::size_t i) {
      const Tensor& maps = sides_[i].features.maps;
      return std::pair{std::min(images, maps.dim(0)) * std::min(channels, maps.dim(1)),
                       maps.dim(2) * maps.dim(3)};
    };
    for (const Ready& ready : ready_) {
      shown[ready.from] = shown[ready.to] = true;
      const auto [maps, pixels] = taken(ready.to);
      bytes +=
          EncodedMaps::text_bytes(maps * (ready.net->options().orders + 2), pixels) + kFactBytes;
    }
    for (std::size_t i = 0; i < sides_.size(); ++i)
      if (shown[i]) bytes += EncodedMaps::text_bytes(taken(i).first, taken(i).second);
    return bytes;
  }

  // Fewer channels first, then fewer images, then fewer Trans-Nets.
  void fit(std::int64_t bytes) {
    const std::int64_t channels = channel_count_;
    const std::int64_t images = image_count_;
    // A photograph of 256 pixels takes some 20 KB as a JPEG.
    const auto size = [&] {
      return size_with(image_count_, channel_count_) + image_count_ * photograph_sets() * 40000;
    };
    std::size_t dropped = 0;
    while (!ready_.empty() && size() > bytes) {
      if (channel_count_ > 16)
        channel_count_ = std::max<std::int64_t>(16, channel_count_ * 3 / 4);
      else if (image_count_ > 6)
        image_count_ = std::max<std::int64_t>(6, image_count_ * 3 / 4);
      else if (ready_.size() > 1)
        drop_last(dropped);
      else if (channel_count_ > 1)
        channel_count_ /= 2;
      else if (image_count_ > 1)
        image_count_ /= 2;
      else
        drop_last(dropped);
    }
    if (channel_count_ == channels && image_count_ == images && dropped == 0) return;
    if (ready_.empty()) {
      tell(
          "The page would have been larger than its limit with any map, so that it has no gallery. "
          "--max-size sets the limit.");
      return;
    }
    tell(fmt::format(
        "The page would have been larger than its limit: the gallery has {} of {} channels, {} of "
        "{} images{}. --max-size sets the limit.",
        channel_count_, channels, image_count_, images,
        dropped == 0 ? ""
                     : fmt::format(", and {} Trans-Net{} less", dropped, dropped > 1 ? "s" : "")));
  }

  void tell(const std::string& note) {
    findings_.notes.push_back(note);
    tool::write_note(note);
  }

  void drop_last(std::size_t& dropped) {
    ready_.pop_back();
    ++dropped;
  }

  // Sets of images of which photographs are shown.
  std::int64_t photograph_sets() const {
    std::vector<std::pair<std::string, std::vector<std::string>>> sets;
    for (const Ready& ready : ready_) {
      const GalleryFeatures& features = sides_[ready.to].features;
      const std::pair set{features.data, features.names};
      if (std::find(sets.begin(), sets.end(), set) == sets.end()) sets.push_back(set);
    }
    return static_cast<std::int64_t>(sets.size());
  }

  void choose_channels(Side& side) const {
    if (listed_) {
      for (const std::int64_t channel : *listed_)
        if (channel < side.features.maps.dim(1)) side.channels.push_back(channel);
      side.channels.resize(
          std::min(side.channels.size(), static_cast<std::size_t>(channel_count_)));
      if (!side.channels.empty()) return;
    }
    // Both lists are looked at first.
    const std::vector<std::int64_t> strong = ranked_by(side.energy);
    side.channels =
        first_of_both(strong, side.missing.empty() ? strong : side.missing, channel_count_);
  }

  std::int64_t images_of(const Side& side) const {
    return std::min(image_count_, side.features.maps.dim(0));
  }

  static std::span<const float> map_of(const Tensor& maps, std::int64_t image,
                                       std::int64_t channel) {
    const std::int64_t pixels = maps.dim(2) * maps.dim(3);
    return {maps.data<float>() + (image * maps.dim(1) + channel) * pixels,
            static_cast<std::size_t>(pixels)};
  }

  void add_block(const std::string& id, const EncodedMaps& maps) {
    blocks_ += fmt::format(
        "<script type=\"text/plain\" id=\"{0}\">{1}</script>\n"
        "<script type=\"text/plain\" id=\"{0}-steps\">{2}</script>\n",
        id, maps.values_base64(), maps.steps_base64());
  }

  std::size_t add_side(std::size_t index) {
    if (const auto known = side_numbers_.find(index); known != side_numbers_.end())
      return known->second;
    const std::size_t number = side_numbers_.size();
    side_numbers_[index] = number;
    const Side& side = sides_[index];
    EncodedMaps maps;
    for (std::int64_t image = 0; image < images_of(side); ++image)
      for (const std::int64_t channel : side.channels)
        maps.add(map_of(side.features.maps, image, channel));
    const std::string id = fmt::format("side-{}", number);
    add_block(id, maps);
    json_["sides"].push_back({{"words", side.features.words},
                              {"channels", side.channels},
                              {"of", side.features.maps.dim(1)},
                              {"height", side.features.maps.dim(2)},
                              {"width", side.features.maps.dim(3)},
                              {"energy", rounded(side.energy, side.channels)},
                              {"block", id}});
    return number;
  }

  // The photographs of the images that a side is shown on, by their numbers in the page.
  Json photographs_of(const Side& side) {
    Json numbers = Json::array();
    const GalleryFeatures& features = side.features;
    auto [photographs, fresh] = photographs_.try_emplace(features.data, features.data);
    for (std::int64_t image = 0; image < images_of(side); ++image) {
      const std::string& name = features.names[static_cast<std::size_t>(image)];
      const std::string key = name.empty()
                                  ? fmt::format("{} {}", side.identity.store,
                                                features.images[static_cast<std::size_t>(image)])
                                  : features.data + "\n" + name;
      const auto [known, added] = photo_numbers_.try_emplace(key, photo_numbers_.size());
      numbers.push_back(known->second);
      if (!added) continue;
      const Image photograph = photographs->second.of(name);
      json_["photos"].push_back(
          {{"name", name.empty()
                        ? fmt::format("image {}", features.images[static_cast<std::size_t>(image)])
                        : name},
           {"label", fs::path(name).parent_path().filename().string()},
           {"picture", photograph.width == 0
                           ? ""
                           : "data:image/jpeg;base64," +
                                 base64(encode_jpeg(photograph, kPhotographQuality))}});
    }
    return numbers;
  }

  void add_direction(const Ready& ready) {
    const Side& from = sides_[ready.from];
    const Side& to = sides_[ready.to];
    const Tensor& target = to.features.maps;
    const auto orders = static_cast<std::size_t>(ready.net->options().orders);
    EncodedMaps maps;
    std::vector<ChannelVariance> variances(orders + 1);
    for (std::int64_t image = 0; image < images_of(to); ++image) {
      tool::stop_if_interrupted();
      const Tensor a = row_of(from.features.maps, image).to(options_.device);
      const Tensor b = row_of(target, image);
      const Orders parts = ready.net->disentangle(tool::at_size(a, b.dim(2), b.dim(3)));
      std::vector<Tensor> shown = {plain(parts.y)};
      for (const Tensor& order : parts.orders) shown.push_back(plain(order));
      shown.push_back(subtract(b, shown.front()));
      for (std::size_t k = 0; k <= orders; ++k) variances[k].add(shown[k + 1]);
      for (const std::int64_t channel : to.channels)
        for (const Tensor& part : shown) maps.add(map_of(part, 0, channel));
    }
    const std::string id = fmt::format("maps-{}", json_["directions"].size());
    add_block(id, maps);
    Json gates = Json::array();
    for (const float p : ready.net->gates().to_vector<float>()) gates.push_back(p);
    const std::size_t from_number = add_side(ready.from);
    const std::size_t to_number = add_side(ready.to);
    json_["directions"].push_back({{"name", ready.direction->name},
                                   {"pair", ready.pair},
                                   {"forward", ready.forward},
                                   {"from", from_number},
                                   {"to", to_number},
                                   {"photos", photographs_of(to)},
                                   {"orders", orders},
                                   {"gates", gates},
                                   {"variance", variance_json(ready, to, variances)},
                                   {"block", id}});
  }

  static Json variance_json(const Ready& ready, const Side& to,
                            const std::vector<ChannelVariance>& here) {
    const Json& channels = ready.direction->channels;
    const std::size_t orders = here.size() - 1;
    const bool measured =
        is_measured(*ready.direction, static_cast<std::size_t>(to.features.maps.dim(1))) &&
        channels["orders"].size() == orders;
    Json json = {{"over", measured ? ready.direction->images : "the images shown here"},
                 {"orders", Json::array()}};
    for (std::size_t k = 0; k < orders; ++k)
      json["orders"].push_back(
          rounded(measured ? channels["orders"][k].get<std::vector<double>>() : here[k].channels(),
                  to.channels));
    json["delta"] =
        rounded(measured ? channels["delta"].get<std::vector<double>>() : here[orders].channels(),
                to.channels);
    return json;
  }

  static Tensor plain(const Tensor& maps) {
    return maps.to(Device{}).in_format(MemoryFormat::kPlain);
  }

  static Tensor row_of(const Tensor& maps, std::int64_t image) {
    Tensor row = Tensor::empty({1, maps.dim(1), maps.dim(2), maps.dim(3)});
    std::copy_n(maps.data<float>() + image * row.numel(), row.numel(), row.data<float>());
    return row;
  }

  std::string text() {
    for (std::size_t pair = 0; pair < pair_count_; ++pair)
      for (const Ready& ready : ready_) {
        if (ready.pair != pair || !ready.forward) continue;
        json_["pairs"].push_back({{"name", ready.direction->name},
                                  {"a", sides_[ready.from].features.words},
                                  {"b", sides_[ready.to].features.words}});
      }
    for (int i = -5; i <= 5; ++i) {
      const tool::Colour colour = tool::diverging(i / 5.0);
      json_["palette"].push_back({colour.red, colour.green, colour.blue});
    }
    return "<script type=\"application/json\" id=\"gallery-data\">" + script_json(json_) +
           "</script>\n" + blocks_;
  }

  const GalleryOptions& options_;
  Findings& findings_;
  std::optional<std::vector<std::int64_t>> listed_;
  std::int64_t channel_count_ = 0;  // of each side, at most
  std::int64_t image_count_ = 0;    // likewise
  std::vector<Side> sides_;
  std::vector<Ready> ready_;
  std::size_t pair_count_ = 0;
  std::map<std::string, Photographs> photographs_;
  std::map<std::string, std::size_t> photo_numbers_;
  std::map<std::size_t, std::size_t> side_numbers_;
  Json json_ = {{"palette", Json::array()},
                {"photos", Json::array()},
                {"pairs", Json::array()},
                {"sides", Json::array()},
                {"directions", Json::array()}};
  std::string blocks_;
};

}  // namespace

void check_channels(const std::string& wanted) {
  std::int64_t count = 0;
  listed_channels(wanted, count);
}

std::string make_gallery(const std::vector<GalleryDirection>& directions,
                         const GalleryOptions& options, std::int64_t bytes, Findings& findings) {
  return Gallery(options, findings).make(directions, bytes);
}

}  // namespace concord::report
