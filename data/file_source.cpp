#include "data/file_source.h"

#include <algorithm>
#include <numeric>
#include <system_error>
#include <thread>

#include "data/archive_file.h"
#include "data/files.h"
#include "data/published_files.h"
#include "kernels/error.h"

namespace concord {
namespace fs = std::filesystem;

namespace {

// Links are followed, for data is often linked to where there is room; a link to a folder above it
// would go on for ever.
constexpr int kDeepest = 32;

struct FolderWalk {
  const fs::path& location;
  std::int64_t most;
  std::vector<std::string> files = {};

  void visit(const std::string& folder, int depth) {
    check(depth <= kDeepest, "{}: folders lie more than {} deep; does a link lead back up?",
          (location / folder).string(), kDeepest);
    std::error_code error;
    fs::directory_iterator entries(location / folder, error);
    check(!error, "{}: cannot be read: {}", (location / folder).string(), error.message());
    for (const fs::directory_iterator end; entries != end; entries.increment(error)) {
      check(!error, "{}: cannot be read: {}", (location / folder).string(), error.message());
      const std::string name = entries->path().filename().string();
      if (name.starts_with('.')) continue;
      if (entries->is_directory(error)) {
        visit(folder + name + "/", depth + 1);
      } else if (entries->is_regular_file(error)) {
        check(static_cast<std::int64_t>(files.size()) < most,
              "{}: holds more than {} files; name the data set's own folder", location.string(),
              most);
        files.push_back(folder + name);
      }
    }
  }
};

struct ArchivesOfFolder {
  std::vector<fs::path> archives;
  bool beside_folders = false;
};

ArchivesOfFolder archives_in(const fs::path& folder) {
  ArchivesOfFolder result;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with('.')) continue;
    if (entry.is_directory(error)) result.beside_folders = true;
    // What is still being fetched (download.h) is not read.
    if (entry.is_regular_file(error) && !name.ends_with(".partial") &&
        looks_like_archive(entry.path()))
      result.archives.push_back(entry.path());
  }
  std::sort(result.archives.begin(), result.archives.end());
  return result;
}

}  // namespace

FileSource::FileSource(fs::path location, SourceOptions options)
    : location_(std::move(location)), options_(std::move(options)) {
  std::error_code error;
  const fs::file_status status = fs::status(location_, error);
  check(fs::exists(status), "{}: no such folder or archive", location_.string());
  if (fs::is_directory(status)) {
    open_folder();
  } else {
    check(fs::is_regular_file(status), "{}: is neither a folder nor an archive",
          location_.string());
    open_archive(location_);
  }
  std::sort(files_.begin(), files_.end());
  options_.progress = {};  // it may refer to what does not live as long
}

FileSource::FileSource(const std::vector<fs::path>& archives, SourceOptions options)
    : location_(archives.size() == 1 ? archives[0] : archives.at(0).parent_path()),
      options_(std::move(options)) {
  for (const fs::path& archive : archives) open_archive(archive);
  std::sort(files_.begin(), files_.end());
  options_.progress = {};  // it may refer to what does not live as long
}

void FileSource::open_folder() {
  const ArchivesOfFolder found = archives_in(location_);
  if (!found.archives.empty() && !found.beside_folders) {
    for (const fs::path& archive : found.archives) open_archive(archive);
    return;
  }
  for (const fs::path& archive : found.archives)
    passed_over_.push_back(archive.filename().string());
  FolderWalk walk{location_, options_.limits.entries};
  walk.visit("", 0);
  files_ = std::move(walk.files);
}

