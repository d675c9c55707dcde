#pragma once
// How far a long piece of work is: one live line on a terminal; elsewhere only the lines that the
// program notes.

#include <chrono>
#include <cstdint>
#include <string>

namespace concord::tool {

// "47 s", "3 min 05 s", "2 h 11 min".
std::string duration(double seconds);

// "WHAT [====    ]REST": the bar takes what REST leaves of `columns`, 6 to 20 characters, so that
// the numbers are seen on a narrow terminal too.
std::string with_bar(const std::string& what, double part, const std::string& rest,
                     std::size_t columns);

class Progress {
 public:
  // `what` in a word or two; `total` and update()'s `done` count in `unit` ("images").
  Progress(std::string what, std::int64_t total, std::string unit);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // `status` ("loss 0.123") comes last, where a narrow terminal may cut it. Drawn ten times a
  // second at most.
  void update(std::int64_t done, const std::string& status = "");
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
};

}  // namespace concord::tool
