#pragma once
// Loops over [N,C] and [N,C,H,W] tensors of any memory format with a few coefficients per channel.
// Such loops are bound by memory, so a kernel here is one sweep that does all it can per element.
//
// A tensor is walked map by map in memory order. With 1, 8 or 16 lanes the coefficients of a map
// are repeated to one vector of 16, so that plain and blocked formats run the same constant-count
// loop; with other counts (channels-last) the vector runs along the channels.

#include <array>
#include <cstddef>
#include <utility>
#include <vector>

#include "kernels/cpu/select.h"
#include "kernels/parallel.h"
#include "kernels/view.h"

namespace concord::kernels {

inline constexpr std::int64_t kVectorLanes = 16;

// The layout to walk. Where maps have one pixel the vector runs along the channels: plain and
// blocked formats are then the same array.
inline ChannelLayout walk_layout(const ConstView& view) {
  const ChannelLayout layout = view.channels();
  if (layout.spatial != 1) return layout;
  return {layout.outer, 1, 1, layout.channels()};
}

// K numbers for each channel (rows = 1) or for each sample and channel (rows = N).
template <class T, std::size_t K>
class ChannelTable {
 public:
  ChannelTable(std::int64_t rows, std::int64_t channels)
      : rows_(rows), channels_(channels), values_(K * static_cast<std::size_t>(rows * channels)) {}

  std::int64_t rows() const { return rows_; }
  std::int64_t channels() const { return channels_; }
  T& at(std::size_t k, std::int64_t row, std::int64_t channel) {
    return values_[static_cast<std::size_t>(
        (static_cast<std::int64_t>(k) * rows_ + row) * channels_ + channel)];
  }
  // Coefficient k of sample n, from `channel` on.
  const T* from(std::size_t k, std::int64_t n, std::int64_t channel) const {
    const std::int64_t row = rows_ == 1 ? 0 : n;
    return values_.data() + (static_cast<std::int64_t>(k) * rows_ + row) * channels_ + channel;
  }

 private:
  std::int64_t rows_;
  std::int64_t channels_;
  std::vector<T> values_;
};

namespace channels_detail {

// A map: `lanes` channels of one sample, `count` elements from `begin` on.
template <class T, std::size_t K>
struct Map {
  std::int64_t begin;
  std::int64_t count;
  std::int64_t lanes;
  std::array<const T*, K> coefficients;
};

// Flattened: the body must be inlined for the loops to vectorise.
template <class T, std::size_t K, class Body, std::size_t... k>
[[gnu::flatten]] void walk(const Map<T, K>& map, Body& body, std::index_sequence<k...>) {
  const std::int64_t end = map.begin + map.count;
  if (kVectorLanes % map.lanes != 0) {
    for (std::int64_t i = map.begin; i < end; i += map.lanes) {
#pragma omp simd
      for (std::int64_t l = 0; l < map.lanes; ++l) body(i + l, map.coefficients[k][l]...);
    }
    return;
  }
  T repeated[K + 1][kVectorLanes];
  for (std::int64_t l = 0; l < kVectorLanes; ++l)
    ((repeated[k][l] = map.coefficients[k][l % map.lanes]), ...);
  std::int64_t i = map.begin;
  for (; i + kVectorLanes <= end; i += kVectorLanes) {
#pragma omp simd
    for (std::int64_t l = 0; l < kVectorLanes; ++l) body(i + l, repeated[k][l]...);
  }
  for (std::int64_t l = 0; i + l < end; ++l) body(i + l, repeated[k][l]...);
}

// The same with R sums per lane, sums[r][lane], which the body receives to add to.
template <class T, std::size_t K, std::size_t R, class Body, std::size_t... k, std::size_t... r>
[[gnu::flatten]] void walk_summing(const Map<T, K>& map, const std::array<double*, R>& sums,
                                   Body& body, std::index_sequence<k...>,
                                   std::index_sequence<r...>) {
  const std::int64_t end = map.begin + map.count;
  if (kVectorLanes % map.lanes != 0) {
    for (std::int64_t i = map.begin; i < end; i += map.lanes) {
#pragma omp simd
      for (std::int64_t l = 0; l < map.lanes; ++l)
        body(i + l, map.coefficients[k][l]..., sums[r][l]...);
    }
    return;
  }
  T repeated[K + 1][kVectorLanes];
  for (std::int64_t l = 0; l < kVectorLanes; ++l)
    ((repeated[k][l] = map.coefficients[k][l % map.lanes]), ...);
  double totals[R][kVectorLanes] = {};
  std::int64_t i = map.begin;
  for (; i + kVectorLanes <= end; i += kVectorLanes) {
#pragma omp simd
    for (std::int64_t l = 0; l < kVectorLanes; ++l) body(i + l, repeated[k][l]..., totals[r][l]...);
  }
  for (std::int64_t l = 0; i + l < end; ++l) body(i + l, repeated[k][l]..., totals[r][l]...);
  for (std::int64_t l = 0; l < kVectorLanes; ++l) ((sums[r][l % map.lanes] += totals[r][l]), ...);
}

// Calls visit(map, index of its first channel in [N][C]) for every map, split over threads.
template <class T, std::size_t K, class Visit>
void for_each_map(const ChannelLayout& layout, const ChannelTable<T, K>& table, Visit visit) {
  const std::int64_t count = layout.spatial * layout.lanes;
  if (count == 0) return;
  constexpr std::int64_t kGrain = 1 << 14;
  parallel_for(layout.outer * layout.groups, kGrain / count + 1,
               [&](std::int64_t first, std::int64_t last) {
                 for (std::int64_t index = first; index < last; ++index) {
                   const std::int64_t n = index / layout.groups;
                   const std::int64_t channel = index % layout.groups * layout.lanes;
                   Map<T, K> map{index * count, count, layout.lanes, {}};
                   for (std::size_t k = 0; k < K; ++k)
                     map.coefficients[k] = table.from(k, n, channel);
                   visit(map, n * layout.channels() + channel);
                 }
               });
}

}  // namespace channels_detail

// body(i, coefficients of its channel...) for every element i of the buffer.
template <class T, std::size_t K, class Body>
void map_channels(const ChannelLayout& layout, const ChannelTable<T, K>& table, Body body) {
  channels_detail::for_each_map(layout, table, [&](const auto& map, std::int64_t) {
    channels_detail::walk(map, body, std::make_index_sequence<K>{});
  });
}

// body(i, coefficients..., sums...) adds what element i gives to R sums (double&), one for each
// sample and channel: they come back as sums[r][n * C + c]. The order of the additions does not
// depend on the threads.
template <std::size_t R, class T, std::size_t K, class Body>
std::array<std::vector<double>, R> sum_channels(const ChannelLayout& layout,
                                                const ChannelTable<T, K>& table, Body body) {
  std::array<std::vector<double>, R> sums;
  for (auto& sum : sums) sum.assign(static_cast<std::size_t>(layout.outer * layout.channels()), 0);
  channels_detail::for_each_map(layout, table, [&](const auto& map, std::int64_t first) {
    std::array<double*, R> at;
    for (std::size_t r = 0; r < R; ++r) at[r] = sums[r].data() + first;
    channels_detail::walk_summing(map, at, body, std::make_index_sequence<K>{},
                                  std::make_index_sequence<R>{});
  });
  return sums;
}

}  // namespace concord::kernels
