#include "tools/common/tensorboard.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstring>

#include "kernels/error.h"

namespace concord::tool {
namespace {

constexpr std::array<std::uint32_t, 256> make_table() {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t i = 0; i < 256; ++i) {
    std::uint32_t value = i;
    for (int bit = 0; bit < 8; ++bit) value = (value >> 1) ^ ((value & 1U) ? 0x82F63B78U : 0U);
    table[i] = value;
  }
  return table;
}
constexpr std::array<std::uint32_t, 256> kTable = make_table();

std::uint32_t masked(std::uint32_t crc) { return std::rotr(crc, 15) + 0xa282ead8U; }

template <class T>
std::string little_endian(T value) {
  std::string bytes(sizeof value, '\0');
  for (std::size_t i = 0; i < sizeof value; ++i)
    bytes[i] = static_cast<char>((value >> (8 * i)) & 0xFF);
  return bytes;
}

std::string varint(std::uint64_t value) {
  std::string bytes;
  for (; value >= 0x80; value >>= 7) bytes += static_cast<char>((value & 0x7F) | 0x80);
  return bytes + static_cast<char>(value);
}

// Protobuf fields: key = number * 8 + wire type (0 varint, 1 64-bit, 2 length-delimited, 5 32-bit).
std::string field_varint(int number, std::uint64_t value) {
  return varint(static_cast<std::uint64_t>(number) * 8) + varint(value);
}
std::string field_double(int number, double value) {
  return varint(static_cast<std::uint64_t>(number) * 8 + 1) +
         little_endian(std::bit_cast<std::uint64_t>(value));
}
std::string field_bytes(int number, const std::string& value) {
  return varint(static_cast<std::uint64_t>(number) * 8 + 2) + varint(value.size()) + value;
}
std::string field_float(int number, float value) {
  return varint(static_cast<std::uint64_t>(number) * 8 + 5) +
         little_endian(std::bit_cast<std::uint32_t>(value));
}

// Packed: one length for all.
std::string field_doubles(int number, const std::vector<double>& values) {
  std::string bytes;
  for (const double value : values) bytes += little_endian(std::bit_cast<std::uint64_t>(value));
  return field_bytes(number, bytes);
}

double now() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

// Event: wall_time = 1, step = 2, file_version = 3, summary = 5, session_log = 7.
std::string event(std::int64_t step, const std::string& content) {
  return field_double(1, now()) + field_varint(2, static_cast<std::uint64_t>(step)) + content;
}

// Summary: value = 1; Summary.Value: tag = 1 and its content.
std::string summary_event(std::int64_t step, const std::string& tag, const std::string& content) {
  return event(step, field_bytes(5, field_bytes(1, field_bytes(1, tag) + content)));
}

// The second for the name of a file that sorts behind the event files of the folder.
std::int64_t second_of_name(const std::filesystem::path& directory) {
  constexpr std::string_view kPrefix = "events.out.tfevents.";
  auto second = static_cast<std::int64_t>(now());
  std::error_code error;  // where the folder cannot be read, creating the file fails and says so
  for (const auto& entry : std::filesystem::directory_iterator(directory, error)) {
    const std::string name = entry.path().filename().string();
    std::int64_t other = 0;
    if (name.starts_with(kPrefix) &&
        std::from_chars(name.data() + kPrefix.size(), name.data() + name.size(), other).ec ==
            std::errc())
      second = std::max(second, other + 1);
  }
  return second;
}

}  // namespace

std::uint32_t crc32c(std::string_view bytes) {
  std::uint32_t crc = ~0U;
  for (const char byte : bytes)
    crc = kTable[(crc ^ static_cast<unsigned char>(byte)) & 0xFF] ^ (crc >> 8);
  return ~crc;
}

EventWriter::EventWriter(const std::filesystem::path& directory, std::int64_t purge_from) {
  char host[256] = "localhost";
  gethostname(host, sizeof host - 1);
  path_ = directory / fmt::format("events.out.tfevents.{:010}.{}.{}.0", second_of_name(directory),
                                  host, ::getpid());
  file_.reset(std::fopen(path_.c_str(), "ab"));
  check(file_ != nullptr, "{}: cannot be written: {}", path_.string(), std::strerror(errno));
  write(event(0, field_bytes(3, "brain.Event:2")));
  // SessionLog {status = START}.
  if (purge_from >= 0) write(event(purge_from, field_bytes(7, field_varint(1, 1))));
}

void EventWriter::scalars(std::int64_t step,
                          std::span<const std::pair<std::string, double>> values) {
  std::string summary;
  for (const auto& [tag, value] : values)
    summary += field_bytes(1, field_bytes(1, tag) + field_float(2, static_cast<float>(value)));
  write(event(step, field_bytes(5, summary)));
}

// HistogramProto: min = 1, max = 2, num = 3, sum = 4, sum_squares = 5, bucket_limit = 6, bucket
// = 7.
void EventWriter::histogram(std::int64_t step, const std::string& tag, const Histogram& histogram) {
  const std::string proto = field_double(1, histogram.min) + field_double(2, histogram.max) +
                            field_double(3, static_cast<double>(histogram.count)) +
                            field_double(4, histogram.sum) +
                            field_double(5, histogram.sum_of_squares) +
                            field_doubles(6, histogram.limits) + field_doubles(7, histogram.counts);
  write(summary_event(step, tag, field_bytes(5, proto)));
}

// Summary.Image: height = 1, width = 2, colorspace = 3 (3 is RGB), encoded_image_string = 4.
void EventWriter::image(std::int64_t step, const std::string& tag, const Image& image) {
  const std::vector<std::uint8_t> png = encode_png(image);
  const std::string proto = field_varint(1, static_cast<std::uint64_t>(image.height)) +
                            field_varint(2, static_cast<std::uint64_t>(image.width)) +
                            field_varint(3, 3) + field_bytes(4, {png.begin(), png.end()});
  write(summary_event(step, tag, field_bytes(4, proto)));
}

// A TensorProto (8: dtype = 1, where 7 is a string; tensor_shape = 2, with one dimension of size 1;
// string_val = 8) with metadata (9) that name the plugin.
void EventWriter::text(std::int64_t step, const std::string& tag, const std::string& markdown) {
  const std::string shape = field_bytes(2, field_varint(1, 1));
  const std::string tensor = field_varint(1, 7) + field_bytes(2, shape) + field_bytes(8, markdown);
  const std::string metadata = field_bytes(1, field_bytes(1, "text"));
  write(summary_event(step, tag, field_bytes(9, metadata) + field_bytes(8, tensor)));
}

void EventWriter::write(const std::string& data) {
  const std::string length = little_endian(static_cast<std::uint64_t>(data.size()));
  const std::string record =
      length + little_endian(masked(crc32c(length))) + data + little_endian(masked(crc32c(data)));
  const bool good = std::fwrite(record.data(), 1, record.size(), file_.get()) == record.size() &&
                    std::fflush(file_.get()) == 0;
  check(good, "{}: writing failed: {}", path_.string(), std::strerror(errno));
}

}  // namespace concord::tool
