#pragma once
// What a program that is run says, and how it is shown while it runs.

#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

#include "tools/common/refreshed_line.h"

namespace concord::reproduce {

// Appends "$ concord-PROGRAM WORD ..." to the file that the program's messages are appended to.
void begin_log(const std::filesystem::path& log, const std::string& program,
               const std::vector<std::string>& words);

// The last lines of a log.
std::string end_of_log(const std::filesystem::path& log, std::size_t lines);

// While it lives the live line is "LABEL  12 s (1 min 05 s in all)  LAST", LAST being what the
// program of this log said last; the seconds in all are those since `start`, left out without one.
class ChildLine {
 public:
  using Clock = std::chrono::steady_clock;
  ChildLine(std::string label, std::filesystem::path log, Clock::time_point start = {});

 private:
  std::string text() const;

  std::string label_;
  std::filesystem::path log_;
  Clock::time_point start_;
  Clock::time_point begun_ = Clock::now();
  tool::RefreshedLine line_;  // last: it calls text()
};

}  // namespace concord::reproduce
