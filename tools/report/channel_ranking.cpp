#include "tools/report/channel_ranking.h"

#include <algorithm>
#include <numeric>

#include "kernels/error.h"

namespace concord::report {

std::vector<RankedChannel> ranked_channels(const Json& channels) {
  const auto orders = channels.at("orders").get<std::vector<std::vector<double>>>();
  const auto delta = channels.at("delta").get<std::vector<double>>();
  const auto target = channels.contains("target") ? channels["target"].get<std::vector<double>>()
                                                  : std::vector<double>(delta.size(), 0.0);
  check(target.size() == delta.size(), "channels: target has {} values, delta {}", target.size(),
        delta.size());
  std::vector<RankedChannel> result(delta.size());
  double mean = 0;
  for (std::size_t c = 0; c < delta.size(); ++c) {
    result[c] = {c, {}, delta[c], target[c], delta[c]};
    for (const auto& order : orders) {
      check(order.size() == delta.size(), "channels: an order has {} values, delta {}",
            order.size(), delta.size());
      result[c].orders.push_back(order[c]);
      result[c].total += order[c];
    }
    mean += result[c].total / static_cast<double>(delta.size());
  }
  std::stable_sort(result.begin(), result.end(),
                   [&](const RankedChannel& x, const RankedChannel& y) {
                     const bool x_varies = x.total >= mean / 100;
                     const bool y_varies = y.total >= mean / 100;
                     return x_varies != y_varies ? x_varies : x.share() > y.share();
                   });
  return result;
}

std::vector<std::int64_t> ranked_by(const std::vector<double>& values) {
  std::vector<std::int64_t> channels(values.size());
  std::iota(channels.begin(), channels.end(), 0);
  std::stable_sort(channels.begin(), channels.end(), [&](std::int64_t x, std::int64_t y) {
    return values[static_cast<std::size_t>(x)] > values[static_cast<std::size_t>(y)];
  });
  return channels;
}

std::vector<std::int64_t> first_of_both(const std::vector<std::int64_t>& ranking,
                                        const std::vector<std::int64_t>& other,
                                        std::int64_t count) {
  std::vector<bool> taken(ranking.size());
  std::int64_t left = std::min(count, static_cast<std::int64_t>(ranking.size()));
  const auto take = [&](std::int64_t channel) {
    if (left == 0 || taken[static_cast<std::size_t>(channel)]) return;
    taken[static_cast<std::size_t>(channel)] = true;
    --left;
  };
  for (std::size_t i = 0; i < ranking.size(); ++i) {
    take(ranking[i]);
    take(other[i]);
  }
  std::vector<std::int64_t> chosen;
  for (const std::int64_t channel : ranking)
    if (taken[static_cast<std::size_t>(channel)]) chosen.push_back(channel);
  return chosen;
}

}  // namespace concord::report
