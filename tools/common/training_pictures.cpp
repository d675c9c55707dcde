#include "tools/common/training_pictures.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "data/loader.h"
#include "data/resize.h"
#include "engine/autograd.h"
#include "engine/ops/arithmetic.h"
#include "kernels/image.h"
#include "tools/common/feature_maps.h"
#include "tools/common/panel.h"

namespace concord::tool {
namespace {

constexpr std::size_t kPairs = 4;
constexpr std::size_t kChannels = 6;
constexpr int kCell = 112;  // the least side of a map, pixels
constexpr int kGap = 8;
constexpr int kTitle = 22;

Tensor on_host(const Tensor& tensor) {
  return tensor.detach().to(Device{}).to(DType::kFloat32).in_format(MemoryFormat::kPlain);
}

// A copy, so that it stays when the batch is gone.
Tensor kept(const Tensor& row) {
  const Tensor host = on_host(row);
  Tensor copy = Tensor::empty(host.shape());
  copy.copy_from(host);
  return copy;
}

// The channels of maps [N,C,H,W] by falling sum of squares, after their mean where `centred`.
std::vector<std::int64_t> strongest(const Tensor& maps, bool centred) {
  const float* data = maps.data<float>();
  const std::int64_t channels = maps.dim(1);
  const std::int64_t pixels = maps.dim(2) * maps.dim(3);
  std::vector<double> energy;
  for (std::int64_t channel = 0; channel < channels; ++channel) {
    double sum = 0;
    double squares = 0;
    for (std::int64_t sample = 0; sample < maps.dim(0); ++sample)
      for (std::int64_t i = 0; i < pixels; ++i) {
        const double value = data[(sample * channels + channel) * pixels + i];
        sum += value;
        squares += value * value;
      }
    const auto count = static_cast<double>(maps.dim(0) * pixels);
    energy.push_back(centred ? squares - sum * sum / count : squares);
  }
  std::vector<std::int64_t> order(static_cast<std::size_t>(channels));
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](std::int64_t x, std::int64_t y) {
    return energy[static_cast<std::size_t>(x)] > energy[static_cast<std::size_t>(y)];
  });
  return order;
}

// Where the literature compares features of this architecture; empty where it has no such layer.
std::string compared_layer(const Network& network) {
  const auto aliases = network.aliases();
  for (const char* name : {"conv4_3", "layer3", "conv4_2", "conv4_1", "conv4"})
    for (const auto& [alias, module] : aliases)
      if (alias == name) return alias;
  return "";
}

// A map for each row.
struct MapColumn {
  std::string name;
  std::vector<FeatureMap> maps;
};
// What is on one symmetric scale in each row.
using MapGroup = std::vector<MapColumn>;

MapColumn column_of(std::string name, const Tensor& maps, std::int64_t channel) {
  MapColumn column{std::move(name), {}};
  for (std::int64_t row = 0; row < maps.dim(0); ++row) column.maps.emplace_back(maps, row, channel);
  return column;
}

// A row for each photograph, or where there are none for each map of a column.
Image draw_groups(const std::vector<Image>& photographs, const std::vector<MapGroup>& groups) {
  int largest = 1;
  std::size_t maps_in_row = 0;
  for (const MapGroup& group : groups)
    for (const MapColumn& column : group) {
      ++maps_in_row;
      for (const FeatureMap& map : column.maps)
        largest = std::max({largest, map.width, map.height});
    }
  const int block = std::max(1, (kCell + largest - 1) / largest);
  const int side = block * largest;
  const int first = photographs.empty() ? 0 : 1;
  const auto x_of = [&](int column) { return kGap + column * (side + kGap); };
  const std::size_t rows = groups.front().front().maps.size();
  Canvas canvas(x_of(first + static_cast<int>(maps_in_row)),
                kTitle + static_cast<int>(rows) * (side + kGap) + kGap);
  const auto name = [&](int column, const std::string& text) {
    canvas.text(x_of(column) + side / 2.0, kTitle - 6, fitted(text, 9, side + kGap - 2), 9, kInk,
                Align::kCentre);
  };
  if (first > 0) name(0, "image");
  int at = first;
  for (const MapGroup& group : groups)
    for (const MapColumn& column : group) name(at++, column.name);
  for (std::size_t row = 0; row < rows; ++row) {
    const int y = kTitle + static_cast<int>(row) * (side + kGap);
    if (first > 0) canvas.paste(x_of(0), y, resize_bilinear(photographs[row], side, side));
    at = first;
    for (const MapGroup& group : groups) {
      MapRow shown;
      for (const MapColumn& column : group) shown.maps.push_back(column.maps[row]);
      const double scale = shown.scale();
      for (const FeatureMap& map : shown.maps) {
        canvas.paste(x_of(at), y, coloured(map, scale, block));
        canvas.frame(x_of(at), y, map.width * block, map.height * block, kLine);
        ++at;
      }
    }
  }
  return canvas.image();
}

