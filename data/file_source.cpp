#include "data/file_source.h"

#include <algorithm>
#include <string_view>
#include <system_error>

#include "data/files.h"
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

}  // namespace

FileSource::FileSource(fs::path location, SourceOptions options)
    : location_(std::move(location)), options_(options) {
  std::error_code error;
  const fs::file_status status = fs::status(location_, error);
  check(fs::exists(status), "{}: no such folder or archive", location_.string());
  check(fs::is_directory(status), "{}: is a file; unpack the archive and name its folder",
        location_.string());
  FolderWalk walk{location_, options_.limits.entries};
  walk.visit("", 0);
  files_ = std::move(walk.files);
  std::sort(files_.begin(), files_.end());
}

std::string FileSource::name() const {
  const fs::path whole = fs::absolute(location_).lexically_normal();
  return (whole.has_filename() ? whole : whole.parent_path()).filename().string();
}

bool FileSource::contains(const std::string& file) const {
  return std::binary_search(files_.begin(), files_.end(), file);
}

std::string FileSource::name_of(const std::string& file) const {
  return (location_ / file).string();
}

fs::path FileSource::path_of(const std::string& file) const { return location_ / file; }

std::optional<std::string> FileSource::find_root(const std::vector<std::string>& marks) const {
  const auto holds = [&](const std::string& mark) {
    const auto at = std::lower_bound(files_.begin(), files_.end(), mark);
    return at != files_.end() && (mark.ends_with('/') ? at->starts_with(mark) : *at == mark);
  };
  const auto depth = [](const std::string& root) {
    return std::count(root.begin(), root.end(), '/');
  };
  std::optional<std::string> found;
  const std::string& first = marks.at(0);
  for (const std::string& file : files_)
    for (std::size_t at = file.find(first); at != std::string::npos;
         at = file.find(first, at + 1)) {
      const bool whole = first.ends_with('/') || at + first.size() == file.size();
      if (!whole || (at > 0 && file[at - 1] != '/')) continue;
      const std::string root = file.substr(0, at);
      if (found && depth(*found) <= depth(root)) continue;
      if (std::all_of(marks.begin(), marks.end(),
                      [&](const std::string& mark) { return holds(root + mark); }))
        found = root;
    }
  return found;
}

std::vector<std::uint8_t> FileSource::read(const std::string& file) const {
  const fs::path path = location_ / file;
  std::error_code error;
  const auto size = fs::file_size(path, error);
  check(error || size <= static_cast<std::uintmax_t>(options_.limits.entry_bytes),
        "{}: has {} bytes, more than the {} that a file of a data set may have", path.string(),
        size, options_.limits.entry_bytes);
  return read_file(path);
}

std::map<std::string, std::vector<std::uint8_t>> FileSource::read_where(
    const std::function<bool(const std::string&)>& wanted) const {
  std::map<std::string, std::vector<std::uint8_t>> found;
  for (const std::string& file : files_)
    if (wanted(file)) found.emplace(file, read(file));
  return found;
}

void FileSource::for_each(const std::vector<std::string>& files, int threads,
                          const std::function<void(std::size_t, const FileBytes&)>& body,
                          const ProgressCallback& progress) const {
  for_each_item(
      static_cast<std::int64_t>(files.size()), threads,
      [&](std::int64_t i) {
        const auto index = static_cast<std::size_t>(i);
        FileBytes file;
        try {
          file.bytes = read(files[index]);
        } catch (const Error& error) {
          file.problem = error.what();
        }
        body(index, file);
      },
      progress);
}

std::string FileSource::identity() const {
  std::error_code error;
  const fs::path whole = fs::canonical(location_, error);
  return (error ? location_ : whole).string();
}

}  // namespace concord
