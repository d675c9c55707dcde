#include "data/download.h"

#include <curl/curl.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <exception>
#include <memory>
#include <optional>
#include <string_view>

#include "data/sha256.h"
#include "kernels/error.h"

namespace concord {
namespace fs = std::filesystem;

namespace {

// Where the size is not known, more than any published file of weights has.
constexpr std::int64_t kMostBytes = std::int64_t{1} << 33;
constexpr int kAttempts = 5;

std::string address_of(const PublishedFile& file, const std::string& mirror) {
  std::string url = file.url;
  if (!mirror.empty()) url = mirror + (mirror.ends_with('/') ? "" : "/") + file.name;
  check(url.starts_with("https://") || url.starts_with("http://"),
        "{}: is no address to fetch from; give one that begins with https:// or http://",
        mirror.empty() ? url : mirror);
  return url;
}

// NAME.partial, open and locked: two processes must not write one file.
class PartialFile {
 public:
  explicit PartialFile(fs::path path)
      : path_(std::move(path)),
        descriptor_(::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666)) {
    check(descriptor_ >= 0, "{}: cannot be written: {}", path_.string(), std::strerror(errno));
    // Other failures are of file systems without locks.
    if (::flock(descriptor_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
      ::close(descriptor_);
      fail("{}: another process is fetching it; wait for that one", path_.string());
    }
    size_ = ::lseek(descriptor_, 0, SEEK_END);
  }
  ~PartialFile() {
    if (size_ == 0) remove();  // nothing to go on from
    ::close(descriptor_);
  }
  PartialFile(const PartialFile&) = delete;
  PartialFile& operator=(const PartialFile&) = delete;

  const fs::path& path() const { return path_; }
  std::int64_t size() const { return size_; }
  void append(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t count = ::write(descriptor_, bytes.data(), bytes.size());
      if (count < 0 && errno == EINTR) continue;
      check(count > 0, "{}: writing failed: {}; what came so far is kept", path_.string(),
            std::strerror(errno));
      size_ += count;
      bytes.remove_prefix(static_cast<std::size_t>(count));
    }
  }
  void clear() {
    check(::ftruncate(descriptor_, 0) == 0 && ::lseek(descriptor_, 0, SEEK_SET) == 0,
          "{}: cannot be emptied: {}", path_.string(), std::strerror(errno));
    size_ = 0;
  }
  void remove() const { ::unlink(path_.c_str()); }
  void become(const fs::path& target) const {
    check(::fsync(descriptor_) == 0, "{}: writing failed: {}", path_.string(),
          std::strerror(errno));
    // Not rename(), which would replace what appeared there meanwhile.
    const int linked = ::link(path_.c_str(), target.c_str());
    const int cause = errno;
    check(linked == 0 || cause != EEXIST, "{}: appeared while it was being fetched; look at both",
          target.string());
    if (linked == 0)
      remove();
    else  // a file system without links
      check(::rename(path_.c_str(), target.c_str()) == 0, "{}: cannot be named: {}",
            target.string(), std::strerror(errno));
  }

 private:
  fs::path path_;
  int descriptor_;
  std::int64_t size_ = 0;
};

struct Curl {
  struct Free {
    void operator()(CURL* handle) const { ::curl_easy_cleanup(handle); }
  };
  static std::unique_ptr<CURL, Free> handle() {
    static const CURLcode ready = ::curl_global_init(CURL_GLOBAL_DEFAULT);
    std::unique_ptr<CURL, Free> made(ready == CURLE_OK ? ::curl_easy_init() : nullptr);
    check(made != nullptr, "libcurl cannot be used on this system");
    return made;
  }
};

// One file's way from the server. curl's callbacks are C: what they throw waits in error_.
class Transfer {
 public:
  Transfer(const PublishedFile& file, std::string url, PartialFile& partial,
           const DownloadOptions& options)
      : file_(file),
        url_(std::move(url)),
        partial_(partial),
        options_(options),
        most_(file.bytes >= 0 ? file.bytes : kMostBytes) {}

