// Reading a run without trust, its time and cost, and sealing.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import {
  averageWindow,
  movingAverage,
  nextEpochSeconds,
  readLine,
  readRun,
  RecordProblem,
  secondsAt,
} from "../../assets/pages/records.mjs";
import { cleanName, newVisitor, scoreLine } from "../../assets/pages/score.mjs";
import { crc32, hex, sha256, unseal } from "../../assets/pages/sealed.mjs";

const STORED = new URL("../../assets/reference_runs/over-training.json", import.meta.url);
const SOURCE = readFileSync(STORED, "utf8");
const changed = (change) => {
  const record = JSON.parse(SOURCE);
  change(record);
  return JSON.stringify(record);
};

test("a run.json becomes what the pages draw", () => {
  const [run, stored] = [readRun(SOURCE), JSON.parse(SOURCE)];
  assert.equal(run.title, stored.run_id);
  assert.equal(run.steps.length, stored.steps.length);
  assert.equal(run.marks.length, stored.epochs.length + 1);
  assert.equal(run.marks[0].validation, stored.baseline.val_loss);
  assert.equal(run.marks.at(-1).step, stored.steps.at(-1).step);
  assert.equal(run.verdict, stored.diagnosis.verdict);
});

const HOSTILE = {
  "no JSON": "{",
  "a list": "[]",
  nothing: "null",
  "steps that are no list": changed((record) => (record.steps = { length: 5 })),
  "a step that is a text": changed((record) => (record.steps[3].step = "<img src=x onerror=alert(1)>")),
  "steps that go back": changed((record) => (record.steps[3].step = 1)),
  "a loss that is a text": changed((record) => (record.steps[3].loss = "NaN")),
  "an absurd loss": changed((record) => (record.steps[3].loss = 1e300)),
  "epochs that repeat": changed((record) => (record.epochs[1].epoch = record.epochs[0].epoch)),
  "a negative time": changed((record) => (record.epochs[1].seconds = -1)),
  "very many epochs": changed((record) => (record.epochs = Array(2000).fill(record.epochs[0]))),
  "no baseline": changed((record) => delete record.baseline),
  "an endless text": "9".repeat(5_000_000),
  "deep nesting": `{"steps":${"[".repeat(5000)}${"]".repeat(5000)}}`,
};
for (const [name, source] of Object.entries(HOSTILE)) {
  test(`a file with ${name} is refused in one sentence`, () => {
    assert.throws(() => readRun(source), (problem) => problem instanceof RecordProblem && /^[A-Z].*\.$/.test(problem.message));
  });
}

test("a hostile title stays a text, and a long one is cut", () => {
  const run = readRun(changed((record) => (record.run_id = `<script>${"x".repeat(5000)}`)));
  assert.equal(run.title.length, 400);
});

test("a run without an epoch and a run without a finished step can be read", () => {
  const none = readRun(changed((record) => (record.epochs = [])));
  assert.equal(secondsAt(none, 10), null);
  assert.equal(readRun(changed((record) => Object.assign(record, { steps: [], epochs: [] }))).marks.length, 1);
});

const REFUSED = {
  "no line": ["good morning", /no share line/],
  "two lines": ["W6W1-3-abc-0123456789ab-END W6W1-3-abc-0123456789ab-END", /2 share lines/],
  "a cut line": ["W6W1-300-abc", /cut off/],
  "a changed line": ["W6W1-3-abc-0123456789ab-END", /checksum/],
  "a wrong length": ["W6W1-4-abc-0123456789ab-END", /altered/],
  "another version": ["W6W3-3-abc-0123456789ab-END", /another version/],
};
for (const [name, [source, reason]] of Object.entries(REFUSED)) {
  test(`${name} is refused with the reason`, async () => {
    await assert.rejects(readLine(source, {}), (problem) => problem instanceof RecordProblem && reason.test(problem.message));
  });
}

test("time grows with the steps and ends at the sum of the epochs", () => {
  const run = readRun(SOURCE);
  const total = run.marks.reduce((sum, mark) => sum + mark.seconds, 0);
  assert.equal(secondsAt(run, 0), 0);
  assert.ok(Math.abs(secondsAt(run, run.marks.at(-1).step) - total) < 1e-9);
  const half = (run.marks[1].step + run.marks[2].step) / 2;
  assert.ok(Math.abs(secondsAt(run, half) - run.marks[1].seconds - run.marks[2].seconds / 2) < 1e-9);
  assert.equal(nextEpochSeconds(run, 1), null);
  assert.equal(nextEpochSeconds(run, run.marks[2].step), (run.marks[1].seconds + run.marks[2].seconds) / 2);
});

test("the moving average passes over what is not known", () => {
  assert.deepEqual(movingAverage([[1, 3], [2, null], [3, 1], [4, 2]]), [3, 3, 2, 2]);
  assert.deepEqual(movingAverage([[1, null]]), [null]);
  assert.equal(averageWindow([]), 5);
});

test("SHA-256 equals Node's, at every length around a block's end", () => {
  for (const size of [0, 1, 54, 55, 56, 63, 64, 65, 119, 120, 128, 1000]) {
    const bytes = Uint8Array.from({ length: size }, (_, at) => (at * 7 + size) % 256);
    assert.equal(hex(sha256(bytes)), createHash("sha256").update(bytes).digest("hex"));
  }
});

test("what was sealed with another key does not open", () => {
  const page = readFileSync(new URL("../../assets/clinic.html", import.meta.url), "utf8");
  const { cases, causes } = JSON.parse(/id="facts">(.*?)<\/script>/s.exec(page)[1]);
  for (const { item, sealed } of cases) {
    for (const [, cause] of causes) {
      assert.ok(unseal(sealed[cause], `case ${item}, ${cause}`).reasons.length > 0);
      assert.throws(() => unseal(sealed[cause], `case ${item}`));
    }
  }
});

test("the score line is the one of tuning.room.clinic's description", () => {
  assert.equal(crc32("123456789"), "cbf43926");
  const body = "7b226b223a223966303361316337222c226e223a22426c75652034222c2261223a5b5b372c302c322c312c38302c322c315d5d7d";
  const line = scoreLine({ visitor: "9f03a1c7", name: "Blue 4", answers: [[7, 0, 2, 1, 80, 2, 1]] });
  assert.equal(line, `W6C1-104-${body}-65e6ef3c-END`);
});

test("names are cleaned as tuning.room.validators cleans them, and visitors differ", () => {
  assert.equal(cleanName("  Blue   4 "), "Blue 4");
  assert.equal(cleanName(""), "");
  for (const bad of ["=1+1", "<b>", "-x", "x".repeat(41), "a\u0000b", "😀"]) assert.equal(cleanName(bad), null);
  for (const good of ["O\u2019Neill", "हिन्दी टीम", "தமிழ் குழு", "मराठी"]) assert.equal(cleanName(good), good);
  assert.match(newVisitor(), /^[0-9a-f]{8}$/);
  assert.notEqual(newVisitor(), newVisitor());
});
