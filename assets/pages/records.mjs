// A run from a run.json or from a share line, read without trust, in the form that the pages draw.
//
// That form: title, rate, steps [[step, loss or null]], marks (the untrained model first, then each epoch: epoch, step,
// train, validation, accuracy, f1, seconds), majority, predicted, moved, outcome, verdict, reasons, next.

import { hex, sha256 } from "./sealed.mjs";

export const LARGEST_FILE = 4_000_000;
const LONGEST_BODY = 6_000;
const LONGEST_RECORD = 60_000;
const MOST_STEPS = 100_000;
const MOST_EPOCHS = 1_000;
const LONGEST_TEXT = 400;
const LARGEST_NUMBER = 1e12;
const DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/** What is wrong with a file or a line, in one sentence for the reader. */
export class RecordProblem extends Error {}

const refuse = (reason) => {
  throw new RecordProblem(reason);
};
const NOT_OURS = "This is not the record of a run of this workshop.";
const need = (good) => good || refuse(NOT_OURS);

function number(value) {
  if (value === null || value === undefined) return null;
  need(typeof value === "number" && Math.abs(value) <= LARGEST_NUMBER);
  return value;
}

function text(value) {
  need(typeof value === "string");
  return value.slice(0, LONGEST_TEXT);
}

function list(value, most) {
  need(Array.isArray(value) && value.length <= most);
  return value;
}

function plain(value) {
  need(typeof value === "object" && value !== null && !Array.isArray(value));
  return value;
}

function rising(steps) {
  steps.forEach(([step], at) => need(Number.isInteger(step) && step > (at ? steps[at - 1][0] : 0)));
  return steps;
}

/** The untrained model, then each epoch, each at the step where it ended. */
function marksOf(baseline, epochs, perEpoch) {
  const start = {
    epoch: 0,
    step: 0,
    train: number(baseline.train_loss),
    validation: number(baseline.val_loss),
    accuracy: number(baseline.val_accuracy),
    f1: number(baseline.val_f1_macro),
    seconds: 0,
  };
  const rows = epochs.map((row) => {
    need(number(row.epoch) > 0);
    return {
      epoch: row.epoch,
      step: Math.round(row.epoch * perEpoch),
      train: number(row.train_loss),
      validation: number(row.val_loss),
      accuracy: number(row.val_accuracy),
      f1: number(row.val_f1_macro),
      seconds: number(row.seconds),
    };
  });
  rows.forEach((row, at) => need(row.epoch > (at ? rows[at - 1].epoch : 0) && (row.seconds ?? 0) >= 0));
  return [start, ...rows];
}

function counts(predicted) {
  if (!predicted) return null;
  const known = Object.entries(plain(predicted)).slice(0, 3);
  return known.map(([label, count]) => [text(label), number(count) ?? 0]);
}

/** Read the text of a `run.json`. */
export function readRun(source) {
  if (source.length > LARGEST_FILE) refuse("This file is too large to be the record of a run.");
  let record;
  try {
    record = plain(JSON.parse(source));
  } catch {
    return refuse("This file is not a run.json: it cannot be read as JSON.");
  }
  const steps = rising(list(record.steps, MOST_STEPS).map((row) => [plain(row).step, number(row.loss)]));
  const last = record.steps.at(-1);
  const perEpoch = last && number(last.epoch) > 0 ? last.step / last.epoch : 1;
  const [baseline, final] = [plain(record.baseline), plain(record.final)];
  const diagnosis = plain(record.diagnosis);
  return {
    title: text(record.run_id),
    rate: number(record.learning_rate),
    steps,
    marks: marksOf(baseline, list(record.epochs, MOST_EPOCHS).map(plain), perEpoch),
    majority: majority(plain(record.majority)),
    predicted: counts(final.val_predicted),
    moved: number(final.weight_movement),
    outcome: text(record.outcome),
    verdict: text(diagnosis.verdict ?? "unclear"),
    reasons: list(diagnosis.reasons ?? [], 20).map(text),
    next: text(diagnosis.next_dial ?? ""),
  };
}

function majority({ label, accuracy, f1_macro: f1 }) {
  return label === undefined ? null : { label: text(label), accuracy: number(accuracy), f1: number(f1) };
}

/** Is there the beginning of a share line in this text? */
export function hasLine(source) {
  return /W6W\d/.test(source);
}

