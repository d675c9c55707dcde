#pragma once
// The similarity measures by name, on feature stores, within a limit of memory.

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "analysis/similarity/principal_basis.h"
#include "tools/common/feature_rows.h"

namespace concord::tool {

// The names that --measures takes of what is computed from two stores alone.
const std::vector<std::string>& similarity_measures();

struct SimilarityOptions {
  std::int64_t batch_size = 256;  // images a batch of the minibatch measures
  std::uint64_t seed = 0;         // of the order of their images
  double bandwidth = 1;           // of the RBF kernel, in median distances
  double variance_kept = 0.99;    // of svcca
  double rank_tolerance = similarity::kRankTolerance;
  double memory_mib = 4096;
};

struct Outcome {
  std::optional<double> value;
  std::string note;  // a remark; where there is no value, the reason
};
// By name; a measure that is not symmetric gives two: r2-ab (from A to B) and r2-ba, pwcca-a
// (weights of A) and pwcca-b.
using Outcomes = std::vector<std::pair<std::string, Outcome>>;
// The names of the outcomes of a measure: that of A with B and that of B with A, which are the same
// for a symmetric one.
std::pair<std::string, std::string> outcome_names(const std::string& measure);

// Measures pairs of stores of the same images.
class SimilarityMeter {
 public:
  SimilarityMeter(std::vector<std::string> measures, SimilarityOptions options)
      : measures_(std::move(measures)), options_(options) {}

  // In the order of the measures. What a measure refuses (analysis/similarity: constant features,
  // too few samples) and what would take more than the memory are outcomes without a value. Throws
  // for stores of different images and for features that cannot be read.
  Outcomes measure(const FeatureRows& a, const FeatureRows& b);

  // How many steps a pair takes, and who is told what each is of before it begins ("rbf-cka").
  std::int64_t steps() const;
  void set_watch(std::function<void(const std::string& what)> watch) { watch_ = std::move(watch); }

 private:
  struct Pair;
  using Found = std::map<std::string, Outcome>;
  struct Step {
    std::vector<std::string> names;  // of its measures
    void (SimilarityMeter::*run)(const Pair&, Found&);
  };
  static const std::vector<Step> kSteps;
  void measure_second_moments(const Pair& pair, Found& found);
  void measure_batches(const Pair& pair, Found& found);
  void measure_rbf(const Pair& pair, Found& found);
  void measure_correlations(const Pair& pair, Found& found);
  const similarity::PrincipalBasis& basis(const FeatureRows& rows, Size2d size,
                                          const FeatureRows* keep, Size2d keep_size);
  // Bytes for blocks of rows beside two kernels: what the memory leaves, or all rows of a store.
  double room_for_blocks(const Pair& pair) const;
  // Throws where `measure` would take more than the memory, to hold `what`; notes what is much.
  void check_memory(const std::string& measure, double bytes, const std::string& what);
  bool wants(const std::string& measure) const;

  // Those of `names` that are wanted, apart by commas.
  std::string wanted_of(const std::vector<std::string>& names) const;

  std::vector<std::string> measures_;
  SimilarityOptions options_;
  std::function<void(const std::string&)> watch_;
  // Of stores by path and map size: a matrix of stores asks for each again and again.
  std::map<std::string, similarity::PrincipalBasis> bases_;
  // What has been noted: of a measure the bytes, of two stores that their maps differ in size.
  std::map<std::string, double> noted_;
};

}  // namespace concord::tool
