#include "tools/report/gallery_maps.h"

#include <algorithm>

#include "analysis/channel_variance.h"
#include "engine/ops/arithmetic.h"
#include "tools/common/chosen_images.h"
#include "tools/common/feature_pairs.h"
#include "tools/common/interrupt.h"
#include "tools/common/program.h"
#include "tools/report/channel_ranking.h"

namespace concord::report {
namespace {

Tensor plain(const Tensor& maps) { return maps.to(Device{}).in_format(MemoryFormat::kPlain); }

Tensor row_of(const Tensor& maps, std::int64_t image) {
  Tensor row = Tensor::empty({1, maps.dim(1), maps.dim(2), maps.dim(3)});
  std::copy_n(maps.data<float>() + image * row.numel(), row.numel(), row.data<float>());
  return row;
}

std::span<const float> map_of(const Tensor& maps, std::int64_t image, std::int64_t channel) {
  const std::int64_t pixels = maps.dim(2) * maps.dim(3);
  return {maps.data<float>() + (image * maps.dim(1) + channel) * pixels,
          static_cast<std::size_t>(pixels)};
}

GalleryMaps empty_maps(const GalleryNetwork& network, const WantedChannels& wanted,
                       const GalleryAmount& amount) {
  const Tensor& maps = network.features.maps;
  return {.images = std::min(amount.images, maps.dim(0)),
          .channels = wanted.of(network, amount.channels),
          .maps = EncodedMaps(maps.dim(3), maps.dim(2))};
}

}  // namespace

WantedChannels::WantedChannels(const std::string& text) {
  if (text.starts_with("best:")) {
    count = tool::whole_number(text.substr(5));
    tool::check_usage(count > 0, "--channels {}: give best:N or indices", text);
    return;
  }
  listed.emplace();
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    listed->push_back(tool::whole_number(text.substr(begin, end - begin)));
    tool::check_usage(listed->back() >= 0, "--channels {}: give best:N or indices", text);
    begin = end + 1;
  }
  count = static_cast<std::int64_t>(listed->size());
}

std::vector<std::int64_t> WantedChannels::of(const GalleryNetwork& network,
                                             std::int64_t room) const {
  if (listed) {
    std::vector<std::int64_t> chosen;
    for (const std::int64_t channel : *listed)
      if (channel < network.features.maps.dim(1) && std::ssize(chosen) < room)
        chosen.push_back(channel);
    if (!chosen.empty()) return chosen;
  }
  const std::vector<std::int64_t> strong = ranked_by(network.energy);
  return first_of_both(strong, network.missing.empty() ? strong : network.missing, room);
}

std::vector<std::size_t> GalleryMaps::numbers(std::int64_t first_images,
                                              const std::vector<std::int64_t>& some) const {
  std::vector<std::size_t> result;
  for (std::int64_t image = 0; image < std::min(first_images, images); ++image)
    for (const std::int64_t channel : some) {
      const auto place = std::find(channels.begin(), channels.end(), channel) - channels.begin();
      for (std::int64_t part = 0; part < parts; ++part)
        result.push_back(
            static_cast<std::size_t>((image * std::ssize(channels) + place) * parts + part));
    }
  return result;
}

GalleryMaps network_maps(const GalleryNetwork& network, const WantedChannels& wanted,
                         const GalleryAmount& amount) {
  GalleryMaps result = empty_maps(network, wanted, amount);
  for (std::int64_t image = 0; image < result.images; ++image)
    for (const std::int64_t channel : result.channels)
      result.maps.add(map_of(network.features.maps, image, channel));
  return result;
}

TransNetMaps trans_net_maps(const GalleryTransNet& trans_net, const GallerySources& sources,
                            const WantedChannels& wanted, const GalleryAmount& amount,
                            Device device) {
  const Tensor& source = sources.networks[trans_net.from].features.maps;
  const GalleryNetwork& network = sources.networks[trans_net.to];
  const Tensor& target = network.features.maps;
  TransNetMaps result = {
      .parts = empty_maps(network, wanted, amount), .gates = {}, .variances = {}};
  result.parts.parts = trans_net.net->options().orders + 1;
  std::vector<ChannelVariance> variances(trans_net.orders() + 1);
  trans_net.net->to(device);
  for (std::int64_t image = 0; image < result.parts.images; ++image) {
    tool::stop_if_interrupted();
    const Tensor b = row_of(target, image);
    const Tensor a = row_of(source, image).to(device);
    const Orders split = trans_net.net->disentangle(tool::at_size(a, b.dim(2), b.dim(3)));
    std::vector<Tensor> parts;
    for (const Tensor& order : split.orders) parts.push_back(plain(order));
    parts.push_back(subtract(b, plain(split.y)));
    for (std::size_t k = 0; k < parts.size(); ++k) variances[k].add(parts[k]);
    for (const std::int64_t channel : result.parts.channels)
      for (const Tensor& part : parts) result.parts.maps.add(map_of(part, 0, channel));
  }
  for (const ChannelVariance& variance : variances) result.variances.push_back(variance.channels());
  for (const float p : trans_net.net->gates().to_vector<float>()) result.gates.push_back(p);
  trans_net.net->to(Device{});
  return result;
}

}  // namespace concord::report
