#include "tools/common/similarity_measures.h"

#include <algorithm>
#include <functional>

#include "analysis/similarity/canonical_correlation.h"
#include "analysis/similarity/gram.h"
#include "analysis/similarity/pair_moments.h"
#include "analysis/similarity/procrustes.h"
#include "data/loader.h"
#include "tools/common/feature_pairs.h"
#include "tools/common/interrupt.h"
#include "tools/common/terminal.h"

namespace concord::tool {

using similarity::Hsic;
using similarity::KernelSums;
using similarity::Matrix;
using similarity::PrincipalBasis;

namespace {

constexpr double kMebibyte = 1 << 20;
// Values of a piece that is read at a time where the order of the samples does not matter.
constexpr std::int64_t kPieceValues = std::int64_t{1} << 21;
// Of a value on its way from the store to a row: float, double, and the row.
constexpr double kBytesOfReading = 20;

std::string mebibytes(double bytes) { return fmt::format("{:.0f} MiB", bytes / kMebibyte + 0.5); }

std::int64_t piece_of(const FeatureRows& rows) {
  return std::clamp<std::int64_t>(kPieceValues / rows.values(), 1, rows.images());
}

// Calls each(begin, end) on pieces of the images in their order.
void for_pieces(std::int64_t images, std::int64_t piece,
                const std::function<void(std::int64_t, std::int64_t)>& each) {
  for (std::int64_t i = 0; i < images; i += piece) each(i, std::min(images, i + piece));
}

}  // namespace

const std::vector<std::string>& similarity_measures() {
  static const std::vector<std::string> names = {"cka",
                                                 "cka-debiased",
                                                 "cka-minibatch",
                                                 "cka-debiased-minibatch",
                                                 "rbf-cka",
                                                 "rbf-cka-debiased",
                                                 "procrustes",
                                                 "cca",
                                                 "svcca",
                                                 "pwcca",
                                                 "r2"};
  return names;
}

std::pair<std::string, std::string> outcome_names(const std::string& measure) {
  if (measure == "r2") return {"r2-ab", "r2-ba"};
  if (measure == "pwcca") return {"pwcca-a", "pwcca-b"};
  return {measure, measure};
}

struct SimilarityMeter::Pair {
  const FeatureRows& a;
  const FeatureRows& b;
  Size2d size;  // of the maps for positions: the smaller of the two in each direction

