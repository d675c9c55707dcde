#include "engine/text.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <numeric>
#include <tuple>
#include <utility>

namespace concord {
namespace {

char lower(char c) { return static_cast<char>(std::tolower(static_cast<unsigned char>(c))); }

// The fewest insertions, deletions and replacements of one character that turn `a` into `b`, letter
// case aside. Source: Wagner, Fischer, The string-to-string correction problem, JACM 1974.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i);
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = diagonal + (lower(a[i - 1]) == lower(b[j - 1]) ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row.back();
}

bool contains(std::string_view text, std::string_view part) {
  return std::search(text.begin(), text.end(), part.begin(), part.end(),
                     [](char x, char y) { return lower(x) == lower(y); }) != text.end();
}

}  // namespace

std::string nearest_names(std::string_view wanted, const std::vector<std::string>& known,
                          std::size_t most) {
  using Candidate = std::tuple<bool, std::size_t, std::size_t>;  // no substring, distance, index
  std::vector<Candidate> candidates;
  for (std::size_t i = 0; i < known.size(); ++i) {
    const bool substring =
        !wanted.empty() && (contains(known[i], wanted) || contains(wanted, known[i]));
    candidates.emplace_back(!substring, edit_distance(wanted, known[i]), i);
  }
  const std::size_t count = std::min(most, candidates.size());
  std::partial_sort(candidates.begin(), candidates.begin() + static_cast<std::ptrdiff_t>(count),
                    candidates.end());
  std::vector<std::string> names;
  for (std::size_t i = 0; i < count; ++i) names.push_back(known[std::get<2>(candidates[i])]);
  return fmt::format("{}", fmt::join(names, ", "));
}

void append_utf8(std::string& text, std::uint32_t code) {
  const auto tail = [&](int shift) {
    text += static_cast<char>(0x80U | ((code >> shift) & 0x3FU));
  };
  if (code < 0x80) {
    text += static_cast<char>(code);
  } else if (code < 0x800) {
    text += static_cast<char>(0xC0U | (code >> 6));
    tail(0);
  } else if (code < 0x10000) {
    text += static_cast<char>(0xE0U | (code >> 12));
    tail(6);
    tail(0);
  } else {
    text += static_cast<char>(0xF0U | (code >> 18));
    tail(12);
    tail(6);
    tail(0);
  }
}

}  // namespace concord
