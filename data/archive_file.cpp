#include "data/archive_file.h"

#include <archive.h>
#include <archive_entry.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string_view>
#include <unordered_set>

#include "data/archive_bytes.h"
#include "data/image_folder.h"
#include "kernels/error.h"

namespace concord {
namespace fs = std::filesystem;

namespace {

constexpr std::size_t kChunk = std::size_t{1} << 20;
constexpr std::int64_t kKeptFile = std::int64_t{1} << 22;
constexpr std::int64_t kKeptInAll = std::int64_t{1} << 27;
constexpr std::size_t kLongestName = 1024;

// Any name as text that harms no terminal.
std::string printable(std::string_view name) {
  std::string text = nlohmann::json(std::string(name.substr(0, 200)))
                         .dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
  return text.substr(1, text.size() - 2);
}

bool is_text(const std::string& name) {
  const auto control = [](unsigned char c) { return c < 0x20 || c == 0x7F; };
  if (std::any_of(name.begin(), name.end(), control)) return false;
  try {
    (void)nlohmann::json(name).dump();  // throws where the name is not UTF-8
    return true;
  } catch (const nlohmann::json::exception&) {
    return false;
  }
}

bool is_hidden(const std::string& name) {
  return name.starts_with('.') || name.find("/.") != std::string::npos;
}

struct FreeArchive {
  void operator()(::archive* reader) const { ::archive_read_free(reader); }
};

const char* kind_of_entry(::archive_entry* entry) {
  if (::archive_entry_hardlink(entry) != nullptr) return "a hard link";
  switch (::archive_entry_filetype(entry)) {
    case AE_IFLNK:
      return "a symbolic link";
    case AE_IFCHR:
    case AE_IFBLK:
      return "a device";
    case AE_IFIFO:
      return "a named pipe";
    case AE_IFSOCK:
      return "a socket";
    default:
      return "neither a file nor a folder";
  }
}

}  // namespace

// One reading of the archive from its beginning. libarchive's callbacks are C: what they throw
// waits in error_ until the call is back.
class ArchiveFile::Pass {
 public:
  Pass(const fs::path& path, const SourceLimits& limits, Sha256* sum)
      : path_(path),
        limits_(limits),
        stream_(path, limits.ratio, sum),
        reader_(::archive_read_new()) {
    check(reader_ != nullptr, "{}: out of memory", path.string());
    ::archive* reader = reader_.get();
    ::archive_read_support_format_tar(reader);
    ::archive_read_support_format_zip(reader);
    ::archive_read_support_filter_bzip2(reader);
    ::archive_read_support_filter_xz(reader);
    ::archive_read_support_filter_zstd(reader);
    ::archive_read_set_callback_data(reader, this);
    ::archive_read_set_read_callback(reader, on_read);
    if (stream_.seekable()) {
      ::archive_read_set_skip_callback(reader, on_skip);
      ::archive_read_set_seek_callback(reader, on_seek);
    }
    if (::archive_read_open1(reader) != ARCHIVE_OK) refuse_format();
  }

  // The next regular file's name, nullopt behind the last.
  std::optional<std::string> next() {
    for (;;) {
      const int code = ::archive_read_next_header(reader_.get(), &entry_);
      rethrow();
      if (code == ARCHIVE_EOF) {
        finish();
        return std::nullopt;
      }
      // A warning is about a name in a locale that Concord does not use.
      if (code != ARCHIVE_OK && code != ARCHIVE_WARN) refuse_format();
      const std::string name = checked_name();
      check(++entries_ <= limits_.entries, "{}: holds more than {} entries", path_.string(),
            limits_.entries);
      const bool folder = ::archive_entry_filetype(entry_) == AE_IFDIR;
      const bool link = ::archive_entry_hardlink(entry_) != nullptr;
      if (folder && !link) continue;
      check(!name.empty(), "{}: its entry {} is a file without a name", path_.string(), entries_);
      if (link || ::archive_entry_filetype(entry_) != AE_IFREG)
        fail("{}: its entry {} is {}; an archive of images holds files and folders only",
             path_.string(), name, kind_of_entry(entry_));
      name_ = name;
      if (::archive_entry_size_is_set(entry_) != 0) count(::archive_entry_size(entry_));
      return name;
    }
  }

  // The announced size of the present file, -1 where the archive does not say.
  std::int64_t announced() const {
    return ::archive_entry_size_is_set(entry_) != 0 ? ::archive_entry_size(entry_) : -1;
  }