void FileSource::open_archive(const fs::path& path) {
  const auto published =
      options_.checksums ? find_published_archive(path.filename().string()) : std::nullopt;
  std::error_code error;
  const auto bytes = static_cast<std::int64_t>(fs::file_size(path, error));
  const bool compare = published && bytes == published->bytes;
  if (published && !compare)
    warnings_.push_back(
        fmt::format("{}: has {} bytes where the published one has {}: is it a part "
                    "of it, or another edition?",
                    path.string(), bytes, published->bytes));
  const auto archive = std::make_shared<const ArchiveFile>(path, options_, compare);
  if (compare)
    check(archive->sha256() == published->sha256,
          "{}: is not the published archive: its SHA-256 is {}, the published one's {}; fetch it "
          "again, or give --no-checksums to use it as it is",
          path.string(), archive->sha256(), published->sha256);
  for (const std::string& file : archive->files()) {
    const auto [at, fresh] = archive_of_.emplace(file, archives_.size());
    if (!fresh)
      fail("{}: holds {}, which {} holds too; which one is meant?", path.string(), file,
           archives_[at->second]->path().string());
    files_.push_back(file);
  }
  archives_.push_back(archive);
}

std::string FileSource::name() const {
  const fs::path whole = fs::absolute(location_).lexically_normal();
  return (whole.has_filename() ? whole : whole.parent_path()).filename().string();
}

bool FileSource::contains(const std::string& file) const {
  return std::binary_search(files_.begin(), files_.end(), file);
}

std::vector<SourceArchive> FileSource::archives() const {
  std::vector<SourceArchive> list;
  for (const auto& archive : archives_)
    list.push_back({archive->path().filename().string(), archive->bytes(), archive->sha256()});
  return list;
}

std::string FileSource::name_of(const std::string& file) const {
  if (archives_.empty()) return (location_ / file).string();
  const auto at = archive_of_.find(file);
  const fs::path& holder = at == archive_of_.end() ? location_ : archives_[at->second]->path();
  return fmt::format("{}: {}", holder.string(), file);
}

fs::path FileSource::path_of(const std::string& file) const {
  check(archives_.empty(),
        "{}: lies in an archive, of which single images cannot be read at will; run "
        "concord-prepare, or unpack it",
        name_of(file));
  return location_ / file;
}

std::optional<std::string> FileSource::find_root(const std::vector<std::string>& marks) const {
  const auto holds = [&](const std::string& mark) {
    const auto at = std::lower_bound(files_.begin(), files_.end(), mark);
    return at != files_.end() && (mark.ends_with('/') ? at->starts_with(mark) : *at == mark);
  };
  const auto depth = [](const std::string& root) {
    return std::count(root.begin(), root.end(), '/');
  };
  std::optional<std::string> found, other;  // `other` is as near as `found`
  const std::string& first = marks.at(0);
  for (const std::string& file : files_)
    for (std::size_t at = file.find(first); at != std::string::npos;
         at = file.find(first, at + 1)) {
      const bool whole = first.ends_with('/') || at + first.size() == file.size();
      if (!whole || (at > 0 && file[at - 1] != '/')) continue;
      const std::string root = file.substr(0, at);
      if (found && (depth(*found) < depth(root) || *found == root)) continue;
      if (!std::all_of(marks.begin(), marks.end(),
                       [&](const std::string& mark) { return holds(root + mark); }))
        continue;
      other = found && depth(*found) == depth(root) ? found : std::nullopt;
      found = root;
    }
  if (other)
    fail("{}: holds a data set in {} and one in {}; name the folder of the one that is meant",
         location_.string(), *other, *found);
  return found;
}

std::vector<std::uint8_t> FileSource::read_from_folder(const std::string& file) const {
  const fs::path path = location_ / file;
  std::error_code error;
  const auto size = fs::file_size(path, error);
  check(error || size <= static_cast<std::uintmax_t>(options_.limits.entry_bytes),
        "{}: has {} bytes, more than the {} that a file of a data set may have", path.string(),
        size, options_.limits.entry_bytes);
  return read_file(path);
}

std::vector<std::uint8_t> FileSource::read(const std::string& file) const {
  if (archives_.empty()) return read_from_folder(file);
  const auto at = archive_of_.find(file);
  check(at != archive_of_.end(), "{}: no such file", name_of(file));
  std::vector<std::uint8_t> found;
  archives_[at->second]->read([&](const std::string& name) { return name == file; },
                              [&](const std::string&, std::vector<std::uint8_t> bytes) {
                                found = std::move(bytes);
                                return false;
                              });
  return found;
}

