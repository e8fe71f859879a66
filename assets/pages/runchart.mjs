// The loss curve of a recorded run, drawn as tuning.figures.curves draws it, up to a step.

import { html, linePath, svg, tickText, ticks, two } from "./drawing.mjs";
import { averageWindow, movingAverage } from "./records.mjs";

const GUESSING = Math.log(3);

function percent(share) {
  if (share > 0 && share < 0.0005) return "under 0.1%";
  return `${(100 * share).toFixed(share > 0 && share < 0.1 ? 1 : 0)}%`;
}

/** How far weights moved, as `tuning.runs.diagnosis.percent` writes it. */
function movement(share) {
  return `${share > 1e-6 && share < 0.01 ? Number((100 * share).toPrecision(2)) : (100 * share).toFixed(1)}%`;
}

/** Last step of a run, the marks of its epochs included. */
export function lastStep(record) {
  return Math.max(record.steps.at(-1)?.[0] ?? 0, record.marks.at(-1).step, 1);
}

/**
 * Draw the run into an SVG up to step `until`; later steps are neither shown nor hinted at by the scale. An upright line
 * stands at `line`.
 */
export function drawRun(chart, record, until = Infinity, line = null) {
  const { width, height } = chart.getBoundingClientRect();
  if (width < 50) return;
  chart.setAttribute("viewBox", `0 0 ${width} ${height}`);
  const em = Number.parseFloat(getComputedStyle(document.documentElement).fontSize);
  const [left, right, top, bottom] = [3.2 * em, width - 0.6 * em, 0.6 * em, height - 2.7 * em];
  const end = lastStep(record);
  const steps = record.steps.filter(([step]) => step <= until);
  const marks = record.marks.filter(({ step }) => step <= until);
  const ceiling =
    1.08 * Math.max(1.3, ...steps.map(([, loss]) => loss ?? 0), ...marks.flatMap((mark) => [mark.train ?? 0, mark.validation ?? 0]));
  const x = (step) => left + ((right - left) * step) / (1.02 * end);
  const y = (loss) => bottom - ((bottom - top) * loss) / ceiling;
  const parts = ticks(0, ceiling, 5).flatMap((value) => [
    svg("line", { class: "grid", x1: left, x2: right, y1: y(value), y2: y(value) }),
    svg("text", { x: left - em / 2, y: y(value) + 4, "text-anchor": "end" }, tickText(value)),
  ]);
  parts.push(svg("line", { class: "axis", x1: left, x2: right, y1: bottom, y2: bottom }));
  for (const step of ticks(0, end, 6)) {
    parts.push(svg("text", { x: x(step), y: bottom + 1.2 * em, "text-anchor": "middle" }, tickText(step)));
  }
  parts.push(
    svg("text", { x: right, y: bottom + 2.4 * em, "text-anchor": "end" }, "step (one batch each)"),
    svg("text", { x: left, y: bottom + 2.4 * em }, "loss (nats)"),
    svg("line", { class: "guessing", x1: left, x2: right, y1: y(GUESSING), y2: y(GUESSING) }),
  );
  const average = movingAverage(record.steps);
  const through = (values) => linePath(values.map((value, at) => (value === null ? null : [x(steps[at][0]), y(value)])));
  parts.push(
    svg("path", { class: "each-step", d: through(steps.map(([, loss]) => loss)) }),
    svg("path", { class: "average", d: through(steps.map((_, at) => average[at])) }),
  );
  const size = em / 16;
  for (const [key, shape, half] of [["train", squareAt, 6.5], ["validation", diamondAt, 4.8]]) {
    const points = marks.filter((mark) => mark[key] !== null).map((mark) => [x(mark.step), y(mark[key])]);
    parts.push(svg("path", { class: `${key} dashes`, d: linePath(points) }));
    parts.push(...points.map(([px, py]) => svg("path", { class: `${key} mark`, d: shape(px, py, half * size) })));
  }
  if (line !== null) parts.push(svg("line", { class: "now", x1: x(line), x2: x(line), y1: top, y2: bottom }));
  chart.replaceChildren(...parts);
  chart.setAttribute("aria-label", inWords(record, steps, marks, average));
}

const squareAt = (x, y, size) => `M${x - size} ${y - size}h${2 * size}v${2 * size}h${-2 * size}Z`;
const diamondAt = (x, y, size) => `M${x} ${y - 1.3 * size}L${x + 1.3 * size} ${y}L${x} ${y + 1.3 * size}L${x - 1.3 * size} ${y}Z`;

