#pragma once
// Which images of a plan an interrupted run had written.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include "data/image_plan.h"

namespace concord {

struct PreparedImage {
  bool clipped = false;  // its box reached past the picture
  bool copied = false;   // kept as it was, byte for byte
};

// Appends one line for each image after its file is in place: "index bytes crc32 clipped copied".
// Safe to use from several threads.
class PrepareJournal {
 public:
  // Throws Error naming the file when it cannot be opened or written.
  explicit PrepareJournal(std::filesystem::path file);
  ~PrepareJournal();
  PrepareJournal(const PrepareJournal&) = delete;
  PrepareJournal& operator=(const PrepareJournal&) = delete;

  void add(std::size_t index, const PreparedImage& image, std::span<const std::uint8_t> bytes);

 private:
  std::filesystem::path file_;
  std::mutex mutex_;
  int descriptor_;
};

// By index into the plan: the images that the journal has and whose targets below `folder` are of
// the length and checksum it states. Lines cut short or senseless are passed over, as is a journal
// that is not there: an image too many is made again, none is missing.
std::vector<std::optional<PreparedImage>> read_journal(const std::filesystem::path& file,
                                                       const std::filesystem::path& folder,
                                                       const ImagePlan& plan);

}  // namespace concord
