// The replay: a recorded run, epoch by epoch, with its time and cost so far, and the question whether to stop.

import { html, tickText, two } from "./drawing.mjs";
import { hasLine, nextEpochSeconds, readLine, readRun, RecordProblem, LARGEST_FILE, secondsAt } from "./records.mjs";
import { drawRun, fillKey, fillMarks, fillTable, lastStep } from "./runchart.mjs";

const SECONDS_PER_EPOCH = 1.6;

const byId = (id) => document.getElementById(id);
const calm = window.matchMedia("(prefers-reduced-motion: reduce)");

const player = { record: null, orders: null, price: 0, at: 0, seen: 0, stopped: null, timer: 0 };

const marksSeen = (step) => player.record.marks.filter((mark) => mark.step <= step);
const atEnd = () => player.seen >= lastStep(player.record);
const money = (seconds) => (seconds === null ? null : (seconds / 3600) * player.price);

function clock(seconds) {
  if (seconds === null) return "not timed";
  if (seconds < 100) return `${seconds.toFixed(seconds < 10 ? 1 : 0)}\u00a0s`;
  const whole = Math.round(seconds);
  return `${Math.floor(whole / 60)}\u00a0min ${String(whole % 60).padStart(2, "0")}\u00a0s`;
}

const cost = (seconds) => (seconds === null ? "not timed" : String(Number(money(seconds).toPrecision(2))));

/** A run's name as it stands before the end: its last part is the preset, which would answer the question. */
const withoutPreset = (title) => title.replace(/(\d{8}-\d{6}(-sgd)?)-[\w.-]+$/, "$1");

/** Take a run that was read (see `records.mjs`) and go to its beginning. */
export function loadRun(record) {
  Object.assign(player, { record, at: 0, seen: 0, stopped: null });
  clearInterval(player.timer);
  byId("loader").hidden = true;
  byId("player").hidden = false;
  fillKey(byId("replay-key"), record);
  showPlayer();
}

function fail(problem) {
  // Only our own words: a problem of another kind must not hide.
  if (!(problem instanceof RecordProblem)) throw problem;
  byId("load-error").textContent = problem.message;
}

async function loadText(text) {
  byId("load-error").textContent = "";
  try {
    const trimmed = text.trim();
    const record = !trimmed.startsWith("{") || hasLine(trimmed) ? await readLine(text, player.orders) : readRun(text);
    byId("pasted").value = "";
    loadRun(record);
    byId("ask").focus();
  } catch (problem) {
    fail(problem);
  }
}

async function loadFile() {
  const [file] = byId("file").files;
  if (!file) return;
  byId("load-error").textContent = "";
  if (file.size > LARGEST_FILE) byId("load-error").textContent = "This file is too large to be the record of a run.";
  else await loadText(await file.text());
  byId("file").value = "";
}

function showPlayer() {
  const { record, at, seen } = player;
  redrawReplay();
  fillMarks(byId("replay-table"), record, { until: at });
  const scrub = byId("scrub");
  scrub.max = lastStep(record);
  scrub.value = at;
  const share = seen / lastStep(record);
  scrub.style.setProperty(
    "--track",
    `linear-gradient(90deg, #7fb2d2 calc(0.7rem + ${share} * (100% - 1.4rem)), var(--line) 0)`,
  );
  const epoch = marksSeen(at).at(-1);
  byId("scrub-step").textContent = `${at} of ${lastStep(record)}`;
  scrub.setAttribute("aria-valuetext", `step ${at}, ${marksWords(epoch)}`);
  const seconds = secondsAt(record, at);
  const meter = (name, value, beside) =>
    html("div", {}, html("dt", {}, name), html("dd", {}, html("b", {}, value), html("span", {}, beside)));
  byId("meters").replaceChildren(
    meter("time", clock(seconds), "so far"),
    meter("cost", cost(seconds), "in your currency"),
    meter("epochs", epochText(epoch), `of ${epochText(record.marks.at(-1))}`),
  );
  showQuestion();
}

const epochText = (mark) => tickText(Number(mark.epoch.toFixed(2)));
const marksWords = (mark) =>
  `${mark.epoch === 0 ? "before training" : `after epoch ${epochText(mark)}`}: training loss ${two(mark.train)}, ` +
  `validation loss ${two(mark.validation)}, macro-F1 ${two(mark.f1)}`;

function showQuestion() {
  const { record, seen, stopped } = player;
  const open = stopped !== null || atEnd();
  const mark = marksSeen(seen).at(-1);
  const whole = mark.step === seen;
  const next = nextEpochSeconds(record, seen);
  byId("run-title").textContent = open ? record.title : withoutPreset(record.title);
  byId("ask-buttons").hidden = open;
  byId("outcome").hidden = !open;
  byId("continue").textContent = seen === 0 ? "Start" : whole ? "Continue" : "To the end of this epoch";
  byId("one-step").disabled = byId("continue").disabled = Boolean(player.timer);
  byId("stop").hidden = seen === 0;
  if (open) {
    byId("ask").textContent = stopped === null ? "The run ends here." : `You stopped at step ${stopped}.`;
    byId("ask-text").textContent = stopped === null ? endWords() : "This is what was still to come, and what it would have cost.";
    showOutcome();
  } else if (seen === 0) {
    byId("ask").textContent = "The model is untrained.";
    byId("ask-text").textContent = `${capital(marksWords(mark))}. Each epoch costs time and money. When do you stop?`;
  } else {
    byId("ask").textContent = `${whole ? `Epoch ${epochText(mark)}` : `Step ${seen}`} is done.`;
    const price = next === null ? "" : ` One more epoch: about ${clock(next)}, ${cost(next)}.`;
    byId("ask-text").textContent = `${capital(marksWords(mark))}.${price} Stop, or continue?`;
  }
}

