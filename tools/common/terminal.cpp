#include "tools/common/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <clocale>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <cwchar>
#include <mutex>
#include <string_view>

#include "tools/common/interrupt.h"

namespace concord::tool {
namespace {

bool is_quiet = false;
std::mutex mutex;
std::string live_text;

bool is_set(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr && *value != '\0';
}

// Over the live line and a ^C behind it, so that what is written next begins a clean line.
void erase_live() {
  if (live_text.empty() && !(interrupted() && live_terminal())) return;
  const std::string blanks(std::min(columns_of(live_text), live_columns()) + 2, ' ');
  std::fprintf(stderr, "\r%s\r", blanks.c_str());
}

struct Character {
  std::size_t bytes = 1;
  std::size_t columns = 1;
};

// The first character of a text that is not empty.
Character first_character(std::string_view text) {
  static const locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr);
  if (utf8 == nullptr) return {};
  const locale_t before = uselocale(utf8);
  std::mbstate_t state{};
  wchar_t wide = 0;
  const std::size_t bytes = std::mbrtowc(&wide, text.data(), text.size(), &state);
  const int columns = bytes <= text.size() ? wcwidth(wide) : -1;
  uselocale(before);
  if (bytes == 0 || bytes > text.size() || columns < 0) return {};
  return {bytes, static_cast<std::size_t>(columns)};
}

void write_line(const std::string& prefix, const char* paint, const std::string& given) {
  const std::string text = without_controls(given);
  const std::lock_guard lock(mutex);
  erase_live();
  const bool painted = paint != nullptr && colour();
  std::fprintf(stderr, "%s%s%s%s\n", painted ? paint : "", prefix.c_str(), painted ? "\x1b[0m" : "",
               text.c_str());
  if (!live_text.empty()) std::fputs(live_text.c_str(), stderr);
  std::fflush(stderr);
}

}  // namespace

std::string without_controls(const std::string& text) {
  std::string shown;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const auto next = static_cast<unsigned char>(i + 1 < text.size() ? text[i + 1] : 0);
    if ((byte < 0x20 && byte != '\n' && byte != '\t') || byte == 0x7F) {
      shown += fmt::format("\\x{:02x}", byte);
    } else if (byte == 0xC2 && next >= 0x80 && next < 0xA0) {
      shown += fmt::format("\\x{:02x}", next);
      ++i;
    } else {
      shown += text[i];
    }
  }
  return shown;
}

std::size_t live_columns() {
  winsize size{};
  const bool known = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1;
  const std::size_t columns = known ? size.ws_col : 80;
  return columns > 4 ? columns - 3 : 1;
}

std::size_t columns_of(const std::string& text) {
  std::size_t columns = 0;
  for (std::size_t at = 0; at < text.size();) {
    const Character character = first_character(std::string_view(text).substr(at));
    columns += character.columns;
    at += character.bytes;
  }
  return columns;
}

std::string beginning_of(const std::string& text, std::size_t columns) {
  std::size_t at = 0;
  for (std::size_t taken = 0; at < text.size();) {
    const Character character = first_character(std::string_view(text).substr(at));
    taken += character.columns;
    if (taken > columns) break;
    at += character.bytes;
  }
  return text.substr(0, at);
}

std::string folded(const std::vector<std::string>& parts, std::size_t columns) {
  std::string text;
  std::size_t taken = 0;
  for (const std::string& part : parts) {
    const std::size_t width = columns_of(part);
    const bool fits = taken + 2 + width <= columns;
    if (text.empty())
      taken = width;
    else
      taken = fits ? taken + 2 + width : 2 + width;
    text += (text.empty() ? "" : fits ? "  " : "\n  ") + part;
  }
  return text;
}

void set_quiet(bool quiet) { is_quiet = quiet; }
bool quiet() { return is_quiet; }

bool live_terminal() {
  const char* terminal = std::getenv("TERM");
  return isatty(STDERR_FILENO) == 1 && terminal != nullptr && std::strcmp(terminal, "dumb") != 0;
}

bool colour() {
  static const bool wanted = live_terminal() && !is_set("NO_COLOR");
  return wanted;
}

void write_note(const std::string& text) {
  if (!is_quiet) write_line("", nullptr, text);
}
void write_warning(const std::string& text) { write_line("warning: ", "\x1b[33m", text); }
void write_error(const std::string& text) { write_line("error: ", "\x1b[31m", text); }

void write_live(const std::string& text) {
  if (!live_terminal() || is_quiet) return;
  const std::string shown = without_controls(text);
  const std::lock_guard lock(mutex);
  erase_live();
  live_text = beginning_of(shown.substr(0, shown.find('\n')), live_columns());
  std::fputs(live_text.c_str(), stderr);
  std::fflush(stderr);
}

void write_result(const std::string& text) {
  const std::lock_guard lock(mutex);
  erase_live();
  live_text.clear();
  std::fflush(stderr);
  std::fputs(text.c_str(), stdout);
}

std::string live_line_shown() {
  const std::lock_guard lock(mutex);
  return live_text;
}

std::string Table::to_string() const {
  std::vector<std::size_t> widths;
  for (const auto& cells : rows_) {
    widths.resize(std::max(widths.size(), cells.size()));
    for (std::size_t i = 0; i < cells.size(); ++i)
      widths[i] = std::max(widths[i], columns_of(cells[i]));
  }
  const auto blanks = [&](std::size_t column, const std::string& cell) {
    return std::string(widths[column] - columns_of(cell), ' ');
  };
  std::string text;
  for (const auto& cells : rows_) {
    std::string line;
    for (std::size_t i = 0; i < cells.size(); ++i)
      line += i == 0 ? cells[i] + blanks(i, cells[i]) : "  " + blanks(i, cells[i]) + cells[i];
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  return text;
}

std::vector<std::string> joined(std::vector<std::string> first,
                                const std::vector<std::string>& more) {
  first.insert(first.end(), more.begin(), more.end());
  return first;
}

void Table::row(std::vector<std::string> cells) {
  for (std::string& cell : cells) cell = without_controls(cell);
  rows_.push_back(std::move(cells));
}

void Table::print() const { write_result(to_string()); }

}  // namespace concord::tool
