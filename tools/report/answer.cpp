// The top of the page.

#include <fmt/core.h>

#include <algorithm>

#include "tools/common/feature_maps.h"
#include "tools/report/sections.h"

namespace concord::report {
namespace {

std::string card(const std::string& title, const std::string& value, const std::string& note) {
  return fmt::format("<div class=\"card\"><span>{}</span><b>{}</b><span>{}</span></div>\n",
                     escaped(title), escaped(value), escaped(note));
}

// "72.3 % through no ReLU, 2.4 % more through one ReLU and 0.4 % more through two ReLUs"
std::string by_order(const Comparison& comparison) {
  std::string text;
  const std::size_t count = comparison.share_orders.size();
  for (std::size_t k = 0; k < count; ++k)
    text += fmt::format("{}{} {}through {}", k == 0 ? "" : (k + 1 == count ? " and " : ", "),
                        percent(comparison.share_orders[k]), k == 0 ? "" : "more ", tool::relus(k));
  return text;
}

std::string sentence_of(const Comparison& one) {
  return fmt::format(
      "Of the variance in the parts of B\u2019s features <b>{}</b> was computed from A\u2019s: {}. "
      "The other <b>{}</b> is x_delta, which the Trans-Net did not find in A.",
      percent(1 - one.share_delta), by_order(one), percent(one.share_delta));
}

std::string sentence_of_experiments(const std::vector<Comparison>& experiments) {
  const auto least = std::min_element(
      experiments.begin(), experiments.end(),
      [](const Comparison& x, const Comparison& y) { return x.share_delta < y.share_delta; });
  const auto most = std::max_element(
      experiments.begin(), experiments.end(),
      [](const Comparison& x, const Comparison& y) { return x.share_delta < y.share_delta; });
  const auto part = [](const Comparison& one) {
    return fmt::format(
        "Of the variance in the parts of <b>{1}</b>\u2019s features <b>{0}</b> was computed from "
        "<b>{2}</b>\u2019s",
        percent(1 - one.share_delta), escaped(one.to), escaped(one.from));
  };
  return least == most ? part(*least) + "." : fmt::format("{}. {}.", part(*least), part(*most));
}

void add_measured_cards(std::string& cards, const Comparison& one) {
  cards += card("A knows of B", percent(1 - one.share_delta),
                "of the variance in the parts of B\u2019s features");
  cards += card("Instability", fmt::format("{:.4f}", one.share_delta),
                "share of x_delta in the parts of B\u2019s features");
  if (one.top1_a) cards += card("Net A: " + one.from, percent(*one.top1_a), "top-1");
  if (one.top1_b) cards += card("Net B: " + one.to, percent(*one.top1_b), "top-1");
}

void add_experiment_cards(std::string& cards, Findings& findings) {
  const auto diagnosed = [&](const Finding& finding, const char* key, const char* title,
                             const std::string& meaning) {
    const nlohmann::json& measured = finding.json.at(key);
    const auto left = number_of(measured, "var_delta");
    const auto whole = number_of(measured, "var_target");
    const bool nothing = left && whole && *left > *whole;
    cards += card(title, percent(measured.at("share_delta").get<double>()),
                  meaning + (nothing ? "; but this Trans-Net rebuilds nothing yet" : ""));
  };
  each(findings, findings.diagnoses, [&](const Finding& finding) {
    diagnosed(
        finding, "blind-spots", "Blind spots",
        "x_delta\u2019s share in the strong network\u2019s features, from the weak one\u2019s");
    diagnosed(
        finding, "unreliable", "Unreliable",
        "x_delta\u2019s share in the weak network\u2019s features, from the strong one\u2019s");
  });
  each(findings, findings.compressions, [&](const Finding& finding) {
    if (const auto ratio = number_of(finding.json, "ratio"))
      cards += card("Compressed", fmt::format("{:.2f} \u00d7", *ratio), "smaller as a file");
    if (finding.json.contains("original_from_compressed"))
      cards +=
          card("Discarded by it",
               percent(finding.json.at("original_from_compressed").at("share_delta").get<double>()),
               "x_delta\u2019s share in the original\u2019s features");
  });
}

}  // namespace

std::string answer(Findings& findings, const std::vector<Comparison>& measured,
                   const std::vector<Comparison>& experiments) {
  std::string text =
      "<p class=\"question\">Two networks look at the same images. How much of network B\u2019s "
      "features can be computed from network A\u2019s, and through how many non-linearities? A "
      "Trans-Net, a few convolutions with ReLUs between them, learns to rebuild them; what it "
      "finds "
      "is split by how many ReLUs it needs.</p>\n";
  std::string cards;
  if (!measured.empty()) {
    const Comparison& one = measured.front();
    text += "<p class=\"answer\">" + sentence_of(one) + "</p>\n";
    std::string about = fmt::format("A is {}, B is {}", one.from, one.to);
    if (!one.kind.empty()) about += "; they differ in " + one.kind;
    if (measured.size() > 1) {
      const auto [low, high] = std::minmax_element(
          measured.begin(), measured.end(),
          [](const Comparison& x, const Comparison& y) { return x.share_delta < y.share_delta; });
      about +=
          fmt::format(". In the {} comparisons of concord-variance below x_delta has from {} to {}",
                      measured.size(), percent(low->share_delta), percent(high->share_delta));
    }
    if (const auto left = one.left_of_target())
      about += fmt::format(
          ". The parts are not independent of each other: of the variance of B itself x_delta is "
          "{}",
          percent(*left));
    text += fmt::format("<p class=\"about\">{}.</p>\n", escaped(about));
    if (one.rebuilds_nothing())
      text +=
          "<p class=\"warning\">What is left varies more than B\u2019s features do: this "
          "Trans-Net rebuilds nothing yet, and the figures say little of the networks.</p>\n";
    add_measured_cards(cards, one);
  } else if (!experiments.empty()) {
    text += "<p class=\"answer\">" + sentence_of_experiments(experiments) + "</p>\n";
  } else {
    text +=
        "<p class=\"answer\">Not measured yet: nothing here holds the variances of one "
        "network\u2019s features rebuilt from another\u2019s.</p>\n";
  }
  add_experiment_cards(cards, findings);
  return text + (cards.empty() ? "" : "<div class=\"cards\">\n" + cards + "</div>\n");
}

}  // namespace concord::report