Image draw_strongest(const std::vector<Image>& photographs, const Tensor& maps) {
  std::vector<std::int64_t> channels = strongest(maps, false);
  channels.resize(std::min(channels.size(), kChannels));
  MapGroup apart;
  for (const std::int64_t channel : channels)
    apart.push_back(column_of(fmt::format("channel {}", channel), maps, channel));
  return draw_groups(photographs, {{column_of("all, rms", maps, kAllChannels)}, apart});
}

// The last maps of more than one pixel.
class LastMaps : public ForwardObserver {
 public:
  void after(const Module&, const Tensor& output) override {
    if (output.shape().rank() == 4 && output.dim(2) * output.dim(3) > 1) maps = output;
  }
  Tensor maps;
};

}  // namespace

Tensor network_input(const std::vector<Image>& photographs) {
  const Image& first = photographs.front();
  const auto count = static_cast<std::int64_t>(photographs.size());
  std::vector<float> values;
  for (const Image& image : photographs)
    for (std::size_t channel = 0; channel < 3; ++channel)
      for (int y = 0; y < first.height; ++y)
        for (int x = 0; x < first.width; ++x)
          values.push_back(kernels::normalized_value(
              image.pixel(x, y)[channel], kImageNetMean[channel], kImageNetStd[channel]));
  return Tensor::of({count, 3, first.height, first.width}, values);
}

Image draw_filters(const Tensor& given) {
  const Tensor weight = on_host(given);
  const auto count = static_cast<int>(weight.dim(0));
  const auto height = static_cast<int>(weight.dim(2));
  const auto width = static_cast<int>(weight.dim(3));
  constexpr int kAcross = 16;
  constexpr int kFilterSide = 42;  // the least, in pixels
  const int block = std::max(1, (kFilterSide + width - 1) / width);
  const int across = std::min(count, kAcross);
  const int down = (count + across - 1) / across;
  const auto place = [&](int index, int size) { return 2 + index * (block * size + 2); };
  Canvas canvas(place(across, width), place(down, height));
  const float* values = weight.data<float>();
  for (int filter = 0; filter < count; ++filter) {
    const float* own = values + static_cast<std::ptrdiff_t>(filter) * 3 * height * width;
    float largest = 0;
    for (int i = 0; i < 3 * height * width; ++i) largest = std::max(largest, std::abs(own[i]));
    for (int y = 0; y < height; ++y)
      for (int x = 0; x < width; ++x) {
        const auto level = [&](int channel) {
          const float value = own[(channel * height + y) * width + x];
          return static_cast<std::uint8_t>(
              std::lround(127.5F + (largest > 0 ? 127.5F * value / largest : 0.0F)));
        };
        canvas.fill(place(filter % across, width) + x * block,
                    place(filter / across, height) + y * block, block, block,
                    {level(0), level(1), level(2)});
      }
  }
  return canvas.image();
}

