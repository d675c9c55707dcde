#include "tools/common/progress.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "tools/common/interrupt.h"
#include "tools/common/terminal.h"

namespace concord::tool {

std::string duration(double seconds) {
  const auto whole = static_cast<std::int64_t>(std::ceil(std::max(0.0, seconds)));
  if (whole < 60) return fmt::format("{} s", whole);
  if (whole < 3600) return fmt::format("{} min {:02} s", whole / 60, whole % 60);
  return fmt::format("{} h {:02} min", whole / 3600, whole % 3600 / 60);
}

std::string live_line(const std::string& what, double done, std::vector<LinePart> parts,
                      std::size_t columns) {
  constexpr std::size_t kLeast = 6;
  constexpr std::size_t kMost = 20;
  constexpr int kBarRank = 3;
  const auto width = [&] {
    std::size_t sum = columns_of(what);
    for (const LinePart& part : parts) sum += 2 + columns_of(part.text);
    return sum;
  };
  // Leaves out the last of the highest rank, if that is above `rank`.
  const auto leave_out = [&](int rank) {
    auto last = parts.end();
    for (auto part = parts.begin(); part != parts.end(); ++part)
      if (part->rank > rank && (last == parts.end() || part->rank >= last->rank)) last = part;
    if (last == parts.end()) return false;
    parts.erase(last);
    return true;
  };
  while (width() + 3 + kLeast > columns && leave_out(kBarRank)) {
  }
  std::string text = what;
  if (const std::size_t taken = width() + 3; taken + kLeast <= columns) {
    const auto bar = static_cast<std::int64_t>(std::min(kMost, columns - taken));
    const auto filled = std::clamp<std::int64_t>(
        static_cast<std::int64_t>(done * static_cast<double>(bar)), 0, bar);
    text += fmt::format(" [{:=<{}}{:{}}]", "", filled, "", bar - filled);
  } else {
    // The last part's blanks only keep the bar from moving.
    const auto needed = [&] {
      if (parts.empty()) return width();
      const std::string& last = parts.back().text;
      return width() - (last.size() - 1 - last.find_last_not_of(' '));
    };
    while (needed() > columns && leave_out(0)) {
    }
  }
  for (const LinePart& part : parts) text += "  " + part.text;
  return beginning_of(text, columns);
}

namespace {

constexpr const char* kStopping = "stopping";

std::string waiting_line(const std::string& what, double seconds) {
  return fmt::format("{}  {}{}", what, duration(std::max(1.0, std::floor(seconds))),
                     interrupted() ? std::string("  ") + kStopping : "");
}

}  // namespace

Progress::Progress(std::string what, std::int64_t total, std::string unit)
    : what_(std::move(what)),
      total_(total),
      unit_(std::move(unit)),
      line_([this] { return text(); }) {}

void Progress::rename(std::string what) {
  const std::lock_guard lock(mutex_);
  what_ = std::move(what);
}

void Progress::begin_at(std::int64_t done) {
  const std::lock_guard lock(mutex_);
  begun_at_ = done;
}

double Progress::seconds() const {
  return std::chrono::duration<double>(Clock::now() - start_).count();
}

void Progress::update(std::int64_t done, std::vector<LinePart> parts) {
  {
    const std::lock_guard lock(mutex_);
    done_ = done;
    parts_ = std::move(parts);
    counting_ = true;
    const auto now = Clock::now();
    if (now - start_ < std::chrono::milliseconds(200)) return;
    if (now - drawn_ < std::chrono::milliseconds(100) && done < total_) return;
    drawn_ = now;
  }
  line_.draw();
}

std::string Progress::text() const {
  const std::lock_guard lock(mutex_);
  if (!counting_) return waiting_line(what_, seconds());
  const double share = total_ > 0 ? static_cast<double>(done_) / static_cast<double>(total_) : 1.0;
  const double rate = static_cast<double>(done_ - begun_at_) / std::max(1e-9, seconds());
  std::vector<LinePart> parts = parts_;
  parts.insert(parts.begin(), {fmt::format("{:3.0f} %", 100 * share), 4});
  if (done_ > begun_at_) {
    // Padded, so that nothing moves while the numbers get shorter.
    parts.push_back({fmt::format("{:4.{}f} {}/s", rate,
                                 rate < 0.1  ? 3
                                 : rate < 10 ? 1
                                             : 0,
                                 unit_),
                     2});
    const std::string left = duration(static_cast<double>(total_ - done_) / rate) + " left";
    parts.push_back({fmt::format("{:16}", interrupted() ? kStopping : left), 0});
  }
  return live_line(what_, share, std::move(parts), live_columns());
}

Waiting::Waiting(std::string what) : what_(std::move(what)), line_([this] { return text(); }) {}

void Waiting::next(std::string what) {
  const std::lock_guard lock(mutex_);
  what_ = std::move(what);
  start_ = Clock::now();
}

std::string Waiting::text() const {
  const std::lock_guard lock(mutex_);
  return waiting_line(what_, std::chrono::duration<double>(Clock::now() - start_).count());
}

}  // namespace concord::tool