  void run() {
    for (int attempt = 1;; ++attempt) {
      const std::int64_t before = partial_.size();
      const CURLcode code = fetch();
      if (error_) std::rethrow_exception(error_);
      if (code == CURLE_OK && status_ == 416 && before > 0) {
        // Nothing behind what is there. Whether that is the file, its checksum says.
        if (file_.bytes < 0 || before == file_.bytes) return;
        refuse(fmt::format("the server has no more than {} bytes where the published file has {}",
                           before, file_.bytes));
      } else if (code == CURLE_OK) {
        if (status_ == 200 || status_ == 206) return;
        refuse(fmt::format("the server answers {}", status_));
      } else if (partial_.size() <= before || attempt == kAttempts) {
        refuse(reason_[0] != '\0' ? reason_ : ::curl_easy_strerror(code));
      }
      check(attempt < kAttempts, "{}: the server keeps breaking off", url_);
    }
  }

 private:
  CURLcode fetch() {
    const auto handle = Curl::handle();
    CURL* curl = handle.get();
    curl_ = curl;
    begun_ = false;
    status_ = 0;
    const bool secure = url_.starts_with("https://");
    const auto set = [&](CURLoption option, auto value) {
      const CURLcode code = ::curl_easy_setopt(curl, option, value);
      check(code == CURLE_OK, "libcurl lacks an option that fetching needs: {}",
            ::curl_easy_strerror(code));
    };
    set(CURLOPT_URL, url_.c_str());
    set(CURLOPT_PROTOCOLS_STR, secure ? "https" : "http,https");
    set(CURLOPT_REDIR_PROTOCOLS_STR, secure ? "https" : "http,https");
    set(CURLOPT_FOLLOWLOCATION, 1L);
    set(CURLOPT_MAXREDIRS, 5L);
    set(CURLOPT_USERAGENT, "concord/" CONCORD_VERSION);
    set(CURLOPT_NOSIGNAL, 1L);
    set(CURLOPT_CONNECTTIMEOUT, 30L);
    // Less than a byte a second for a minute is a server that has gone.
    set(CURLOPT_LOW_SPEED_LIMIT, 1L);
    set(CURLOPT_LOW_SPEED_TIME, 60L);
    set(CURLOPT_ERRORBUFFER, reason_);
    set(CURLOPT_WRITEFUNCTION, on_data);
    set(CURLOPT_WRITEDATA, this);
    set(CURLOPT_XFERINFOFUNCTION, on_progress);
    set(CURLOPT_XFERINFODATA, this);
    set(CURLOPT_NOPROGRESS, 0L);
    if (partial_.size() > 0)
      set(CURLOPT_RANGE, (range_ = fmt::format("{}-", partial_.size())).c_str());
    reason_[0] = '\0';
    const CURLcode code = ::curl_easy_perform(curl);
    ::curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status_);
    // An empty body calls nobody: that an empty file was offered shows in its size.
    curl_ = nullptr;
    return code;
  }

  static std::size_t on_data(char* bytes, std::size_t size, std::size_t count, void* data) {
    auto& transfer = *static_cast<Transfer*>(data);
    try {
      transfer.take({bytes, size * count});
      return size * count;
    } catch (...) {
      transfer.error_ = std::current_exception();
      return 0;
    }
  }
  static int on_progress(void* data, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
    auto& transfer = *static_cast<Transfer*>(data);
    try {
      if (transfer.options_.progress)
        transfer.options_.progress(transfer.partial_.size(),
                                   std::max<std::int64_t>(transfer.expected_, 0));
      return 0;
    } catch (...) {
      transfer.error_ = std::current_exception();
      return 1;
    }
  }

  void take(std::string_view bytes) {
    if (!begun_) begin();
    if (status_ != 200 && status_ != 206) return;  // the text of an error
    check(static_cast<std::int64_t>(bytes.size()) <= most_ - partial_.size(),
          "{}: the server sends more than the {} bytes of the published file", url_, most_);
    partial_.append(bytes);
  }

