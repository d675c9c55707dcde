// The report in a browser: Chromium without a window drives the page as a reader does, and what it
// shows is compared with what is stored. Skipped where there is no Chromium.

#include <cmath>
#include <cstdlib>
#include <sstream>

#include "tests/tools/report_support.h"
#include "tools/common/feature_maps.h"

namespace concord::test {
namespace {

// A page around the driven one, which is as wide as a telephone's screen where a window cannot be.
std::string frame(const std::string& file, int width) {
  return fmt::format(R"(<!DOCTYPE html><title>frame</title><body style="margin:0">
<script>addEventListener("message", (event) => {{
  const result = document.createElement("pre");
  result.id = "seen";
  result.textContent = event.data;
  document.body.append(result);
}});</script>
<iframe src="{}" style="border:0;height:100vh;width:{}"></iframe>)",
                     file, width > 0 ? fmt::format("{}px", width) : "100vw");
}

// What a reader does, and what he then sees, as JSON in base64 within an element that --dump-dom
// prints. `steps` fills `seen`; after what shows other maps it has to wait for shown().
std::string driver(const std::string& steps) {
  return R"(<script>"use strict";
const seen = {errors: []};
addEventListener("error", (event) => seen.errors.push(String(event.message)));
addEventListener("securitypolicyviolation", (event) => seen.errors.push(event.violatedDirective));
const all = (text) => [...document.querySelectorAll(text)];
const choose = (id, value) => {
  const select = document.getElementById(id);
  select.value = value;
  select.dispatchEvent(new Event("change", {bubbles: true}));
};
const pointAt = (canvas, column, row) => {
  const box = canvas.getBoundingClientRect();
  canvas.dispatchEvent(new PointerEvent("pointermove", {bubbles: true,
    clientX: box.left + (column + 0.5) * box.width / canvas.width,
    clientY: box.top + (row + 0.5) * box.height / canvas.height}));
};
const press = (element, key) =>
  element.dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true, cancelable: true}));
const maps = () => all("#maps figure").slice(1).map((figure) => {
  const canvas = figure.querySelector("canvas");
  const copy = Object.assign(document.createElement("canvas"),
                             {width: canvas.width, height: canvas.height});
  const context = copy.getContext("2d", {willReadFrequently: true});
  context.drawImage(canvas, 0, 0);
  const pixels = [...context.getImageData(0, 0, canvas.width, canvas.height).data];
  return {title: figure.querySelector("b").textContent, width: canvas.width,
          height: canvas.height, value: figure.querySelector("output").textContent, pixels};
});
const shown = async () => {
  while (document.getElementById("maps").getAttribute("aria-busy") !== "false")
    await new Promise((done) => setTimeout(done, 5));
};
const chosen = (name) => document.querySelector(`input[name=${name}]:checked`);
addEventListener("unhandledrejection", (event) => seen.errors.push(String(event.reason)));
addEventListener("load", async () => {
  try {
    await shown();)" +
         steps + R"(
  } catch (error) { seen.errors.push(String(error.stack)); }
  seen.pwned = typeof pwned;
  seen.requests = performance.getEntriesByType("resource").map((entry) => entry.name.slice(0, 40))
    .filter((name) => !name.startsWith("data:"));
  parent.postMessage(btoa(unescape(encodeURIComponent(JSON.stringify(seen)))), "*");
});
</script>)";
}

class ReportBrowser : public ReportTest {
 protected:
  void SetUp() override {
    for (const char* name : {"chromium", "chromium-browser", "google-chrome"})
      if (chromium_.empty() &&
          std::system(fmt::format("command -v {} >/dev/null 2>&1", name).c_str()) == 0)
        chromium_ = name;
    if (chromium_.empty())
      GTEST_SKIP() << "Chromium is not installed (Debian package chromium): the page's script is "
                      "not tested";
  }

  // The page's DOM after its scripts; what its console said is an error.
  std::string dom_of(const std::string& file, const std::string& hash, const char* size) const {
    const TemporaryFolder folder;
    const std::string out = (folder / "dom").string();
    const std::string err = (folder / "log").string();
    const std::string command = fmt::format(
        "timeout -k 5 120 {} --headless --no-sandbox --disable-gpu --disable-dev-shm-usage "
        "--no-first-run --user-data-dir='{}' --window-size={} --virtual-time-budget=5000 "
        "--enable-logging=stderr --dump-dom 'file://{}{}' >'{}' 2>'{}'",
        chromium_, (folder / "profile").string(), size, file, hash, out, err);
    EXPECT_EQ(std::system(command.c_str()), 0) << text_of(err);
    std::istringstream lines(text_of(err));
    for (std::string line; std::getline(lines, line);)
      EXPECT_EQ(line.find("CONSOLE"), std::string::npos) << line;
    return text_of(out);
  }

