// The playground's page: dials in, map and loss chart out.

import { batchSize, newWalk, stableLimit } from "./arithmetic.mjs";
import { contourLevels, contourPath, heightGrid, shade } from "./contours.mjs";
import { html, linePath, say, svg, tickText, ticks } from "./drawing.mjs";
import { GOALS, reading } from "./goals.mjs";
import { makeSurfaces } from "./surfaces.mjs";

const STEPS_PER_SECOND = 12;
const MOST_STEPS = 600;
const EARLIER = 3;
const BANDS = 15;
const CELL = 5;
const RAMP = [
  [196, 221, 232],
  [222, 234, 236],
  [241, 240, 232],
  [251, 247, 238],
];
// The slider runs from a five-thousandth of the limit without momentum to four times that limit.
const [LOW_SHARE, HIGH_SHARE, SLIDER_STEPS] = [1 / 5000, 4, 400];
const SLOWEST_RATE = 1e-9;
const FASTEST_RATE = 1e9;

const facts = JSON.parse(document.getElementById("facts").textContent);
const places = makeSurfaces(facts.model);
const byId = (id) => document.getElementById(id);
const calm = window.matchMedia("(prefers-reduced-motion: reduce)");

const settings = { surface: "bowl", rate: 0, momentum: 0, noise: 0, draw: 1, log: false, goal: 0, start: null };
const reached = new Set();
// "How long may a step be?" is asked before it is answered: the limit shows once a ball has left for good.
let limitKnown = false;
let place = places.bowl;
let walk;
let view;
let earlier = [];
let running = false;
let clock = 0;
let shown = 0;

// From settings to numbers

const startPoint = () => settings.start ?? place.start;
const noise = () => settings.noise / 6;
const dials = () => ({ rate: settings.rate, momentum: settings.momentum, noise: noise() });
const limit = () => place.limit(settings.momentum);
const presetRate = (share) => Number((share * limit()).toPrecision(4));
const horizon = () => {
  const done = walk.losses.length - 1;
  return Math.min(MOST_STEPS, place.horizon * Math.max(1, Math.ceil(done / place.horizon)));
};

function sliderToRate(position) {
  const share = LOW_SHARE * (HIGH_SHARE / LOW_SHARE) ** (position / SLIDER_STEPS);
  return Number((share * place.limit(0)).toPrecision(3));
}

function rateToSlider(rate) {
  const share = rate / place.limit(0);
  const position = Math.log(share / LOW_SHARE) / Math.log(HIGH_SHARE / LOW_SHARE);
  return Math.min(1, Math.max(0, position));
}

// The address keeps the dials, so that a setting can be bookmarked or sent

function readAddress() {
  const given = new URLSearchParams(location.hash.slice(1));
  const number = (name, low, high, otherwise) => {
    const value = Number.parseFloat(given.get(name) ?? "");
    return value >= low && value <= high ? value : otherwise;
  };
  settings.surface = Object.hasOwn(places, given.get("surface") ?? "") ? given.get("surface") : "bowl";
  place = places[settings.surface];
  settings.momentum = number("momentum", 0, 0.95, 0);
  settings.noise = Math.round(number("noise", 0, 6, usualNoise()));
  settings.rate = number("rate", SLOWEST_RATE, FASTEST_RATE, presetRate(facts.shares.JUST_RIGHT));
  settings.draw = Math.round(number("draw", 1, 9999, 1));
  settings.log = given.get("scale") === "log";
  settings.goal = Math.round(number("goal", 1, GOALS.length, firstGoal() + 1)) - 1;
  const [x, y] = (given.get("start") ?? "").split(",").map(Number.parseFloat);
  settings.start = Math.abs(x) < 1e3 && Math.abs(y) < 1e3 ? [x, y] : null;
}

const usualNoise = () => (place.surface.sentences ? [0, 1, 2, 3, 4, 5, 6].find((at) => batchSize(at / 6, 1e9) === facts.batch) : 0);
const firstGoal = () => GOALS.findIndex((goal) => goal.surface === place.id);

