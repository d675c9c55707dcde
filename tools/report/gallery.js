// The feature gallery. Its data are those of gallery.h: maps of 8 bits with a step for each, which
// are decoded when they are first shown.
"use strict";

(() => {
  const data = JSON.parse(document.getElementById("gallery-data").textContent);
  const element = (id) => document.getElementById(id);
  const make = (tag, properties = {}, ...children) => {
    const node = Object.assign(document.createElement(tag), properties);
    node.append(...children);
    return node;
  };

  const kNoNumber = -128; // EncodedMaps::kNoNumber

  // ---- maps

  const digitOf = new Uint8Array(128);
  for (let i = 0; i < 85; ++i) digitOf[data.digits.charCodeAt(i)] = i;
  function bytesOf(id) {
    const text = element(id).textContent;
    const groups = Math.ceil(text.length / 5);
    const bytes = new DataView(new ArrayBuffer(4 * groups));
    for (let group = 0; group < groups; ++group) {
      let value = 0;
      // What is missing at the end counts as the last digit, so that rounding loses no byte.
      for (let i = 5 * group; i < 5 * group + 5; ++i)
        value = 85 * value + (i < text.length ? digitOf[text.charCodeAt(i)] : 84);
      bytes.setUint32(4 * group, value);
    }
    return new Uint8Array(bytes.buffer, 0, Math.floor((4 * text.length) / 5));
  }
  async function inflated(bytes) {
    const packed = new ReadableStream({
      start(stream) {
        stream.enqueue(bytes);
        stream.close();
      },
    });
    const stream = packed.pipeThrough(new DecompressionStream("deflate"));
    return new Int8Array(await new Response(stream).arrayBuffer());
  }
  // What EncodedMaps::values_text took off the values comes back, in place.
  function addForetold(values, width, height) {
    for (let begin = 0; begin < values.length; begin += width * height)
      for (let y = 0; y < height; ++y)
        for (let x = 0; x < width; ++x) {
          const here = begin + y * width + x;
          const left = x > 0 ? values[here - 1] : 0;
          const above = y > 0 ? values[here - width] : 0;
          values[here] += x > 0 && y > 0 ? (left + above) >> 1 : left + above;
        }
    return values;
  }
  const blocks = new Map();
  async function readBlock(id, { width, height }) {
    if (blocks.has(id)) return;
    const { buffer, byteOffset, byteLength } = bytesOf(id + "-steps");
    const steps = new DataView(buffer, byteOffset, byteLength);
    const values = addForetold(await inflated(bytesOf(id)), width, height);
    if (values.length !== (byteLength / 4) * width * height) throw new Error(`${id} is incomplete`);
    blocks.set(id, { values, width, height,
                     steps: Float32Array.from({ length: steps.byteLength / 4 },
                                              (_, i) => steps.getFloat32(4 * i, true)) });
  }
  const blocksOf = (one) => [[one.block, data.sides[one.to]],
                             ...[one.from, one.to].map((i) => [data.sides[i].block, data.sides[i]])];
  // The number-th map of a block, as real values; NaN where there was no number. They are exact to
  // half of `step`.
  function mapOf(id, number) {
    const { width, height, values, steps } = blocks.get(id);
    const pixels = width * height;
    const step = steps[number];
    const real = Float64Array.from(
      values.subarray(number * pixels, (number + 1) * pixels),
      (value) => (value === kNoNumber ? NaN : value * step));
    return { width, height, values: real, step, largest: 127 * step };
  }
  // What is left of one map without another.
  function difference(one, other) {
    const values = one.values.map((value, i) => value - other.values[i]);
    const largest = values.reduce((most, value) => Math.max(most, Math.abs(value) || 0), 0);
    return { ...one, values, step: one.step + other.step, largest };
  }

  // ---- colours

  // The colour of a value between -1 and 1, as tools/common/feature_maps.cpp has it.
  function colourOf(value) {
    if (Number.isNaN(value)) return [128, 128, 128];
    const last = data.palette.length - 1;
    const place = ((Math.max(-1, Math.min(1, value)) + 1) / 2) * last;
    const below = Math.min(Math.floor(place), last - 1);
    const part = place - below;
    return data.palette[below].map((from, i) =>
      Math.round(from + part * (data.palette[below + 1][i] - from)));
  }
  function paint(canvas, map, scale) {
    canvas.width = map.width;
    canvas.height = map.height;
    const context = canvas.getContext("2d");
    const picture = context.createImageData(map.width, map.height);
    map.values.forEach((value, i) => {
      const [red, green, blue] = colourOf(scale > 0 ? value / scale : value * 0);
      picture.data.set([red, green, blue, 255], 4 * i);
    });
    context.putImageData(picture, 0, 0);
  }

  // ---- numbers

  // No more digits than the step of 8 bits leaves any meaning.
  function decimals(step) {
    return step > 0 ? Math.max(0, Math.min(12, Math.ceil(-Math.log10(step)))) : 0;
  }
  // Two digits, never less than the value.
  function roundedUp(value) {
    const unit = value > 0 ? 10 ** (Math.floor(Math.log10(value)) - 1) : 1;
    return Number((Math.ceil(value / unit - 1e-9) * unit).toPrecision(2));
  }
  function valueText(value, step) {
    if (Number.isNaN(value)) return "no number";
    const digits = decimals(step);
    const text = value.toFixed(digits);
    return Number(text) === 0 ? (0).toFixed(digits) : text.replace("-", "\u2212");
  }
  const percent = (share) => (100 * share).toFixed(1) + " %";
  const relus = ["no ReLU", "one ReLU", "two ReLUs", "three ReLUs"];

  // ---- what is chosen

  const state = { pair: 0, forward: true, image: 0, channel: 0, source: 0, sort: "energy",
                  scale: "common", row: -1, column: -1 };
  let maps = []; // shown: {title, note, map, canvas, output}
  const direction = () =>
    data.directions.find((one) => one.pair === state.pair && one.forward === state.forward);
  const letters = () => (state.forward ? ["A", "B"] : ["B", "A"]);

  // Of the target's channels by their places in the data.
  function measures() {
    const target = data.sides[direction().to];
    const { orders, delta } = direction().variance;
    const total = (i) => orders.reduce((sum, order) => sum + order[i], delta[i]);
    const share = (part, i) => (total(i) > 0 ? part[i] / total(i) : 0);
    return {
      energy: { name: "energy (variance)", of: (i) => target.energy[i], text: (v) => shortNumber(v) },
      delta: { name: "inconsistency (share of x_delta)", of: (i) => share(delta, i), text: percent },
      ...Object.fromEntries(orders.map((order, k) => [
        "x" + k, { name: `share of x(${k})`, of: (i) => share(order, i), text: percent }])),
      number: { name: "number", of: (i) => -target.channels[i], text: () => "" },
    };
  }
  function shares(i) {
    const measure = measures();
    return Object.keys(measure).filter((key) => /^x\d+$/.test(key))
      .map((key) => [key.replace(/^x(\d+)$/, "x($1)"), measure[key].of(i)])
      .concat([["x_delta", measure.delta.of(i)]]);
  }

  // ---- controls

  function radio(name, value, checked, content, label) {
    const input = make("input", { type: "radio", name, value: String(value), checked });
    if (label) input.setAttribute("aria-label", label);
    return make("label", {}, input, ...content);
  }
  // Scrolls the list, not the page.
  function showChosen(list) {
    const chosen = list.querySelector("input:checked").parentElement;
    list.scrollTop = chosen.offsetTop - (list.clientHeight - chosen.offsetHeight) / 2;
    list.scrollLeft = chosen.offsetLeft - (list.clientWidth - chosen.offsetWidth) / 2;
  }
  function fillPairs() {
    element("pair").replaceChildren(...data.pairs.map((pair, i) =>
      make("option", { value: String(i), textContent: `${pair.name}: ${pair.a} and ${pair.b}` })));
    element("pair").value = String(state.pair);
  }
  function fillDirections() {
    const pair = data.pairs[state.pair];
    const legend = element("direction").querySelector("legend");
    const options = [true, false].map((forward) => {
      const known = data.directions.some((one) => one.pair === state.pair &&
                                                  one.forward === forward);
      const label = radio("direction", forward ? "ab" : "ba", forward === state.forward,
                          [forward ? " A to B" : " B to A"]);
      label.firstChild.disabled = !known;
      if (!known) {
        label.className = "off";
        label.title = "there is no Trans-Net of this direction";
      }
      return label;
    });
    element("direction").replaceChildren(legend, ...options,
      make("span", { className: "faint", textContent: `A: ${pair.a}. B: ${pair.b}.` }));
  }
  function fillImages() {
    element("image-list").replaceChildren(...direction().photos.map((number, i) => {
      const photo = data.photos[number];
      const content = photo.picture
        ? [make("img", { src: photo.picture, alt: "", title: photo.name })]
        : [make("span", { className: "none", textContent: photo.name })];
      return radio("image", i, i === state.image, content, `${photo.label} ${photo.name}`.trim());
    }));
    showChosen(element("image-list"));
  }
  function fillSort() {
    const all = measures();
    if (!Object.hasOwn(all, state.sort)) state.sort = "energy";
    element("sort").replaceChildren(...Object.entries(all).map(([key, measure]) =>
      make("option", { value: key, textContent: measure.name })));
    element("sort").value = state.sort;
  }
  function fillChannels() {
    const target = data.sides[direction().to];
    const measure = measures()[state.sort];
    const order = target.channels.map((_, i) => i)
      .sort((a, b) => measure.of(b) - measure.of(a) || a - b);
    element("channel-list").replaceChildren(...order.map((i) => {
      const bar = make("span", { className: "stack" });
      bar.append(...shares(i).map(([name, share], k, all) => {
        const part = make("i", { title: `${name}: ${percent(share)}` });
        part.style.flex = `${Math.max(share, 1e-5)} 0 0`;
        part.style.background = k + 1 === all.length ? "var(--delta)" : `var(--o${Math.min(k, 5)})`;
        return part;
      }));
      return radio("channel", i, i === state.channel,
        [make("b", { textContent: target.channels[i] }), bar,
         make("span", { textContent: measure.text(measure.of(i)) })],
        `channel ${target.channels[i]}, ${measure.name} ${measure.text(measure.of(i))}`);
    }));
    showChosen(element("channel-list"));
    element("ranked").textContent =
      `${target.channels.length} of ${target.of} channels; shares over ` +
      `${direction().variance.over}.`;
  }
  function fillSource() {
    const source = data.sides[direction().from];
    state.source = Math.min(state.source, source.channels.length - 1);
    element("source").replaceChildren(...source.channels.map((channel, i) =>
      make("option", { value: String(i),
                       textContent: `${channel} (energy ${shortNumber(source.energy[i])})` })));
    element("source").value = String(state.source);
  }

  // ---- the maps

  function figureOf(title, note, content) {
    const output = make("output", { textContent: "\u00a0" });
    const figure = make("figure", {}, content,
      make("figcaption", {}, make("b", { textContent: title }),
           make("small", { textContent: note }), output));
    return { figure, output };
  }
  function partsOf() {
    const one = direction();
    const from = data.sides[one.from];
    const to = data.sides[one.to];
    const [source, target] = letters();
    const channel = state.image * to.channels.length + state.channel;
    const parts = one.orders + 1;
    const part = (i) => mapOf(one.block, channel * parts + i);
    const b = mapOf(to.block, channel);
    const delta = part(one.orders);
    const orders = Array.from({ length: one.orders }, (_, k) => ({
      title: `x(${k})`, note: `needs ${relus[k] || k + " ReLUs"}`, map: part(k) }));
    return [
      { title: `net ${source}, channel ${from.channels[state.source]}`, note: "one of the inputs",
        map: mapOf(from.block, state.image * from.channels.length + state.source) },
      { title: `net ${target}, channel ${to.channels[state.channel]}`, note: "the target", map: b },
      { title: "y", note: `rebuilt from ${source}`, map: difference(b, delta) },
      ...orders,
      { title: "x_delta", note: `not found in ${source}`, map: delta },
    ];
  }
  // Maps that are shown for the first time are unpacked first.
  async function drawMaps() {
    const one = direction();
    const unread = blocksOf(one).filter(([id]) => !blocks.has(id));
    if (unread.length > 0) {
      element("maps").setAttribute("aria-busy", "true");
      try {
        await Promise.all(unread.map(([id, side]) => readBlock(id, side)));
      } catch {
        element("maps").setAttribute("aria-busy", "false");
        element("damaged").hidden = false;
        return;
      }
      if (one !== direction()) return; // another was chosen meanwhile, and draws itself
    }
    element("maps").setAttribute("aria-busy", "false");
    element("damaged").hidden = true;
    showMaps();
  }
  function showMaps() {
    const photo = data.photos[direction().photos[state.image]];
    const picture = photo.picture
      ? make("img", { src: photo.picture, alt: `photograph ${photo.name}` })
      : make("div", { className: "none", textContent: "no photograph" });
    maps = partsOf().map((one) => {
      const canvas = make("canvas", { role: "img", ariaLabel: one.title });
      return { ...one, canvas, ...figureOf(one.title, one.note,
        make("div", { className: "map" }, canvas, make("span", { className: "cell" }))) };
    });
    element("maps").replaceChildren(
      figureOf("image", photo.label || "as a square", picture).figure,
      ...maps.map((one) => one.figure));
    element("now").replaceChildren(
      make("b", { textContent: `channel ${data.sides[direction().to]
        .channels[state.channel]}` }), ` of net ${letters()[1]} on ${photo.name}`);
    colourMaps();
    readMaps();
  }
  function colourMaps() {
    if (maps.length === 0) return;
    const common = Math.max(...maps.map((one) => one.map.largest));
    for (const one of maps) paint(one.canvas, one.map, state.scale === "each" ? one.map.largest
                                                                              : common);
    const ends = element("bar").querySelectorAll("span");
    ends[0].textContent = state.scale === "each" ? "each map\u2019s \u2212max"
                                                 : "\u2212" + shortNumber(common);
    ends[1].textContent = state.scale === "each" ? "+max" : "+" + shortNumber(common);
    const canvas = element("bar").querySelector("canvas");
    const ramp = Float64Array.from({ length: 255 }, (_, i) => i / 127 - 1);
    paint(canvas, { width: 255, height: 1, values: ramp }, 1);
    // What the 8 bits and the digits that are shown round off.
    const steps = maps.map(({ map }) => (map.step + 10 ** -decimals(map.step)) / 2);
    element("rounding").textContent =
      "Feature values have no unit. They are kept in 8 bits, exact to \u00b1 " +
      `${roundedUp(Math.min(...steps))} in the weakest of these maps and to \u00b1 ` +
      `${roundedUp(Math.max(...steps))} in the strongest, so that parts may differ from their ` +
      "sum in the last digits.";
  }
  // The values of all maps at one place, given in the target's rows and columns.
  function readMaps() {
    const target = maps[1].map;
    const chosen = state.row >= 0;
    state.row = Math.min(state.row, target.height - 1);
    state.column = Math.min(state.column, target.width - 1);
    for (const { map, canvas, output } of maps) {
      const cell = canvas.nextElementSibling;
      cell.hidden = !chosen;
      output.textContent = "\u00a0";
      if (!chosen) continue;
      // A map of another size is read where the middle of the target's place lies in it.
      const row = Math.floor(((state.row + 0.5) / target.height) * map.height);
      const column = Math.floor(((state.column + 0.5) / target.width) * map.width);
      output.textContent = valueText(map.values[row * map.width + column], map.step);
      cell.style.left = (100 * column) / map.width + "%";
      cell.style.top = (100 * row) / map.height + "%";
      cell.style.width = 100 / map.width + "%";
      cell.style.height = 100 / map.height + "%";
    }
    element("readout").textContent = chosen
      ? `row ${state.row + 1} of ${target.height}, column ${state.column + 1} of ${target.width}`
      : "Point at a map, touch it, or go there by the arrow keys, to read all maps at that place.";
  }

  // ---- changes

  function remember() {
    const target = data.sides[direction().to];
    const source = data.sides[direction().from];
    selection.write({ pair: state.pair, direction: state.forward ? "ab" : "ba",
                      image: state.image, channel: target.channels[state.channel],
                      source: source.channels[state.source], sort: state.sort,
                      scale: state.scale, section: "pictures" });
  }
  // Of another pair or direction: the image stays, and channels that are given and shown.
  function changeDirection(channel, source) {
    if (!direction()) state.forward = !state.forward;
    const one = direction();
    const place = (side, number) => Math.max(0, data.sides[side].channels.indexOf(number));
    state.image = Math.min(state.image, one.photos.length - 1);
    state.channel = place(one.to, channel);
    state.source = place(one.from, source);
    fillDirections();
    fillImages();
    fillSort();
    fillChannels();
    fillSource();
    const [from, to] = letters();
    element("target-name").textContent = to;
    element("source-name").textContent = from;
    return drawMaps();
  }
  function readAddress() {
    const wanted = selection.read();
    const whole = (name, count) => {
      const value = Number(wanted.get(name));
      return Number.isInteger(value) && value >= 0 && value < count ? value : 0;
    };
    state.pair = whole("pair", data.pairs.length);
    state.forward = wanted.get("direction") !== "ba";
    state.image = whole("image", data.photos.length);
    state.sort = wanted.get("sort") || "energy";
    state.scale = wanted.get("scale") === "each" ? "each" : "common";
    element("scale").querySelector(`[value=${state.scale}]`).checked = true;
    fillPairs();
    const number = (name) => (wanted.has(name) ? Number(wanted.get(name)) : NaN);
    return changeDirection(number("channel"), number("source"));
  }

  element("pair").addEventListener("change", (event) => {
    state.pair = Number(event.target.value);
    state.forward = true;
    changeDirection(NaN, NaN);
    remember();
  });
  element("direction").addEventListener("change", (event) => {
    state.forward = event.target.value === "ab";
    changeDirection(NaN, NaN);
    element("direction").querySelector("input:checked").focus();
    remember();
  });
  element("scale").addEventListener("change", (event) => {
    state.scale = event.target.value;
    colourMaps();
    remember();
  });
  element("images").addEventListener("change", (event) => {
    state.image = Number(event.target.value);
    drawMaps();
    remember();
  });
  element("sort").addEventListener("change", (event) => {
    state.sort = event.target.value;
    fillChannels();
    remember();
  });
  element("channel-list").addEventListener("change", (event) => {
    state.channel = Number(event.target.value);
    drawMaps();
    remember();
  });
  element("source").addEventListener("change", (event) => {
    state.source = Number(event.target.value);
    drawMaps();
    remember();
  });

  function point(event) {
    const canvas = event.target.closest("canvas");
    if (!canvas || maps.every((one) => one.canvas !== canvas)) return;
    const box = canvas.getBoundingClientRect();
    const target = maps[1].map;
    const place = (at, from, size, count) =>
      Math.max(0, Math.min(count - 1, Math.floor(((at - from) / size) * count)));
    state.row = place(event.clientY, box.top, box.height, target.height);
    state.column = place(event.clientX, box.left, box.width, target.width);
    readMaps();
  }
  element("maps").addEventListener("pointermove", point);
  element("maps").addEventListener("pointerdown", point);
  element("maps").addEventListener("keydown", (event) => {
    const moves = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
    if (!(event.key in moves) || maps.length === 0 || isShortcut(event)) return;
    const [down, right] = moves[event.key];
    const first = state.row < 0;
    state.row = first ? 0 : Math.max(0, state.row + down);
    state.column = first ? 0 : Math.max(0, state.column + right);
    readMaps();
    event.preventDefault();
  });
  // Ranked channels whose maps are here lead to them.
  function linkRankedChannels(table) {
    const one = data.directions.find((some) => some.name === table.dataset.run &&
      data.sides[some.to].words.startsWith(table.dataset.target));
    if (!one) return;
    for (const cell of table.querySelectorAll("tbody tr > :nth-child(2)")) {
      if (!data.sides[one.to].channels.includes(Number(cell.textContent))) continue;
      const link = make("a", { textContent: cell.textContent, title: "show its maps" });
      const wanted = { pair: one.pair, direction: one.forward ? "ab" : "ba",
                       channel: cell.textContent, sort: "delta", section: "pictures" };
      link.href = "#" + new URLSearchParams(wanted);
      // What else was chosen stays.
      link.addEventListener("click", (event) => {
        if (isShortcut(event)) return; // into a tab of its own
        event.preventDefault();
        selection.write(wanted);
        readAddress();
        goToSection();
        element("maps").focus({ preventScroll: true });
      });
      cell.replaceChildren(link);
    }
  }
  addEventListener("hashchange", () => {
    if (location.hash.includes("=")) readAddress().then(goToSection);
  });

  if (typeof DecompressionStream === "undefined") {
    element("too-old").hidden = false;
    return;
  }
  element("gallery").hidden = false; // what is hidden cannot be scrolled
  // The browser went to a section before the gallery had its height.
  readAddress().then(goToSection);
  document.querySelectorAll(".ranks").forEach(linkRankedChannels);
})();
