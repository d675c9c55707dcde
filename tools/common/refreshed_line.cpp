#include "tools/common/refreshed_line.h"

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <system_error>
#include <utility>
#include <vector>

#include "tools/common/terminal.h"

namespace concord::tool {
namespace {

std::mutex mutex;  // of the list, and of what the ones in it hold
std::condition_variable_any stopped;
std::vector<RefreshedLine*> made;  // in this order

}  // namespace

RefreshedLine::RefreshedLine(std::function<std::string()> text) : text_(std::move(text)) {
  if (!live_terminal() || quiet()) return;
  const std::lock_guard lock(mutex);
  before_ = live_line_shown();
  try {
    ticker_ = std::jthread([this](const std::stop_token& stop) { tick(stop); });
  } catch (const std::system_error&) {
    return;  // no thread to be had: nothing but the line is missing
  }
  made.push_back(this);
}

RefreshedLine::~RefreshedLine() {
  if (!ticker_.joinable()) return;
  ticker_.request_stop();
  ticker_.join();
  const std::lock_guard lock(mutex);
  std::erase(made, this);
  if (drawn_.empty() || live_line_shown() != drawn_) return;
  if (!made.empty() && made.back()->drawn_ == before_ && !before_.empty())
    made.back()->write();  // as it is now
  else
    write_live(before_);
}

void RefreshedLine::draw() {
  if (!ticker_.joinable()) return;
  const std::lock_guard lock(mutex);
  write();
}

void RefreshedLine::tick(const std::stop_token& stop) {
  std::unique_lock lock(mutex);
  const auto asked = [&] { return stop.stop_requested(); };
  while (!stopped.wait_for(lock, stop, std::chrono::seconds(1), asked)) {
    const std::string shown = live_line_shown();
    const bool free = shown.empty() || shown == before_ || shown == drawn_;
    if (made.back() == this && free) write();
  }
}

void RefreshedLine::write() {
  write_live(text_());
  drawn_ = live_line_shown();
}

}  // namespace concord::tool
