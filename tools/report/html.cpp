#include "tools/report/html.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>

#include "tools/common/feature_maps.h"
#include "tools/common/run_directory.h"

namespace concord::report {
namespace {

constexpr std::size_t kLongName = 24;  // characters of a row's name that may be broken

}  // namespace

std::string escaped(const std::string& text) {
  std::string result;
  const std::string utf8 = Json::parse(tool::text_of_json(Json(text))).get<std::string>();
  for (const char c : utf8) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '&')
      result += "&amp;";
    else if (c == '<')
      result += "&lt;";
    else if (c == '>')
      result += "&gt;";
    else if (c == '"')
      result += "&quot;";
    else if (c == '\'')
      result += "&#39;";
    else if ((byte < 0x20 && c != '\n' && c != '\t') || byte == 0x7f)
      result += "\xEF\xBF\xBD";
    else
      result += c;
  }
  return result;
}

std::string base64(std::span<const std::uint8_t> bytes) {
  constexpr const char* kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::size_t count = std::min<std::size_t>(3, bytes.size() - i);
    std::uint32_t value = 0;
    for (std::size_t k = 0; k < 3; ++k) value = value << 8 | (k < count ? bytes[i + k] : 0U);
    for (std::size_t k = 0; k < 4; ++k)
      text += k <= count ? kDigits[value >> (18 - 6 * k) & 63] : '=';
  }
  return text;
}

std::string base85(std::span<const std::uint8_t> bytes) {
  std::string text;
  text.reserve((bytes.size() + 3) / 4 * 5);
  for (std::size_t i = 0; i < bytes.size(); i += 4) {
    const std::size_t count = std::min<std::size_t>(4, bytes.size() - i);
    std::uint32_t value = 0;
    for (std::size_t k = 0; k < 4; ++k) value = value << 8 | (k < count ? bytes[i + k] : 0U);
    std::array<char, 5> digits{};
    for (std::size_t k = 5; k-- > 0; value /= 85) digits[k] = kBase85[value % 85];
    text.append(digits.data(), count + 1);
  }
  return text;
}

std::string script_json(const Json& json) {
  std::string result;
  for (const char c : tool::text_of_json(json)) {
    if (c == '<' || c == '>' || c == '&')
      result += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
    else
      result += c;
  }
  return result;
}

std::string percent(double share) {
  return std::isfinite(share) ? fmt::format("{:.1f}\u00a0%", 100 * share) : "-";
}

std::string number(double value) {
  return std::isfinite(value) ? fmt::format("{:.4g}", value) : "-";
}

double six_digits(double value) {
  // Unlike std::stod it takes subnormal numbers.
  return std::strtod(fmt::format("{:.6g}", value).c_str(), nullptr);
}

std::string grouped(std::int64_t value) {
  const std::string digits = std::to_string(value);
  std::string result;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    const bool boundary = i > 0 && (digits.size() - i) % 3 == 0 && digits[i - 1] != '-';
    if (boundary) result += "\xE2\x80\xAF";
    result += digits[i];
  }
  return result;
}

Html Html::markup(std::string text) {
  Html html;
  html.text_ = std::move(text);
  return html;
}

HtmlTable::HtmlTable(Html caption, std::vector<Html> header)
    : caption_(std::move(caption)), header_(std::move(header)) {}

void HtmlTable::row(const std::vector<Html>& cells) {
  rows_ += "<tr>";
  for (std::size_t i = 0; i < cells.size(); ++i)
    rows_ += i == 0 ? fmt::format("<th scope=\"row\"{}>{}</th>",
                                  cells[i].text().size() > kLongName ? " class=\"long\"" : "",
                                  cells[i].text())
                    : fmt::format("<td>{}</td>", cells[i].text());
  rows_ += "</tr>\n";
}

std::string HtmlTable::to_string() const {
  std::string head;
  for (const Html& cell : header_) head += fmt::format("<th scope=\"col\">{}</th>", cell.text());
  const std::string caption =
      caption_.text().empty() ? "" : fmt::format("<caption>{}</caption>\n", caption_.text());
  return fmt::format(
      "<div class=\"scroll\" tabindex=\"0\" role=\"group\" aria-label=\"table\"><table>\n{}"
      "<thead><tr>{}</tr></thead>\n<tbody>\n{}</tbody></table></div>\n",
      caption, head, rows_);
}

std::string order_colour(std::size_t k) {
  return fmt::format("var(--o{})", std::min<std::size_t>(k, 5));
}

std::string share_bar(const std::vector<double>& orders, double delta) {
  std::string parts, words;
  const auto part = [&](const std::string& name, double share, const std::string& colour) {
    const double width = std::isfinite(share) ? std::clamp(share, 0.0, 1.0) : 0.0;
    parts += fmt::format("<i style=\"flex:{:.5f} 0 0;background:{}\" title=\"{}: {}\"></i>",
                         std::max(width, 1e-5), colour, name, percent(share));
    words += fmt::format("{}{} {}", words.empty() ? "" : ", ", name, percent(share));
  };
  for (std::size_t k = 0; k < orders.size(); ++k)
    part(fmt::format("x({})", k), orders[k], order_colour(k));
  part("x_delta", delta, "var(--delta)");
  return fmt::format("<div class=\"stack\" role=\"img\" aria-label=\"{}\">{}</div>", words, parts);
}

}  // namespace concord::report