std::vector<std::pair<std::string, Image>> pictures_of_classifier(
    Network& network, const std::vector<Image>& photographs) {
  const NoGradGuard no_gradients;
  std::vector<std::pair<std::string, Image>> pictures;
  for (const auto& [name, parameter] : network.named_parameters()) {
    if (parameter.shape().rank() != 4) continue;
    if (parameter.dim(1) == 3 && parameter.dim(3) > 3)
      pictures.emplace_back("filters/" + name, draw_filters(parameter));
    break;
  }
  const std::string layer = compared_layer(network);
  if (layer.empty() || photographs.empty()) return pictures;
  const Tensor maps = on_host(network.features(network_input(photographs), layer));
  pictures.emplace_back("maps/" + layer, draw_strongest(photographs, maps));
  return pictures;
}

Image draw_replacement(const std::vector<Image>& photographs, const Tensor& own,
                       const Tensor& given, const std::string& name) {
  constexpr std::size_t kShown = 2;
  const Tensor target = on_host(own);
  const Tensor replacement = on_host(given);
  const Tensor difference = subtract(target, replacement);
  std::vector<std::int64_t> channels = strongest(target, true);
  channels.resize(std::min(channels.size(), kShown));
  std::vector<MapGroup> groups;
  for (const std::int64_t channel : channels)
    groups.push_back({column_of(fmt::format("B, channel {}", channel), target, channel),
                      column_of(name, replacement, channel),
                      column_of("difference", difference, channel)});
  return draw_groups(photographs, groups);
}

std::vector<std::pair<std::string, Image>> pictures_of_rest(Module& rest,
                                                            const std::vector<Image>& photographs,
                                                            const Tensor& own, const Tensor& given,
                                                            const std::string& name) {
  const NoGradGuard no_gradients;
  std::vector<std::pair<std::string, Image>> pictures = {
      {"maps/given", draw_replacement(photographs, own, given, name)}};
  LastMaps last;
  rest(given);
  if (last.maps.defined())
    pictures.emplace_back("maps/rest", draw_strongest(photographs, on_host(last.maps)));
  return pictures;
}

void ShownPairs::collect(const PairBatch& batch, std::int64_t first) {
  const auto quarters = static_cast<std::int64_t>(kPairs);
  for (std::int64_t i = 0; i < quarters; ++i) {
    const std::int64_t number = (2 * i + 1) * size_ / (2 * quarters);
    const std::int64_t row = number - first;
    const bool is_new = numbers_.empty() || numbers_.back() < number;
    if (row < 0 || row >= batch.a.dim(0) || !is_new) continue;
    numbers_.push_back(number);
    a_.push_back(kept(batch.a.rows(row, row + 1)));
    b_.push_back(kept(batch.b.rows(row, row + 1)));
  }
}

Image ShownPairs::picture(TransNet& net) const {
  const NoGradGuard no_gradients;
  MapSheet sheet;
  sheet.title = "Orders of the features, while the Trans-Net learns";
  sheet.photographs = false;
  for (const float p : net.gates().to_vector<float>()) sheet.gates.push_back(p);
  Tensor all = Tensor::empty(b_.front().shape().with(0, static_cast<std::int64_t>(b_.size())));
  for (std::size_t i = 0; i < b_.size(); ++i)
    all.rows(static_cast<std::int64_t>(i), static_cast<std::int64_t>(i) + 1).copy_from(b_[i]);
  const std::int64_t channel = strongest(all, true).front();
  for (std::size_t i = 0; i < a_.size(); ++i) {
    const Orders orders = net.disentangle(a_[i].to(net.device()));
    const Tensor y = on_host(orders.y);
    MapRow row;
    row.image = fmt::format("pair {}", numbers_[i]);
    row.channel = channel;
    row.maps = {{a_[i], 0, channel}, {b_[i], 0, channel}, {y, 0, channel}};
    for (const Tensor& order : orders.orders) row.maps.emplace_back(on_host(order), 0, channel);
    row.maps.emplace_back(subtract(b_[i], y), 0, channel);
    sheet.rows.push_back(std::move(row));
  }
  return draw_panel(sheet);
}

}  // namespace concord::tool
