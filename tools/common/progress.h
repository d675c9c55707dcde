#pragma once
// How far a long piece of work is, or how long it has taken: one live line on a terminal; elsewhere
// only the lines that the program notes.

#include <chrono>
#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

#include "tools/common/refreshed_line.h"

namespace concord::tool {

// "47 s", "3 min 05 s", "2 h 11 min".
std::string duration(double seconds);

// A piece of a live line. Where the terminal is narrow those of the highest rank are left out
// first.
struct LinePart {
  std::string text;
  int rank = 0;
};

// "WHAT [====    ]  PART  PART": the bar takes what the parts leave of `columns`, 6 to 20
// characters. Where not all fits the parts above rank 3 go, then the bar, then the others; what
// then is too long is cut.
std::string live_line(const std::string& what, double done, std::vector<LinePart> parts,
                      std::size_t columns);

class Progress {
 public:
  // `what` in a word or two; `total` and update()'s `done` count in `unit` ("images"). Until the
  // first update() it is as Waiting.
  Progress(std::string what, std::int64_t total, std::string unit);

  // Shows `parts`, the rate (rank 2), the time left (rank 0) and the percentage (rank 4). Drawn ten
  // times a second at most, not in the first fifth of a second (what is quick does not flicker),
  // and once a second while nothing comes. After Ctrl-C it says that the program stops.
  void update(std::int64_t done, std::vector<LinePart> parts = {});
  // What is done from now on.
  void rename(std::string what);
  // What was done before this process began (a resumed run), which the rate must not count.
  void begin_at(std::int64_t done);
  double seconds() const;

 private:
  using Clock = std::chrono::steady_clock;
  std::string text() const;

  mutable std::mutex mutex_;
  std::string what_;
  std::int64_t total_;
  std::string unit_;
  std::int64_t begun_at_ = 0;
  Clock::time_point start_ = Clock::now();
  Clock::time_point drawn_{};
  bool counting_ = false;  // whether update() has been called
  std::int64_t done_ = 0;
  std::vector<LinePart> parts_;
  RefreshedLine line_;  // last: it calls text()
};

// For what cannot be counted: "WHAT  12 s", from a second on. What stood there before comes back.
class Waiting {
 public:
  explicit Waiting(std::string what);
  // What is done from now on; its seconds begin.
  void next(std::string what);

 private:
  using Clock = std::chrono::steady_clock;
  std::string text() const;

  mutable std::mutex mutex_;
  std::string what_;
  Clock::time_point start_ = Clock::now();
  RefreshedLine line_;  // last: it calls text()
};

}  // namespace concord::tool
