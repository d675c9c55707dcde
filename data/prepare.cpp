#include "data/prepare.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <unordered_map>
#include <unordered_set>

#include "data/files.h"
#include "data/image.h"
#include "data/prepare_journal.h"
#include "data/staging_folder.h"
#include "kernels/error.h"

namespace concord {
namespace fs = std::filesystem;

namespace {

using Json = nlohmann::ordered_json;

bool crops(const ImagePlan& plan) {
  return std::any_of(plan.images.begin(), plan.images.end(),
                     [](const PlannedImage& image) { return image.box.has_value(); });
}

// All that the bytes of the output depend on, so that what an interrupted run left is used by the
// same run only.
std::string record_of(const std::vector<const FileSource*>& sources, const ImagePlan& plan,
                      const PrepareOptions& options) {
  Json head{{"version", CONCORD_VERSION},
            {"kind", plan.kind},
            {"quality", options.quality},
            {"max_pixels", options.max_pixels},
            {"classes", plan.classes}};
  for (const FileSource* source : sources) head["sources"].push_back(source->identity());
  std::string text = head.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  for (const PlannedImage& image : plan.images) {
    text += fmt::format("{} {} {} {}", image.source, image.file, image.target, image.label);
    if (image.box)
      text += fmt::format(" {} {} {} {}", image.box->x, image.box->y, image.box->width,
                          image.box->height);
    text += '\n';
  }
  for (const std::uint8_t bit : plan.multi_labels) text += static_cast<char>('0' + bit);
  return text;
}

// The images that are made of one file, which is read and decoded once for all of them.
struct FileWork {
  std::string file;
  std::vector<std::size_t> images;  // indices into the plan
};

class Preparation {
 public:
  Preparation(const std::vector<const FileSource*>& sources, const ImagePlan& plan,
              const fs::path& output, const PrepareOptions& options)
      : sources_(sources),
        plan_(plan),
        options_(options),
        staging_(output, options.replace, record_of(sources, plan, options)),
        problems_(plan.images.size()) {}

  PrepareReport run() {
    tell_what_was_found();
    make_folders();
    done_ = read_journal(staging_.journal(), staging_.path(), plan_);
    PrepareReport report;
    remove_leftovers();
    report.resumed = std::count_if(done_.begin(), done_.end(),
                                   [](const auto& image) { return image.has_value(); });
    if (report.resumed > 0)
      tell(fmt::format("going on from an interrupted run: {} of {} images are there",
                       report.resumed, plan_.images.size()));
    write_images();
    summarise(report);
    write_labels();
    write_manifest(report);
    staging_.commit();
    return report;
  }

 private:
  void tell(const std::string& what) const {
    if (options_.notice) options_.notice(what);
  }

  void tell_what_was_found() const {
    if (staging_.found() == StagingFolder::Found::kOtherRecord)
      tell(
          "an interrupted run with another source or other options had begun this folder: "
          "beginning anew");
  }

  void make_folders() {
    std::error_code error;
    const auto make = [&](const fs::path& folder) {
      fs::create_directories(staging_.path() / folder, error);
      check(!error, "{}: cannot be created: {}", (staging_.path() / folder).string(),
            error.message());
    };
    fs::path last;
    for (const PlannedImage& image : plan_.images) {
      const fs::path folder = fs::path(image.target).parent_path();
      if (folder != last) make(folder);
      last = folder;
    }
  }

  // What a killed run was writing lies about under temporary names.
  void remove_leftovers() const {
    std::unordered_set<std::string> kept;
    for (std::size_t i = 0; i < done_.size(); ++i)
      if (done_[i]) kept.insert((staging_.path() / plan_.images[i].target).string());
    std::vector<fs::path> others;
    for (const auto& entry : fs::recursive_directory_iterator(staging_.path()))
      if (!entry.is_directory() && !kept.contains(entry.path().string()))
        others.push_back(entry.path());
    for (const fs::path& file : others) fs::remove(file);
  }

  // What is left to do, by source.
  std::vector<std::vector<FileWork>> list_work() const {
    std::vector<std::vector<FileWork>> work(sources_.size());
    std::vector<std::unordered_map<std::string, std::size_t>> known(sources_.size());
    for (std::size_t i = 0; i < plan_.images.size(); ++i) {
      const PlannedImage& image = plan_.images[i];
      if (done_[i]) continue;
      std::vector<FileWork>& list = work[image.source];
      const auto [at, fresh] = known[image.source].emplace(image.file, list.size());
      if (fresh) list.push_back({image.file, {}});
      list[at->second].images.push_back(i);
    }
    return work;
  }

