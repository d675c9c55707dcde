#pragma once
// The live line of a terminal, kept moving while a program is busy.

#include <functional>
#include <stop_token>
#include <string>
#include <thread>

namespace concord::tool {

// What text() says is the live line: drawn by draw(), and each second by a thread of its own. Of
// several the one that was made last is refreshed, and none over what others have written there.
// When it ends, what stood there when it was made comes back. No thread and no line where there is
// no live terminal, or under --quiet.
class RefreshedLine {
 public:
  // text() is called by either thread, never by two at once.
  explicit RefreshedLine(std::function<std::string()> text);
  ~RefreshedLine();
  RefreshedLine(const RefreshedLine&) = delete;
  RefreshedLine& operator=(const RefreshedLine&) = delete;

  void draw();

 private:
  void tick(const std::stop_token& stop);
  void write();

  std::function<std::string()> text_;
  std::string before_;
  std::string drawn_;
  std::jthread ticker_;
};

}  // namespace concord::tool