  std::int64_t samples() const { return a.images() * a.rows_per_image(size); }
  // Of a batch of images of both while it is read.
  double bytes_of(std::int64_t images) const {
    return kBytesOfReading * static_cast<double>(images * (a.values() + b.values()));
  }
};

namespace {

// Into how many batches of equal size, but for one image, and of `batch_size` at most the images
// go; of more where the estimate could not be made of such.
std::int64_t batches_of(std::int64_t images, std::int64_t rows_per_image, std::int64_t batch_size,
                        Hsic estimate) {
  const std::int64_t least = similarity::least_samples(estimate);
  const std::int64_t batch = std::min(batch_size, images);
  check(batch * rows_per_image >= least,
        "minibatch cka: batches of {} images have {} samples, {} are needed at least; give a "
        "larger --batch-size or more images",
        batch, batch * rows_per_image, least);
  const std::int64_t fewest_images = (least + rows_per_image - 1) / rows_per_image;
  return std::min((images + batch - 1) / batch, images / fewest_images);
}

std::string kernels_of(std::int64_t samples) {
  return fmt::format("kernels of {0} x {0} samples", samples);
}

// Runs a group of measures; a refusal becomes the outcome of those without a value yet.
template <class Measure>
void unless_refused(const std::vector<std::string>& names, std::map<std::string, Outcome>& found,
                    Measure&& measure) {
  try {
    measure();
  } catch (const Interrupted&) {
    throw;
  } catch (const UnreadableFeatures&) {
    throw;
  } catch (const Error& error) {
    for (const std::string& name : names)
      if (!found[name].value && found[name].note.empty()) found[name].note = error.what();
  }
}

Matrix all_rows(const FeatureRows& rows, Size2d size) {
  const std::int64_t each = rows.rows_per_image(size);
  Matrix result(rows.images() * each, rows.width());
  for_pieces(rows.images(), piece_of(rows), [&](std::int64_t begin, std::int64_t end) {
    result.middleRows(begin * each, (end - begin) * each) = rows.read(begin, end, size);
  });
  return result;
}

// Of an image while two blocks of rows with it are read and multiplied.
double block_bytes_an_image(const FeatureRows& rows) {
  return 2 * kBytesOfReading * static_cast<double>(rows.values());
}

// The centred linear kernel in blocks that `bytes` have room for.
Matrix kernel_of(const FeatureRows& rows, Size2d size, double bytes) {
  const std::int64_t each = rows.rows_per_image(size);
  const auto images = std::clamp<std::int64_t>(
      static_cast<std::int64_t>(bytes / block_bytes_an_image(rows)), 1, rows.images());
  return similarity::blocked_linear_kernel(rows.images() * each, images * each,
                                           [&](std::int64_t begin, std::int64_t end) {
                                             return rows.read(begin / each, end / each, size);
                                           });
}

}  // namespace

double SimilarityMeter::room_for_blocks(const Pair& pair) const {
  const auto n = static_cast<double>(pair.samples());
  const double whole = static_cast<double>(pair.a.images()) *
                       std::max(block_bytes_an_image(pair.a), block_bytes_an_image(pair.b));
  return std::clamp(options_.memory_mib * kMebibyte - 8 * 2 * n * n, 0.0, whole);
}

void SimilarityMeter::check_memory(const std::string& measure, double bytes,
                                   const std::string& what) {
  const std::string instead = measure == "minibatch cka" ? "a smaller --batch-size, "
                              : measure.ends_with("cka") ? "cka-debiased-minibatch, "
                                                         : "";
  check(bytes <= options_.memory_mib * kMebibyte,
        "{}: needs {} to hold {}, more than --memory {:g} MiB; use --rows mean, fewer --images, "
        "{}or more --memory",
        measure, mebibytes(bytes), what, options_.memory_mib, instead);
  double& noted = noted_[measure];
  if (bytes <= std::max(64 * kMebibyte, 1.1 * noted)) return;
  noted = bytes;
  note("{}: takes up to {} for {}", measure, mebibytes(bytes), what);
}

bool SimilarityMeter::wants(const std::string& measure) const {
  return std::find(measures_.begin(), measures_.end(), measure) != measures_.end();
}

// What is computed from the same pass over the features.
const std::vector<SimilarityMeter::Step> SimilarityMeter::kSteps = {
    {{"cka", "cka-debiased", "procrustes"}, &SimilarityMeter::measure_second_moments},
    {{"cka-minibatch", "cka-debiased-minibatch"}, &SimilarityMeter::measure_batches},
    {{"rbf-cka", "rbf-cka-debiased"}, &SimilarityMeter::measure_rbf},
    {{"cca", "svcca", "pwcca", "r2"}, &SimilarityMeter::measure_correlations}};

std::string SimilarityMeter::wanted_of(const std::vector<std::string>& names) const {
  std::string text;
  for (const std::string& name : names)
    if (wants(name)) text += (text.empty() ? "" : ", ") + name;
  return text;
}

std::int64_t SimilarityMeter::steps() const {
  return std::count_if(kSteps.begin(), kSteps.end(),
                       [&](const Step& step) { return !wanted_of(step.names).empty(); });
}

Outcomes SimilarityMeter::measure(const FeatureRows& a, const FeatureRows& b) {
  check_same_images(a.store(), b.store());
  const Size2d size_a = a.size();
  const Size2d size_b = b.size();
  const Pair pair{
      a, b, {std::min(size_a.height, size_b.height), std::min(size_a.width, size_b.width)}};
  if (a.by_positions() && (size_a != pair.size || size_b != pair.size) &&
      noted_.emplace(a.path() + " " + b.path(), 0).second)
    note("{} and {}: maps of {}x{} and {}x{} are compared at {}x{}", a.path(), b.path(),
         size_a.height, size_a.width, size_b.height, size_b.width, pair.size.height,
         pair.size.width);
  Found found;
  for (const auto& [names, run] : kSteps) {
    const std::string what = wanted_of(names);
    if (what.empty()) continue;
    if (watch_) watch_(what);
    (this->*run)(pair, found);
  }
  Outcomes outcomes;
  for (const std::string& measure : measures_) {
    const auto [forward, backward] = outcome_names(measure);
    outcomes.emplace_back(forward, found[forward]);
    if (backward != forward) outcomes.emplace_back(backward, found[backward]);
  }
  return outcomes;
}

namespace {

struct LinearResults {
  KernelSums sums;
  double nuclear_norm = 0;  // where asked for
};

// In two passes over the stores.
LinearResults by_moments(const FeatureRows& a, const FeatureRows& b, Size2d size,
                         std::int64_t piece, bool with_nuclear_norm) {
  similarity::ColumnMeans means_a, means_b;
  const auto each = [&](auto&& use) {
    for_pieces(a.images(), piece, [&](std::int64_t begin, std::int64_t end) {
      use(a.read(begin, end, size), b.read(begin, end, size));
    });
  };
  each([&](const Matrix& x, const Matrix& y) {
    means_a.add(x);
    means_b.add(y);
  });
  similarity::PairMoments moments(means_a.means(), means_b.means());
  each([&](const Matrix& x, const Matrix& y) { moments.add(x, y); });
  return {moments.kernel_sums(), with_nuclear_norm ? moments.nuclear_norm() : 0};
}

LinearResults by_kernels(const FeatureRows& a, const FeatureRows& b, Size2d size, double room,
                         bool with_nuclear_norm) {
  const Matrix k = kernel_of(a, size, room);
  const Matrix l = kernel_of(b, size, room);
  return {similarity::kernel_sums(k, l), with_nuclear_norm ? similarity::nuclear_norm(k, l) : 0};
}

}  // namespace

void SimilarityMeter::measure_second_moments(const Pair& pair, Found& found) {
  const auto n = static_cast<double>(pair.samples());
  const auto d_a = static_cast<double>(pair.a.width());
  const auto d_b = static_cast<double>(pair.b.width());
  const std::int64_t piece = std::min(piece_of(pair.a), piece_of(pair.b));
  // Procrustes adds a singular value decomposition; by kernels also their square roots.
  const auto bytes_of_moments = [&](bool procrustes) {
    return 8 * (d_a * d_a + d_b * d_b + (procrustes ? 7 : 1) * d_a * d_b) +
           2 * pair.bytes_of(piece);
  };
  const auto bytes_of_kernels = [&](bool procrustes) {
    return 8 * (procrustes ? 12 : 2) * n * n + 2 * pair.bytes_of(1);
  };
  // By what cka needs, so that its bits do not depend on what else is asked for.
  const bool by_second_moments = bytes_of_moments(false) <= bytes_of_kernels(false);
  const auto needs = [&](bool procrustes) {
    return by_second_moments
               ? bytes_of_moments(procrustes)
               : std::max(bytes_of_kernels(procrustes), 8 * 2 * n * n + room_for_blocks(pair));
  };
  const std::string what = by_second_moments
                               ? fmt::format("second moments of {} and {} features", d_a, d_b)
                               : kernels_of(pair.samples());
  bool procrustes = wants("procrustes");
  if (procrustes) {
    unless_refused({"procrustes"}, found, [&] { check_memory("procrustes", needs(true), what); });
    procrustes = found["procrustes"].note.empty();
  }
  if (!wants("cka") && !wants("cka-debiased") && !procrustes) return;
  unless_refused({"cka", "cka-debiased", "procrustes"}, found, [&] {
    if (!procrustes) check_memory("cka", needs(false), what);
    const LinearResults linear =
        by_second_moments
            ? by_moments(pair.a, pair.b, pair.size, piece, procrustes)
            : by_kernels(pair.a, pair.b, pair.size, room_for_blocks(pair), procrustes);
    unless_refused({"cka"}, found,
                   [&] { found["cka"].value = linear.sums.hsic(Hsic::kBiased).cka(); });
    unless_refused({"cka-debiased"}, found,
                   [&] { found["cka-debiased"].value = linear.sums.hsic(Hsic::kUnbiased).cka(); });
    if (!procrustes) return;
    unless_refused({"procrustes"}, found, [&] {
      const similarity::Procrustes result =
          similarity::procrustes(linear.sums, linear.nuclear_norm);
      found["procrustes"] = {result.similarity, fmt::format("distance {:.6g}", result.distance)};
    });
  });
}

void SimilarityMeter::measure_batches(const Pair& pair, Found& found) {
  const std::vector<std::pair<std::string, Hsic>> kinds = {
      {"cka-minibatch", Hsic::kBiased}, {"cka-debiased-minibatch", Hsic::kUnbiased}};
  for (const auto& [name, estimate] : kinds) {
    if (!wants(name)) continue;
    unless_refused({name}, found, [&] {
      const std::int64_t images = pair.a.images();
      const std::int64_t batches =
          batches_of(images, pair.a.rows_per_image(pair.size), options_.batch_size, estimate);
      const std::int64_t most = (images + batches - 1) / batches;
      const auto samples = static_cast<double>(most * pair.a.rows_per_image(pair.size));
      const auto width = static_cast<double>(std::max(pair.a.width(), pair.b.width()));
      const double products = 8 * 3 * std::min(samples, width) * std::min(samples, width);
      check_memory("minibatch cka", 1.4 * pair.bytes_of(most) + products,
                   fmt::format("batches of {} images", most));
      similarity::MinibatchCka cka(estimate);
      const std::vector<std::int64_t> order = shuffled_order(images, options_.seed, 0);
      for (std::int64_t i = 0; i < batches; ++i) {
        const auto begin = static_cast<std::size_t>(images * i / batches);
        const auto end = static_cast<std::size_t>(images * (i + 1) / batches);
        const auto chosen = std::span(order).subspan(begin, end - begin);
        cka.add(pair.a.gather(chosen, pair.size), pair.b.gather(chosen, pair.size));
      }
      const std::int64_t least = images / batches;
      found[name] = {cka.result(), fmt::format("batches of {} images: {}",
                                               least == most ? fmt::format("{}", most)
                                                             : fmt::format("{} or {}", least, most),
                                               batches)};
    });
  }
}

void SimilarityMeter::measure_rbf(const Pair& pair, Found& found) {
  const std::vector<std::pair<std::string, Hsic>> kinds = {{"rbf-cka", Hsic::kBiased},
                                                           {"rbf-cka-debiased", Hsic::kUnbiased}};
  unless_refused({kinds[0].first, kinds[1].first}, found, [&] {
    const auto n = static_cast<double>(pair.samples());
    // Two kernels, and of one of them the distances and their copy for the median.
    const double kernels = 8 * 4 * n * n + 2 * pair.bytes_of(1);
    const double room = room_for_blocks(pair);
    check_memory("rbf-cka", std::max(kernels, 8 * 2 * n * n + room), kernels_of(pair.samples()));
    const auto kernel = [&](const FeatureRows& rows, const char* what) {
      return similarity::centred_kernel(
          similarity::rbf_kernel(kernel_of(rows, pair.size, room), options_.bandwidth, what));
    };
    const Matrix k = kernel(pair.a, "features A");
    const KernelSums sums = similarity::kernel_sums(k, kernel(pair.b, "features B"));
    for (const auto& [name, estimate] : kinds)
      unless_refused({name}, found, [&] {
        found[name] = {sums.hsic(estimate).cka(),
                       fmt::format("bandwidth {:g} median distances", options_.bandwidth)};
      });
  });
}

const PrincipalBasis& SimilarityMeter::basis(const FeatureRows& rows, Size2d size,
                                             const FeatureRows* keep, Size2d keep_size) {
  const auto key_of = [](const FeatureRows& of, Size2d at) {
    return of.rows_per_image(at) == 1 ? of.path()
                                      : fmt::format("{} {} {}", of.path(), at.height, at.width);
  };
  const std::string key = key_of(rows, size);
  const auto known = bases_.find(key);
  if (known != bases_.end()) return known->second;
  const std::int64_t samples = rows.images() * rows.rows_per_image(size);
  const double bytes = similarity::principal_basis_bytes(static_cast<double>(samples),
                                                         static_cast<double>(rows.width())) +
                       kBytesOfReading * static_cast<double>(piece_of(rows) * rows.values());
  const auto held = [&] {
    double sum = 0;
    for (const auto& [name, one] : bases_)
      sum += 8.0 * static_cast<double>(one.directions.size() + one.coordinates.size());
    return sum;
  };
  if (held() + bytes > options_.memory_mib * kMebibyte) {
    const std::string kept = keep == nullptr ? "" : key_of(*keep, keep_size);
    std::erase_if(bases_, [&](const auto& one) { return one.first != kept; });
  }
  check_memory("cca, svcca, pwcca and r2", held() + bytes,
               fmt::format("the principal directions of {} x {} features", samples, rows.width()));
  return bases_
      .emplace(key,
               similarity::principal_basis(all_rows(rows, size), "the features of " + rows.path(),
                                           options_.rank_tolerance))
      .first->second;
}

void SimilarityMeter::measure_correlations(const Pair& pair, Found& found) {
  const std::vector<std::string> names = {"cca", "svcca", "pwcca-a", "pwcca-b", "r2-ab", "r2-ba"};
  unless_refused(names, found, [&] {
    const PrincipalBasis& a = basis(pair.a, pair.size, nullptr, {});
    const PrincipalBasis& b = basis(pair.b, pair.size, &pair.a, pair.size);
    const auto put = [&](const char* measure, const std::string& name, auto&& compute,
                         const std::function<std::string()>& remark) {
      if (!wants(measure)) return;
      unless_refused({name}, found, [&] {
        found[name].value = compute();
        found[name].note = remark();
      });
    };
    const auto ranks = [&](std::int64_t rank_a, std::int64_t rank_b) {
      std::string text = fmt::format("{} and {} directions", rank_a, rank_b);
      const std::int64_t forced = similarity::forced_correlations(a.samples, rank_a, rank_b);
      if (forced > 0)
        text +=
            fmt::format("; {} correlations are 1 as there are only {} samples", forced, a.samples);
      return text;
    };
    const auto whole = [&] { return ranks(a.rank(), b.rank()); };
    put(
        "cca", "cca", [&] { return similarity::mean_cca(a, b); }, whole);
    put(
        "svcca", "svcca", [&] { return similarity::svcca(a, b, options_.variance_kept); },
        [&] {
          return ranks(a.directions_holding(options_.variance_kept),
                       b.directions_holding(options_.variance_kept));
        });
    put(
        "pwcca", "pwcca-a", [&] { return similarity::pwcca(a, b); }, whole);
    put(
        "pwcca", "pwcca-b", [&] { return similarity::pwcca(b, a); }, whole);
    const auto by_chance = [](const PrincipalBasis& from) {
      return fmt::format("{:.4f} for unrelated features",
                         static_cast<double>(from.rank()) / static_cast<double>(from.samples - 1));
    };
    put(
        "r2", "r2-ab", [&] { return similarity::regression_r2(a, b); },
        [&] { return by_chance(a); });
    put(
        "r2", "r2-ba", [&] { return similarity::regression_r2(b, a); },
        [&] { return by_chance(b); });
  });
}

}  // namespace concord::tool
