#include "tools/reproduce/child_log.h"

#include <fmt/core.h>

#include <fstream>
#include <iterator>
#include <utility>

#include "tools/common/progress.h"
#include "tools/common/shell_word.h"

namespace concord::reproduce {
namespace fs = std::filesystem;

void begin_log(const fs::path& log, const std::string& program,
               const std::vector<std::string>& words) {
  std::string command = "$ concord-" + program;
  for (const std::string& word : words) command += " " + tool::quoted(word);
  std::ofstream(log, std::ios::binary | std::ios::app) << command << '\n';
}

std::string end_of_log(const fs::path& log, std::size_t lines) {
  std::ifstream stream(log, std::ios::binary);
  const std::string text(std::istreambuf_iterator<char>(stream), {});
  std::size_t begin = text.find_last_not_of('\n');
  for (std::size_t i = 0; i < lines && begin != std::string::npos && begin > 0; ++i)
    begin = text.rfind('\n', begin - 1);
  return begin == std::string::npos ? text : text.substr(begin + 1);
}

ChildLine::ChildLine(std::string label, fs::path log, Clock::time_point start)
    : label_(std::move(label)),
      log_(std::move(log)),
      start_(start),
      line_([this] { return text(); }) {}

std::string ChildLine::text() const {
  const auto since = [](Clock::time_point start) {
    return tool::duration(std::chrono::duration<double>(Clock::now() - start).count());
  };
  std::string last = end_of_log(log_, 1);
  if (last.ends_with('\n')) last.pop_back();
  if (last.starts_with("$ ")) last.clear();
  const std::string in_all =
      start_ == Clock::time_point() ? "" : fmt::format(" ({} in all)", since(start_));
  return fmt::format("{}  {}{}  {}", label_, since(begun_), in_all, last);
}

}  // namespace concord::reproduce