  Bytes read() {
    const std::int64_t expected = announced();
    Bytes bytes;
    for (;;) {
      const std::size_t before = bytes.size();
      // Little by little: an announced size alone gets no memory.
      const auto left = expected < 0 ? kChunk
                                     : static_cast<std::size_t>(expected) - before +
                                           1;  // one more, to see whether it ends there
      bytes.resize(before + std::min(kChunk, left));
      const la_ssize_t count =
          ::archive_read_data(reader_.get(), bytes.data() + before, bytes.size() - before);
      rethrow();
      if (count < 0) refuse_data();
      bytes.resize(before + static_cast<std::size_t>(count));
      const auto size = static_cast<std::int64_t>(bytes.size());
      if (expected >= 0 && size > expected)
        fail("{}: its entry {} is longer than the {} bytes that it announces", path_.string(),
             name_, expected);
      if (expected < 0) count_growth(size, count);
      if (count == 0) break;
    }
    if (expected >= 0 && static_cast<std::int64_t>(bytes.size()) != expected)
      fail("{}: its entry {} has {} bytes of the {} that it announces", path_.string(), name_,
           bytes.size(), expected);
    return bytes;
  }

  std::int64_t position() const { return stream_.position(); }
  std::int64_t size() const { return stream_.size(); }

 private:
  static la_ssize_t on_read(::archive* reader, void* data, const void** buffer) {
    auto& pass = *static_cast<Pass*>(data);
    try {
      const auto bytes = pass.stream_.next();
      *buffer = bytes.data();
      return static_cast<la_ssize_t>(bytes.size());
    } catch (...) {
      return pass.put_by(reader);
    }
  }
  static la_int64_t on_skip(::archive* reader, void* data, la_int64_t request) {
    auto& pass = *static_cast<Pass*>(data);
    try {
      const std::int64_t before = pass.stream_.position();
      // Never behind the end: that a file is cut short must be seen.
      pass.stream_.move_to(before + std::min(request, pass.stream_.size() - before));
      return pass.stream_.position() - before;
    } catch (...) {
      return pass.put_by(reader);
    }
  }
  static la_int64_t on_seek(::archive* reader, void* data, la_int64_t offset, int whence) {
    auto& pass = *static_cast<Pass*>(data);
    try {
      const std::int64_t from = whence == SEEK_SET   ? 0
                                : whence == SEEK_CUR ? pass.stream_.position()
                                                     : pass.stream_.size();
      std::int64_t to = 0;
      if (__builtin_add_overflow(from, offset, &to)) to = from;
      pass.stream_.move_to(to);
      return pass.stream_.position();
    } catch (...) {
      return pass.put_by(reader);
    }
  }
  int put_by(::archive* reader) {
    error_ = std::current_exception();
    ::archive_set_error(reader, EIO, "reading failed");
    return ARCHIVE_FATAL;
  }
  void rethrow() {
    if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
  }

  std::string why() const {
    const char* text = ::archive_error_string(reader_.get());
    return text != nullptr ? printable(text) : "unknown cause";
  }
  [[noreturn]] void refuse_format() {
    rethrow();
    // libarchive's words for it; damage of the first compressed bytes has others.
    if (entries_ == 0 && why().starts_with("Unrecognized"))
      fail(
          "{}: is no archive of a known kind (tar, also compressed by gzip, bzip2, xz or zstd, and "
          "zip)",
          path_.string());
    fail("{}: is damaged or cut short{}: {}; fetch it again", path_.string(),
         name_.empty() ? "" : " behind its entry " + name_, why());
  }
  [[noreturn]] void refuse_data() {
    fail("{}: its entry {} is damaged or cut short: {}; fetch the archive again", path_.string(),
         name_, why());
  }

  // The name without "./" and doubled slashes.
  std::string checked_name() {
    const char* raw = ::archive_entry_pathname(entry_);
    if (raw == nullptr) raw = ::archive_entry_pathname_utf8(entry_);
    const std::string given = raw != nullptr ? raw : "";
    const auto refuse = [&](const char* what) {
      fail("{}: its entry {} has a name that {}; such an archive is not read", path_.string(),
           printable(given), what);
    };
    if (given.empty()) refuse("is empty or no text");
    if (given.size() > kLongestName) refuse("is longer than any honest one");
    if (!is_text(given)) refuse("is no text");
    if (given.starts_with('/')) refuse("is absolute");
    std::string name;
    for (const fs::path& part : fs::path(given)) {
      if (part == "..") refuse("leads out of the archive (..)");
      if (part == "." || part.empty()) continue;
      name += (name.empty() ? "" : "/") + part.string();
    }
    return name;
  }

  void count(std::int64_t size) {
    check(size >= 0 && size <= limits_.entry_bytes,
          "{}: its entry {} has {} bytes, more than the {} that a file of a data set may have",
          path_.string(), name_, size, limits_.entry_bytes);
    total_ += size;
    check_total();
  }
  void count_growth(std::int64_t size, std::int64_t more) {
    check(size <= limits_.entry_bytes,
          "{}: its entry {} has more than the {} bytes that a file of a data set may have",
          path_.string(), name_, limits_.entry_bytes);
    total_ += more;
    check_total();
  }
  void check_total() const {
    check(total_ <= limits_.total_bytes,
          "{}: unpacks to more than {} bytes with its entry {}, more than any data set has",
          path_.string(), limits_.total_bytes, name_);
    const std::int64_t allowed = (std::int64_t{1} << 20) + limits_.ratio * stream_.size();
    check(total_ <= allowed && ::archive_filter_bytes(reader_.get(), 0) <= allowed,
          "{}: unpacks to more than {} times its size with its entry {}, as no honest archive does",
          path_.string(), limits_.ratio, name_);
  }

