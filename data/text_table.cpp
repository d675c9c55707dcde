#include "data/text_table.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <string_view>

#include "kernels/error.h"

namespace concord {
namespace {

template <class T>
T parse(const TextLine& line, std::size_t field, const char* kind) {
  const std::string& text = line.fields.at(field);
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size())
    line.refuse(fmt::format("'{}' is not {}", text, kind));
  return value;
}

}  // namespace

void TextLine::refuse(const std::string& what) const {
  fail("{}:{}: {}", file, number_in_file, what);
}

std::int64_t TextLine::integer(std::size_t field) const {
  return parse<std::int64_t>(*this, field, "an integer");
}

double TextLine::number(std::size_t field) const {
  const auto value = parse<double>(*this, field, "a number");
  if (!std::isfinite(value)) refuse(fmt::format("'{}' is not a finite number", fields.at(field)));
  return value;
}

std::vector<TextLine> read_text_table(std::span<const std::uint8_t> bytes, const std::string& file,
                                      std::size_t fields) {
  std::string_view rest(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  std::vector<TextLine> lines;
  constexpr std::string_view kBlanks = " \t\r";
  for (std::int64_t number = 1; !rest.empty(); ++number) {
    const std::size_t end = rest.find('\n');
    std::string_view text = rest.substr(0, end);
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    TextLine line{file, number, {}};
    for (;;) {
      const std::size_t begin = text.find_first_not_of(kBlanks);
      if (begin == std::string_view::npos) break;
      const std::size_t stop = std::min(text.find_first_of(kBlanks, begin), text.size());
      line.fields.emplace_back(text.substr(begin, stop - begin));
      text.remove_prefix(stop);
    }
    if (line.fields.empty()) continue;
    if (line.fields.size() != fields)
      line.refuse(fmt::format("{} fields where {} are expected", line.fields.size(), fields));
    lines.push_back(std::move(line));
  }
  return lines;
}

}  // namespace concord
