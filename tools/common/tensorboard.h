#pragma once
// TensorBoard event files: records of u64 length, masked crc32c of it, a protobuf Event, masked
// crc32c of that. Written by hand: protobuf's library would be needed for a dozen fields.

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "data/image.h"
#include "tools/common/histogram.h"

namespace concord::tool {

// CRC-32C (Castagnoli) of the bytes.
std::uint32_t crc32c(std::string_view bytes);

class EventWriter {
 public:
  // Creates events.out.tfevents.SECONDS.HOST.PID.0 in `directory`; SECONDS are such that readers,
  // who go by the names, read it after those that are there. With `purge_from` >= 0 readers forget
  // what earlier files of the folder say about that step and later ones (a resumed run). Throws
  // naming the file.
  explicit EventWriter(const std::filesystem::path& directory, std::int64_t purge_from = -1);

  // One value per tag at a step, flushed. Throws naming the file (disk full).
  void scalars(std::int64_t step, std::span<const std::pair<std::string, double>> values);
  // A histogram, a picture (as PNG), or a text (in Markdown) under a tag; each as scalars().
  void histogram(std::int64_t step, const std::string& tag, const Histogram& histogram);
  void image(std::int64_t step, const std::string& tag, const Image& image);
  void text(std::int64_t step, const std::string& tag, const std::string& markdown);

 private:
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  void write(const std::string& event);

  std::filesystem::path path_;
  std::unique_ptr<std::FILE, Close> file_;
};

}  // namespace concord::tool