let writing = 0;
function writeAddress() {
  // Browsers refuse an address that changes many times a second.
  clearTimeout(writing);
  writing = setTimeout(() => {
    const kept = new URLSearchParams({ surface: place.id, rate: settings.rate });
    if (settings.momentum) kept.set("momentum", settings.momentum);
    if (settings.noise !== usualNoise()) kept.set("noise", settings.noise);
    if (settings.draw > 1) kept.set("draw", settings.draw);
    if (settings.log) kept.set("scale", "log");
    if (settings.start) kept.set("start", settings.start.map((value) => value.toFixed(3)).join());
    kept.set("goal", settings.goal + 1);
    const address = `#${kept}`;
    try {
      if (address !== location.hash) history.replaceState(null, "", address);
    } catch {
      // A page shown inside another one may not change its address; it works without.
    }
  }, 300);
}

/** How many pixels make up one at the usual type size: marks grow with the type on a projector. */
const unit = () => Number.parseFloat(getComputedStyle(document.documentElement).fontSize) / 16;

// The map

function measure() {
  const box = byId("map").getBoundingClientRect();
  const [width, height] = [Math.max(box.width, 50), Math.max(box.height, 50)];
  const scale = Math.min(width, height) / (2 * place.reach);
  const [cx, cy] = place.centre;
  const half = [width / 2 / scale, height / 2 / scale];
  view = {
    width,
    height,
    low: [cx - half[0], cy - half[1]],
    high: [cx + half[0], cy + half[1]],
    pixel: ([x, y]) => [width / 2 + (x - cx) * scale, height / 2 - (y - cy) * scale],
    point: (px, py) => [cx + (px - width / 2) / scale, cy - (py - height / 2) / scale],
  };
}

function drawGround() {
  measure();
  const { width, height, low, high } = view;
  const [columns, rows] = [Math.ceil(width / CELL) + 1, Math.ceil(height / CELL) + 1];
  const heights = heightGrid(place.surface.loss, low, high, columns, rows);
  const levels = contourLevels(heights, place.floor, place.spread, BANDS);

  const sharp = Math.min(window.devicePixelRatio || 1, 2);
  const relief = byId("relief");
  relief.width = Math.round(width * sharp);
  relief.height = Math.round(height * sharp);
  const ink = relief.getContext("2d");
  const image = ink.createImageData(relief.width, relief.height);
  shade(image, heights, levels, RAMP);
  ink.putImageData(image, 0, 0);

  const drawing = byId("drawing");
  drawing.setAttribute("viewBox", `0 0 ${width} ${height}`);
  const size = width / (columns - 1);
  drawing.replaceChildren(
    ...levels.map((level) => svg("path", { class: "contour", d: contourPath(heights, level, size) })),
    ...mapScale(),
    svg("g", { id: "trace" }),
  );
  drawTrace();
}

function mapScale() {
  const { width, height, low, high, pixel } = view;
  const em = 16 * unit();
  const across = ticks(low[0], high[0], 6).map((at) => [at, pixel([at, 0])[0]]);
  const up = ticks(low[1], high[1], 6).map((at) => [at, pixel([0, at])[1]]);
  return [
    ...across
      .filter(([, x]) => x > 2.5 * em && x < width - 9.5 * em)
      .map(([at, x]) => svg("text", { x, y: height - em / 2, "text-anchor": "middle" }, tickText(at))),
    ...up
      .filter(([, y]) => y > 2.1 * em && y < height - 1.6 * em)
      .map(([at, y]) => svg("text", { x: em / 2, y: y + em / 4 }, tickText(at))),
    svg("text", { x: width - em / 2, y: height - em / 2, "text-anchor": "end" }, `${place.weights[0]} →`),
    svg("text", { x: em / 2, y: 1.15 * em }, `↑ ${place.weights[1]}`),
  ];
}

const starPath = (x, y, size) => {
  const corners = Array.from({ length: 10 }, (_, at) => {
    const [radius, angle] = [at % 2 ? size * 0.42 : size, (at * Math.PI) / 5 - Math.PI / 2];
    return [x + radius * Math.cos(angle), y + radius * Math.sin(angle)];
  });
  return `${linePath(corners)}Z`;
};

