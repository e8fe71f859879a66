// Each goal can be reached, and not by its first, obvious try; what a walk looks like is said in the right words.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { newWalk } from "../../assets/pages/arithmetic.mjs";
import { bounces, GOALS, reading } from "../../assets/pages/goals.mjs";
import { makeSurfaces } from "../../assets/pages/surfaces.mjs";

const page = readFileSync(new URL("../../assets/playground.html", import.meta.url), "utf8");
const FACTS = JSON.parse(/id="facts">(.*?)<\/script>/s.exec(page)[1]);
const PLACES = makeSurfaces(FACTS.model);

/** Roll a ball: `legs` are [steps, dials] in order; the rate is a share of the limit. */
function rolled(id, legs, seed = 1) {
  const place = PLACES[id];
  const walk = newWalk(place.surface, place.start, seed);
  let settings;
  for (const [steps, { share, momentum = 0, noise = 0 }] of legs) {
    settings = { rate: share * place.limit(momentum), momentum, noise };
    for (let step = 0; step < steps; step += 1) walk.step(settings);
  }
  return { walk, settings, place };
}

const reached = (goal, legs, seed) => GOALS[goal].check(rolled(GOALS[goal].surface, legs, seed)).reached;

test("every goal has a surface, a task and a question", () => {
  for (const goal of GOALS) {
    assert.ok(PLACES[goal.surface]);
    assert.match(goal.task, /\.$/);
    assert.match(goal.think, /\?$/);
  }
});

test("goal 1: a good rate does it, one that is too low or too high does not", () => {
  assert.ok(reached(0, [[30, { share: 0.1 }]]));
  assert.ok(!reached(0, [[60, { share: 0.0005 }]]));
  assert.ok(!reached(0, [[60, { share: 1.6 }]]));
});

test("goal 2: bouncing begins at half the limit", () => {
  assert.ok(!reached(1, [[10, { share: 0.48 }]]));
  assert.ok(reached(1, [[10, { share: 0.52 }]]));
  assert.ok(!reached(1, [[10, { share: 0.8 }]]));
  assert.ok(!reached(1, [[5, { share: 0.8 }], [5, { share: 0.52 }]]));
  assert.ok(!reached(1, [[10, { share: 0.52, noise: 0.5 }]]));
  assert.ok(bounces(rolled("bowl", [[10, { share: 0.8 }]]).walk, [0, 0]));
});

test("goal 3: no rate does it alone, with momentum many do", () => {
  const shares = Array.from({ length: 60 }, (_, at) => (at + 1) / 50);
  assert.ok(shares.every((share) => !reached(2, [[40, { share }]])));
  assert.ok(shares.filter((share) => reached(2, [[40, { share, momentum: 0.8 }]])).length > 5);
});

test("goal 4: the rate of a preset stays in the narrow valley; a longer step, momentum or noise may leave it", () => {
  assert.ok(!reached(3, [[60, { share: FACTS.shares.JUST_RIGHT }]]));
  assert.ok(reached(3, [[60, { share: 0.85 }]]));
  assert.ok(reached(3, [[60, { share: 0.2, momentum: 0.9 }]]));
});

test("goal 5: JUST_RIGHT is mostly too slow, a rate near the limit too restless, something between does it", () => {
  const often = (share) => [1, 2, 3, 4, 5, 6].filter((seed) => reached(4, [[40, { share, noise: 0.5 }]], seed)).length;
  assert.ok(often(FACTS.shares.JUST_RIGHT) <= 2);
  assert.ok(Math.max(...[0.15, 0.2, 0.25, 0.3].map(often)) >= 4);
  assert.ok(often(1) === 0);
});

test("goal 6: only a rate cut in mid-run counts", () => {
  assert.ok(reached(5, [[30, { share: 0.3, noise: 0.5 }], [30, { share: 0.02, noise: 0.5 }]]));
  assert.ok(!reached(5, [[60, { share: 0.02, noise: 0.5 }]]));
  assert.ok(!reached(5, [[30, { share: 0.3, noise: 0.5 }], [30, { share: 0.29, noise: 0.5 }]]));
});

for (const [words, id, legs] of [
  ["Settled at the bottom", "bowl", [[60, { share: 0.3 }]]],
  ["Stalled", "bowl", [[60, { share: 0.0005 }]]],
  ["Gone", "bowl", [[60, { share: 1.6 }]]],
  ["Climbing", "bowl", [[20, { share: 1.03 }]]],
  ["Moving", "bowl", [[8, { share: 0.05 }]]],
  ["Creeping", "ravine", [[60, { share: 0.1 }]]],
  ["Settled in the narrow valley", "valleys", [[60, { share: 0.1 }]]],
  ["Settled in the wide valley", "valleys", [[60, { share: 0.85 }]]],
  ["Hovering close to the lowest point", "words", [[40, { share: 0.1, noise: 0.5 }]]],
]) {
  test(`a walk that reads "${words}"`, () => assert.match(reading(rolled(id, legs)), new RegExp(`^${words}`)));
}

test("a ball that hovers in noise is seldom said to move: it was in 12 of 24 draws", () => {
  for (const id of ["bowl", "ravine", "words"]) {
    const seeds = Array.from({ length: 24 }, (_, at) => at + 1);
    const moving = seeds.filter((seed) => reading(rolled(id, [[80, { share: 0.3, noise: 0.5 }]], seed)).startsWith("Moving"));
    assert.ok(moving.length <= 4, `${id}: ${moving.length}`);
  }
});

test("before its third step a walk is not judged", () => assert.equal(reading(rolled("bowl", [[2, { share: 0.1 }]])), ""));