/** Read one share line, however a chat has wrapped or quoted it; `orders` says what stands where (`maintain.pages`). */
export async function readLine(source, orders) {
  if (source.length > LARGEST_FILE) refuse("This text is too long.");
  const straight = source.replace(/[\u2010-\u2014\u2212]/g, "-");
  const starts = [...straight.matchAll(/W6W\d/g)];
  if (starts.length === 0) refuse("There is no share line in this text. It begins with W6W and ends with END.");
  if (starts.length > 1) refuse(`${starts.length} share lines were found; give one.`);
  const kept = straight.slice(starts[0].index, starts[0].index + LONGEST_BODY + 3_000).replace(/[^0-9A-Za-z-]/g, "");
  if (!/^W6W[12]-/.test(kept)) refuse("This line comes from another version of the workshop.");
  if (!kept.includes("-END")) refuse("This line is cut off: its end is missing. Copy it again, whole.");
  const found = /^(W6W[12]-(\d{1,5})-([0-9A-Za-z]+))-([0-9a-f]{12})-END/.exec(kept);
  if (!found || found[3].length !== Number(found[2]) || found[3].length > LONGEST_BODY) {
    refuse("This line is altered: characters were lost or added on the way. Copy it again.");
  }
  if (hex(sha256(new TextEncoder().encode(found[1]))).slice(0, 12) !== found[4]) {
    refuse("This line is altered: its checksum does not fit. Copy it again.");
  }
  let record;
  try {
    record = JSON.parse(await inflated(fromBase62(found[3])));
  } catch {
    return refuse(NOT_OURS);
  }
  return fromTravelling(plain(record), orders);
}

function fromBase62(body) {
  let value = 0n;
  for (const digit of body) value = value * 62n + BigInt(DIGITS.indexOf(digit));
  const digits = value.toString(16);
  const even = digits.length % 2 ? `0${digits}` : digits;
  const bytes = Uint8Array.from(even.match(/../g), (pair) => Number.parseInt(pair, 16));
  // A leading 1 keeps zero bytes at the front.
  need(bytes[0] === 1);
  return bytes.subarray(1);
}

/** Decompress, and stop where a small line would grow to a large text. */
async function inflated(bytes) {
  const reader = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate")).getReader();
  const parts = [];
  let size = 0;
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    size += part.value.length;
    if (size > LONGEST_RECORD) {
      await reader.cancel();
      refuse(NOT_OURS);
    }
    parts.push(part.value);
  }
  return new TextDecoder("utf-8", { fatal: true }).decode(await new Blob(parts).arrayBuffer());
}

const named = (names, values) => Object.fromEntries(names.map((name, at) => [name, values[at]]));

function fromTravelling(record, orders) {
  const [perEpoch, gaps, losses] = list(record.s, 4);
  need(number(perEpoch) > 0);
  let step = 0;
  const steps = list(gaps, MOST_STEPS).map((gap, at) => {
    need(Number.isInteger(gap));
    step += gap;
    const loss = number(list(losses, MOST_STEPS)[at]);
    return [step, loss === null ? null : loss / 100];
  });
  const scores = (packed) => named(orders.scores, list(packed, 100));
  const final = list(record.F, 100);
  const predicted = final.slice(orders.predicted, orders.predicted + orders.labels.length);
  const [label, accuracy, f1] = list(record.M, 3);
  return {
    title: `${text(record.n)}, ${text(record.i)}`,
    rate: number(record.r),
    steps: rising(steps),
    marks: marksOf(scores(record.B), list(record.E, MOST_EPOCHS).map((row) => named(orders.epoch, list(row, 20))), perEpoch),
    majority: label === null ? null : majority({ label, accuracy, f1_macro: f1 }),
    predicted: predicted.some((count) => typeof count === "number") ? counts(named(orders.labels, predicted)) : null,
    moved: number(list(record.w, 60)[0]),
    outcome: text(record.o),
    verdict: orders.verdicts[record.g] ?? refuse(NOT_OURS),
    reasons: [],
    next: "",
  };
}

/** Seconds up to a step: whole epochs, and a share of the one under way. Null where none was timed. */
export function secondsAt(record, step) {
  const timed = record.marks.slice(1).filter(({ seconds }) => seconds !== null);
  if (!timed.length) return null;
  const usual = timed.reduce((sum, { seconds }) => sum + seconds, 0) / timed.length;
  let total = 0;
  for (let at = 1; at < record.marks.length; at += 1) {
    const [before, mark] = [record.marks[at - 1], record.marks[at]];
    const share = Math.min(1, Math.max(0, (step - before.step) / (mark.step - before.step)));
    total += share * (mark.seconds ?? usual);
  }
  return total;
}

/** Seconds of one more epoch, from the mean of those so far, as `tuning.runs.diagnosis.convergence` reckons. */
export function nextEpochSeconds(record, step) {
  const seconds = record.marks.slice(1).filter((mark) => mark.step <= step && mark.seconds !== null).map((mark) => mark.seconds);
  return seconds.length ? seconds.reduce((sum, one) => sum + one, 0) / seconds.length : null;
}

/** Length of the moving average of a run, in steps, as `tuning.figures.smoothing.window` says. */
export function averageWindow(steps) {
  return Math.min(20, Math.max(5, Math.floor(((steps.at(-1)?.[0] ?? 0) + 5) / 10)));
}

/** The moving average of step losses, as `tuning.figures.smoothing.moving_average` computes it; null where nothing is known. */
export function movingAverage(steps) {
  const width = averageWindow(steps);
  let [begin, total, known] = [0, 0, 0];
  const count = (loss, sign) => {
    if (loss === null) return;
    total += sign * loss;
    known += sign;
  };
  return steps.map(([step, loss]) => {
    count(loss, 1);
    for (; steps[begin][0] <= step - width; begin += 1) count(steps[begin][1], -1);
    return known ? total / known : null;
  });
}
