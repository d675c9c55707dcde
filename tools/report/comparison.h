#pragma once
// Every place where one network's features were rebuilt from another's and measured: variance.json,
// and the same in the files of diagnosis, compression and distillation.

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "tools/report/findings.h"

namespace concord::report {

struct Comparison {
  std::string name;  // of its run: "variance-init.0-5"
  std::string from;  // "resnet18 layer2, seed 0"
  std::string to;
  std::string kind;                          // what they differ in: "initialisation"; may be empty
  std::vector<double> orders, share_orders;  // Var(x(0)) .., and in the sum of all
  double delta = 0, share_delta = 0;
  std::optional<double> target;  // Var(x_B)
  std::vector<double> gates;     // p_0 .. p_{K-2}
  std::optional<double> top1_a, top1_b;
  Json channels;                 // {"orders": [[..]], "delta": [..], "target": [..]} or null
  std::filesystem::path folder;  // of the run

  // The Trans-Net is no better than to rebuild nothing.
  bool rebuilds_nothing() const { return target && delta > *target; }
  // Var(x_delta) / Var(B), where Var(B) is known and not 0.
  std::optional<double> left_of_target() const {
    return target && *target > 0 ? std::optional(delta / *target) : std::nullopt;
  }
};

// Of an object with var_orders, var_delta and so on. Throws nlohmann's exceptions where it is none.
Comparison read_comparison(const Json& json, const std::string& name);

// "resnet18 layer2, seed 0, half a" of the objects a and b of variance.json; "" where nothing is
// known.
std::string describe_network(const Json& network);

// Those of every variance.json.
std::vector<Comparison> measured_variances(Findings& findings);
// Those of diagnosis, compression and distillation.
std::vector<Comparison> experiment_variances(Findings& findings);

// A line each: a bar of the shares, the variances, x_delta's share.
std::string comparison_table(const std::string& caption,
                             const std::vector<Comparison>& comparisons);
// What the colours of the bars mean, for comparisons of up to so many orders.
std::string share_legend(std::size_t orders);
// The largest number of orders among them.
std::size_t most_orders(const std::vector<Comparison>& comparisons);

}  // namespace concord::report
