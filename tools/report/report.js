// The page around the gallery: light and dark, values read out of the charts, commands that are
// copied. It runs before the body is there, so that the page is never drawn in the wrong colours.
"use strict";

// The selection is kept behind the # of the address as name=value pairs, so that a link leads to
// it; "section" is the one to go to. What has no "=" is the id of a section.
const selection = {
  read() {
    const text = location.hash.slice(1);
    return new URLSearchParams(text.includes("=") ? text : "");
  },
  write(changes) {
    const all = this.read();
    for (const [name, value] of Object.entries(changes)) all.set(name, value);
    history.replaceState(null, "", "#" + all.toString());
  },
};
function goToSection() {
  const hash = location.hash.slice(1);
  const id = hash.includes("=") ? selection.read().get("section") : hash;
  if (id) document.getElementById(id)?.scrollIntoView();
}

// A gallery goes there again when it has its height.
addEventListener("load", goToSection);
addEventListener("hashchange", goToSection);

function setTheme(theme) {
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
}
setTheme(selection.read().get("theme"));

// With these keys an event is the browser's: Alt and the left arrow go back.
const isShortcut = (event) => event.altKey || event.ctrlKey || event.metaKey || event.shiftKey;

// Four significant digits, or per cent.
function shortNumber(value, share) {
  return share ? (100 * value).toFixed(1) + " %" : String(Number(value.toPrecision(4)));
}

// The points nearest to the pointer (or chosen by the arrow keys) are told below a chart.
function watchChart(figure) {
  const lines = JSON.parse(figure.dataset.lines);
  const frame = JSON.parse(figure.dataset.frame);
  const svg = figure.querySelector("svg");
  const cursor = figure.querySelector(".cursor");
  const output = figure.querySelector("output");
  const epochs = [...new Set(lines.flatMap((line) => line.points.map((point) => point[0])))];
  epochs.sort((a, b) => a - b);
  let at = -1;

  function show(index) {
    at = Math.max(0, Math.min(epochs.length - 1, index));
    const epoch = epochs[at];
    const words = lines.map((line) => {
      const point = line.points.find((one) => one[0] === epoch);
      return point ? `${line.name} ${shortNumber(point[1], frame.share)}` : "";
    });
    output.textContent = `epoch ${epoch}: ${words.filter((word) => word).join(", ")}`;
    const part = (epoch - frame.low) / (frame.high - frame.low);
    const x = (frame.left + part * (frame.right - frame.left)) * svg.viewBox.baseVal.width;
    cursor.setAttribute("x1", x);
    cursor.setAttribute("x2", x);
    cursor.setAttribute("visibility", "visible");
  }
  function showNearest(event) {
    const box = svg.getBoundingClientRect();
    const place = ((event.clientX - box.left) / box.width - frame.left) / (frame.right - frame.left);
    const epoch = frame.low + place * (frame.high - frame.low);
    let nearest = 0;
    epochs.forEach((one, i) => {
      if (Math.abs(one - epoch) < Math.abs(epochs[nearest] - epoch)) nearest = i;
    });
    show(nearest);
  }
  svg.addEventListener("pointermove", showNearest);
  svg.addEventListener("pointerdown", showNearest);
  figure.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1, Home: -epochs.length, End: epochs.length };
    if (!(event.key in step) || isShortcut(event)) return;
    show(at < 0 && event.key === "ArrowLeft" ? epochs.length - 1 : at + step[event.key]);
    event.preventDefault();
  });
}

async function copyCommand(button) {
  const text = document.getElementById(button.dataset.copies);
  // A page from a file may be kept from the clipboard; then the text is selected for the user.
  try {
    await navigator.clipboard.writeText(text.textContent);
    button.textContent = "copied";
  } catch {
    getSelection().selectAllChildren(text);
    button.textContent = "selected";
  }
  setTimeout(() => (button.textContent = "copy"), 2000);
}

document.addEventListener("DOMContentLoaded", () => {
  const theme = document.getElementById("theme");
  theme.value = document.documentElement.dataset.theme || "auto";
  theme.addEventListener("change", () => {
    setTheme(theme.value);
    selection.write({ theme: theme.value });
  });
  // The browser goes there, and then the address has the selection again.
  document.querySelectorAll("nav a").forEach((link) => {
    link.addEventListener("click", () => {
      const all = selection.read();
      all.set("section", link.hash.slice(1));
      setTimeout(() => history.replaceState(null, "", "#" + all.toString()));
    });
  });
  document.querySelectorAll(".chart").forEach(watchChart);
  document.querySelectorAll("button.copy").forEach((button) => {
    button.addEventListener("click", () => copyCommand(button));
  });
});
// On paper the charts are open, and all is light whatever the screen was.
addEventListener("beforeprint", () => {
  document.querySelectorAll("main details").forEach((details) => {
    details.dataset.was = details.open;
    if (details.querySelector(".multiples")) details.open = true;
  });
});
addEventListener("afterprint", () => {
  document.querySelectorAll("main details").forEach((details) => {
    details.open = details.dataset.was === "true";
  });
});
