#pragma once
// Text as HTML: nothing that comes from a file is ever taken for markup.

#include <cstdint>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

namespace concord::report {

using Json = nlohmann::ordered_json;

// The text with & < > " ' as entities. What is not UTF-8 and control characters but line breaks
// and tabs are U+FFFD.
std::string escaped(const std::string& text);

std::string base64(std::span<const std::uint8_t> bytes);
// Four bytes, the first the most significant, as five digits to the base 85, the last n bytes of 1
// to 3, followed by zeros, as the first n + 1. The digits are kBase85, which no markup means
// anything by.
std::string base85(std::span<const std::uint8_t> bytes);
inline constexpr const char* kBase85 =
    "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%()*+,.:;=?@[]^_{|}~";

// The JSON as it may stand in a <script> element, whatever its strings hold: & < > as \u00XX.
std::string script_json(const Json& json);

// "72.3 %" of 0.723, with a space that does not break.
std::string percent(double share);
// Four significant digits; "-" for what is no number.
std::string number(double value);
// The value rounded to six significant digits.
double six_digits(double value);
// "6 558 916": digits in groups of three, apart by narrow spaces that do not break.
std::string grouped(std::int64_t value);

// Markup. Plain text becomes markup by being escaped.
class Html {
 public:
  Html() = default;
  Html(const std::string& plain) : text_(escaped(plain)) {}
  Html(const char* plain) : text_(escaped(plain)) {}
  // Of text that is markup already.
  static Html markup(std::string text);

  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

// A table with a caption: the first column aligned left, the others right.
class HtmlTable {
 public:
  HtmlTable(Html caption, std::vector<Html> header);
  void row(const std::vector<Html>& cells);
  bool empty() const { return rows_.empty(); }
  std::string to_string() const;

 private:
  Html caption_;
  std::vector<Html> header_;
  std::string rows_;
};

// A part of a page with a heading that can be gone to.
struct Section {
  std::string id;     // "variance"
  std::string title;  // plain text
  std::string body;   // markup; a section without one is left out
  std::string brief;  // what the navigation calls it
};

// A bar of coloured parts, its numbers in the titles. `orders` are the shares of x(0) .. x(K-1),
// `delta` that of x_delta.
std::string share_bar(const std::vector<double>& orders, double delta);
// The colour of x(k) by the names of the style sheet: "var(--o1)".
std::string order_colour(std::size_t k);

}  // namespace concord::report
