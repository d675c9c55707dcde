// Which channels A knows least of: blind spots, unreliable channels; and similarity measures.

#include <fmt/core.h>

#include <algorithm>

#include "tools/report/channel_ranking.h"
#include "tools/report/sections.h"

namespace concord::report {
namespace {

constexpr std::size_t kShown = 12;  // channels of a list at once

std::string channel_table(const std::string& caption, const Json& channels, std::size_t begin,
                          std::size_t end) {
  const std::vector<RankedChannel> all = ranked_channels(channels);
  HtmlTable table(caption, {"rank", "channel", "share of x_delta", "shares of the variance",
                            "Var(B)", "Var(x_delta)", "Var(x_delta) / Var(B)"});
  for (std::size_t i = begin; i < std::min(end, all.size()); ++i) {
    const RankedChannel& channel = all[i];
    std::vector<double> shares;
    for (const double order : channel.orders)
      shares.push_back(channel.total > 0 ? order / channel.total : 0);
    table.row({std::to_string(i + 1), std::to_string(channel.number), percent(channel.share()),
               Html::markup(share_bar(shares, channel.share())),
               channels.contains("target") ? number(channel.target) : "-", number(channel.delta),
               channel.target > 0 ? percent(channel.delta / channel.target) : "-"});
  }
  return table.to_string();
}

// The first channels, and the rest folded away. gallery.js makes links to the maps of the channels
// of the network whose words begin with `target`, in the gallery's direction of this run.
std::string channel_list(const std::string& caption, const Json& channels, const std::string& run,
                         const std::string& target) {
  const std::size_t count = channels.at("delta").size();
  std::string text = fmt::format("<div class=\"ranks\" data-run=\"{}\" data-target=\"{}\">\n",
                                 escaped(run), escaped(target)) +
                     channel_table(caption, channels, 0, kShown);
  if (count > kShown)
    text += fmt::format("<details><summary>The other {} of {} channels</summary>\n{}</details>\n",
                        count - kShown, count, channel_table("", channels, kShown, count));
  return text + "</div>\n";
}

// Values between 0 and 1 as cells of more or less blue.
Html shaded(double value, const std::string& note) {
  const double part = std::clamp(value, 0.0, 1.0);
  return Html::markup(
      fmt::format("<span class=\"shade\" style=\"--part:{:.3f}\" title=\"{}\">{:.4f}"
                  "</span>",
                  part, escaped(note), value));
}

std::string name_of(const Json& features) {
  const std::string network = describe_network(features);
  const std::string folder = std::filesystem::path(text_of(features, "path")).filename().string();
  return network.empty() ? folder : network + " (" + folder + ")";
}

std::string matrix(const Json& json, const Json& measure) {
  std::vector<Html> header = {"A below, B to the right"};
  for (const Json& features : json.at("features_b")) header.emplace_back(name_of(features));
  HtmlTable table(text_of(measure, "measure"), header);
  for (std::size_t i = 0; i < json.at("features_a").size(); ++i) {
    std::vector<Html> cells = {name_of(json["features_a"][i])};
    for (std::size_t j = 0; j < json["features_b"].size(); ++j) {
      const Json& value = measure.at("values").at(i).at(j);
      const Json& note = measure.at("notes").at(i).at(j);
      cells.push_back(value.is_number() ? shaded(value.get<double>(), note.is_string() ? note : "")
                                        : Html(note.is_string() ? note.get<std::string>() : "-"));
    }
    table.row(cells);
  }
  return table.to_string();
}

}  // namespace

Section diagnosis_section(Findings& findings) {
  Section section{"channels", "Blind spots and unreliable channels", "", "channels"};
  std::size_t orders = 0;
  const auto list = [&](const char* caption, const Json& channels, const std::string& run,
                        const std::string& target) {
    orders = std::max(orders, channels.at("orders").size());
    return "<div>" + channel_list(caption, channels, run, target) + "</div>\n";
  };
  each(findings, findings.diagnoses, [&](const Finding& finding) {
    const Json& json = finding.json;
    const std::string strong = describe_network(json.value("strong", Json::object()));
    const std::string weak = describe_network(json.value("weak", Json::object()));
    std::string body = fmt::format("<h3>{}: {} judges {}</h3>\n", escaped(finding.name),
                                   escaped(strong), escaped(weak));
    body += "<div class=\"two\">\n" +
            list(
                "Blind spots: the strong network\u2019s channels that the weak one knows "
                "least of",
                json.at("blind-spots").at("channels"), finding.name, "strong") +
            list(
                "Unreliable: the weak network\u2019s channels that the strong one explains "
                "least of",
                json.at("unreliable").at("channels"), finding.name, "weak") +
            "</div>\n";
    section.body += body;
  });
  std::string measured;
  each(findings, findings.variances, [&](const Finding& finding) {
    const Json channels = finding.json.value("channels", Json());
    if (!channels.is_object()) return;
    measured += fmt::format("<div><h3>{}</h3>\n", escaped(finding.name)) +
                list("Channels of B that A knows least of", channels, finding.name, "") + "</div>";
  });
  if (!measured.empty()) section.body += "<div class=\"two\">\n" + measured + "</div>\n";
  if (!section.body.empty())
    section.body =
        "<p>Ranked by the share of x_delta in a channel\u2019s variance; channels that "
        "vary less than a hundredth of the mean come last.</p>\n" +
        share_legend(orders) + section.body;
  return section;
}

Section similarity_section(Findings& findings) {
  Section section{"similarity", "Similarity by other measures", "", "similarity"};
  // Of two networks each measure is one number: a line for each run.
  std::vector<std::string> measures;
  std::vector<std::pair<std::string, Json>> pairs;
  each(findings, findings.similarities, [&](const Finding& finding) {
    const Json& json = finding.json;
    const bool single = json.at("features_a").size() == 1 && json.at("features_b").size() == 1;
    if (!single) {
      std::string body = fmt::format("<h3>{}</h3>\n", escaped(finding.name));
      for (const Json& measure : json.at("measures")) body += matrix(json, measure);
      section.body += body;
      return;
    }
    for (const Json& measure : json.at("measures")) {
      const std::string name = measure.at("measure").get<std::string>();
      if (std::find(measures.begin(), measures.end(), name) == measures.end())
        measures.push_back(name);
    }
    // What the table shows must be there.
    name_of(json.at("features_a").at(0));
    name_of(json.at("features_b").at(0));
    pairs.emplace_back(finding.name, json);
  });
  if (pairs.empty()) return section;
  std::vector<Html> header = {"A and B"};
  for (const std::string& measure : measures) header.emplace_back(measure);
  HtmlTable table("Pairs of networks; 1 is the same but for what the measure does not see", header);
  for (const auto& [name, json] : pairs) {
    std::vector<Html> cells = {Html::markup(
        fmt::format("{} and {}<small>{}</small>", escaped(name_of(json["features_a"][0])),
                    escaped(name_of(json["features_b"][0])), escaped(name)))};
    for (const std::string& wanted : measures) {
      Html cell = "-";
      for (const Json& measure : json["measures"])
        if (measure.at("measure") == wanted)
          if (const auto value = number_of(measure, "value")) cell = shaded(*value, "");
      cells.push_back(cell);
    }
    table.row(cells);
  }
  section.body = table.to_string() + section.body;
  return section;
}

}  // namespace concord::report
