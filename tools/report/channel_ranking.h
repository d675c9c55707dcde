#pragma once
// Which channels to look at first: those that vary most, and those that the other network misses
// most of.

#include <cstdint>
#include <vector>

#include "tools/report/html.h"

namespace concord::report {

struct RankedChannel {
  std::size_t number = 0;
  std::vector<double> orders;               // variance of each x(k)
  double delta = 0, target = 0, total = 0;  // of x_delta, of B, and of all parts together
  double share() const { return total > 0 ? delta / total : 0; }
};

// Of "channels" of variance.json or diagnose.json ("orders", "delta", and "target" where it is
// there): the largest share of x_delta first; those that vary less than a hundredth of the mean,
// whose shares are noise, after all others. Throws where the lists differ in length, and
// nlohmann's exceptions where they are none.
std::vector<RankedChannel> ranked_channels(const Json& channels);

// The numbers of channels by falling values.
std::vector<std::int64_t> ranked_by(const std::vector<double>& values);

// `count` of the channels that both rankings hold (all where there are fewer), by turns the next of
// the one and of the other, in the first one's order.
std::vector<std::int64_t> first_of_both(const std::vector<std::int64_t>& ranking,
                                        const std::vector<std::int64_t>& other, std::int64_t count);

}  // namespace concord::report