/** Everything on the map that moves; `share` is how far the ball is on its way from the last point but one. */
function drawTrace(share = 1) {
  const { pixel, width, height } = view;
  const size = unit();
  // Points far outside the map are pulled to a distance that SVG can still draw, in their direction.
  const bounded = (point) => {
    const [x, y] = pixel(point);
    const [dx, dy] = [x - width / 2, y - height / 2];
    const far = Math.hypot(dx, dy) / 8000;
    return far > 1 ? [width / 2 + dx / far, height / 2 + dy / far] : [x, y];
  };
  const points = walk.points.map(bounded);
  const last = points.at(-1);
  const from = points.at(-2) ?? last;
  const ball = [from[0] + share * (last[0] - from[0]), from[1] + share * (last[1] - from[1])];
  const line = linePath([...points.slice(0, -1), ball]);
  const parts = [svg("path", { class: "path-halo", d: line }), svg("path", { class: "path", d: line })];
  points.slice(1, -1).forEach(([cx, cy]) => parts.push(svg("circle", { class: "path-dot", cx, cy, r: 2.6 * size })));
  const [sx, sy] = pixel(startPoint());
  parts.push(svg("circle", { class: "start-mark", cx: sx, cy: sy, r: 6 * size }));
  parts.push(svg("path", { class: "star", d: starPath(...pixel(place.lowest), 11 * size) }));
  if (!running && !walk.gone) parts.push(...nextStep(last, bounded));
  parts.push(...ballOrArrow(ball));
  byId("trace").replaceChildren(...parts);
}

/** Where the next step would land without noise: the rate, seen as a length. */
function nextStep(from, bounded) {
  const [x, y] = walk.points.at(-1);
  const slope = place.surface.gradient([x, y]);
  const [vx, vy] = slope.map((part, axis) => settings.momentum * walk.velocity[axis] + part);
  const [tx, ty] = bounded([x - settings.rate * vx, y - settings.rate * vy]);
  const length = Math.hypot(tx - from[0], ty - from[1]);
  if (length < 12) return [];
  return [
    svg("line", { class: "next-line", x1: from[0], y1: from[1], x2: tx, y2: ty }),
    svg("circle", { class: "next-mark", cx: tx, cy: ty, r: 7 * unit() }),
  ];
}

function ballOrArrow([x, y]) {
  const { width, height } = view;
  if (x > -6 && y > -6 && x < width + 6 && y < height + 6) return [svg("circle", { class: "ball", cx: x, cy: y, r: 10 * unit() })];
  const [dx, dy] = [x - width / 2, y - height / 2];
  const reach = Math.min((width / 2 - 26) / Math.abs(dx || 1e-9), (height / 2 - 26) / Math.abs(dy || 1e-9));
  const [ax, ay] = [width / 2 + dx * reach, height / 2 + dy * reach];
  const turn = (Math.atan2(dy, dx) * 180) / Math.PI;
  const arrow = svg("path", { class: "away", d: "M14 0L-8 -10L-3 0L-8 10Z", transform: `translate(${ax} ${ay}) rotate(${turn})` });
  const inwards = [ax - Math.sign(dx) * 22, ay - Math.sign(dy) * 16];
  const anchor = dx > 0 ? "end" : "start";
  return [arrow, svg("text", { x: inwards[0], y: inwards[1] + 4, "text-anchor": anchor }, "off the map")];
}

// The loss chart

