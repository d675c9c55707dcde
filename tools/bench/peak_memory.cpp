#include "tools/bench/peak_memory.h"

#include <malloc.h>

#include <fstream>
#include <string>

#include "kernels/memory.h"

namespace concord::bench {
namespace {

std::size_t status_bytes(const std::string& field) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with(field + ":"))
      return static_cast<std::size_t>(std::stoull(line.substr(field.size() + 1))) * 1024;
  return 0;
}

}  // namespace

std::size_t resident_bytes() { return status_bytes("VmRSS"); }
std::size_t peak_resident_bytes() { return status_bytes("VmHWM"); }

bool reset_peak() {
  kernels::release_cache(Device{});
  ::malloc_trim(0);
  std::ofstream control("/proc/self/clear_refs");
  control << "5" << std::flush;
  return control.good();
}

}  // namespace concord::bench
