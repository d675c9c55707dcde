#pragma once
// How far a long piece of work is: one live line on a terminal; elsewhere only the lines that the
// program notes.

#include <chrono>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

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
  // `what` in a word or two; `total` and update()'s `done` count in `unit` ("images").
  Progress(std::string what, std::int64_t total, std::string unit);
  // What stood on the live line before comes back.
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // Shows `parts`, the rate (rank 2), the time left (rank 0) and the percentage (rank 4). Drawn ten
  // times a second at most, and not in the first fifth of a second: what is quick does not flicker.
  void update(std::int64_t done, std::vector<LinePart> parts = {});
  // What is done from now on.
  void rename(std::string what) { what_ = std::move(what); }
  // What was done before this process began (a resumed run), which the rate must not count.
  void begin_at(std::int64_t done) { begun_at_ = done; }
  double seconds() const;

 private:
  using Clock = std::chrono::steady_clock;
  std::string what_;
  std::int64_t total_;
  std::string unit_;
  std::int64_t begun_at_ = 0;
  Clock::time_point start_ = Clock::now();
  Clock::time_point drawn_{};
  bool shown_ = false;
  std::string before_;  // the live line that this one replaced
};

}  // namespace concord::tool