function drawChart() {
  const chart = byId("chart");
  const { width, height } = chart.getBoundingClientRect();
  if (width < 50) return;
  chart.setAttribute("viewBox", `0 0 ${width} ${height}`);
  const small = 16 * unit();
  // A phone has room for the number alone.
  const rateLabel = (rate) => `${width > 28 * small ? "rate " : ""}${tickText(Number(rate.toPrecision(2)))}`;
  const [left, right, top, bottom] = [2.9 * small, width - (width > 28 * small ? 6.2 : 4.1) * small, 0.5 * small, height - 1.5 * small];
  const last = horizon();
  const x = (step) => left + ((right - left) * step) / last;
  const { y, marks, ceiling } = lossScale(top, bottom);
  const parts = [
    svg("clipPath", { id: "inside" }, svg("rect", { x: left, y: top - 3, width: right - left + 8, height: bottom - top + 6 })),
  ];
  for (const value of marks) {
    parts.push(
      svg("line", { class: "grid", x1: left, x2: right, y1: y(value), y2: y(value) }),
      svg("text", { x: left - 7, y: y(value) + 4, "text-anchor": "end" }, tickText(value)),
    );
  }
  parts.push(svg("line", { class: "axis", x1: left, x2: right, y1: bottom, y2: bottom }));
  for (const step of ticks(0, last, 6)) {
    parts.push(svg("text", { x: x(step), y: bottom + 1.15 * small, "text-anchor": "middle" }, tickText(step)));
  }
  const labels = [];
  const level = (value, name, text) => {
    if (value > ceiling || y(value) > bottom + 1) return;
    parts.push(svg("line", { class: `${name}-line`, x1: left, x2: right, y1: y(value), y2: y(value) }));
    labels.push({ y: y(value), name: `${name}-text`, text });
  };
  const goal = GOALS[settings.goal];
  if (place.floor > 1e-9) level(place.floor, "floor", "lowest");
  if (goal.line && goal.surface === place.id) level(place.floor + goal.line, "goal", "goal");
  for (const { losses, rate } of earlier) {
    const end = Math.min(losses.length - 1, last);
    parts.push(...lossLine(losses, "earlier", x, y, ceiling, last));
    if (losses[end] <= ceiling) labels.push({ y: y(losses[end]), name: "earlier-text", text: rateLabel(rate) });
    else parts.push(svg("text", { x: x(losses.findIndex((loss) => loss > ceiling)) + 6, y: y(ceiling) + 1.5 * small }, rateLabel(rate)));
  }
  parts.push(...lossLine(walk.losses, "loss-line", x, y, ceiling, last));
  const off = walk.losses.findIndex((loss) => loss > ceiling);
  if (off >= 0) parts.push(svg("text", { x: x(off) + 6, y: y(ceiling) + 0.75 * small }, "▲ off the chart"));
  for (const label of apart(labels, 0.95 * small, bottom + 4)) {
    parts.push(svg("text", { class: label.name, x: right + 7, y: label.y + 4 }, label.text));
  }
  chart.replaceChildren(...parts);
  chart.setAttribute("aria-label", `Loss against step. ${spoken()}`);
}

/** Labels from bottom to top, each at least `gap` above the one before. */
function apart(labels, gap, lowest) {
  let below = lowest + gap;
  return labels
    .sort((one, other) => other.y - one.y)
    .map((label) => {
      below = Math.min(label.y, below - gap);
      return { ...label, y: below };
    });
}

function lossScale(top, bottom) {
  const known = [walk, ...earlier].flatMap((one) => one.losses).filter((value) => value < 1e9);
  const first = walk.losses[0];
  if (settings.log) {
    const positive = known.filter((value) => value > 1e-6);
    const target = GOALS[settings.goal].surface === place.id ? (GOALS[settings.goal].line ?? first) : first;
    const low = Math.floor(Math.log10(Math.min(...positive, first / 10, place.floor + target)) + 1e-9);
    const high = Math.max(low + 1, Math.ceil(Math.log10(Math.min(Math.max(...positive, first), 1e4 * first)) - 1e-9));
    const y = (value) => bottom - ((bottom - top) * (Math.log10(Math.max(value, 10 ** (low - 1))) - low)) / (high - low);
    const every = Math.ceil((high - low) / 5);
    const marks = Array.from({ length: high - low + 1 }, (_, at) => 10 ** (low + at)).filter((_, at) => at % every === 0);
    return { y: (value) => Math.min(y(value), bottom), marks, ceiling: 10 ** high };
  }
  const ceiling = Math.min(Math.max(...known, first) * 1.08, 3.2 * first);
  return { y: (value) => bottom - ((bottom - top) * value) / ceiling, marks: ticks(0, ceiling, 4), ceiling };
}

function lossLine(losses, name, x, y, ceiling, last) {
  const points = losses.slice(0, last + 1).map((loss, step) => [x(step), y(Math.min(loss, 1.5 * ceiling))]);
  const parts = [svg("path", { class: name, d: linePath(points), "clip-path": "url(#inside)" })];
  const [cx, cy] = points.at(-1);
  if (name === "loss-line" && losses[points.length - 1] <= ceiling) {
    parts.push(svg("circle", { class: "loss-dot", cx, cy, r: 5 * unit() }));
  }
  return parts;
}

// Words and dials