  // At the first bytes: what does the server send?
  void begin() {
    begun_ = true;
    ::curl_easy_getinfo(curl_, CURLINFO_RESPONSE_CODE, &status_);
    curl_off_t length = -1;
    ::curl_easy_getinfo(curl_, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    if (status_ != 200 && status_ != 206) return;
    if (status_ == 206)
      check(first_byte() == partial_.size(), "{}: the server sends another part than was asked for",
            url_);
    // Before anything is cleared: what came so far is worth more than a page that says "log in".
    const std::int64_t before = status_ == 206 ? partial_.size() : 0;
    expected_ = length >= 0 ? before + length : -1;
    check(
        file_.bytes < 0 || length < 0 || expected_ == file_.bytes,
        "{}: the server offers {} bytes where the published file has {}; it is another edition, or "
        "another file",
        url_, expected_, file_.bytes);
    if (status_ == 200 && partial_.size() > 0) {
      check(expected_ >= partial_.size(),
            "{}: the server cannot go on from the {} bytes that are there, and {}; they are kept: "
            "try again, or remove {} to begin anew",
            url_, partial_.size(),
            length < 0 ? "does not say what it sends instead"
                       : fmt::format("offers {} bytes instead", length),
            partial_.path().string());
      if (options_.notice)
        options_.notice(fmt::format("{}: the server cannot go on from {} bytes: beginning anew",
                                    file_.name, partial_.size()));
      partial_.clear();
    }
  }

  // Of "Content-Range: bytes FIRST-LAST/TOTAL"; -1 where there is none.
  std::int64_t first_byte() const {
    ::curl_header* header = nullptr;
    if (::curl_easy_header(curl_, "Content-Range", 0, CURLH_HEADER, -1, &header) != CURLHE_OK)
      return -1;
    std::string_view text = header->value;
    constexpr std::string_view kUnit = "bytes ";
    if (!text.starts_with(kUnit)) return -1;
    text.remove_prefix(kUnit.size());
    std::int64_t first = -1;
    std::from_chars(text.data(), text.data() + text.size(), first);
    return first;
  }

  [[noreturn]] void refuse(const std::string& why) const {
    const std::string kept =
        partial_.size() > 0
            ? fmt::format(" {} bytes are kept; the same command goes on from there.",
                          partial_.size())
            : "";
    fail(
        "{}: cannot be fetched: {}.{} Without a network, fetch the file elsewhere, for example by\n"
        "  curl -L -C - -o {} '{}'\n"
        "and bring it here",
        url_, why, kept, file_.name, file_.url);
  }

  const PublishedFile& file_;
  std::string url_;
  PartialFile& partial_;
  const DownloadOptions& options_;
  std::int64_t most_;
  std::int64_t expected_ = -1;
  CURL* curl_ = nullptr;
  long status_ = 0;
  bool begun_ = false;
  std::string range_;
  char reason_[CURL_ERROR_SIZE] = {};
  std::exception_ptr error_;
};

// What is wrong with it, nothing if it is the published file.
std::optional<std::string> difference(const PublishedFile& file, const fs::path& path,
                                      const ProgressCallback& progress) {
  std::error_code error;
  const auto bytes = static_cast<std::int64_t>(fs::file_size(path, error));
  check(!error, "{}: cannot be read: {}", path.string(), error.message());
  if (file.bytes >= 0 && bytes != file.bytes)
    return fmt::format("has {} bytes where the published {} has {}", bytes, file.name, file.bytes);
  const std::string sum = sha256_of_file(path, progress);
  if (!sum.starts_with(file.sha256))
    return fmt::format("has the SHA-256 {} where the published {} has {}", sum, file.name,
                       file.sha256.size() < 64 ? file.sha256 + "..." : file.sha256);
  return std::nullopt;
}

void fetch(const PublishedFile& file, const std::string& url, const fs::path& target,
           const DownloadOptions& options) {
  PartialFile partial(target.string() + ".partial");
  if (file.bytes < 0 || partial.size() < file.bytes) Transfer(file, url, partial, options).run();
  if (const auto wrong = difference(file, partial.path(), options.progress)) {
    partial.remove();
    fail("{}: what was fetched {}; it was removed: try again, or another --mirror", url, *wrong);
  }
  partial.become(target);
}

}  // namespace

fs::path download(const PublishedFile& file, const fs::path& folder,
                  const DownloadOptions& options) {
  const fs::path target = folder / file.name;
  std::error_code error;
  if (fs::exists(fs::symlink_status(target, error))) {
    if (const auto wrong = difference(file, target, options.progress))
      fail("{}: is there already and {}; it is left alone: move it away to fetch the published one",
           target.string(), *wrong);
    return target;
  }
  const std::string url = address_of(file, options.mirror);
  const bool made = fs::create_directories(folder, error);
  check(!error, "{}: cannot be created: {}", folder.string(), error.message());
  try {
    fetch(file, url, target, options);
  } catch (...) {
    if (made) fs::remove(folder, error);  // unless something is kept in it
    throw;
  }
  return target;
}

}  // namespace concord
