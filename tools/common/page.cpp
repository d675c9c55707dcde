#include "tools/common/page.h"

#include <fmt/core.h>

#include <algorithm>
#include <span>

#include "data/resize.h"
#include "tools/common/page_style.h"

namespace concord::tool {
namespace {

std::string escaped(const std::string& text) {
  std::string result;
  for (const char c : text)
    result += c == '&'   ? std::string("&amp;")
              : c == '<' ? std::string("&lt;")
              : c == '>' ? std::string("&gt;")
              : c == '"' ? std::string("&quot;")
                         : std::string(1, c);
  return result;
}

std::string base64(std::span<const std::uint8_t> bytes) {
  constexpr const char* kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::size_t count = std::min<std::size_t>(3, bytes.size() - i);
    std::uint32_t value = 0;
    for (std::size_t k = 0; k < 3; ++k) value = value << 8 | (k < count ? bytes[i + k] : 0U);
    for (std::size_t k = 0; k < 4; ++k)
      text += k <= count ? kDigits[value >> (18 - 6 * k) & 63] : '=';
  }
  return text;
}

std::string picture(const Image& image, const std::string& description, bool map) {
  return fmt::format(R"(<img{} alt="{}" src="data:image/png;base64,{}">)",
                     map ? " class=\"map\"" : "", escaped(description), base64(encode_png(image)));
}

std::string figure(const std::string& content, const std::string& title, const std::string& note) {
  return fmt::format("<figure>{}<figcaption>{}<small>{}</small></figcaption></figure>\n", content,
                     escaped(title), escaped(note));
}

std::string card(const std::string& title, const std::string& value, const std::string& note) {
  return fmt::format("<div class=\"card\"><span>{}</span><b>{}</b><span>{}</span></div>\n",
                     escaped(title), escaped(value), escaped(note));
}

std::string network_card(const char* which, const PageNetwork& network) {
  const std::string known = network.name.empty() ? "network" : network.name;
  return card(fmt::format("Net {}: {}{}", which, known,
                          network.layer.empty() ? "" : " at " + network.layer),
              network.top1 < 0 ? "-" : fmt::format("{:.1f} %", 100 * network.top1),
              "top-1 on these images");
}

// The colour of x(k), by the names of the style sheet.
std::string order_colour(std::size_t k) {
  return fmt::format("var(--o{})", std::min<std::size_t>(k, 3));
}

struct Part {
  std::string name;
  std::string meaning;
  std::string colour;
  double variance = 0;
  double share = 0;
};

std::vector<Part> parts_of(const nlohmann::json& variance) {
  std::vector<Part> parts;
  const auto& orders = variance.at("var_orders");
  for (std::size_t k = 0; k < orders.size(); ++k)
    parts.push_back({fmt::format("x({})", k), "needs " + relus(k), order_colour(k), orders[k],
                     variance.at("share_orders").at(k)});
  parts.push_back({"x_delta", "cannot be computed from A", "var(--delta)", variance.at("var_delta"),
                   variance.at("share_delta")});
  return parts;
}

std::string variance_section(const nlohmann::json& variance) {
  std::string stack;
  std::string rows;
  for (const Part& part : parts_of(variance)) {
    stack += fmt::format("<i style=\"flex:{:.5f} 0 0;background:{}\" title=\"{} {:.2f} %\"></i>",
                         std::max(part.share, 1e-5), part.colour, part.name, 100 * part.share);
    rows += fmt::format(
        "<tr><td><i class=\"key\" style=\"background:{}\"></i>Var({})<small>{}</small></td>"
        "<td>{:.5g}</td><td>{:.2f} %</td></tr>\n",
        part.colour, part.name, part.meaning, part.variance, 100 * part.share);
  }
  return "<h2>How much of B's features each order explains</h2>\n<div class=\"stack\">" + stack +
         "</div>\n<div class=\"scroll\"><table><tr><th>part of B's features</th><th>variance</th>"
         "<th>share</th></tr>\n" +
         rows + "</table></div>\n";
}

std::string gates_section(const MapSheet& sheet) {
  if (sheet.gates.empty()) return "";
  std::string rows;
  for (std::size_t k = 0; k < sheet.orders(); ++k)
    rows += fmt::format("<span>x({})</span><i style=\"--part:{:.2f}%\"></i><span>{}</span>\n", k,
                        100 * sheet.bar(k), escaped(sheet.bar_name(k)));
  return "<h2>The gates</h2>\n<p>Every further order passes one more gate p, between 0 (closed) "
         "and 1. Training pushes them down, so a gate stays open only where the lower orders do "
         "not suffice.</p>\n<div class=\"gates\">" +
         rows + "</div>\n";
}

std::string row_section(const MapRow& row, const MapSheet& sheet) {
  std::string text = "<article><div class=\"head\">";
  if (!row.label.empty()) text += fmt::format("<b>{}</b>", escaped(row.label));
  text += fmt::format("<b>channel {}</b><span>{}</span></div>\n<div class=\"maps\">\n", row.channel,
                      escaped(row.image));
  text +=
      figure(row.photograph.width > 0 ? picture(row.photograph, "photograph " + row.image, false)
                                      : std::string("<div class=\"none\">no photograph</div>"),
             "image", "scaled to a square");
  const auto columns = sheet.columns();
  const double scale = row.scale();
  for (std::size_t i = 0; i < row.maps.size(); ++i) {
    const auto& [title, note] = columns[i];
    text += figure(row.maps[i].values.empty()
                       ? std::string("<div class=\"none\">no such channel</div>")
                       : picture(coloured(row.maps[i], scale, 1),
                                 fmt::format("{}, channel {}", title, row.channel), true),
                   title, note);
  }
  text += fmt::format(
      "</div>\n<div class=\"scale\"><span>-{0:.3g}</span><i></i><span>+{0:.3g}</span></div>"
      "</article>\n",
      scale);
  return text;
}

}  // namespace

