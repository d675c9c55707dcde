#pragma once
// What a person reads: messages on stderr, result tables on stdout.

#include <fmt/core.h>

#include <string>
#include <utility>
#include <vector>

namespace concord::tool {

// --quiet: no notes and no progress; warnings and errors stay.
void set_quiet(bool quiet);
bool quiet();
// Whether stderr is a terminal that a live line can be drawn on.
bool live_terminal();
// Whether colour is wanted: a terminal, and NO_COLOR is not set.
bool colour();

// The longest live text, in columns, that stays on one line of the terminal with the ^C that a
// terminal shows behind it; 77 where its width is not known.
std::size_t live_columns();

// How many columns of a terminal UTF-8 text takes: two for wide characters, none for combining
// ones, one for every byte that is not UTF-8.
std::size_t columns_of(const std::string& text);
// The longest beginning of whole characters that takes at most `columns`.
std::string beginning_of(const std::string& text, std::size_t columns);
// The parts two blanks apart, on as many lines of at most `columns` as they need, all but the first
// indented by two; a part alone may be longer.
std::string folded(const std::vector<std::string>& parts, std::size_t columns);

// The text with control characters (of ASCII, and U+0080 to U+009F) but line breaks and tabs as
// "\x1b": names come from files, and must not steer the terminal.
std::string without_controls(const std::string& text);

// Lines on stderr, without_controls; a live progress line is moved out of their way.
void write_note(const std::string& text);     // not under --quiet
void write_warning(const std::string& text);  // "warning: ..."
void write_error(const std::string& text);    // "error: ..."
// Replaces the live line of a terminal, without_controls and cut to live_columns(); an empty text
// removes it. No escape codes are used.
void write_live(const std::string& text);
// What stands there now.
std::string live_line_shown();
// To stdout, when the live line is removed.
void write_result(const std::string& text);

template <class... Args>
void note(fmt::format_string<Args...> format, Args&&... args) {
  write_note(fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void warn(fmt::format_string<Args...> format, Args&&... args) {
  write_warning(fmt::format(format, std::forward<Args>(args)...));
}

// `more` behind `first`: a row of a Table from parts.
std::vector<std::string> joined(std::vector<std::string> first,
                                const std::vector<std::string>& more);

// A small table: the first column aligned left, the others right; cells without_controls.
class Table {
 public:
  explicit Table(std::vector<std::string> header) : rows_{std::move(header)} {}
  void row(std::vector<std::string> cells);
  std::string to_string() const;
  // To stdout.
  void print() const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace concord::tool