/** What stands for what; the same marks as in the picture of the run. */
export function fillKey(list, record) {
  const sample = (...inside) => svg("svg", { viewBox: "0 0 28 16" }, ...inside);
  const line = (name) => svg("path", { class: name, d: "M1 8H27" });
  list.replaceChildren(
    html("li", {}, sample(line("each-step")), "single steps"),
    html("li", {}, sample(line("average")), `moving average of ${averageWindow(record.steps)} steps`),
    html("li", {}, sample(line("train dashes"), svg("path", { class: "train mark", d: squareAt(14, 8, 5) })), "training subset"),
    html("li", {}, sample(line("validation dashes"), svg("path", { class: "validation mark", d: diamondAt(14, 8, 5) })), "validation"),
    html("li", {}, sample(line("guessing")), "guessing, ln 3"),
  );
}

function inWords(record, steps, marks, average) {
  const known = average.slice(0, steps.length).filter((value) => value !== null);
  const highest = steps.reduce((top, [, loss]) => Math.max(top, loss ?? 0), 0);
  const line = known.length
    ? `Step loss, moving average of ${averageWindow(record.steps)} steps: from ${two(known[Math.min(2, known.length - 1)])} to ${two(known.at(-1))} over ${steps.at(-1)[0]} steps; highest single step ${two(highest)}.`
    : "No step yet.";
  const after = marks.map((mark) => {
    const when = mark.epoch === 0 ? "before training" : `after epoch ${tickText(mark.epoch)}`;
    return `${when}: training ${two(mark.train)}, validation ${two(mark.validation)}`;
  });
  return `Loss curve. ${line} In evaluation mode, ${after.join("; ")}.`;
}

/** The marks as a table, up to a step; in plain words it has no score that has a name of its own. */
export function fillMarks(table, record, { until = Infinity, plain = false } = {}) {
  const head = ["epoch", "training loss", "validation loss", ...(plain ? ["right answers"] : ["accuracy", "macro-F1"])];
  const rows = record.marks.filter(({ step }) => step <= until).map((mark) => {
    const name = mark.epoch === 0 ? "before" : String(Number(mark.epoch.toFixed(2)));
    const scores = plain ? [inHundred(mark.accuracy)] : [mark.accuracy, mark.f1].map(two);
    return [name, two(mark.train), two(mark.validation), ...scores];
  });
  fillTable(table, head, rows);
}

function inHundred(share) {
  return share === null || share === undefined ? "none" : `${Math.round(100 * share)} in 100`;
}

/** A table from texts; the first cell of a row names it. */
export function fillTable(table, head, rows) {
  table.replaceChildren(
    html("thead", {}, html("tr", {}, ...head.map((text) => html("th", { scope: "col" }, text)))),
    html(
      "tbody",
      {},
      ...rows.map(([name, ...cells]) => html("tr", {}, html("th", { scope: "row" }, name), ...cells.map((cell) => html("td", {}, cell)))),
    ),
  );
}

/**
 * Scores, weight movement and answers of a finished run, each beside what it is to be compared with. In plain words,
 * for people to whom nobody has explained the scores yet, only right answers and labels are shown.
 */
export function fillFacts(list, record, { plain = false } = {}) {
  const last = record.marks.at(-1);
  const fact = (name, value, beside) => html("div", {}, html("dt", {}, name), html("dd", {}, html("b", {}, value), html("span", {}, beside)));
  const { majority } = record;
  const facts = plain
    ? [fact("right answers on new sentences", inHundred(last.accuracy), majority ? `always “${majority.label}”: ${inHundred(majority.accuracy)}` : "")]
    : [
        fact("macro-F1", two(last.f1), majority ? `majority class ${two(majority.f1)}` : ""),
        fact("accuracy", two(last.accuracy), majority ? `majority class ${two(majority.accuracy)}` : ""),
      ];
  if (!plain && record.moved !== null) facts.push(fact("weights moved", movement(record.moved), "of their size"));
  const total = (record.predicted ?? []).reduce((sum, [, count]) => sum + count, 0);
  if (total > 0) {
    const shares = [...record.predicted].map(([label, count]) => [label, count / total]).sort((one, other) => other[1] - one[1]);
    const rest = shares.slice(1).map(([label, share]) => `${label} ${percent(share)}`);
    facts.push(fact(`says “${shares[0][0]}”`, percent(shares[0][1]), rest.join(", ")));
  }
  list.replaceChildren(...facts);
}