  // What the steps saw in a copy of the page that lets them run.
  Json drive(const std::string& page, const std::string& steps, const std::string& hash = "",
             int width = 0) const {
    std::string copy = page;
    const std::size_t policy = copy.find("script-src ");
    const std::size_t end = copy.find(';', policy);
    copy.replace(policy, end - policy, "script-src 'unsafe-inline'");
    copy.insert(copy.rfind("</body>"), driver(steps));
    const std::string file = path("driven.html");
    write_file(file, copy);
    const std::string outer = path("frame.html");
    write_file(outer, frame("driven.html" + hash, width));
    const std::string dom = dom_of(outer, "", "1400,1000");
    const std::size_t begin = dom.find("<pre id=\"seen\">");
    EXPECT_NE(begin, std::string::npos) << dom.substr(0, 2000);
    if (begin == std::string::npos) return Json::object();
    const std::size_t text = begin + 15;
    const auto bytes = decoded_base64(dom.substr(text, dom.find('<', text) - text));
    const Json seen = Json::parse(bytes.begin(), bytes.end());
    EXPECT_EQ(seen["errors"], Json::array());
    EXPECT_EQ(seen["requests"], Json::array()) << "no request leaves the page";
    EXPECT_EQ(seen["pwned"], "undefined") << "a file's name was run as a script";
    return seen;
  }

  std::string chromium_;
};

double read_number(std::string text) {
  if (const std::size_t at = text.find("\u2212"); at != std::string::npos)
    text.replace(at, std::string("\u2212").size(), "-");
  std::size_t used = 0;
  const double value = std::stod(text, &used);
  EXPECT_EQ(used, text.size()) << text;
  return value;
}

// A map's picture has the colours of its values, and the number read at a place is the value there.
void expect_shown(const Json& shown, const Tensor& maps, std::int64_t row, std::int64_t channel,
                  std::size_t place, double step, double scale) {
  ASSERT_EQ(shown["width"], maps.dim(3));
  ASSERT_EQ(shown["height"], maps.dim(2));
  EXPECT_LE(std::abs(read_number(shown["value"]) - value_at(maps, row, channel, place)),
            1.01 * step + 1e-6)
      << shown["title"] << " shows " << shown["value"];
  for (std::size_t i = 0; i < shown["pixels"].size() / 4; ++i) {
    const double value = value_at(maps, row, channel, i);
    const tool::Colour low = tool::diverging((value - 0.51 * step) / scale);
    const tool::Colour high = tool::diverging((value + 0.51 * step) / scale);
    const auto between = [&](std::size_t k, int one, int other) {
      const int pixel = shown["pixels"][4 * i + k];
      EXPECT_GE(pixel, std::min(one, other) - 2) << shown["title"] << " at " << i;
      EXPECT_LE(pixel, std::max(one, other) + 2) << shown["title"] << " at " << i;
    };
    between(0, low.red, high.red);
    between(1, low.green, high.green);
    between(2, low.blue, high.blue);
  }
}

std::size_t place_of(const Json& channels, int channel) {
  return static_cast<std::size_t>(std::find(channels.begin(), channels.end(), channel) -
                                  channels.begin());
}

TEST_F(ReportBrowser, ThePageItselfHasNothingToComplainOf) {
  make("untouched");
  for (const char* size : {"1400,1000", "500,900"}) {
    const std::string dom = dom_of(path("untouched/index.html"), "", size);
    EXPECT_NE(dom.find("<canvas"), std::string::npos) << "the policy lets the page's scripts run";
  }
}

