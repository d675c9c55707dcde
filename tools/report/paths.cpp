#include "tools/report/paths.h"

#include <algorithm>
#include <vector>

#include "data/planned_set.h"

namespace concord::report {
namespace fs = std::filesystem;

namespace {

std::vector<fs::path> parts_of(const fs::path& path) {
  std::vector<fs::path> parts;
  for (const fs::path& part : path.lexically_normal())
    if (!part.empty() && part != ".") parts.push_back(part);
  return parts;
}

fs::path joined(const std::vector<fs::path>& parts, std::size_t count) {
  fs::path path;
  for (std::size_t i = 0; i < count; ++i) path /= parts[i];
  return path;
}

}  // namespace

RunPaths::RunPaths(const fs::path& recorded, const fs::path& now) {
  std::error_code error;
  const std::vector<fs::path> before = parts_of(recorded);
  const std::vector<fs::path> after = parts_of(fs::absolute(now, error));
  std::size_t same = 0;
  while (same < before.size() && same < after.size() &&
         before[before.size() - 1 - same] == after[after.size() - 1 - same])
    ++same;
  from_ = joined(before, before.size() - same);
  to_ = joined(after, after.size() - same);
}

std::string RunPaths::now(const std::string& recorded) const {
  if (recorded.empty() || to_.empty() || names_planned_set(recorded)) return recorded;
  const std::vector<fs::path> parts = parts_of(recorded);
  const std::vector<fs::path> prefix = parts_of(from_);
  const bool below =
      prefix.size() <= parts.size() && std::equal(prefix.begin(), prefix.end(), parts.begin());
  if (!below || (prefix.empty() && fs::path(recorded).is_absolute())) return recorded;
  fs::path moved = to_;
  for (std::size_t i = prefix.size(); i < parts.size(); ++i) moved /= parts[i];
  std::error_code error;
  return fs::exists(moved, error) ? moved.string() : recorded;
}

}  // namespace concord::report
