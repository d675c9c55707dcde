// concord-similarity: what representations are usually compared by, on feature stores.

#include <algorithm>
#include <optional>

#include "data/files.h"
#include "tools/common/interrupt.h"
#include "tools/common/progress.h"
#include "tools/common/run_directory.h"
#include "tools/common/similarity_measures.h"
#include "tools/common/stitching.h"
#include "tools/common/terminal.h"

namespace concord::tool {
namespace {

struct Options {
  std::vector<std::string> features, features_a, features_b;
  std::vector<std::string> measures = {"all"};
  std::string rows = "flatten";
  std::int64_t images = 0;
  SimilarityOptions similarity;
  RunOptions run;
  DeviceOptions device;
  StitchingOptions stitching;
  bool stitches = false;  // "stitch" is among the measures
};

// Values by name of outcome, [stores A][stores B].
struct Results {
  std::vector<std::string> names;
  std::map<std::string, std::vector<std::vector<Outcome>>> outcomes;
};

std::vector<FeatureRows> open(const std::vector<std::string>& paths, const Options& options) {
  std::vector<FeatureRows> stores;
  for (const std::string& path : paths)
    stores.emplace_back(path, similarity::rows_of_word(options.rows), options.images);
  return stores;
}

// With --features every store is compared with every other: each pair is measured once, and gives
// both its places.
Results measure_all(const std::vector<FeatureRows>& a, const std::vector<FeatureRows>& b,
                    bool square, const Options& options) {
  SimilarityMeter meter(options.measures, options.similarity);
  Results results;
  const auto at = [&](const std::string& name, std::size_t i, std::size_t j) -> Outcome& {
    auto& matrix = results.outcomes[name];
    if (matrix.empty()) matrix.assign(a.size(), std::vector<Outcome>(b.size()));
    return matrix[i][j];
  };
  const std::size_t pairs = square ? a.size() * (a.size() + 1) / 2 : a.size() * b.size();
  Progress progress("comparing", static_cast<std::int64_t>(pairs) * meter.steps(), "steps");
  std::size_t pair = 0;
  std::int64_t done = 0;
  meter.set_watch([&](const std::string& what) {
    stop_if_interrupted();
    progress.rename(pairs > 1 ? fmt::format("pair {}/{}: {}", pair, pairs, what) : what);
    if (done > 0) progress.update(done);
    ++done;
  });
  for (std::size_t i = 0; i < a.size(); ++i) {
    for (std::size_t j = square ? i : 0; j < b.size(); ++j) {
      ++pair;
      const Outcomes outcomes = meter.measure(a[i], b[j]);
      for (const auto& [name, outcome] : outcomes) at(name, i, j) = outcome;
      if (square)
        for (const std::string& measure : options.measures) {
          const auto [forward, backward] = outcome_names(measure);
          at(forward, j, i) = at(backward, i, j);
        }
    }
  }
  for (const std::string& measure : options.measures) {
    const auto [forward, backward] = outcome_names(measure);
    results.names.push_back(forward);
    // Of a square matrix it is the transpose.
    if (backward != forward && !square) results.names.push_back(backward);
  }
  return results;
}

std::string text_of(const Outcome& outcome) {
  return outcome.value ? fmt::format("{:.6f}", *outcome.value) : "-";
}

void print(const Results& results, const std::vector<FeatureRows>& a,
           const std::vector<FeatureRows>& b) {
  if (a.size() == 1 && b.size() == 1) {
    Table table({"measure", "value", "note"});
    for (const std::string& name : results.names) {
      const Outcome& outcome = results.outcomes.at(name)[0][0];
      table.row({name, text_of(outcome), outcome.value ? outcome.note : "see below"});
    }
    return table.print();
  }
  for (const std::string& name : results.names) {
    std::vector<std::string> header = {name};
    for (const FeatureRows& store : b) header.push_back(store.path());
    Table table(header);
    for (std::size_t i = 0; i < a.size(); ++i) {
      std::vector<std::string> row = {a[i].path()};
      for (const Outcome& outcome : results.outcomes.at(name)[i]) row.push_back(text_of(outcome));
      table.row(std::move(row));
    }
    table.print();
  }
}

nlohmann::ordered_json json_of(const std::vector<FeatureRows>& stores) {
  auto list = nlohmann::ordered_json::array();
  for (const FeatureRows& store : stores)
    list.push_back({{"path", store.path()},
                    {"shape", store.store().shape().to_string()},
                    {"arch", store.store().info().arch},
                    {"layer", store.store().info().layer}});
  return list;
}

nlohmann::ordered_json json_of(const Results& results) {
  auto measures = nlohmann::ordered_json::array();
  for (const std::string& name : results.names) {
    nlohmann::ordered_json measure = {{"measure", name}};
    auto values = nlohmann::ordered_json::array();
    auto notes = nlohmann::ordered_json::array();
    for (const auto& line : results.outcomes.at(name)) {
      auto value_row = nlohmann::ordered_json::array();
      auto note_row = nlohmann::ordered_json::array();
      for (const Outcome& outcome : line) {
        value_row.push_back(outcome.value ? nlohmann::ordered_json(*outcome.value) : nullptr);
        note_row.push_back(outcome.note);
      }
      values.push_back(value_row);
      notes.push_back(note_row);
    }
    if (values.size() == 1 && values[0].size() == 1) measure["value"] = values[0][0];
    measure["values"] = values;
    measure["notes"] = notes;
    measures.push_back(measure);
  }
  return measures;
}

// Says once for each reason which measures have no value, and fails when none has.
void report_refused(const Results& results) {
  std::vector<std::pair<std::string, std::string>> reasons;  // with the measures
  bool any = false;
  for (const std::string& name : results.names)
    for (const auto& row : results.outcomes.at(name))
      for (const Outcome& outcome : row) {
        any = any || outcome.value.has_value();
        if (outcome.value) continue;
        const auto known = std::find_if(reasons.begin(), reasons.end(),
                                        [&](const auto& one) { return one.first == outcome.note; });
        if (known == reasons.end())
          reasons.emplace_back(outcome.note, name);
        else if (!(", " + known->second).ends_with(", " + name))
          known->second += ", " + name;
      }
  for (const auto& [reason, names] : reasons) warn("no value of {}: {}", names, reason);
  check(any, "nothing could be measured: {}", reasons.front().first);
}

void settle_measures(Options& options) {
  std::vector<std::string> measures;
  for (const std::string& word : options.measures) {
    const std::vector<std::string>& all = similarity_measures();
    if (word == "stitch")
      options.stitches = true;
    else if (word == "all")
      measures.insert(measures.end(), all.begin(), all.end());
    else
      measures.push_back(word);
  }
  options.measures.clear();
  for (const std::string& measure : measures)
    if (std::find(options.measures.begin(), options.measures.end(), measure) ==
        options.measures.end())
      options.measures.push_back(measure);
}

// The stitch as one more result of a pair.
void add_stitch(Results& results, Options& options, const CommandLine& line,
                RunDirectory& directory) {
  const Stitching found =
      stitch(options.stitching, options.features_a.front(), options.features_b.front(),
             options.similarity.batch_size, options.run, options.device, line, directory);
  results.names.emplace_back("stitch");
  results.outcomes["stitch"] = {
      {{.value = found.top1,
        .note =
            fmt::format("top-1 of {} {} images; B's own {:.6f}; epoch {}", found.images,
                        found.held_out ? "validation" : "training", found.own_top1, found.epoch)}}};
}

void check_options(Options& options, const CommandLine& line) {
  const bool square = !options.features.empty();
  check_usage(square != (!options.features_a.empty() || !options.features_b.empty()),
              "give --features, or --features-a and --features-b");
  check_usage(square || (!options.features_a.empty() && !options.features_b.empty()),
              "--features-a and --features-b belong together");
  settle_measures(options);
  if (!options.stitches) {
    line.refuse(kStitchingOnly, "needs --measures stitch");
    return;
  }
  check_usage(options.features_a.size() == 1 && options.features_b.size() == 1,
              "--measures stitch is of one pair; give one --features-a and one --features-b");
  check_usage(!options.stitching.weights_b.empty(), "--measures stitch needs --weights-b");
  check_usage(options.stitching.val_features_a.empty() == options.stitching.val_features_b.empty(),
              "--val-features-a and --val-features-b belong together");
  check_usage(!options.run.output_dir.empty(),
              "--measures stitch needs --output-dir, for the checkpoints of its convolution");
  line.refuse({"--images"}, "does not apply to --measures stitch, which trains on all images");
}

void compare(Options& options, const CommandLine& line) {
  check_options(options, line);
  const bool square = !options.features.empty();
  const std::vector<FeatureRows> a = open(square ? options.features : options.features_a, options);
  const std::vector<FeatureRows> b = square ? a : open(options.features_b, options);
  std::optional<RunDirectory> directory;
  if (!options.run.output_dir.empty()) {
    std::vector<std::string> owned = {"similarity.json", "config.json"};
    if (options.stitches) owned.insert(owned.end(), kTrainingFiles.begin(), kTrainingFiles.end());
    options.run.inputs = {options.stitching.weights_b};
    directory.emplace(options.run, owned);
  }
  Results results = measure_all(a, b, square, options);
  if (options.stitches) add_stitch(results, options, line, *directory);
  print(results, a, b);
  report_refused(results);
  if (!directory) return;
  nlohmann::ordered_json json;
  json["rows"] = options.rows;
  json["images"] = a.front().images();
  json["features_a"] = json_of(a);
  json["features_b"] = json_of(b);
  json["measures"] = json_of(results);
  json["command"] = line.command();
  json["version"] = CONCORD_VERSION;
  if (!options.stitches) directory->write_config(line);
  write_file(directory->path() / "similarity.json", text_of_json(json, 2) + "\n");
}

}  // namespace
}  // namespace concord::tool

