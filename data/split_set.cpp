#include "data/split_set.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <numeric>
#include <span>

#include "data/files.h"
#include "data/image_folder.h"
#include "data/staging_folder.h"
#include "kernels/error.h"

namespace concord {
namespace fs = std::filesystem;

namespace {

using Json = nlohmann::ordered_json;
using Indices = std::vector<std::int64_t>;

Indices all_of(const ImageSet& set) {
  Indices all(set.samples.size());
  std::iota(all.begin(), all.end(), 0);
  return all;
}

// Whether the file was linked; else it was copied.
bool link_or_copy(const fs::path& from, const fs::path& to) {
  std::error_code error;
  // A link to a symbolic link would be one more of those, and lead elsewhere.
  if (!fs::is_symlink(from, error)) {
    fs::create_hard_link(from, to, error);
    if (!error) return true;
  }
  write_file(to, read_file(from));
  return false;
}

// What is written of one part: a set's samples.
struct Share {
  const ImageSet& set;
  Indices samples;
};

class Splitting {
 public:
  Splitting(const fs::path& source, const fs::path& output, const SplitOptions& options)
      : source_(source), options_(options), folder_(read_image_folder(source)), output_(output) {
    check(folder_.validation.has_value(),
          "{}: has no train/ with val/ or test/ beside it; only a prepared data set can be split",
          source.string());
  }

  SplitReport run() {
    Halves halves = split_halves(folder_.train, options_.percent);
    check_part("a", halves.first);
    check_part("b", halves.second);
    StagingFolder staging(output_, options_.replace);
    total_ = static_cast<std::int64_t>(folder_.train.samples.size() +
                                       2 * folder_.validation->samples.size());
    report_.classes = folder_.train.classes;
    report_.held_out = folder_.validation->name;
    report_.a = write_part(staging.path(), "a", halves.first);
    report_.b = write_part(staging.path(), "b", halves.second);
    report_.a_images = static_cast<std::int64_t>(halves.first.size());
    report_.b_images = static_cast<std::int64_t>(halves.second.size());
    report_.held_out_images = count_classes(*folder_.validation);
    report_.held_out_total = static_cast<std::int64_t>(folder_.validation->samples.size());
    write_json(staging.path() / "manifest.json", head());
    staging.commit();
    return report_;
  }

 private:
  // A class folder without images cannot be read again.
  void check_part(const char* part, const Indices& samples) const {
    const ImageSet& set = folder_.train;
    if (!set.multi_labels.empty()) {
      check(!samples.empty(), "{}: of {} training images part {} would get none at {} per cent",
            source_.string(), set.samples.size(), part, options_.percent);
      return;
    }
    const auto counts = count_classes(set, samples);
    const auto none = std::find(counts.begin(), counts.end(), 0);
    if (none != counts.end())
      fail(
          "{}: class {} has {} training images, of which part {} would get none at {} per cent; "
          "give another --fraction or leave the class out",
          source_.string(), set.classes[static_cast<std::size_t>(none - counts.begin())],
          count_classes(set)[static_cast<std::size_t>(none - counts.begin())], part,
          options_.percent);
  }

  Json head() const {
    return {{"kind", "split"},
            {"version", CONCORD_VERSION},
            {"source", fs::canonical(source_).filename().string()},
            {"fraction", options_.percent}};
  }

  std::vector<std::int64_t> write_part(const fs::path& folder, const std::string& part,
                                       const Indices& train) {
    const Share shares[] = {{folder_.train, train},
                            {*folder_.validation, all_of(*folder_.validation)}};
    for (const Share& share : shares) write_files(folder / part, share);
    if (!folder_.train.multi_labels.empty()) write_labels(folder / part, shares);
    return write_manifest(folder / part, part, shares);
  }

  void write_files(const fs::path& part, const Share& share) {
    fs::path made;
    for (const std::int64_t i : share.samples) {
      const ImageSample& sample = share.set.samples[static_cast<std::size_t>(i)];
      const fs::path target = part / name_of_sample(sample, source_);
      if (target.parent_path() != made) {
        made = target.parent_path();
        std::error_code error;
        fs::create_directories(made, error);
        check(!error, "{}: cannot be created: {}", made.string(), error.message());
      }
      report_.copied += link_or_copy(sample.path, target) ? 0 : 1;
      if (options_.progress && ++done_ % 64 == 0) options_.progress(done_, total_);
    }
    if (options_.progress) options_.progress(done_, total_);
  }

  void write_labels(const fs::path& part, std::span<const Share> shares) const {
    const std::size_t classes = folder_.train.classes.size();
    // Not ordered as given, which takes time of the square of their number.
    nlohmann::json images = nlohmann::json::object();
    for (const Share& share : shares)
      for (const std::int64_t i : share.samples) {
        const auto index = static_cast<std::size_t>(i);
        auto& shown = images[name_of_sample(share.set.samples[index], source_)] =
            nlohmann::json::array();
        for (std::size_t label = 0; label < classes; ++label)
          if (share.set.multi_labels[index * classes + label] != 0) shown.push_back(label);
      }
    write_json(part / "labels.json",
               nlohmann::json{{"classes", folder_.train.classes}, {"images", std::move(images)}});
  }

  // Returns the counts of the training images.
  std::vector<std::int64_t> write_manifest(const fs::path& part, const std::string& name,
                                           std::span<const Share> shares) const {
    Json manifest = head();
    manifest["part"] = name;
    for (const Share& share : shares) manifest[share.set.name] = share.samples.size();
    const auto train = count_classes(shares[0].set, shares[0].samples);
    const auto held_out = count_classes(shares[1].set, shares[1].samples);
    for (std::size_t label = 0; label < train.size(); ++label)
      manifest["classes"][folder_.train.classes[label]] = {{shares[0].set.name, train[label]},
                                                           {shares[1].set.name, held_out[label]}};
    for (const ClassGroup& group : folder_.train.groups)
      manifest["groups"][group.name] = {{"first", group.first}, {"count", group.count}};
    write_json(part / "manifest.json", manifest);
    return train;
  }

  template <class AnyJson>
  static void write_json(const fs::path& file, const AnyJson& json) {
    try {
      write_file(file, json.dump(2) + "\n");
    } catch (const nlohmann::json::type_error&) {
      fail("{}: a name of a class or file is not UTF-8, as JSON holds it; rename it",
           file.filename().string());
    }
  }

  const fs::path source_;
  const SplitOptions& options_;
  const ImageFolder folder_;
  const fs::path output_;
  SplitReport report_;
  std::int64_t done_ = 0;
  std::int64_t total_ = 0;
};

}  // namespace

SplitReport split_data_set(const fs::path& source, const fs::path& output,
                           const SplitOptions& options) {
  check(options.percent >= 1 && options.percent <= 99, "split: a fraction of {} is not in 1..99",
        options.percent);
  return Splitting(source, output, options).run();
}

}  // namespace concord
