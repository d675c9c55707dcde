#include <fmt/format.h>

#include <cmath>
#include <memory>
#include <sstream>

#include "data/cub200.h"
#include "data/dogs120.h"
#include "data/download.h"
#include "data/mix320.h"
#include "data/prepare.h"
#include "data/staging_folder.h"
#include "data/voc.h"
#include "tools/common/interrupt.h"
#include "tools/common/prepare_kinds.h"
#include "tools/common/terminal.h"

namespace concord::tool {
namespace fs = std::filesystem;

namespace {

using Sources = std::vector<const FileSource*>;

struct PublishedKind {
  std::string name;
  // What it is made of, a source each (published_archives).
  std::vector<std::string> data_sets;
  ImagePlan (*plan)(const Sources& sources, const PrepareCommand& command);
};

template <VocTask task>
ImagePlan plan_voc_task(const Sources& sources, const PrepareCommand& command) {
  return plan_voc(*sources[0], task, {.boxes = !command.no_crop, .classes = command.class_names});
}

const std::vector<PublishedKind>& kinds() {
  static const std::vector<PublishedKind> list{
      {"cub200",
       {"cub200"},
       [](const Sources& sources, const PrepareCommand& command) {
         return plan_cub200(*sources[0], !command.no_crop);
       }},
      {"dogs120",
       {"dogs120"},
       [](const Sources& sources, const PrepareCommand& command) {
         return plan_dogs120(*sources[0], !command.no_crop);
       }},
      {"mix320",
       {"cub200", "dogs120"},
       [](const Sources& sources, const PrepareCommand& command) {
         return plan_mix320(plan_cub200(*sources[0], !command.no_crop),
                            plan_dogs120(*sources[1], !command.no_crop));
       }},
      {"voc-crop", {"voc"}, plan_voc_task<VocTask::kCrop>},
      {"voc-animals", {"voc"}, plan_voc_task<VocTask::kAnimals>},
      {"voc-multilabel", {"voc"}, plan_voc_task<VocTask::kMultiLabel>},
  };
  return list;
}

const PublishedKind& kind_of(const std::string& name) {
  for (const PublishedKind& kind : kinds())
    if (kind.name == name) return kind;
  fail("{}: is no kind of data set that can be prepared", name);
}

std::vector<fs::path> fetch(const std::string& data_set, const fs::path& folder,
                            const PrepareCommand& command) {
  std::vector<fs::path> paths;
  for (const PublishedFile& file : published_archives(data_set)) {
    DownloadOptions options{.mirror = command.mirror};
    options.progress = report_bytes("fetching " + file.name);
    options.notice = [](const std::string& what) { note("{}", what); };
    try {
      paths.push_back(download(file, folder, options));
    } catch (const Interrupted&) {
      throw Interrupted("interrupted; what came is kept: the same command goes on from there");
    }
  }
  return paths;
}

// Where each data set of the kind lies; one place may hold all of them.
std::vector<fs::path> places(const PublishedKind& kind, const std::string& source) {
  if (kind.data_sets.size() == 1) return {source};
  std::vector<fs::path> list;
  std::istringstream parts(source);
  for (std::string part; std::getline(parts, part, ',');) list.emplace_back(part);
  if (list.size() == 1) list.resize(kind.data_sets.size(), list[0]);
  check_usage(
      list.size() == kind.data_sets.size(),
      "{} is made of {} data sets: give their places apart by commas, or one that holds all",
      kind.name, kind.data_sets.size());
  return list;
}

std::vector<std::shared_ptr<FileSource>> open_sources(const PublishedKind& kind,
                                                      const PrepareCommand& command) {
  SourceOptions options;
  // Also of what download() has compared a moment ago: the manifest states the sums.
  options.checksums = !command.no_checksums;
  options.progress = report_bytes("reading");
  const std::vector<fs::path> locations = places(kind, command.source);
  std::vector<std::shared_ptr<FileSource>> sources;
  for (std::size_t i = 0; i < kind.data_sets.size(); ++i) {
    if (command.download) {
      sources.push_back(
          std::make_shared<FileSource>(fetch(kind.data_sets[i], locations[i], command), options));
    } else if (i > 0 && locations[i] == locations[0]) {
      sources.push_back(sources[0]);  // archives are listed once
      continue;
    } else {
      sources.push_back(std::make_shared<FileSource>(locations[i], options));
    }
    for (const std::string& what : sources.back()->warnings()) warn("{}", what);
  }
  return sources;
}

// kind.plan; where that finds no data set, what may be meant is told.
ImagePlan planned(const PublishedKind& kind, const Sources& sources,
                  const PrepareCommand& command) {
  try {
    return kind.plan(sources, command);
  } catch (const Error& error) {
    for (const FileSource* source : sources)
      if (!source->passed_over().empty())
        fail(
            "{}; {} beside folders there {} not read: name an archive itself, or a folder with the "
            "archives alone, as --source",
            error.what(), fmt::format("{}", fmt::join(source->passed_over(), ", ")),
            source->passed_over().size() == 1 ? "was" : "were");
    throw;
  }
}

void compare_with_published(const ImagePlan& plan, const PrepareReport& report) {
  for (std::size_t split = 0; split < plan.published.size(); ++split)
    if (report.totals[split] != plan.published[split])
      warn("{} has {} images where {} are published: this is a part of the data set, or another",
           plan.splits[split], report.totals[split], plan.published[split]);
  if (!plan.published.empty() && report.totals == plan.published)
    note("as many images in each split as published");
}

}  // namespace

const std::vector<std::string>& published_kinds() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> list;
    for (const PublishedKind& kind : kinds()) list.push_back(kind.name);
    return list;
  }();
  return names;
}

void prepare_published(const PrepareCommand& command) {
  const PublishedKind& kind = kind_of(command.kind);
  // Before anything that takes long.
  StagingFolder::check_target(command.run.output_dir, command.run.force);
  const auto opened = open_sources(kind, command);
  Sources sources;
  for (const auto& source : opened) sources.push_back(source.get());
  const ImagePlan plan = planned(kind, sources, command);
  PrepareOptions options;
  options.strict = command.strict;
  options.quality = command.quality;
  options.threads = command.threads;
  options.max_pixels = std::llround(command.max_megapixels * 1e6);
  options.replace = command.run.force;
  options.notice = [](const std::string& what) { note("{}", what); };
  PrepareReport report;
  try {
    options.progress = report_progress("preparing", "images");
    report = prepare(sources, plan, command.run.output_dir, options);
  } catch (const Interrupted&) {
    throw Interrupted(
        "interrupted; the images that are done are kept: the same command goes on from them");
  } catch (const Error& error) {
    const fs::path kept = StagingFolder::left_behind(command.run.output_dir);
    if (kept.empty()) throw;
    fail("{}. What was done is kept in {}: the same command goes on from it", error.what(),
         kept.string());
  }
  for (const std::string& problem : report.unreadable) warn("{}; left out", problem);
  note("{} boxes reached past their image and were clipped, {} images were kept whole, {} left out",
       report.clipped, report.copied, report.unreadable.size());
  print_counts(plan.classes, plan.splits, report.images, report.totals);
  compare_with_published(plan, report);
}

}  // namespace concord::tool
