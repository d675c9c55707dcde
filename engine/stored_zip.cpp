#include "engine/stored_zip.h"

#include <algorithm>

#include "kernels/error.h"

namespace concord {
namespace {

constexpr std::uint32_t kLocalHeader = 0x04034b50;
constexpr std::uint32_t kDirectoryEntry = 0x02014b50;
constexpr std::uint32_t kDirectoryEnd = 0x06054b50;
constexpr std::uint32_t kZip64End = 0x06064b50;
constexpr std::uint32_t kZip64Locator = 0x07064b50;
constexpr std::uint16_t kZip64Extra = 1;
constexpr std::uint64_t kIn64 = 0xFFFFFFFF;  // the value is in the zip64 record

// Little-endian numbers and texts one after the other; throws at the end of the bytes.
class Fields {
 public:
  Fields(std::string_view bytes, std::uint64_t offset, const std::string& where)
      : bytes_(bytes), where_(where) {
    check(offset <= bytes.size(), "{}: its zip directory points to byte {} of {}: damaged", where,
          offset, bytes.size());
    at_ = static_cast<std::size_t>(offset);
  }
  std::string_view text(std::uint64_t count) {
    check(count <= bytes_.size() - at_, "{}: its zip directory is cut off: truncated or damaged",
          where_);
    const std::string_view result = bytes_.substr(at_, static_cast<std::size_t>(count));
    at_ += static_cast<std::size_t>(count);
    return result;
  }
  template <class T>
  T number() {
    const std::string_view from = text(sizeof(T));
    std::uint64_t value = 0;
    for (std::size_t i = sizeof(T); i-- > 0;)
      value = (value << 8) | static_cast<unsigned char>(from[i]);
    return static_cast<T>(value);
  }
  std::uint16_t u16() { return number<std::uint16_t>(); }
  std::uint32_t u32() { return number<std::uint32_t>(); }
  std::uint64_t u64() { return number<std::uint64_t>(); }
  void skip(std::uint64_t count) { text(count); }
  std::size_t at() const { return at_; }
  std::size_t left() const { return bytes_.size() - at_; }

 private:
  std::string_view bytes_;
  const std::string& where_;
  std::size_t at_ = 0;
};

// Offset of the record at the end: the last one whose comment reaches just to the end of the file.
std::size_t find_end(std::string_view bytes, const std::string& where) {
  constexpr std::size_t kRecord = 22;
  constexpr std::size_t kMaxComment = 65535;
  for (std::size_t comment = 0; comment <= kMaxComment && kRecord + comment <= bytes.size();
       ++comment) {
    const std::size_t at = bytes.size() - kRecord - comment;
    Fields fields(bytes, at, where);
    if (fields.u32() != kDirectoryEnd) continue;
    fields.skip(16);
    if (fields.u16() == comment) return at;
  }
  fail("{}: begins as a zip archive and has no directory at its end: truncated", where);
}

struct Directory {
  std::uint64_t entries = 0;
  std::uint64_t offset = 0;
};

Directory find_directory(std::string_view bytes, const std::string& where) {
  const std::size_t end = find_end(bytes, where);
  Fields fields(bytes, end + 4, where);
  const std::uint16_t disk = fields.u16();
  const std::uint16_t first_disk = fields.u16();
  fields.u16();
  Directory directory;
  directory.entries = fields.u16();
  fields.u32();
  directory.offset = fields.u32();

  constexpr std::size_t kLocator = 20;
  if (end >= kLocator) {
    Fields locator(bytes, end - kLocator, where);
    if (locator.u32() == kZip64Locator) {
      locator.u32();
      Fields record(bytes, locator.u64(), where);
      check(record.u32() == kZip64End, "{}: its zip64 record is missing: damaged", where);
      record.skip(8 + 2 + 2);
      const std::uint32_t this_disk = record.u32();
      check(this_disk == 0 && record.u32() == 0, "{}: a zip archive in several parts", where);
      record.u64();
      directory.entries = record.u64();
      record.u64();
      directory.offset = record.u64();
      return directory;
    }
  }
  check(disk == 0 && first_disk == 0, "{}: a zip archive in several parts", where);
  return directory;
}

// Takes those sizes from the zip64 extra field that do not fit the entry, in the format's order.
void read_zip64(std::string_view extra, StoredZip::Member& member, const std::string& where) {
  Fields fields(extra, 0, where);
  while (fields.left() >= 4) {
    const std::uint16_t id = fields.u16();
    const std::string_view body = fields.text(fields.u16());
    if (id != kZip64Extra) continue;
    Fields wide(body, 0, where);
    if (member.size == kIn64) member.size = wide.u64();
    if (member.compressed == kIn64) member.compressed = wide.u64();
    if (member.header == kIn64) member.header = wide.u64();
    return;
  }
}

}  // namespace

StoredZip::StoredZip(std::string_view bytes, const std::string& where)
    : bytes_(bytes), where_(where) {
  const Directory directory = find_directory(bytes, where);
  Fields fields(bytes, directory.offset, where);
  for (std::uint64_t i = 0; i < directory.entries; ++i) {
    check(fields.u32() == kDirectoryEntry, "{}: entry {} of its zip directory is damaged", where,
          i);
    Member member;
    fields.skip(2 + 2);  // versions
    member.flags = fields.u16();
    member.method = fields.u16();
    fields.skip(2 + 2 + 4);  // time, date, checksum
    member.compressed = fields.u32();
    member.size = fields.u32();
    const std::uint16_t name_bytes = fields.u16();
    const std::uint16_t extra_bytes = fields.u16();
    const std::uint16_t comment_bytes = fields.u16();
    fields.skip(2 + 2 + 4);  // disk, attributes
    member.header = fields.u32();
    const std::string name(fields.text(name_bytes));
    read_zip64(fields.text(extra_bytes), member, where);
    fields.skip(comment_bytes);
    check(members_.emplace(name, member).second, "{}: holds two members {}", where, name);
  }
}

std::string_view StoredZip::member(const std::string& name) const {
  const auto found = members_.find(name);
  check(found != members_.end(), "{}: has no member {}: truncated or damaged", where_, name);
  const Member& member = found->second;
  check((member.flags & 1U) == 0, "{}: its member {} is encrypted; such files are not read", where_,
        name);
  check(member.method == 0 && member.compressed == member.size,
        "{}: its member {} is compressed, which torch.save never does; unpack the archive and pack "
        "it without compression (zip -0)",
        where_, name);
  Fields fields(bytes_, member.header, where_);
  check(fields.u32() == kLocalHeader, "{}: the header of its member {} is damaged", where_, name);
  fields.skip(22);
  const std::uint16_t name_bytes = fields.u16();
  const std::uint16_t extra_bytes = fields.u16();
  check(fields.text(name_bytes) == name, "{}: the header of its member {} names another", where_,
        name);
  fields.skip(extra_bytes);
  check(member.size <= fields.left(), "{}: its member {} of {} bytes passes the end: truncated",
        where_, name, member.size);
  return fields.text(member.size);
}

}  // namespace concord
