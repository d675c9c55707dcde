#pragma once
// Var(x(0)) .. Var(x(K-1)), Var(x_delta) and the instability. Source: Liang et al., ICLR 2020,
// section 4.1.

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "analysis/channel_variance.h"

namespace concord::tool {

// A network whose features were compared, as far as it is known: empty where it is not.
struct ComparedNetwork {
  std::string arch, layer, weights;
  std::string seed;  // of its training
  std::string half;  // of the training images: a or b
};

struct VarianceReport {
  std::vector<ChannelVariance> orders;  // x(0) .. x(K-1)
  ChannelVariance delta;
  ChannelVariance target;  // of B's features themselves; without data where only orders are known
  std::vector<double> gates;  // p_0 .. p_{K-2}; empty when they are not known
  // Share of the images whose label is network A's (B's) first choice; absent when it is not known.
  std::optional<double> top1_a, top1_b;
  ComparedNetwork a, b;

  // One batch of the orders and of x_delta, each [n,C,H,W].
  void add(const std::vector<Tensor>& batch_orders, const Tensor& batch_delta);
  // Var(x(0)) + .. + Var(x(K-1)) + Var(x_delta)
  double total() const;
  // Var(x_delta) / total(). Throws when a map holds a NaN, or every map is constant: nothing
  // varies, so nothing has a share.
  double instability() const;
  // What A and B differ in, in the words of the paper's table: "initialisation" (seeds), "data"
  // (the halves that they were trained on), "architecture"; empty when it is not known.
  std::string kind() const;

  // The variances of one channel; share_delta is 0 where nothing varies.
  struct Channel {
    std::int64_t number = 0;
    std::vector<double> orders;
    double delta = 0;
    double share_delta = 0;  // delta / (sum of orders + delta)
  };
  // All channels, those of the largest share of x_delta first; of equal ones the first first, and
  // after all others those that vary less than a hundredth of the mean, whose shares are noise.
  std::vector<Channel> channels_by_share() const;

  // The results and their values per channel.
  nlohmann::ordered_json json() const;
  // A line per channel in order: channel,var_order0,..,var_delta,share_delta.
  std::string channels_csv() const;
  // Where x_delta varies more than B's features do, a warning that the Trans-Net is not yet one.
  void warn_where_untrained() const;
  // The columns of a table with a line for each of several reports: Var(x(k)), Var(x_delta), its
  // share in the total, Var(x_B) and the gates where they are known.
  std::vector<std::string> titles() const;
  std::vector<std::string> cells() const;
  // Names, variances with instability, gates and accuracies, and shares in the total; and that
  // warning.
  void print() const;
  // The first `count` of channels_by_share() as a table.
  void print_channels(std::int64_t count) const;
};

// Several variance.json files side by side, a column each, as the paper's table has them. Throws
// naming the file that is none.
void print_variance_table(const std::vector<std::string>& files);

}  // namespace concord::tool