std::map<std::string, std::vector<std::uint8_t>> FileSource::read_where(
    const std::function<bool(const std::string&)>& wanted) const {
  std::map<std::string, std::vector<std::uint8_t>> found;
  std::int64_t total = 0;
  const auto add = [&](const std::string& name, std::vector<std::uint8_t> bytes) {
    total += static_cast<std::int64_t>(bytes.size());
    check(
        total <= options_.limits.text_bytes,
        "{}: with it the lists and annotations that are read have more than {} bytes together, as "
        "those of no data set have",
        name_of(name), options_.limits.text_bytes);
    found.emplace(name, std::move(bytes));
    return true;
  };
  for (const auto& archive : archives_) archive->read(wanted, add);
  if (archives_.empty())
    for (const std::string& file : files_)
      if (wanted(file)) add(file, read_from_folder(file));
  return found;
}

void FileSource::for_each(const std::vector<std::string>& files, int threads,
                          const std::function<void(std::size_t, const FileBytes&)>& body,
                          const ProgressCallback& progress) const {
  if (!archives_.empty()) return for_each_of_archives(files, threads, body, progress);
  for_each_item(
      static_cast<std::int64_t>(files.size()), threads,
      [&](std::int64_t i) {
        const auto index = static_cast<std::size_t>(i);
        FileBytes file;
        try {
          file.bytes = read_from_folder(files[index]);
        } catch (const Error& error) {
          file.problem = error.what();
        }
        body(index, file);
      },
      progress);
}

void FileSource::for_each_of_archives(
    const std::vector<std::string>& files, int threads,
    const std::function<void(std::size_t, const FileBytes&)>& body,
    const ProgressCallback& progress) const {
  std::unordered_map<std::string, std::size_t> index_of;
  for (std::size_t i = 0; i < files.size(); ++i)
    check(index_of.emplace(files[i], i).second, "{}: is asked for twice", name_of(files[i]));
  constexpr std::size_t kWaiting = std::size_t{1} << 26;
  FileQueue queue(kWaiting);
  const auto unpack = [&] {
    try {
      for (std::size_t i = 0; i < files.size(); ++i)
        if (!contains(files[i]) &&
            !queue.push({i, {.problem = name_of(files[i]) + ": no such file"}}))
          return;
      bool open = true;
      for (std::size_t a = 0; a < archives_.size() && open; ++a)
        archives_[a]->read([&](const std::string& name) { return index_of.contains(name); },
                           [&](const std::string& name, std::vector<std::uint8_t> bytes) {
                             open = queue.push({index_of.at(name), {.bytes = std::move(bytes)}});
                             return open;
                           });
      // Whoever still waits does so in vain.
      fail("{}: lacks files that it had a moment ago; start again", location_.string());
    } catch (...) {
      queue.fail(std::current_exception());
    }
  };
  std::thread unpacker(unpack);
  try {
    // As many takes as files, whichever comes first.
    for_each_item(
        static_cast<std::int64_t>(files.size()), threads,
        [&](std::int64_t) {
          const FileQueue::Item item = queue.pop();
          body(item.index, item.file);
        },
        progress);
  } catch (...) {
    queue.close();
    unpacker.join();
    throw;
  }
  unpacker.join();
}

std::string FileSource::identity() const {
  if (archives_.empty()) {
    std::error_code error;
    const fs::path whole = fs::canonical(location_, error);
    return (error ? location_ : whole).string();
  }
  // Not where they lie nor how they were named: a folder holds them, or --download lists them.
  std::vector<std::string> texts;
  for (const auto& archive : archives_)
    texts.push_back(
        fmt::format("{}: {}; ", archive->path().filename().string(), archive->version()));
  std::sort(texts.begin(), texts.end());
  return std::accumulate(texts.begin(), texts.end(), std::string());
}

}  // namespace concord