const capital = (text) => text[0].toUpperCase() + text.slice(1);

function endWords() {
  const { outcome } = player.record;
  if (outcome === "diverged") return "Its loss stopped being a usable number.";
  return outcome === "interrupted" ? "It was interrupted." : "You paid for all of it.";
}

function showOutcome() {
  const { record, stopped } = player;
  const end = lastStep(record);
  const trained = record.marks.slice(1).filter((mark) => mark.validation !== null);
  const best = trained.reduce((low, mark) => (low === null || mark.validation < low.validation ? mark : low), null);
  const row = (name, mark, step) => [name, two(mark.validation), two(mark.f1), clock(secondsAt(record, step)), cost(secondsAt(record, step))];
  const rows = [];
  if (stopped !== null) rows.push(row("your stop", marksSeen(stopped).at(-1), stopped));
  if (best) rows.push(row(`epoch ${epochText(best)}, lowest loss`, best, best.step));
  rows.push(row("the whole run", record.marks.at(-1), end));
  fillTable(byId("outcome-table"), ["", "validation loss", "macro-F1", "time", "cost"], rows);
  byId("outcome-verdict").textContent = capital(record.verdict);
  const reasons = [...record.reasons, ...(record.next ? [`Next dial: ${record.next}`] : [])];
  if (!reasons.length) reasons.push("Its reasons do not travel in a share line: adopt the run in a notebook to read them.");
  byId("outcome-reasons").replaceChildren(...reasons.map((reason) => html("li", {}, reason)));
}

/** Draw the run again, as after a change of the window's size. */
export function redrawReplay() {
  const { record, stopped, at } = player;
  if (!record || byId("replay").hidden) return;
  const open = stopped !== null || atEnd();
  drawRun(byId("replay-loss"), record, open ? lastStep(record) : at, open ? (stopped ?? at) : at);
}

function advance(step) {
  player.seen = Math.max(player.seen, Math.min(step, lastStep(player.record)));
  player.at = player.seen;
}

function arrive() {
  clearInterval(player.timer);
  player.timer = 0;
  showPlayer();
  byId("replay-said").textContent = `${byId("ask").textContent} ${byId("ask-text").textContent}`;
}

function nextEpoch() {
  const goal = player.record.marks.find((mark) => mark.step > player.seen)?.step ?? lastStep(player.record);
  if (calm.matches) {
    advance(goal);
    arrive();
    return;
  }
  const frames = SECONDS_PER_EPOCH * 25;
  const stride = Math.max(1, Math.ceil((goal - player.seen) / frames));
  player.timer = setInterval(() => {
    advance(Math.min(goal, player.seen + stride));
    if (player.seen >= goal) arrive();
    else showPlayer();
  }, 40);
}

function oneStep() {
  const next = player.record.steps.find(([step]) => step > player.seen)?.[0] ?? lastStep(player.record);
  advance(next);
  arrive();
}

function stop() {
  clearInterval(player.timer);
  player.timer = 0;
  player.stopped = player.seen;
  // Everything may be looked at now: what was missed is the lesson.
  player.seen = lastStep(player.record);
  showPlayer();
  byId("ask").focus();
}

function priceTyped() {
  const price = Number.parseFloat(byId("price").value.replace(",", "."));
  const good = price >= 0 && price < 1e6;
  byId("price").setAttribute("aria-invalid", String(!good));
  if (!good) return;
  player.price = price;
  if (player.record) showPlayer();
}

/** Wire the replay's controls; `facts` has the price per hour and the orders of a share line's lists. */
export function setUpReplay({ price, orders }) {
  Object.assign(player, { price, orders });
  byId("price").value = price;
  byId("file").addEventListener("change", loadFile);
  byId("load").addEventListener("click", () => loadText(byId("pasted").value));
  byId("scrub").addEventListener("input", (event) => {
    // Only what was paid for can be looked at again.
    player.at = Math.min(Number(event.target.value), player.seen);
    showPlayer();
  });
  byId("continue").addEventListener("click", nextEpoch);
  byId("one-step").addEventListener("click", oneStep);
  byId("stop").addEventListener("click", stop);
  byId("price").addEventListener("input", priceTyped);
  byId("again").addEventListener("click", () => {
    loadRun(player.record);
    byId("ask").focus();
  });
  byId("other").addEventListener("click", () => {
    clearInterval(player.timer);
    player.timer = 0;
    player.record = null;
    byId("player").hidden = true;
    byId("loader").hidden = false;
    byId("file").focus();
  });
}
