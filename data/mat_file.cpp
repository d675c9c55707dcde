#include "data/mat_file.h"

#include <zlib.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <optional>
#include <string_view>

#include "engine/text.h"
#include "kernels/error.h"

namespace concord {
namespace {

constexpr std::size_t kHeaderBytes = 128;

// Table 1-1 of the format: kinds of data elements, of those that lists have.
enum Kind : std::uint32_t {
  kInt8 = 1,
  kUInt8 = 2,
  kUInt16 = 4,
  kInt32 = 5,
  kUInt32 = 6,
  kMatrix = 14,
  kCompressed = 15,
  kUtf8 = 16,
  kUtf16 = 17,
};

// Table 1-3: classes of arrays.
enum ArrayClass : std::uint8_t {
  kCellClass = 1,
  kStructClass = 2,
  kCharClass = 4,
  kLastClass = 18
};

const char* name_of_class(std::uint8_t array_class) {
  constexpr const char* kNames[] = {"unknown", "cell",     "struct", "object", "char",
                                    "sparse",  "double",   "single", "int8",   "uint8",
                                    "int16",   "uint16",   "int32",  "uint32", "int64",
                                    "uint64",  "function", "opaque", "object"};
  return array_class <= kLastClass ? kNames[array_class] : "unknown";
}

struct Element {
  std::uint32_t kind = 0;
  std::size_t at = 0;  // of its tag, for messages
  std::span<const std::uint8_t> data;
};

// The elements of a file, of an unpacked variable or of a matrix, one after the other.
class Elements {
 public:
  Elements(std::span<const std::uint8_t> bytes, std::size_t offset, std::string place, bool big)
      : bytes_(bytes), offset_(offset), place_(std::move(place)), big_(big) {}

  bool done() const { return bytes_.empty(); }
  std::size_t left() const { return bytes_.size(); }

  template <class... Args>
  [[noreturn]] void refuse(std::size_t at, fmt::format_string<Args...> format,
                           Args&&... args) const {
    fail("{}: byte {}: {}", place_, at, fmt::format(format, std::forward<Args>(args)...));
  }

  std::uint32_t word(std::span<const std::uint8_t> from, std::size_t index = 0) const {
    const std::uint8_t* byte = from.subspan(index * 4, 4).data();
    std::uint32_t value = 0;
    for (int i = 0; i < 4; ++i) value = value << 8 | byte[big_ ? i : 3 - i];
    return value;
  }

  std::uint32_t unit(std::span<const std::uint8_t> from, std::size_t index) const {
    const std::uint8_t* byte = from.subspan(index * 2, 2).data();
    return big_ ? static_cast<std::uint32_t>(byte[0] << 8 | byte[1])
                : static_cast<std::uint32_t>(byte[1] << 8 | byte[0]);
  }

  Element next() {
    Element element;
    element.at = offset_;
    if (bytes_.size() < 8)
      refuse(offset_, "the file ends within the tag of an element ({} bytes are left)",
             bytes_.size());
    const std::uint32_t first = word(bytes_);
    if (first >> 16 != 0) {  // up to four bytes are stored inside the tag
      element.kind = first & 0xFFFF;
      const std::size_t size = first >> 16;
      if (size > 4) refuse(offset_, "a small element of {} bytes, where 4 fit", size);
      element.data = bytes_.subspan(4, size);
      skip(8);
      return element;
    }
    element.kind = first;
    const std::size_t size = word(bytes_, 1);
    skip(8);
    if (size > bytes_.size())
      refuse(element.at,
             "an element of {} bytes, but {} are left; the file is damaged or truncated", size,
             bytes_.size());
    element.data = bytes_.first(size);
    skip(size);
    // Elements begin at multiples of 8, but for what follows a compressed one; the last element of
    // a file need not be padded.
    if (element.kind != kCompressed) skip(std::min((8 - size % 8) % 8, bytes_.size()));
    return element;
  }

  Element next(std::uint32_t kind, const char* what) {
    if (done()) refuse(offset_, "the variable ends before its {}", what);
    const Element element = next();
    if (element.kind != kind)
      refuse(element.at, "an element of kind {} where {} (kind {}) is expected", element.kind, what,
             kind);
    return element;
  }

  Elements inside(const Element& matrix) const {
    const auto tag = static_cast<std::size_t>(8);
    return {matrix.data, matrix.at + tag, place_, big_};
  }

