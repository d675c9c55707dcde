#pragma once
// TensorBoard event files, decoded by hand and independently of the writer: records with their
// checksums, and protobuf messages as fields by number (protobuf's "Encoding" page).

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "tests/tools/program_run.h"

namespace concord::test {

// CRC-32C bit by bit, reflected polynomial 0x82F63B78 (RFC 3720).
inline std::uint32_t slow_crc32c(const std::string& bytes) {
  std::uint32_t crc = 0xFFFFFFFFU;
  for (const char byte : bytes) {
    crc ^= static_cast<unsigned char>(byte);
    for (int bit = 0; bit < 8; ++bit) crc = (crc & 1U) != 0 ? (crc >> 1) ^ 0x82F63B78U : crc >> 1;
  }
  return crc ^ 0xFFFFFFFFU;
}

template <class T>
T number_at(const std::string& bytes, std::size_t at) {
  T value{};
  if (at + sizeof value > bytes.size()) throw std::runtime_error("the event file is torn");
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

// The payloads of the records; checksums that do not fit are failures.
inline std::vector<std::string> records_of(const std::string& bytes) {
  std::vector<std::string> records;
  const auto masked = [](std::uint32_t crc) { return ((crc >> 15) | (crc << 17)) + 0xa282ead8U; };
  for (std::size_t at = 0; at < bytes.size();) {
    const auto length = number_at<std::uint64_t>(bytes, at);
    EXPECT_EQ(number_at<std::uint32_t>(bytes, at + 8), masked(slow_crc32c(bytes.substr(at, 8))));
    records.push_back(bytes.substr(at + 12, length));
    EXPECT_EQ(number_at<std::uint32_t>(bytes, at + 12 + length),
              masked(slow_crc32c(records.back())));
    at += 16 + length;
  }
  return records;
}

// The fields of a message: of each its values in order. Varints and fixed numbers are kept as their
// bytes (varints as 8, little-endian).
using Fields = std::map<int, std::vector<std::string>>;
inline Fields fields_of(const std::string& message) {
  Fields fields;
  std::size_t at = 0;
  const auto varint = [&] {
    std::uint64_t value = 0;
    for (int shift = 0;; shift += 7) {
      const auto byte = static_cast<unsigned char>(message.at(at++));
      value |= std::uint64_t{byte & 0x7FU} << shift;
      if (byte < 0x80) return value;
    }
  };
  while (at < message.size()) {
    const std::uint64_t key = varint();
    auto& values = fields[static_cast<int>(key >> 3)];
    if ((key & 7U) == 0) {
      const std::uint64_t value = varint();
      values.emplace_back(reinterpret_cast<const char*>(&value), sizeof value);
      continue;
    }
    const std::size_t length = (key & 7U) == 1   ? 8
                               : (key & 7U) == 5 ? 4
                                                 : static_cast<std::size_t>(varint());
    if (at + length > message.size()) throw std::runtime_error("a field is torn");
    values.push_back(message.substr(at, length));
    at += length;
  }
  return fields;
}

inline std::vector<double> doubles_of(const std::string& bytes) {
  std::vector<double> values;
  for (std::size_t at = 0; at < bytes.size(); at += 8)
    values.push_back(number_at<double>(bytes, at));
  return values;
}

// One value of a summary with its step; `content` are the fields of Summary.Value.
struct EventValue {
  std::int64_t step = 0;
  std::string tag;
  Fields content;
  float scalar() const { return number_at<float>(content.at(2).front(), 0); }
  Fields histogram() const { return fields_of(content.at(5).front()); }
};

struct EventFile {
  std::vector<EventValue> values;
  std::vector<std::int64_t> starts;  // steps of SessionLogs with status START
};

inline EventFile read_events(const fs::path& path) {
  EventFile file;
  const std::vector<std::string> records = records_of(text_of(path));
  if (records.empty()) throw std::runtime_error("the event file is empty");
  EXPECT_EQ(fields_of(records.front()).at(3).front(), "brain.Event:2");
  for (const std::string& record : records) {
    Fields event = fields_of(record);
    EXPECT_GT(number_at<double>(event.at(1).front(), 0), 1e9) << "seconds since 1970";
    const auto step = number_at<std::int64_t>(event.at(2).front(), 0);
    for (const std::string& log : event[7])
      if (number_at<std::int64_t>(fields_of(log).at(1).front(), 0) == 1)
        file.starts.push_back(step);
    for (const std::string& message : event[5]) {
      Fields summary = fields_of(message);
      for (const std::string& value : summary[1]) {
        Fields content = fields_of(value);
        file.values.push_back({step, content.at(1).front(), content});
      }
    }
  }
  return file;
}

// The event files of a run, in the order in which TensorBoard reads them: by name.
inline std::vector<fs::path> event_files(const fs::path& run) {
  std::vector<fs::path> paths;
  for (const auto& entry : fs::directory_iterator(run))
    if (entry.path().filename().string().starts_with("events.out.tfevents."))
      paths.push_back(entry.path());
  std::sort(paths.begin(), paths.end());
  return paths;
}

// The tags of a run's only event file.
inline std::set<std::string> event_tags(const fs::path& run) {
  const std::vector<fs::path> files = event_files(run);
  EXPECT_EQ(files.size(), 1U) << run;
  std::set<std::string> tags;
  for (const EventValue& value : read_events(files.at(0)).values) tags.insert(value.tag);
  return tags;
}

}  // namespace concord::test
