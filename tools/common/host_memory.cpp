#include "tools/common/host_memory.h"

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <limits>
#include <optional>
#include <string>

namespace concord::tool {
namespace {

namespace fs = std::filesystem;

std::optional<std::size_t> number_in(const fs::path& file) {
  std::ifstream stream(file);
  std::size_t value = 0;
  if (stream >> value) return value;  // "max" is none
  return std::nullopt;
}

// The number behind a word of a file of "word number" lines; 0 where there is none.
std::size_t number_of(const std::string& wanted, const fs::path& file) {
  std::ifstream stream(file);
  std::size_t value = 0;
  for (std::string word; stream >> word >> value;)
    if (word == wanted) return value;
  return 0;
}

// What the memory control groups of one hierarchy leave, from the process' own up to the root. The
// cache of files that nobody reads counts as used there, and is given up when memory is asked for.
std::size_t left_by_groups(const fs::path& root, std::string group, const char* limit,
                           const char* used, const char* idle_cache) {
  std::size_t left = std::numeric_limits<std::size_t>::max();
  for (;;) {
    const fs::path folder = root / fs::path(group).relative_path();
    const auto most = number_in(folder / limit);
    const auto now = number_in(folder / used);
    if (most && now) {
      const std::size_t kept = *now - std::min(*now, number_of(idle_cache, folder / "memory.stat"));
      left = std::min(left, *most - std::min(*most, kept));
    }
    if (group.empty() || group == "/") return left;
    group = fs::path(group).parent_path().string();
  }
}

}  // namespace

std::size_t available_host_memory() {
  std::size_t available = 0;
  std::ifstream information("/proc/meminfo");
  for (std::string word; information >> word;)
    if (word == "MemAvailable:" && information >> available) available *= 1024;
  const fs::path root = "/sys/fs/cgroup";
  std::ifstream groups("/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    // "0::/group" (version 2) or "9:memory:/group"
    const std::size_t second = line.rfind(':');
    if (second == std::string::npos) continue;
    const std::string group = line.substr(second + 1);
    if (line.starts_with("0::"))
      available = std::min(
          available, left_by_groups(root, group, "memory.max", "memory.current", "inactive_file"));
    else if (line.find(":memory:") != std::string::npos)
      available =
          std::min(available, left_by_groups(root / "memory", group, "memory.limit_in_bytes",
                                             "memory.usage_in_bytes", "total_inactive_file"));
  }
  return available;
}

}  // namespace concord::tool
