// What the networks themselves can do, and the runs that made all this.

#include <fmt/core.h>

#include <algorithm>
#include <set>

#include "tools/report/sections.h"

namespace concord::report {
namespace {

// The classifier's accuracy under its name in metrics.jsonl: of images with one label top1.
std::optional<double> accuracy_of(const Json& epoch, const std::string& prefix) {
  const auto top1 = number_of(epoch, prefix + "top1");
  return top1 ? top1 : number_of(epoch, prefix + "accuracy");
}

std::string shown(const std::optional<double>& share) { return share ? percent(*share) : "-"; }

const MetricsFile* metrics_of(const Findings& findings, const std::filesystem::path& folder) {
  const auto found =
      std::find_if(findings.metrics.begin(), findings.metrics.end(),
                   [&](const MetricsFile& metrics) { return metrics.folder == folder; });
  return found == findings.metrics.end() ? nullptr : &*found;
}

// The file that a program's run ends with; empty where there is none.
std::string result_file(const std::string& program) {
  if (program == "concord-variance") return "variance.json";
  if (program == "concord-refine") return "refine.json";
  if (program == "concord-diagnose") return "diagnose.json";
  if (program == "concord-compress") return "compress.json";
  if (program == "concord-born-again") return "born-again.json";
  if (program == "concord-similarity") return "similarity.json";
  if (program == "concord-reproduce") return "results.json";
  if (program == "concord-features") return "index.json";
  return "";
}

std::string state_of(const Findings& findings, const Finding& config) {
  const std::string file = result_file(text_of(config.json, "program"));
  std::error_code error;
  if (!file.empty())
    return std::filesystem::exists(config.folder / file, error) ? "done" : "unfinished: no " + file;
  const auto epochs = option_of(config.json, "epochs");
  const MetricsFile* metrics = metrics_of(findings, config.folder);
  if (!epochs.is_number_integer() || (metrics == nullptr && !config.json.contains("network")))
    return "";
  const std::int64_t done =
      metrics == nullptr ? 0 : metrics->epochs.back().at("epoch").get<std::int64_t>();
  const auto all = epochs.get<std::int64_t>();
  return done >= all ? fmt::format("done, {} epochs", done)
                     : fmt::format("unfinished: {} of {} epochs", done, all);
}

}  // namespace

Section accuracy_section(Findings& findings, const std::vector<Comparison>& measured) {
  Section section{"accuracy", "Accuracies", "", "accuracies"};
  HtmlTable networks("Networks that were trained",
                     {"run", "architecture", "classes", "image size", "epochs", "training images",
                      "held-out images", "best held-out (epoch)"});
  each(findings, findings.configs, [&](const Finding& config) {
    const Json network = config.json.value("network", Json::object());
    const MetricsFile* metrics = metrics_of(findings, config.folder);
    if (metrics == nullptr || text_of(network, "kind") == "trans-net") return;
    std::optional<double> train, held_out, best;
    double best_epoch = 0;
    for (const Json& epoch : metrics->epochs) {
      train = accuracy_of(epoch, "");
      const auto value = accuracy_of(epoch, "val_");
      if (value) held_out = value;
      if (value && (!best || *value > *best)) {
        best = value;
        best_epoch = epoch.at("epoch").get<double>();
      }
    }
    if (!train && !held_out) return;
    const auto whole = [&](const char* key) {
      const auto value = number_of(network, key);
      return value ? fmt::format("{:.0f}", *value) : std::string("-");
    };
    const std::string arch = text_of(network, "arch");
    networks.row(
        {config.name, arch.empty() ? "-" : arch, whole("classes"), whole("image_size") + " px",
         fmt::format("{:.0f}", metrics->epochs.back().at("epoch").get<double>()), shown(train),
         shown(held_out), best ? fmt::format("{} ({:.0f})", percent(*best), best_epoch) : "-"});
  });
  HtmlTable compared("Networks whose features were compared, on the compared images",
                     {"comparison", "A, top-1", "B, top-1"});
  for (const Comparison& one : measured)
    if (one.top1_a || one.top1_b)
      compared.row({Html::markup(fmt::format("{} \u2192 {}<small>{}</small>", escaped(one.from),
                                             escaped(one.to), escaped(one.name))),
                    shown(one.top1_a), shown(one.top1_b)});
  if (!compared.empty()) section.body += compared.to_string();
  if (!networks.empty())
    section.body +=
        networks.to_string() +
        "<p class=\"note\">Shares of images whose first choice is right (of images with several "
        "labels: of labels), after the last epoch. Training accuracy is the mean over the epoch, "
        "while the network was still learning.</p>\n";
  return section;
}

Section runs_section(Findings& findings) {
  Section section{"runs", "Commands, versions, seeds", "", "commands"};
  std::string list;
  std::set<std::string> told;
  std::size_t number = 0;
  each(findings, findings.configs, [&](const Finding& config) {
    const std::string command = text_of(config.json, "command");
    // The parts of a run have its command.
    if (!told.insert(command).second) return;
    const Json seed = option_of(config.json, "seed");
    const Json device = option_of(config.json, "device");
    const Json threads = option_of(config.json, "threads");
    std::string facts =
        fmt::format("{} {}", text_of(config.json, "program"), text_of(config.json, "version"));
    if (seed.is_number()) facts += ", seed " + seed.dump();
    if (device.is_string()) facts += ", " + device.get<std::string>();
    if (threads.is_number()) facts += fmt::format(", {} threads", threads.dump());
    const std::string state = state_of(findings, config);
    list += fmt::format(
        "<li><p><b>{}</b> <span class=\"faint\">{}</span>{}</p>\n<div class=\"command\"><pre "
        "id=\"command-{}\" tabindex=\"0\">{}</pre><button type=\"button\" class=\"copy\" "
        "data-copies=\"command-{}\" aria-label=\"copy the command of "
        "{}\">copy</button></div></li>\n",
        escaped(config.name), escaped(facts),
        state.empty() ? ""
                      : fmt::format(" <span class=\"{}\">{}</span>",
                                    state.starts_with("unfinished") ? "warning-text" : "faint",
                                    escaped(state)),
        number, escaped(command), number, escaped(config.name));
    ++number;
  });
  if (!list.empty()) section.body = "<ol class=\"runs\">\n" + list + "</ol>\n";
  return section;
}

Section damage_section(const Findings& findings) {
  Section section{"left-out", "Left out", "", "left out"};
  std::string list;
  for (const Damage& damage : findings.damages)
    list += fmt::format("<li><b>{}</b>: {}</li>\n", escaped(damage.file), escaped(damage.what));
  for (const std::string& note : findings.notes)
    list += fmt::format("<li>{}</li>\n", escaped(note));
  if (!list.empty()) section.body = "<ul>\n" + list + "</ul>\n";
  return section;
}

}  // namespace concord::report