function spoken() {
  const done = walk.losses.length - 1;
  const told = [reading({ walk, place }), byId("progress").textContent].join(" ").trim();
  return `Step ${done}. Loss ${lossWords(walk.losses.at(-1))}, at the start ${say(walk.losses[0])}. ${told}`.trim();
}

function lossWords(loss) {
  if (walk.gone) return "too large";
  return loss < 1e-4 ? "under 0.0001" : say(loss);
}

function showWords() {
  byId("step-count").textContent = walk.losses.length - 1;
  byId("loss-now").textContent = lossWords(walk.losses.at(-1));
  byId("reading").textContent = reading({ walk, place }) || (walk.rates.length ? "" : "Press Run, or make one step.");
  const [x, y] = walk.points.at(-1);
  byId("map-words").textContent =
    `${place.title}. ${place.about} The ball is at ${say(x)}, ${say(y)}; the lowest point at ` +
    `${say(place.lowest[0])}, ${say(place.lowest[1])}, with loss ${say(place.floor)}.`;
}

function showDials() {
  limitKnown ||= walk.gone;
  document.body.classList.toggle("seeking", !limitKnown);
  const share = settings.rate / limit();
  byId("share").textContent = limitKnown ? `${tickText(Number((100 * share).toPrecision(2)))}% of the limit` : "";
  byId("share").classList.toggle("beyond", limitKnown && share > 1);
  if (document.activeElement !== byId("rate-text")) byId("rate-text").value = String(settings.rate);
  byId("rate-text").setAttribute("aria-invalid", "false");
  byId("rate-error").textContent = "";
  const slider = byId("rate-slider");
  slider.value = Math.round(rateToSlider(settings.rate) * SLIDER_STEPS);
  slider.setAttribute("aria-valuetext", [say(settings.rate), byId("share").textContent].filter(Boolean).join(", "));
  // The thumb's middle stays half a thumb away from both ends of the track.
  const edge = limitKnown ? `calc(0.7rem + ${rateToSlider(limit())} * (100% - 1.4rem))` : "100%";
  slider.style.setProperty(
    "--track",
    `linear-gradient(90deg, #cfe0ea, #7fb2d2 ${edge}, transparent ${edge}),` +
      "repeating-linear-gradient(115deg, #d55e00 0 3px, #f3c3a0 3px 7px)",
  );
  showLimits();
  byId("momentum").value = settings.momentum;
  byId("momentum-value").textContent = settings.momentum ? settings.momentum.toFixed(2) : "none";
  byId("noise").value = settings.noise;
  byId("noise").setAttribute("aria-valuetext", noiseWords());
  byId("noise-value").textContent = noiseWords();
  byId("redraw").disabled = settings.noise === 0;
  for (const button of byId("presets").querySelectorAll("button")) {
    const chosen = presetRate(facts.shares[button.dataset.preset]) === settings.rate;
    button.setAttribute("aria-pressed", String(chosen));
  }
  byId("log-scale").checked = settings.log;
  for (const choice of byId("surfaces").querySelectorAll("input")) choice.checked = choice.value === place.id;
}

function noiseWords() {
  if (!place.surface.sentences) return settings.noise ? `${Math.round(100 * noise())}% of the slope` : "none";
  const size = batchSize(noise(), place.surface.sentences);
  if (size === place.surface.sentences) return `none: all ${size} sentences`;
  return `batch of ${size}${size === 1 ? "" : " sentences"}`;
}

function showLimits() {
  if (!limitKnown) {
    byId("limits").replaceChildren();
    byId("limit-words").textContent =
      "Above some rate the ball leaves for good. Find that limit, and its mark appears here. It is one for SGD: " +
      "AdamW rescales every step, so its rates do not transfer.";
    return;
  }
  const [main, ...others] = place.valleys.map(({ name, steepest }) => {
    return { name, steepest, limit: stableLimit(steepest, settings.momentum) };
  });
  const mark = (at, minor) => {
    const left = `${100 * rateToSlider(at)}%`;
    const made = html("span", minor ? { class: "minor" } : {});
    made.style.left = left;
    return made;
  };
  const label = html("i", rateToSlider(main.limit) > 0.92 ? { class: "left" } : {}, "limit");
  label.style.left = `${100 * rateToSlider(main.limit)}%`;
  byId("limits").replaceChildren(mark(main.limit, false), label, ...others.map((other) => mark(other.limit, true)));
  const factor = settings.momentum ? `2 (1 + ${settings.momentum})` : "2";
  const also = others.length ? [` ${main.name}`, ...others.map((one) => `, ${say(one.limit)} ${one.name}`)].join("") : "";
  byId("limit-words").textContent =
    `Limit = ${factor} / largest curvature of ${say(main.steepest)} = ${say(main.limit)}${also}. ` +
    "Curvature: by how much the slope changes on a stretch of length 1. AdamW rescales every step: its rates do not transfer.";
}