// Image, channels, direction and scale chosen, the pointer moved, the arrow keys used.
TEST_F(ReportBrowser, ShowsTheStoredValuesOfWhatIsChosen) {
  const std::string page = make("chosen");
  const Json gallery = gallery_of(page);
  const Json seen = drive(page, R"(
    all("#image-list input")[7].click();
    choose("source", "1");
    const wanted = all("#channel-list label").find((one) => one.querySelector("b").textContent === "2");
    wanted.querySelector("input").click();
    pointAt(all("#maps canvas")[1], 4, 3);
    seen.forward = maps();
    press(document.getElementById("maps"), "ArrowUp");
    press(document.getElementById("maps"), "ArrowLeft");
    seen.moved = maps();
    seen.readout = document.getElementById("readout").textContent;
    const back = new KeyboardEvent("keydown",
                                   {key: "ArrowLeft", altKey: true, bubbles: true, cancelable: true});
    seen.taken = !document.getElementById("maps").dispatchEvent(back);
    seen.still = document.getElementById("readout").textContent;
    all("#scale input")[1].click();
    seen.each = maps();
    all("#direction input")[1].click();
    await shown();
    seen.backward = maps();
    seen.image = chosen("image").value;)");
  for (const bool forward : {true, false}) {
    const Json& shown = seen[forward ? "forward" : "backward"];
    const Tensor& source = forward ? a() : b();
    const Tensor& target = forward ? b() : a();
    const Json* direction = nullptr;
    for (const Json& one : gallery["directions"])
      if (one["forward"] == forward) direction = &one;
    ASSERT_NE(direction, nullptr);
    const Json& from = gallery["sides"][(*direction)["from"].get<std::size_t>()];
    const Json& to = gallery["sides"][(*direction)["to"].get<std::size_t>()];
    ASSERT_EQ(shown.size(), 7U) << "A, B, y, three orders, x_delta";
    const int source_channel = from["channels"][forward ? 1 : 0];
    const int channel = forward ? 2 : to["channels"][0].get<int>();
    EXPECT_EQ(shown[0]["title"],
              fmt::format("net {}, channel {}", forward ? "A" : "B", source_channel));
    EXPECT_EQ(shown[1]["title"], fmt::format("net {}, channel {}", forward ? "B" : "A", channel));
    EXPECT_EQ(seen["image"], "7");

    const Block sources = block_of(page, from["block"], from);
    const Block targets = block_of(page, to["block"], to);
    const Block parts = block_of(page, (*direction)["block"], to);
    const std::size_t from_map =
        7 * from["channels"].size() + place_of(from["channels"], source_channel);
    const std::size_t to_map = 7 * to["channels"].size() + place_of(to["channels"], channel);
    std::vector<double> steps = {sources.steps[from_map], targets.steps[to_map]};
    std::vector<std::vector<double>> stored(1);  // y, the orders, x_delta
    for (std::size_t k = 0; k < 4; ++k) {
      steps.push_back(parts.steps[4 * to_map + k]);
      stored.push_back(values_of(parts, 4 * to_map + k));
    }
    stored[0] = values_of(targets, to_map);
    double largest = 0;
    for (std::size_t i = 0; i < stored[0].size(); ++i) {
      stored[0][i] -= stored[4][i];
      largest = std::max(largest, std::abs(stored[0][i]));
    }
    const double common = std::max(largest, 127 * *std::max_element(steps.begin(), steps.end()));
    steps.insert(steps.begin() + 2, steps[1] + steps.back());
    // The pointer was at column 4 of row 3; the keys moved it one up and one to the left.
    const std::size_t place = forward ? 3 * 6 + 4 : 2 * 6 + 3;
    expect_shown(shown[0], source, 7, source_channel, place, steps[0],
                 forward ? common : 127 * steps[0]);
    expect_shown(shown[1], target, 7, channel, place, steps[1], forward ? common : 127 * steps[1]);
    // y and its parts as they are stored, exactly: what they should be is tested of the page.
    for (std::size_t k = 0; k < 5; ++k)
      EXPECT_LE(std::abs(read_number(shown[2 + k]["value"]) - stored[k][place]),
                0.501 * steps[2 + k])
          << shown[2 + k]["title"];
  }
  EXPECT_EQ(seen["readout"], "row 3 of 5, column 4 of 6");
  EXPECT_EQ(seen["still"], seen["readout"]) << "Alt and an arrow are the browser's";
  EXPECT_EQ(seen["taken"], false);
  for (std::size_t i = 0; i < 2; ++i)
    EXPECT_EQ(seen["moved"][i]["pixels"], seen["forward"][i]["pixels"]) << "only the place moved";
  // On a scale of its own a map reaches an end of the colours, or both.
  for (const Json& map : seen["each"]) {
    bool end = false;
    for (std::size_t i = 0; i < map["pixels"].size(); i += 4) {
      const std::vector<int> pixel = {map["pixels"][i], map["pixels"][i + 1], map["pixels"][i + 2]};
      end = end || pixel == std::vector<int>{103, 0, 31} || pixel == std::vector<int>{5, 48, 97};
    }
    EXPECT_TRUE(end) << map["title"];
  }
}

