#include "tools/report/page.h"

#include <fmt/core.h>

#include <algorithm>

#include "data/sha256.h"
#include "gallery.js.h"
#include "report.css.h"
#include "report.js.h"
#include "tools/report/sections.h"

namespace concord::report {
namespace {

// The source of a script as a content security policy names it: 'sha256-...'.
std::string policy_of(const std::string& script) {
  Sha256 hash;
  hash.add({reinterpret_cast<const std::uint8_t*>(script.data()), script.size()});
  const std::string digits = hash.digest();
  std::vector<std::uint8_t> bytes;
  for (std::size_t i = 0; i < digits.size(); i += 2)
    bytes.push_back(static_cast<std::uint8_t>(std::stoul(digits.substr(i, 2), nullptr, 16)));
  return "'sha256-" + base64(bytes) + "'";
}

std::string section_text(const Section& section) {
  return fmt::format(
      "<section id=\"{0}\" aria-labelledby=\"{0}-title\">\n<h2 "
      "id=\"{0}-title\">{1}</h2>\n{2}</section>\n",
      section.id, escaped(section.title), section.body);
}

// What gallery.js fills. Controls are the browser's own, so that keyboards and screen readers know
// them.
constexpr const char* kGallery = R"html(
<p>One channel of B's features and its parts: y = x(0) + x(1) + … is what follows from A, x_delta =
B − y is what does not. Channels of A and B are not paired: A's map is one of the many that y is
computed from. Blue is negative, white 0, red positive; every block is one value, nothing is
smoothed.</p>
<noscript><p class="warning">The gallery needs this page's own script, which is switched off
here.</p></noscript>
<p class="warning" id="too-old" hidden>The gallery needs a browser of 2023 or later, one that can
unpack data (DecompressionStream).</p>
<p class="warning" id="damaged" hidden>These maps cannot be read: the page is damaged. Make it again
with concord-visualize, or fetch it again.</p>
<div id="gallery" class="gallery" hidden>
<div class="controls">
<label class="wide">networks <select id="pair"></select></label>
<fieldset id="direction"><legend>direction</legend></fieldset>
<fieldset id="scale"><legend>colour scale</legend>
<label><input type="radio" name="scale" value="common" checked> one for all maps</label>
<label><input type="radio" name="scale" value="each"> each map its own</label></fieldset>
</div>
<fieldset id="images"><legend>image</legend><div class="images" id="image-list"></div></fieldset>
<div class="stage">
<div>
<p class="now" id="now" aria-live="polite"></p>
<div class="maps" id="maps" tabindex="0" role="group"
 aria-label="maps; the arrow keys move the place that is read"></div>
<div class="scale" id="bar"><span></span><canvas width="255" height="1"></canvas><span></span></div>
<p class="readout" id="readout" aria-live="polite"></p>
<p class="note" id="rounding"></p>
</div>
<div class="side">
<fieldset id="channels" class="channels"><legend>channel of <span id="target-name">B</span></legend>
<label class="wide">sorted by <select id="sort"></select></label>
<p class="note" id="ranked"></p>
<div class="list" id="channel-list"></div></fieldset>
<label class="wide">channel of <span id="source-name">A</span> <select id="source"></select></label>
</div>
</div>
</div>
)html";

std::string header(const std::string& title, const std::string& top) {
  return "<header>\n<div class=\"bar\"><span>Concord report</span><label class=\"theme\">theme "
         "<select id=\"theme\"><option value=\"auto\">as the system</option><option "
         "value=\"light\">light</option><option value=\"dark\">dark</option></select></label>"
         "</div>\n<h1>" +
         escaped(title) + "</h1>\n" + top + "</header>\n";
}

}  // namespace

std::string make_page(Findings& findings, const std::vector<GalleryDirection>& gallery,
                      const PageOptions& options) {
  const std::vector<Comparison> measured = measured_variances(findings);
  const std::vector<Comparison> experiments = experiment_variances(findings);
  const std::string top = answer(findings, measured, experiments);
  std::vector<Section> before = {variance_section(measured, experiments), suite_section(findings),
                                 gates_section(measured, experiments),
                                 accuracy_section(findings, measured), curves_section(findings)};
  std::vector<Section> after = {diagnosis_section(findings),    compression_section(findings),
                                distillation_section(findings), refinement_section(findings),
                                similarity_section(findings),   runs_section(findings)};
  // What else is in the page, with room for the names of what is left out.
  std::int64_t rest = (64 << 10) + static_cast<std::int64_t>(kReportCss.size() + kReportJs.size() +
                                                             kGalleryJs.size() + top.size());
  for (const auto* sections : {&before, &after})
    for (const Section& section : *sections) rest += static_cast<std::int64_t>(section.body.size());
  const std::string data =
      make_gallery(gallery, options.gallery, options.max_bytes - rest, findings);

  std::vector<Section> sections = std::move(before);
  sections.push_back({"pictures", "The maps", data.empty() ? "" : kGallery, "maps"});
  std::move(after.begin(), after.end(), std::back_inserter(sections));
  sections.push_back(damage_section(findings));

  std::string links, body;
  for (const Section& section : sections) {
    if (section.body.empty()) continue;
    links += fmt::format("<a href=\"#{}\">{}</a>\n", section.id, escaped(section.brief));
    body += section_text(section);
  }
  const std::string picture =
      options.picture.empty() ? ""
                              : fmt::format("The maps as one picture: <a href=\"{0}\">{0}</a>. ",
                                            escaped(options.picture));
  return "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
         "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
         "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src "
         "data:; style-src 'unsafe-inline'; script-src " +
         policy_of(kReportJs) + " " + policy_of(kGalleryJs) +
         "; base-uri 'none'; form-action 'none'\">\n<title>" + escaped(options.title) +
         "</title>\n<style>" + kReportCss + "</style>\n<script>" + kReportJs +
         "</script>\n</head>\n<body>\n" + header(options.title, top) +
         "<nav aria-label=\"sections\">\n" + links + "</nav>\n<main>\n" + body +
         "</main>\n<footer>" + picture +
         "Made by Concord " CONCORD_VERSION
         "; method: Liang, Li, Li, Wang, Zhang, Knowledge Consistency between Neural Networks and "
         "Beyond, ICLR 2020. Nothing in this page comes from or goes to a network.</footer>\n" +
         data + (data.empty() ? "" : "<script>" + kGalleryJs + "</script>\n") +
         "</body>\n</html>\n";
}

}  // namespace concord::report
