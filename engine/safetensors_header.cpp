#include "engine/safetensors_header.h"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>

namespace concord {
namespace {

constexpr std::string_view kMetadataName = "__metadata__";

// Bytes per element of every dtype of the format; 0 for an unknown one.
std::uint64_t item_size(std::string_view dtype) {
  struct Size {
    std::string_view dtype;
    std::uint64_t bytes;
  };
  static constexpr Size kSizes[] = {
      {"BOOL", 1}, {"U8", 1},  {"I8", 1},  {"F8_E5M2", 1}, {"F8_E4M3", 1}, {"F8_E8M0", 1},
      {"U16", 2},  {"I16", 2}, {"F16", 2}, {"BF16", 2},    {"U32", 4},     {"I32", 4},
      {"F32", 4},  {"U64", 8}, {"I64", 8}, {"F64", 8},     {"C64", 8}};
  for (const Size& size : kSizes)
    if (size.dtype == dtype) return size.bytes;
  return 0;
}

// Follows the header's one structure event by event. No tree is built, so a hostile file costs no
// more memory than its text; any other event than the expected one throws.
class HeaderReader : public nlohmann::json_sax<nlohmann::json> {
 public:
  SafetensorsHeader take() { return std::move(header_); }

  bool null() override { unexpected("null"); }
  bool boolean(bool) override { unexpected("a boolean"); }
  bool binary(binary_t&) override { unexpected("binary data"); }
  bool number_integer(number_integer_t value) override {
    fail("{}: the number {} is negative", where(), value);
  }
  bool number_float(number_float_t, const string_t& text) override {
    fail("{}: the number {} is not a whole number of 64 bits", where(), text.substr(0, 40));
  }

  bool number_unsigned(number_unsigned_t value) override {
    check(value <= static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()),
          "{}: the number {} is too large", where(), value);
    if (place_ == Place::kShape) {
      check(shape_.size() < Shape::kMaxRank, "{}: more than {} axes", where(), Shape::kMaxRank);
      shape_.push_back(static_cast<std::int64_t>(value));
    } else if (place_ == Place::kOffsets) {
      check(offsets_.size() < 2, "{}: data_offsets has more than two numbers", where());
      offsets_.push_back(value);
    } else {
      unexpected("a number");
    }
    return true;
  }

  bool string(string_t& value) override {
    if (place_ == Place::kMetadata) {
      header_.metadata[field_] = value;
    } else if (place_ == Place::kEntry && field_ == "dtype") {
      entry_.dtype = value;
    } else {
      unexpected("a text");
    }
    return true;
  }

  bool start_object(std::size_t) override {
    if (place_ == Place::kOutside) {
      place_ = Place::kTop;
    } else if (place_ == Place::kTop) {
      fields_.clear();
      if (name_ == kMetadataName) {
        place_ = Place::kMetadata;
      } else {
        place_ = Place::kEntry;
        entry_ = {};
        entry_.name = name_;
        shape_.clear();
        offsets_.clear();
      }
    } else {
      unexpected("an object");
    }
    return true;
  }

  bool end_object() override {
    if (place_ == Place::kEntry) finish_entry();
    place_ = place_ == Place::kTop ? Place::kOutside : Place::kTop;
    return true;
  }

  bool key(string_t& value) override {
    if (place_ == Place::kTop) {
      name_ = value;
      check(names_.insert(value).second, "{}: the name is given twice", where());
      return true;
    }
    field_ = value;
    check(fields_.insert(value).second, "{}: the key \"{}\" is given twice", where(), shown(value));
    const bool known = value == "dtype" || value == "shape" || value == "data_offsets";
    check(place_ == Place::kMetadata || known,
          "{}: the key \"{}\" is none of dtype, shape and data_offsets", where(), shown(value));
    return true;
  }

  bool start_array(std::size_t) override {
    if (place_ == Place::kEntry && field_ == "shape") {
      place_ = Place::kShape;
    } else if (place_ == Place::kEntry && field_ == "data_offsets") {
      place_ = Place::kOffsets;
    } else {
      unexpected("an array");
    }
    return true;
  }

  bool end_array() override {
    place_ = Place::kEntry;
    return true;
  }

  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::detail::exception& error) override {
    fail("header: not valid JSON at byte {}: {}", position, shown(error.what()));
  }