TEST_F(ReportBrowser, SortsChannelsAndKeepsTheSelectionInTheAddress) {
  const std::string page = make("sorted");
  const Json gallery = gallery_of(page);
  const Json seen = drive(page, R"(
    const order = () => all("#channel-list b").map((one) => Number(one.textContent));
    seen.orders = {};
    for (const key of ["energy", "delta", "x0", "x2", "number"]) {
      choose("sort", key);
      seen.orders[key] = order();
    }
    all("#image-list input")[3].click();
    choose("theme", "dark");
    seen.theme = getComputedStyle(document.body).backgroundColor;
    seen.hash = location.hash;)");
  const Json& direction = gallery["directions"][0];
  const Json& to = gallery["sides"][direction["to"].get<std::size_t>()];
  const auto ranked = [&](const std::function<double(std::size_t)>& value) {
    std::vector<std::size_t> places(to["channels"].size());
    for (std::size_t i = 0; i < places.size(); ++i) places[i] = i;
    std::stable_sort(places.begin(), places.end(),
                     [&](std::size_t x, std::size_t y) { return value(x) > value(y); });
    Json channels = Json::array();
    for (const std::size_t place : places) channels.push_back(to["channels"][place]);
    return channels;
  };
  const Json& variance = direction["variance"];
  const auto share = [&](const Json& part, std::size_t i) {
    double total = variance["delta"][i].get<double>();
    for (const Json& order : variance["orders"]) total += order[i].get<double>();
    return part[i].get<double>() / total;
  };
  EXPECT_EQ(seen["orders"]["energy"], to["channels"]);
  EXPECT_EQ(seen["orders"]["delta"],
            ranked([&](std::size_t i) { return share(variance["delta"], i); }));
  for (const int k : {0, 2})
    EXPECT_EQ(seen["orders"][fmt::format("x{}", k)],
              ranked([&](std::size_t i) { return share(variance["orders"][k], i); }));
  EXPECT_EQ(seen["orders"]["number"], Json({0, 1, 2}));
  EXPECT_EQ(seen["theme"], "rgb(20, 23, 27)");
  const std::string hash = seen["hash"];
  EXPECT_NE(hash.find("image=3"), std::string::npos) << hash;
  // The address leads back to it.
  const Json again = drive(page, R"(
    seen.image = chosen("image").value;
    seen.sort = document.getElementById("sort").value;
    seen.theme = getComputedStyle(document.body).backgroundColor;)",
                           hash);
  EXPECT_EQ(again["image"], "3");
  EXPECT_EQ(again["sort"], "number");
  EXPECT_EQ(again["theme"], "rgb(20, 23, 27)");
  // One that leads nowhere is no error.
  drive(page, "", "#pair=99&direction=up&image=-1&channel=x&source=1e9&sort=toString&scale=0");
}

TEST_F(ReportBrowser, ChartsTellTheirValues) {
  const Json seen = drive(make("charts"), R"(
    const chart = all(".chart").find((one) => one.getAttribute("aria-label").includes("accuracy"));
    const svg = chart.querySelector("svg");
    const box = svg.getBoundingClientRect();
    svg.dispatchEvent(new PointerEvent("pointermove", {bubbles: true,
      clientX: box.right - 5, clientY: box.top + 20}));
    seen.last = chart.querySelector("output").textContent;
    press(chart, "ArrowLeft");
    seen.first = chart.querySelector("output").textContent;)");
  EXPECT_EQ(seen["last"], "epoch 2: training 50.0 %, held-out 37.5 %");
  EXPECT_EQ(seen["first"], "epoch 1: training 25.0 %, held-out 50.0 %");
}

// From the list of channels that A knows least of to the maps of one.
TEST_F(ReportBrowser, RankedChannelsLeadToTheirMaps) {
  const std::string page = make("linked");
  const Json seen = drive(page, R"(
    const link = all(".ranks a").find((one) => one.textContent === "1" &&
                                               one.closest(".ranks").dataset.run === "variance-ba");
    location.hash = link.hash;
    dispatchEvent(new HashChangeEvent("hashchange"));
    await shown();
    seen.links = all(".ranks a").length;
    seen.now = document.getElementById("now").textContent;
    seen.direction = chosen("direction").value;)");
  EXPECT_EQ(seen["links"], 3 + 4) << "of either direction";
  EXPECT_TRUE(seen["now"].get<std::string>().starts_with("channel 1 of net A")) << seen["now"];
  EXPECT_EQ(seen["direction"], "ba");
}

