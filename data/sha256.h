#pragma once
// SHA-256 of what comes in pieces, and of files.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>

#include "data/workers.h"

namespace concord {

class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;

  void add(std::span<const std::uint8_t> bytes);
  // Of all that was added, as 64 hexadecimal digits; nothing can be added after it.
  std::string digest();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Reads the file through; `progress` is told of its bytes. Throws Error naming the file.
std::string sha256_of_file(const std::filesystem::path& file,
                           const ProgressCallback& progress = {});

}  // namespace concord
