#pragma once
// What every harness holds the readers to, and where their input lies.

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>

#include "kernels/error.h"

namespace concord::fuzz {

// Ends the process so that the fuzzer keeps the input.
[[noreturn]] inline void found(const std::string& what) {
  std::fprintf(stderr, "broken contract: %s\n", what.c_str());
  std::abort();
}

inline void expect(bool condition, const char* what) {
  if (!condition) found(what);
}

// Runs read(): it returns, or throws an Error that names the file. Anything else is a finding.
template <class Read>
void read_or_refuse(const std::string& file, Read&& read) {
  try {
    read();
  } catch (const Error& error) {
    if (std::string(error.what()).find(file) == std::string::npos)
      found("an error that does not name " + file + ": " + error.what());
  } catch (const std::exception& other) {
    found(std::string("an exception that is no Error: ") + other.what());
  }
}

// A file in memory, of one content after the other; it has a path as any file.
class MemoryFile {
 public:
  MemoryFile()
      : descriptor_(::memfd_create("input", MFD_CLOEXEC)),
        path_("/proc/self/fd/" + std::to_string(descriptor_)) {}
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  ~MemoryFile() { ::close(descriptor_); }

  const std::string& path() const { return path_; }
  void fill(const std::uint8_t* data, std::size_t size) {
    const bool filled = ::ftruncate(descriptor_, 0) == 0 &&
                        ::pwrite(descriptor_, data, size, 0) == static_cast<ssize_t>(size);
    expect(filled, "the input cannot be written to memory");
  }

 private:
  int descriptor_;
  std::string path_;
};

}  // namespace concord::fuzz