function showGoal() {
  const goal = GOALS[settings.goal];
  byId("task").textContent = `${places[goal.surface].title}: ${goal.task}`;
  byId("think").textContent = goal.think;
  const progress = byId("progress");
  let told = "";
  let here = reached.has(settings.goal);
  if (goal.surface !== place.id) told = `Choose “${places[goal.surface].title}” above the map.`;
  else if (settings.start) told = "Goals count from the usual start: choose the surface again.";
  else {
    const found = goal.check({ walk, settings: { ...dials() }, place });
    told = found.told;
    if (found.reached) {
      reached.add(settings.goal);
      told = `✓ Done. ${told}`;
    }
    here = found.reached;
  }
  if (progress.textContent !== told && !running) progress.textContent = told;
  progress.classList.toggle("reached", here && told.startsWith("✓"));
  byId("goals").querySelectorAll("button").forEach((button, at) => {
    button.setAttribute("aria-current", String(at === settings.goal));
    button.classList.toggle("done", reached.has(at));
    button.textContent = reached.has(at) ? "✓" : String(at + 1);
    button.setAttribute("aria-label", `Goal ${at + 1}${reached.has(at) ? ", reached" : ""}`);
  });
}

function show() {
  drawTrace();
  drawChart();
  showWords();
  showDials();
  showGoal();
  writeAddress();
}

// What the buttons do

function announce(text) {
  byId("announce").textContent = text;
}

function restart({ keep = true } = {}) {
  pause();
  if (keep && walk && walk.rates.length > 2) {
    earlier = [...earlier, { losses: walk.losses, rate: walk.rates.at(-1) }].slice(-EARLIER);
  }
  walk = newWalk(place.surface, startPoint(), settings.draw, place.start);
  show();
}

function stepOnce() {
  if (walk.gone || walk.rates.length >= MOST_STEPS) return;
  walk.step(dials());
}

function pause() {
  if (!running) return;
  running = false;
  cancelAnimationFrame(clock);
  showRunButton();
}

function showRunButton() {
  byId("run").textContent = running ? "Pause" : "Run";
}

function finish() {
  pause();
  show();
  announce(spoken());
}

function run() {
  if (running) {
    finish();
    return;
  }
  if (walk.gone || walk.rates.length >= MOST_STEPS) restart();
  const done = walk.rates.length;
  const end = Math.min(MOST_STEPS, place.horizon * (Math.floor(done / place.horizon) + 1));
  running = true;
  showRunButton();
  if (calm.matches) {
    while (walk.rates.length < end && !walk.gone) stepOnce();
    finish();
    return;
  }
  let before = performance.now();
  shown = 1;
  const frame = (now) => {
    shown += ((Math.min(now - before, 250)) / 1000) * STEPS_PER_SECOND;
    before = now;
    let moved = false;
    while (shown >= 1 && walk.rates.length < end && !walk.gone) {
      stepOnce();
      moved = true;
      shown -= 1;
    }
    if (walk.rates.length >= end || walk.gone) {
      finish();
      return;
    }
    drawTrace(Math.min(shown, 1));
    if (moved) {
      drawChart();
      showWords();
      showGoal();
    }
    clock = requestAnimationFrame(frame);
  };
  clock = requestAnimationFrame(frame);
}

function setRate(rate) {
  settings.rate = Math.min(FASTEST_RATE, Math.max(SLOWEST_RATE, rate));
  dialTurned();
}

/** A dial turned before the first step changes what comes; in mid-run it goes on from where the ball is. */
function dialTurned() {
  showDials();
  if (!running) {
    drawTrace();
    showGoal();
  }
  writeAddress();
}