int main(int argc, char** argv) {
  using namespace concord::tool;
  Options options;
  std::vector<std::string> words = similarity_measures();
  words.insert(words.begin(), "all");
  words.emplace_back("stitch");
  CommandLine line(
      {.name = "concord-similarity",
       .summary = "Compares the features of networks on the same images by CKA, SVCCA, PWCCA, "
                  "Procrustes and linear regression.",
       .example =
           "  concord-similarity --features-a features-a --features-b features-b --rows mean \\\n"
           "      --output-dir similarity\n"
           "prints a value per measure. 1 says that the features are the same but for what the\n"
           "measure leaves aside, for all but r2, cca and pwcca a rotation and a scale, for these\n"
           "any linear map. Unrelated features have about 0 in the debiased measures and\n"
           "procrustes with many images, and more in the others, the more the fewer images.",
       .footnote =
           "Measures (all, or some of these):\n"
           "  cka, cka-debiased    linear CKA over all images, by HSIC_0 and the unbiased HSIC_1\n"
           "  cka-minibatch, cka-debiased-minibatch\n"
           "                       of HSIC averaged over random batches, in the memory of one\n"
           "  rbf-cka, rbf-cka-debiased\n"
           "                       with the kernel exp(-d^2 / 2 s^2), s = --bandwidth medians of "
           "d\n"
           "  procrustes           sum of singular values of A^T B, each of norm 1; 1 - "
           "distance/2\n"
           "  cca                  mean canonical correlation\n"
           "  svcca                that of the directions that hold --variance-kept of the "
           "variance\n"
           "  pwcca                weighted by what each direction accounts for in A, and in B\n"
           "  r2                   share of B's variance that A gives linearly, and of A's that B "
           "does\n"
           "  stitch               not in all: top-1 of B's rest on A's maps behind a 1x1 "
           "convolution that\n"
           "                       is trained on the stores' labels; needs --weights-b and "
           "--output-dir\n"
           "Rows: flatten (a row per image, C*H*W features), mean (per image, each channel's mean "
           "over\nspace) or positions (per image and pixel, C features; maps of different sizes "
           "are "
           "brought\nto the smaller height and width bilinearly).\n"
           "A measure that has no value for these features (constant ones, too few images: cca "
           "and\n"
           "the like need more images than features) is shown as \"-\" with a warning that says "
           "why;\nthe run fails where no measure has a value."});
  line.option("--features-a", options.features_a,
              "A's features: a store or safetensors file; several for a matrix, a row each");
  line.option("--features-b", options.features_b,
              "B's features, of the same images; several for a matrix, a column each");
  line.option("--features", options.features, "instead: stores of which all pairs are compared");
  line.option("--measures", options.measures, "see below", one_of(words));
  line.option("--rows", options.rows, "what the maps become: flatten, mean or positions",
              one_of({"flatten", "mean", "positions"}));
  line.option("--images", options.images, "as many, evenly spaced over the stores; 0 = all",
              in_range(0, 1e9));
  line.option("--batch-size", options.similarity.batch_size,
              "images a batch of the minibatch measures, and a step of stitch", in_range(1, 1e6));
  add_seed_option(line, options.run);
  line.option("--bandwidth", options.similarity.bandwidth,
              "of the RBF kernel, in median distances between samples", above(0));
  line.option("--variance-kept", options.similarity.variance_kept,
              "share of the variance that svcca keeps", in_range(1e-6, 1));
  line.option("--rank-tolerance", options.similarity.rank_tolerance,
              "singular values up to this multiple of the largest are taken for 0",
              in_range(0, 0.5));
  line.option("--memory", options.similarity.memory_mib,
              "in MiB: measures that would need more are refused", in_range(1, 1e9));
  add_output_options(line, options.run, "folder for similarity.json (optional)");
  add_stitching_options(line, options.stitching);
  add_resume_option(line, options.run);
  add_tensorboard_option(line, options.run);
  add_device_options(line, options.device);
  return run_program(line, argc, argv, [&] {
    apply(options.device);
    options.similarity.seed = options.run.seed;
    compare(options, line);
  });
}