 private:
  enum class Place { kOutside, kTop, kMetadata, kEntry, kShape, kOffsets };

  // A name as it may be shown in a message.
  static std::string shown(const std::string& name) {
    constexpr std::size_t kMost = 200;
    return name.size() <= kMost ? name : name.substr(0, kMost) + "...";
  }
  std::string where() const {
    return names_.empty() ? "header" : "tensor \"" + shown(name_) + "\"";
  }
  [[noreturn]] void unexpected(const char* what) const {
    fail("{}: {} stands where the format has none", where(), what);
  }

  void finish_entry() {
    for (const char* needed : {"dtype", "shape", "data_offsets"})
      check(fields_.contains(needed), "{}: {} is missing", where(), needed);
    check(offsets_.size() == 2, "{}: data_offsets has {} numbers, not two", where(),
          offsets_.size());
    const std::uint64_t item = item_size(entry_.dtype);
    check(item != 0, "{}: dtype \"{}\" is unknown", where(), shown(entry_.dtype));
    try {
      entry_.shape = Shape(shape_);
    } catch (const Error& error) {
      fail("{}: {}", where(), error.what());
    }
    entry_.begin = offsets_[0];
    entry_.end = offsets_[1];
    check(entry_.begin <= entry_.end, "{}: its data end at {}, before their beginning at {}",
          where(), entry_.end, entry_.begin);
    // Shape keeps numel below 2^63 / 8, so the product cannot overflow.
    const std::uint64_t bytes = static_cast<std::uint64_t>(entry_.shape.numel()) * item;
    check(bytes == entry_.end - entry_.begin,
          "{}: shape {} of {} takes {} bytes, data_offsets span {}", where(),
          entry_.shape.to_string(), entry_.dtype, bytes, entry_.end - entry_.begin);
    header_.entries.push_back(entry_);
  }

  SafetensorsHeader header_;
  Place place_ = Place::kOutside;
  std::set<std::string> names_;   // of the whole file
  std::set<std::string> fields_;  // of the object that is being read
  std::string name_;
  std::string field_;
  SafetensorsEntry entry_;
  std::vector<std::int64_t> shape_;
  std::vector<std::uint64_t> offsets_;
};

}  // namespace

SafetensorsHeader parse_safetensors_header(std::string_view text, std::uint64_t data_bytes) {
  check(text.starts_with('{'), "header: does not begin with '{{'; not a safetensors file");
  // The parser takes a zero byte for the end of its input.
  check(text.find('\0') == std::string_view::npos, "header: not valid JSON at byte {}: a zero byte",
        text.find('\0'));
  HeaderReader reader;
  nlohmann::json::sax_parse(text.begin(), text.end(), &reader);
  SafetensorsHeader header = reader.take();
  std::sort(header.entries.begin(), header.entries.end(), [](const auto& a, const auto& b) {
    return a.begin != b.begin ? a.begin < b.begin : a.end < b.end;
  });
  std::uint64_t covered = 0;
  for (const SafetensorsEntry& entry : header.entries) {
    check(entry.begin == covered,
          "tensor \"{}\": its data begin at {}, those before it end at {}: the data {}", entry.name,
          entry.begin, covered, entry.begin < covered ? "overlap" : "have a hole");
    covered = entry.end;
  }
  check(covered == data_bytes, "the header describes {} bytes of data, the file holds {}{}",
        covered, data_bytes, data_bytes < covered ? ": it is truncated" : "");
  return header;
}

std::string write_safetensors_header(const SafetensorsHeader& header) {
  try {
    nlohmann::ordered_json json = nlohmann::ordered_json::object();
    if (!header.metadata.empty()) json[std::string(kMetadataName)] = header.metadata;
    for (const SafetensorsEntry& entry : header.entries)
      json[entry.name] = {{"dtype", entry.dtype},
                          {"shape", std::vector<std::int64_t>(entry.shape.sizes().begin(),
                                                              entry.shape.sizes().end())},
                          {"data_offsets", {entry.begin, entry.end}}};
    std::string text = json.dump();
    constexpr std::size_t kAlignment = 64;
    text.resize((text.size() + 8 + kAlignment - 1) / kAlignment * kAlignment - 8, ' ');
    return text;
  } catch (const nlohmann::json::exception& error) {
    fail("a name or a metadata text cannot be written as JSON: {}", error.what());
  }
}

}  // namespace concord