TEST_F(ReportBrowser, SaysThatAPageIsDamaged) {
  std::string page = make("cut");
  const std::string id = "maps-0";
  const std::size_t begin = page.find("id=\"" + id + "\">") + id.size() + 6;
  const std::size_t end = page.find("</script>", begin);
  page.erase(begin + (end - begin) / 2, (end - begin) / 3);
  const Json seen = drive(page, R"(
    seen.told = !document.getElementById("damaged").hidden;
    seen.shown = all("#maps figure").length;
    if (document.querySelectorAll("#direction input")[1].disabled) throw new Error("no other way");
    all("#direction input")[1].click();
    await shown();
    seen.other = !document.getElementById("damaged").hidden;
    seen.maps = all("#maps figure").length;)");
  EXPECT_EQ(seen["told"], true);
  EXPECT_EQ(seen["shown"], 0);
  EXPECT_EQ(seen["other"], false) << "what is whole is shown";
  EXPECT_EQ(seen["maps"], 8);
}

// The sections' links keep what is chosen, and an address leads to both.
TEST_F(ReportBrowser, SectionsKeepTheSelection) {
  const std::string page = make("sections");
  const Json seen = drive(page, R"(
    all("#image-list input")[3].click();
    document.querySelector('nav a[href="#runs"]').click();
    await new Promise((done) => setTimeout(done, 50));
    seen.hash = location.hash;
    seen.image = chosen("image").value;)");
  const std::string hash = seen["hash"];
  EXPECT_NE(hash.find("image=3"), std::string::npos) << hash;
  EXPECT_NE(hash.find("section=runs"), std::string::npos) << hash;
  EXPECT_EQ(seen["image"], "3");
  const std::string where = R"(
    await new Promise((done) => setTimeout(done, 50));
    const box = (id) => document.getElementById(id).getBoundingClientRect();
    seen.there = (id => box(id).top < innerHeight && box(id).bottom > 0)(WHERE);
    seen.image = chosen("image").value;
    seen.scrolled = scrollY > 0;)";
  const auto at = [&](const std::string& section, const std::string& address) {
    std::string steps = where;
    steps.replace(steps.find("WHERE"), 5, "\"" + section + "\"");
    return drive(page, steps, address);
  };
  const Json runs = at("runs", hash);
  EXPECT_EQ(runs["there"], true);
  EXPECT_EQ(runs["image"], "3");
  const Json plain = at("runs", "#runs");
  EXPECT_EQ(plain["there"], true) << "the gallery's height was not known when the page was loaded";
  EXPECT_EQ(at("runs", "#section=nowhere")["scrolled"], false);
}

// On a phone nothing is wider than the screen but what scrolls by itself, and a touch reads maps.
TEST_F(ReportBrowser, FitsAPhone) {
  const Json seen = drive(make("phone"), R"js(
    seen.width = innerWidth;
    seen.narrow = matchMedia("(max-width: 34rem)").matches;
    seen.page = document.documentElement.scrollWidth;
    const scrolls = (one) => {
      for (let outer = one.parentElement; outer; outer = outer.parentElement)
        if (getComputedStyle(outer).overflowX !== "visible" &&
            outer.getBoundingClientRect().right < 391) return true;
      return false;
    };
    seen.wide = all("body *").filter((one) => one.getBoundingClientRect().right > 391 &&
      !scrolls(one)).map((one) => one.tagName + "." + one.className);
    const canvas = all("#maps canvas")[1];
    const box = canvas.getBoundingClientRect();
    canvas.dispatchEvent(new PointerEvent("pointerdown", {bubbles: true, pointerType: "touch",
      clientX: box.left + 1, clientY: box.top + 1}));
    seen.readout = document.getElementById("readout").textContent;)js",
                          "", 390);
  EXPECT_EQ(seen["width"], 390);
  EXPECT_EQ(seen["narrow"], true) << "the page's rules for phones apply";
  EXPECT_LE(seen["page"], 390);
  EXPECT_EQ(seen["wide"], Json::array());
  EXPECT_EQ(seen["readout"], "row 1 of 5, column 1 of 6");
}

}  // namespace
}  // namespace concord::test