std::string make_page(const PageContent& content) {
  const MapSheet& sheet = content.sheet;
  std::string page =
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>" +
      escaped(sheet.title) + "</title>\n<style>" + kPageStyle + "</style>\n</head>\n<body>\n<h1>" +
      escaped(sheet.title) +
      "</h1>\n<p class=\"question\">Two networks look at the same images. How much of network B's "
      "features can be computed from network A's, and through how many non-linearities?</p>\n"
      "<div class=\"cards\">\n";
  page += network_card("A", content.a) + network_card("B", content.b);
  if (!content.variance.is_null())
    page +=
        card("Instability", fmt::format("{:.4f}", content.variance.at("instability").get<double>()),
             "the share of B that cannot be computed from A");
  page += card("Images", std::to_string(content.images), "whose features were compared");
  page += "</div>\n";
  if (!content.variance.is_null()) page += variance_section(content.variance);
  page += gates_section(sheet);
  page += fmt::format(
      "<h2>The maps</h2>\n<p>One channel of B's features and its parts: y = x(0) + .. + x({}) is "
      "what follows from A, x_delta = B - y is what does not. Channels of A and B are not paired: "
      "A's map is one of the many that y is computed from. Blue is negative, white 0, red "
      "positive, on one scale per row; every block is one value, nothing is smoothed.</p>\n",
      sheet.orders() - 1);
  page += fmt::format("<div style=\"--columns:{}\">\n", sheet.columns().size() + 1);
  for (const MapRow& row : sheet.rows) page += row_section(row, sheet);
  page += "</div>\n<footer>" + escaped(sheet.subtitle) +
          ". The same as one picture: <a href=\"panel.png\">panel.png</a>. Made by "
          "concord-visualize " CONCORD_VERSION
          "; method: Liang et al., Knowledge Consistency "
          "between Neural Networks and Beyond, ICLR 2020.</footer>\n</body>\n</html>\n";
  return page;
}

}  // namespace concord::tool
