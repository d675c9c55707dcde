#include "engine/zip_writer.h"

#include <zlib.h>

#include <bit>
#include <limits>

#include "engine/replaced_file.h"
#include "kernels/error.h"

namespace concord {
namespace {

constexpr std::uint64_t kAlignment = 64;
constexpr std::uint64_t kLocalHeaderBytes = 30;
constexpr std::uint64_t kIn64 = 0xFFFFFFFF;  // the value is in the zip64 field
constexpr std::uint16_t kZip64Field = 1;
constexpr std::uint16_t kPaddingField = 0x4246;           // "FB"
constexpr std::uint16_t kVersion = 45;                    // the first with zip64
constexpr std::uint16_t kDate = (0 << 9) | (1 << 5) | 1;  // 1980-01-01: the same bytes every time

// Little-endian numbers one after the other.
class Record {
 public:
  Record& u16(std::uint64_t value) { return number(value, 2); }
  Record& u32(std::uint64_t value) { return number(value, 4); }
  Record& u64(std::uint64_t value) { return number(value, 8); }
  Record& bytes(std::string_view value) {
    text_ += value;
    return *this;
  }
  const std::string& text() const { return text_; }

 private:
  Record& number(std::uint64_t value, int width) {
    for (int i = 0; i < width; ++i) text_ += static_cast<char>((value >> (8 * i)) & 0xFFU);
    return *this;
  }
  std::string text_;
};

std::uint64_t capped(std::uint64_t value) { return value >= kIn64 ? kIn64 : value; }

struct Placed {
  std::uint32_t checksum = 0;
  std::uint64_t offset = 0;  // of the local header
};

// The fields that a local header and the directory share, from the version to the name's length.
void add_common(Record& record, const ZipMember& member, std::uint32_t checksum) {
  const std::uint64_t size = capped(member.second.size());
  record.u16(kVersion).u16(0).u16(0).u16(0).u16(kDate);
  record.u32(checksum).u32(size).u32(size).u16(member.first.size());
}

std::string local_header(const ZipMember& member, const Placed& placed) {
  const auto& [name, bytes] = member;
  Record extra;
  if (bytes.size() >= kIn64) extra.u16(kZip64Field).u16(16).u64(bytes.size()).u64(bytes.size());
  const std::uint64_t data = placed.offset + kLocalHeaderBytes + name.size() + extra.text().size();
  const std::uint64_t padding = (kAlignment - (data + 4) % kAlignment) % kAlignment;
  extra.u16(kPaddingField).u16(padding).bytes(std::string(padding, 'Z'));
  Record record;
  record.u32(0x04034b50);
  add_common(record, member, placed.checksum);
  return record.u16(extra.text().size()).bytes(name).bytes(extra.text()).text();
}

std::string directory_entry(const ZipMember& member, const Placed& placed) {
  const auto& [name, bytes] = member;
  Record extra;
  if (bytes.size() >= kIn64 || placed.offset >= kIn64) {
    Record values;
    if (bytes.size() >= kIn64) values.u64(bytes.size()).u64(bytes.size());
    if (placed.offset >= kIn64) values.u64(placed.offset);
    extra.u16(kZip64Field).u16(values.text().size()).bytes(values.text());
  }
  Record record;
  record.u32(0x02014b50).u16(kVersion);
  add_common(record, member, placed.checksum);
  record.u16(extra.text().size()).u16(0).u16(0).u16(0).u32(0).u32(capped(placed.offset));
  return record.bytes(name).bytes(extra.text()).text();
}

std::string directory_end(std::uint64_t count, std::uint64_t begin, std::uint64_t bytes) {
  Record record;
  constexpr std::uint64_t kMostIn16 = 0xFFFF;
  if (count >= kMostIn16 || begin >= kIn64 || bytes >= kIn64) {
    record.u32(0x06064b50).u64(44).u16(kVersion).u16(kVersion).u32(0).u32(0);
    record.u64(count).u64(count).u64(bytes).u64(begin);
    record.u32(0x07064b50).u32(0).u64(begin + bytes).u32(1);
  }
  const std::uint64_t members = count >= kMostIn16 ? kMostIn16 : count;
  record.u32(0x06054b50).u16(0).u16(0).u16(members).u16(members);
  return record.u32(capped(bytes)).u32(capped(begin)).u16(0).text();
}

}  // namespace

void write_stored_zip(const std::filesystem::path& path, const std::vector<ZipMember>& members) {
  static_assert(std::endian::native == std::endian::little, "data is written as it lies");
  std::uint64_t total = 0;
  for (const auto& [name, bytes] : members) {
    check(name.size() <= std::numeric_limits<std::uint16_t>::max(),
          "{}: a member's name of {} bytes is too long", path.string(), name.size());
    total += bytes.size() + 2 * name.size() + 256;
  }
  ReplacedFile file(path, total);
  std::string directory;
  std::uint64_t offset = 0;
  for (const ZipMember& member : members) {
    const std::string_view bytes = member.second;
    Placed placed{.offset = offset};
    placed.checksum = static_cast<std::uint32_t>(
        crc32_z(0, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size()));
    const std::string header = local_header(member, placed);
    file.write(header);
    file.write(bytes);
    offset += header.size() + bytes.size();
    directory += directory_entry(member, placed);
  }
  file.write(directory);
  file.write(directory_end(members.size(), offset, directory.size()));
  file.commit();
}

}  // namespace concord