 private:
  void skip(std::size_t count) {
    bytes_ = bytes_.subspan(count);
    offset_ += count;
  }

  std::span<const std::uint8_t> bytes_;
  std::size_t offset_;  // of bytes_, in the file or in the unpacked variable
  std::string place_;
  bool big_;
};

struct ArrayHeader {
  std::uint8_t array_class = 0;
  std::uint64_t rows = 0;
  std::uint64_t count = 0;  // of all entries, saturated
  std::string name;
};

ArrayHeader read_array_header(Elements& parts) {
  ArrayHeader header;
  const Element flags = parts.next(kUInt32, "array flags");
  if (flags.data.size() != 8)
    parts.refuse(flags.at, "array flags of {} bytes, expected 8", flags.data.size());
  header.array_class = static_cast<std::uint8_t>(parts.word(flags.data) & 0xFF);
  const Element dimensions = parts.next(kInt32, "dimensions");
  if (dimensions.data.size() % 4 != 0 || dimensions.data.size() < 8)
    parts.refuse(dimensions.at, "dimensions of {} bytes, expected two or more of 4",
                 dimensions.data.size());
  header.count = 1;
  for (std::size_t i = 0; i < dimensions.data.size() / 4; ++i) {
    const std::uint32_t size = parts.word(dimensions.data, i);
    if (size > 0x7FFFFFFF)
      parts.refuse(dimensions.at, "a dimension of {}", static_cast<std::int32_t>(size));
    if (i == 0) header.rows = size;
    if (__builtin_mul_overflow(header.count, std::uint64_t{size}, &header.count))
      parts.refuse(dimensions.at, "its dimensions multiply to more than 2^64 entries");
  }
  const Element name = parts.next(kInt8, "name");
  header.name.assign(name.data.begin(), name.data.end());
  return header;
}

std::string utf8_of_utf16(const Elements& parts, const Element& element) {
  std::string text;
  const std::size_t units = element.data.size() / 2;
  for (std::size_t i = 0; i < units; ++i) {
    std::uint32_t code = parts.unit(element.data, i);
    if (code >= 0xD800 && code < 0xE000) {
      const std::uint32_t low = i + 1 < units ? parts.unit(element.data, i + 1) : 0;
      if (code >= 0xDC00 || low < 0xDC00 || low >= 0xE000)
        parts.refuse(element.at, "its characters are not UTF-16 (unit {})", i);
      code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
      ++i;
    }
    append_utf8(text, code);
  }
  return text;
}

// The text of a char array, whose header has been read.
std::string read_text(Elements& parts, const ArrayHeader& header) {
  if (header.count == 0) return {};
  const Element element = parts.next();
  if (header.rows != 1)
    parts.refuse(element.at, "a char array of {} rows, where a text of one is expected",
                 header.rows);
  const std::size_t size = element.data.size();
  switch (element.kind) {
    case kUtf8:  // its bytes may be more than its characters
      return {element.data.begin(), element.data.end()};
    case kInt8:
    case kUInt8: {
      if (size != header.count) break;
      std::string text;
      for (const std::uint8_t code : element.data) append_utf8(text, code);
      return text;
    }
    case kUInt16:
    case kUtf16:
      if (size % 2 != 0 || size / 2 != header.count) break;
      return utf8_of_utf16(parts, element);
    default:
      parts.refuse(element.at, "characters of kind {}, expected 2, 4, 16 or 17", element.kind);
  }
  parts.refuse(element.at, "{} bytes of kind {} for {} characters", size, element.kind,
               header.count);
}

std::vector<std::string> read_texts(Elements& parts, const ArrayHeader& header, std::size_t at) {
  if (header.array_class == kCharClass) return {read_text(parts, header)};
  if (header.array_class != kCellClass)
    parts.refuse(at, "{} is an array of class {}, expected a cell array of texts", header.name,
                 name_of_class(header.array_class));
  // A cell takes a tag at least: a huge count is refused before anything is made for it.
  if (header.count > parts.left() / 8)
    parts.refuse(at, "{} has {} cells in {} bytes", header.name, header.count, parts.left());
  std::vector<std::string> texts;
  for (std::uint64_t i = 0; i < header.count; ++i) {
    const Element cell = parts.next(kMatrix, "next cell");
    texts.emplace_back();
    if (cell.data.empty()) continue;  // how an empty cell is stored
    Elements inside = parts.inside(cell);
    const ArrayHeader entry = read_array_header(inside);
    // What was never filled is an empty array of doubles.
    if (entry.array_class != kCharClass && entry.count != 0)
      inside.refuse(cell.at, "cell {} of {} is of class {}, expected a text", i + 1, header.name,
                    name_of_class(entry.array_class));
    if (entry.array_class == kCharClass) texts.back() = read_text(inside, entry);
  }
  return texts;
}

// Unpacks a compressed element, of at most `limit` bytes.
std::vector<std::uint8_t> inflate_element(const Elements& elements, const Element& element,
                                          std::size_t limit) {
  z_stream stream{};
  check(inflateInit(&stream) == Z_OK, "zlib cannot start");
  const std::unique_ptr<z_stream, decltype(&inflateEnd)> owner(&stream, &inflateEnd);
  stream.next_in = const_cast<Bytef*>(element.data.data());
  stream.avail_in = static_cast<uInt>(element.data.size());  // a tag's 32 bits
  std::vector<std::uint8_t> bytes;
  std::uint8_t buffer[1 << 15];
  for (int status = Z_OK; status != Z_STREAM_END;) {
    stream.next_out = buffer;
    stream.avail_out = sizeof buffer;
    status = inflate(&stream, Z_NO_FLUSH);
    if (status != Z_OK && status != Z_STREAM_END)
      elements.refuse(element.at, "its compressed data is damaged or truncated ({})",
                      stream.msg != nullptr ? stream.msg : "it ends too early");
    bytes.insert(bytes.end(), buffer, buffer + (sizeof buffer - stream.avail_out));
    if (bytes.size() > limit)
      elements.refuse(element.at, "it unpacks to more than {} bytes, which no list needs", limit);
  }
  return bytes;
}

// The texts, where this matrix is the variable.
std::optional<std::vector<std::string>> texts_of(const Elements& elements, const Element& matrix,
                                                 const std::string& variable) {
  Elements parts = elements.inside(matrix);
  if (parts.done()) return std::nullopt;
  const ArrayHeader header = read_array_header(parts);
  if (header.name != variable) return std::nullopt;
  return read_texts(parts, header, matrix.at);
}

// Whether the file's numbers are big-endian. Throws Error for what is not of level 5.
bool read_byte_order(std::span<const std::uint8_t> bytes, const std::string& file) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()),
                              std::min(bytes.size(), kHeaderBytes));
  check(!text.starts_with("MATLAB 7.3") && !text.starts_with("\x89HDF"),
        "{}: is of Matlab 7.3, which is HDF5; save it by Matlab's save with -v7, or give a .txt of "
        "one name a line",
        file);
  check(bytes.size() >= kHeaderBytes,
        "{}: {} bytes are too few for a .mat file, whose header has {}", file, bytes.size(),
        kHeaderBytes);
  const std::string_view order = text.substr(126, 2);
  const bool big = order == "MI";
  const int version = big ? bytes[124] : bytes[125];
  check(
      big || order == "IM",
      "{}: is not a .mat file of level 5 (no byte order mark at byte 126); one of level 4 must be "
      "saved anew",
      file);
  check(version == 1, "{}: is a .mat file of version {}, expected 1 (level 5)", file, version);
  return big;
}

}  // namespace

std::vector<std::string> read_mat_texts(std::span<const std::uint8_t> bytes,
                                        const std::string& file, const std::string& variable,
                                        const MatLimits& limits) {
  const bool big = read_byte_order(bytes, file);
  Elements elements(bytes.subspan(kHeaderBytes), kHeaderBytes, file, big);
  std::size_t budget = limits.inflated_bytes;
  while (!elements.done()) {
    const Element element = elements.next();
    std::optional<std::vector<std::string>> texts;
    if (element.kind == kCompressed) {
      const std::vector<std::uint8_t> unpacked = inflate_element(elements, element, budget);
      budget -= unpacked.size();
      Elements inside(unpacked, 0,
                      fmt::format("{}: in the compressed element at byte {}", file, element.at),
                      big);
      if (!inside.done()) texts = texts_of(inside, inside.next(kMatrix, "variable"), variable);
    } else if (element.kind == kMatrix) {
      texts = texts_of(elements, element, variable);
    }
    if (texts) return *texts;
  }
  fail("{}: holds no variable {}", file, variable);
}

}  // namespace concord