  void write_images() {
    const auto work = list_work();
    std::int64_t total = 0, before = 0;
    for (const auto& list : work) total += static_cast<std::int64_t>(list.size());
    PrepareJournal journal(staging_.journal());
    for (std::size_t s = 0; s < work.size(); ++s) {
      if (work[s].empty()) continue;
      std::vector<std::string> files;
      for (const FileWork& item : work[s]) files.push_back(item.file);
      const auto body = [&](std::size_t i, const FileBytes& bytes) {
        work_on(*sources_[s], work[s][i], bytes, journal);
      };
      ProgressCallback progress;
      if (options_.progress)
        progress = [&](std::int64_t done, std::int64_t) { report_progress(before + done, total); };
      sources_[s]->for_each(files, options_.threads, body, progress);
      before += static_cast<std::int64_t>(files.size());
    }
  }

  // What stops a run from outside leaves what it has done to the next.
  void report_progress(std::int64_t done, std::int64_t total) {
    try {
      options_.progress(done, total);
    } catch (...) {
      staging_.keep();
      throw;
    }
  }

  void work_on(const FileSource& source, const FileWork& work, const FileBytes& file,
               PrepareJournal& journal) {
    const std::string name = source.name_of(work.file);
    Image picture;
    std::string problem = file.problem;
    if (problem.empty()) try {
        picture = decode_image(file.bytes, name, {.max_pixels = options_.max_pixels});
      } catch (const Error& error) {
        problem = error.what();
      }
    for (const std::size_t i : work.images) {
      problems_[i] = problem;
      if (problem.empty()) write_image(i, picture, file.bytes, name, journal);
      check(!options_.strict || problems_[i].empty(), "{}", problems_[i]);
    }
  }

  void write_image(std::size_t i, const Image& picture, const std::vector<std::uint8_t>& original,
                   const std::string& name, PrepareJournal& journal) {
    PreparedImage made;
    std::vector<std::uint8_t> encoded;
    try {
      made = encode(plan_.images[i], picture, original, name, encoded);
    } catch (const Error& error) {
      problems_[i] = error.what();
      return;
    }
    // Apart from the above: a full disk is no property of the image.
    const std::vector<std::uint8_t>& bytes = made.copied ? original : encoded;
    try {
      write_file(staging_.path() / plan_.images[i].target, bytes);
      journal.add(i, made, bytes);
    } catch (...) {
      staging_.keep();
      throw;
    }
    done_[i] = made;
  }

  PreparedImage encode(const PlannedImage& planned, const Image& picture,
                       const std::vector<std::uint8_t>& original, const std::string& name,
                       std::vector<std::uint8_t>& encoded) const {
    PreparedImage made;
    std::optional<Image> part;
    if (planned.box) {
      const BoundingBox& box = *planned.box;
      // In whole pixels: a box that ends within the last pixel loses nothing.
      made.clipped = box.x <= -1.0 || box.y <= -1.0 || box.x + box.width >= picture.width + 1.0 ||
                     box.y + box.height >= picture.height + 1.0;
      const auto [left, top, right, bottom] =
          crop_rectangle(box, picture.width, picture.height, name);
      if (left != 0 || top != 0 || right != picture.width || bottom != picture.height)
        part = crop(picture, left, top, right, bottom);
    }
    made.copied = !part && is_color_jpeg(original);
    if (!made.copied) encoded = encode_jpeg(part ? *part : picture, options_.quality);
    return made;
  }

  void summarise(PrepareReport& report) const {
    const std::size_t classes = plan_.classes.size();
    report.images.assign(plan_.splits.size(), std::vector<std::int64_t>(classes, 0));
    report.totals.assign(plan_.splits.size(), 0);
    for (std::size_t i = 0; i < done_.size(); ++i) {
      if (!done_[i]) {
        report.unreadable.push_back(problems_[i]);
        continue;
      }
      const PlannedImage& image = plan_.images[i];
      const auto split = static_cast<std::size_t>(
          std::find(plan_.splits.begin(), plan_.splits.end(), image.split) - plan_.splits.begin());
      ++report.totals[split];
      report.clipped += done_[i]->clipped ? 1 : 0;
      report.copied += done_[i]->copied ? 1 : 0;
      if (plan_.multi_labels.empty())
        ++report.images[split][static_cast<std::size_t>(image.label)];
      else
        for (std::size_t label = 0; label < classes; ++label)
          report.images[split][label] += plan_.multi_labels[i * classes + label];
    }
    if (plan_.multi_labels.empty()) check_every_class(report);
  }