  // What is behind the last entry belongs to the file's checksums; and a plain tar that was cut
  // between two entries lacks nothing but the zeros at its end.
  void finish() {
    const bool tar =
        (::archive_format(reader_.get()) & ARCHIVE_FORMAT_BASE_MASK) == ARCHIVE_FORMAT_TAR;
    if (tar && !stream_.is_gzip() && ::archive_filter_count(reader_.get()) == 1) {
      std::ifstream file(path_, std::ios::binary);
      std::array<char, 512> last{};
      last.fill('x');
      file.seekg(stream_.size() - static_cast<std::int64_t>(last.size()));
      file.read(last.data(), last.size());
      check(std::all_of(last.begin(), last.end(), [](char c) { return c == 0; }),
            "{}: is cut short: the mark of its end is missing behind its entry {}; fetch it again",
            path_.string(), name_);
    }
    if (!stream_.seekable())
      while (!stream_.next().empty()) {
      }
  }

  const fs::path& path_;
  const SourceLimits& limits_;
  ArchiveBytes stream_;
  std::unique_ptr<::archive, FreeArchive> reader_;
  ::archive_entry* entry_ = nullptr;
  std::string name_;
  std::int64_t entries_ = 0;
  std::int64_t total_ = 0;
  std::exception_ptr error_;
};

bool looks_like_archive(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::array<char, 512> bytes{};
  file.read(bytes.data(), bytes.size());
  const std::string_view head(bytes.data(), static_cast<std::size_t>(file.gcount()));
  using namespace std::string_view_literals;
  for (const std::string_view magic : {"\x1F\x8B"sv, "BZh"sv, "\xFD\x37zXZ\0"sv,
                                       "\x28\xB5\x2F\xFD"sv, "PK\x03\x04"sv, "PK\x05\x06"sv})
    if (head.starts_with(magic)) return true;
  return head.size() > 262 && head.substr(257, 5) == "ustar"sv;
}

ArchiveFile::ArchiveFile(fs::path path, const SourceOptions& options, bool with_sum)
    : path_(std::move(path)), limits_(options.limits) {
  std::error_code error;
  bytes_ = static_cast<std::int64_t>(fs::file_size(path_, error));
  if (!error) changed_ = fs::last_write_time(path_, error);
  check(!error, "{}: cannot be read: {}", path_.string(), error.message());
  list(options, with_sum);
}

void ArchiveFile::list(const SourceOptions& options, bool with_sum) {
  std::optional<Sha256> sum;
  if (with_sum) sum.emplace();
  Pass pass(path_, limits_, with_sum ? &*sum : nullptr);
  std::unordered_set<std::string> seen;
  std::int64_t kept = 0;
  while (const auto name = pass.next()) {
    check(seen.insert(*name).second, "{}: its entry {} is there twice; which one is meant?",
          path_.string(), *name);
    if (options.progress) options.progress(pass.position(), pass.size());
    if (is_hidden(*name)) continue;
    files_.push_back(*name);
    const std::int64_t size = pass.announced();
    if (has_image_extension(*name) || size < 0 || size > kKeptFile || kept + size > kKeptInAll)
      continue;
    kept += size;
    kept_.emplace(*name, pass.read());
  }
  check(!files_.empty(), "{}: holds no files", path_.string());
  if (options.progress) options.progress(pass.size(), pass.size());
  if (with_sum) sha256_ = sum->digest();
}

std::string ArchiveFile::version() const {
  return fmt::format("{} bytes, changed {}", bytes_, changed_.time_since_epoch().count());
}

void ArchiveFile::read(const std::function<bool(const std::string&)>& wanted,
                       const std::function<bool(const std::string&, Bytes)>& use) const {
  bool all_kept = true;
  for (const std::string& name : files_)
    all_kept = all_kept && (kept_.contains(name) || !wanted(name));
  if (all_kept) {
    for (const auto& [name, bytes] : kept_)
      if (wanted(name) && !use(name, bytes)) return;
    return;
  }
  std::error_code error;
  check(fs::last_write_time(path_, error) == changed_ && !error,
        "{}: was changed while it was being read; start again", path_.string());
  Pass pass(path_, limits_, nullptr);
  while (const auto name = pass.next())
    if (!is_hidden(*name) && wanted(*name) && !use(*name, pass.read())) return;
}

}  // namespace concord