function choosePlace(id) {
  place = places[id];
  Object.assign(settings, { surface: id, start: null, draw: 1, noise: usualNoise() });
  settings.rate = presetRate(facts.shares.JUST_RIGHT);
  if (GOALS[settings.goal].surface !== id) settings.goal = firstGoal();
  earlier = [];
  walk = undefined;
  pause();
  walk = newWalk(place.surface, startPoint(), settings.draw, place.start);
  byId("about").textContent = place.about;
  drawGround();
  show();
}

function moveStart(point) {
  settings.start = point.map((value) => Number(value.toFixed(3)));
  restart({ keep: false });
}

function readRateText() {
  const text = byId("rate-text").value.trim().replace(",", ".");
  const value = /^\d*\.?\d+(e[+-]?\d{1,2})?$|^\d+\.$/i.test(text) ? Number.parseFloat(text) : Number.NaN;
  if (value >= SLOWEST_RATE && value <= FASTEST_RATE) {
    setRate(value);
    return;
  }
  byId("rate-text").setAttribute("aria-invalid", "true");
  byId("rate-error").textContent = "Write a number above 0, such as 0.1.";
}

function build() {
  for (const { id, title } of Object.values(places)) {
    const input = html("input", { type: "radio", name: "surface", value: id });
    input.addEventListener("change", () => choosePlace(id));
    byId("surfaces").append(html("label", {}, input, html("span", {}, title)));
  }
  for (const [preset, share] of Object.entries(facts.shares)) {
    const button = html("button", { type: "button", "data-preset": preset }, preset, html("small", {}, `${share} × limit`));
    button.addEventListener("click", () => setRate(presetRate(share)));
    byId("presets").append(button);
  }
  GOALS.forEach((goal, at) => {
    const button = html("button", { type: "button" }, String(at + 1));
    button.addEventListener("click", () => {
      settings.goal = at;
      if (goal.surface === place.id) show();
      else choosePlace(goal.surface);
    });
    byId("goals").append(html("li", {}, button));
  });
  byId("run").addEventListener("click", run);
  byId("step").addEventListener("click", () => {
    pause();
    stepOnce();
    show();
    announce(spoken());
  });
  byId("reset").addEventListener("click", () => {
    restart();
    announce("Back at the start.");
  });
  byId("redraw").addEventListener("click", () => {
    settings.draw += 1;
    restart();
    announce(`Noise number ${settings.draw}.`);
  });
  byId("rate-slider").addEventListener("input", (event) => setRate(sliderToRate(Number(event.target.value))));
  byId("rate-text").addEventListener("change", readRateText);
  byId("rate-text").addEventListener("blur", () => {
    if (byId("rate-text").getAttribute("aria-invalid") !== "true") byId("rate-text").value = String(settings.rate);
  });
  byId("momentum").addEventListener("input", (event) => {
    settings.momentum = Number(event.target.value);
    dialTurned();
  });
  byId("noise").addEventListener("input", (event) => {
    settings.noise = Number(event.target.value);
    dialTurned();
  });
  byId("log-scale").addEventListener("change", (event) => {
    settings.log = event.target.checked;
    show();
  });
  byId("map").addEventListener("click", (event) => {
    const box = byId("map").getBoundingClientRect();
    moveStart(view.point(event.clientX - box.left, event.clientY - box.top));
  });
  byId("map").addEventListener("keydown", (event) => {
    const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
    const move = moves[event.key];
    if (move) moveStart(startPoint().map((value, axis) => value + (move[axis] * place.reach) / 20));
    else if (event.key === "Enter") byId("step").click();
    else if (event.key === " ") byId("run").click();
    else return;
    event.preventDefault();
  });
  window.addEventListener("hashchange", begin);
  let settling = 0;
  new ResizeObserver(() => {
    cancelAnimationFrame(settling);
    settling = requestAnimationFrame(() => {
      drawGround();
      drawChart();
    });
  }).observe(byId("map"));
}

function begin() {
  pause();
  readAddress();
  earlier = [];
  walk = newWalk(place.surface, startPoint(), settings.draw, place.start);
  byId("about").textContent = place.about;
  drawGround();
  show();
}

build();
begin();