  void check_every_class(const PrepareReport& report) const {
    const auto adjective = [](const std::string& split) {
      return split == "train" ? "training" : split == "val" ? "validation" : split;
    };
    for (std::size_t label = 0; label < plan_.classes.size(); ++label) {
      std::string counts;
      bool complete = true;
      for (std::size_t split = 0; split < plan_.splits.size(); ++split) {
        const std::int64_t count = report.images[split][label];
        complete = complete && count > 0;
        counts += fmt::format("{}{} readable {}", split == 0 ? "" : " and ", count,
                              adjective(plan_.splits[split]));
      }
      check(
          complete, "{}: class {} has {} images; every split needs one{}",
          sources_.front()->location().string(), plan_.classes[label], counts,
          report.unreadable.empty() ? "" : " (the first unreadable: " + report.unreadable[0] + ")");
    }
  }

  void write_labels() const {
    if (plan_.multi_labels.empty()) return;
    // Sorted: the ordered kind looks through all names for each.
    nlohmann::json labels{{"classes", plan_.classes}, {"images", nlohmann::json::object()}};
    for (std::size_t i = 0; i < done_.size(); ++i) {
      if (!done_[i]) continue;
      auto& of_image = labels["images"][plan_.images[i].target] = nlohmann::json::array();
      for (std::size_t label = 0; label < plan_.classes.size(); ++label)
        if (plan_.multi_labels[i * plan_.classes.size() + label] != 0) of_image.push_back(label);
    }
    write_json("labels.json", labels);
  }

  void write_manifest(const PrepareReport& report) const {
    Json manifest;
    manifest["kind"] = plan_.kind;
    manifest["version"] = CONCORD_VERSION;
    // Not the path: where the source lay is nothing to whom the folder is given.
    for (const FileSource* source : sources_) {
      Json entry{{"name", source->name()}};
      for (const SourceArchive& archive : source->archives()) {
        Json facts{{"name", archive.name}, {"bytes", archive.bytes}};
        if (!archive.sha256.empty()) facts["sha256"] = archive.sha256;
        entry["archives"].push_back(facts);
      }
      manifest["sources"].push_back(entry);
    }
    manifest["crop"] = crops(plan_);
    manifest["quality"] = options_.quality;
    for (std::size_t split = 0; split < plan_.splits.size(); ++split)
      manifest[plan_.splits[split]] = report.totals[split];
    for (std::size_t split = 0; split < plan_.published.size(); ++split)
      manifest["published"][plan_.splits[split]] = plan_.published[split];
    if (!plan_.published.empty()) manifest["as_published"] = report.totals == plan_.published;
    manifest["boxes_clipped"] = report.clipped;
    manifest["copied_whole"] = report.copied;
    for (std::size_t label = 0; label < plan_.classes.size(); ++label)
      for (std::size_t split = 0; split < plan_.splits.size(); ++split)
        manifest["classes"][plan_.classes[label]][plan_.splits[split]] =
            report.images[split][label];
    for (const ClassGroup& group : plan_.groups)
      manifest["groups"][group.name] = {{"first", group.first}, {"count", group.count}};
    manifest["unreadable"] = report.unreadable;
    write_json("manifest.json", manifest);
  }

  template <class AnyJson>
  void write_json(const char* name, const AnyJson& json) const {
    write_file(staging_.path() / name,
               json.dump(2, ' ', false, AnyJson::error_handler_t::replace) + "\n");
  }

  const std::vector<const FileSource*>& sources_;
  const ImagePlan& plan_;
  const PrepareOptions& options_;
  StagingFolder staging_;
  std::vector<std::optional<PreparedImage>> done_;  // by index into the plan, as the next
  std::vector<std::string> problems_;
};

}  // namespace

PrepareReport prepare(const std::vector<const FileSource*>& sources, const ImagePlan& plan,
                      const fs::path& output, const PrepareOptions& options) {
  check(options.quality >= 1 && options.quality <= 100, "{}: quality {} is not in 1..100",
        plan.kind, options.quality);
  check_plan(plan, sources.size());
  return Preparation(sources, plan, output, options).run();
}

}  // namespace concord
