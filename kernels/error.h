#pragma once
// The one exception type of Concord. A message says what was wrong, the offending value and where,
// and what to do; the programs print it after "error: " and exit with 1.

#include <fmt/core.h>

#include <stdexcept>
#include <string>
#include <utility>

namespace concord {

class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Throws Error with the formatted message.
template <class... Args>
[[noreturn]] void fail(fmt::format_string<Args...> format, Args&&... args) {
  throw Error(fmt::format(format, std::forward<Args>(args)...));
}

// Throws Error with the formatted message unless `condition` holds.
template <class... Args>
void check(bool condition, fmt::format_string<Args...> format, Args&&... args) {
  if (!condition) [[unlikely]]
    fail(format, std::forward<Args>(args)...);
}

}  // namespace concord
