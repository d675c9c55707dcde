#include "tools/common/progress.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "tools/common/terminal.h"

namespace concord::tool {

std::string duration(double seconds) {
  const auto whole = static_cast<std::int64_t>(std::ceil(std::max(0.0, seconds)));
  if (whole < 60) return fmt::format("{} s", whole);
  if (whole < 3600) return fmt::format("{} min {:02} s", whole / 60, whole % 60);
  return fmt::format("{} h {:02} min", whole / 3600, whole % 3600 / 60);
}

std::string with_bar(const std::string& what, double part, const std::string& rest,
                     std::size_t columns) {
  const auto taken = static_cast<std::int64_t>(what.size() + rest.size() + 3);
  const auto width = std::clamp<std::int64_t>(static_cast<std::int64_t>(columns) - taken, 6, 20);
  const auto filled = std::clamp<std::int64_t>(
      static_cast<std::int64_t>(part * static_cast<double>(width)), 0, width);
  return fmt::format("{} [{:=<{}}{:{}}]{}", what, "", filled, "", width - filled, rest);
}

Progress::Progress(std::string what, std::int64_t total, std::string unit)
    : what_(std::move(what)), total_(total), unit_(std::move(unit)) {}

Progress::~Progress() { write_live(""); }

double Progress::seconds() const {
  return std::chrono::duration<double>(Clock::now() - start_).count();
}

void Progress::update(std::int64_t done, const std::string& status) {
  const auto now = Clock::now();
  if (!live_terminal() || (now - drawn_ < std::chrono::milliseconds(100) && done < total_)) return;
  drawn_ = now;
  const double part = total_ > 0 ? static_cast<double>(done) / static_cast<double>(total_) : 1.0;
  const double rate = static_cast<double>(done - begun_at_) / std::max(1e-9, seconds());
  std::string text = fmt::format(" {:3.0f}%", 100 * part);
  if (done > begun_at_)
    text += fmt::format("  {:.0f} {}/s  {} left", rate, unit_,
                        duration(static_cast<double>(total_ - done) / rate));
  if (!status.empty()) text += "  " + status;
  write_live(with_bar(what_, part, text, live_columns()));
}

}  // namespace concord::tool
