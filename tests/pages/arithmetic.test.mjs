// The ball's arithmetic against what can be said without it. Numbers against numpy: tests/maintain/test_pages.py.

import assert from "node:assert/strict";
import { test } from "node:test";

import * as arithmetic from "../../assets/pages/arithmetic.mjs";
import { makeSurfaces } from "../../assets/pages/surfaces.mjs";

const MODEL = {
  words: ["up", "down"],
  inputs: [
    [0.3, 0],
    [0, 0.2],
    [0.1, 0.4],
    [0.25, 0.1],
  ],
  truth: [1, 0, 0, 1],
  spring: 0.002,
  steps: 40,
};
const PLACES = Object.values(makeSurfaces(MODEL));
const POINTS = [
  [0, 0],
  [1.3, -0.7],
  [-2.1, 1.4],
];
const close = (found, expected, within) =>
  assert.ok(Math.abs(found - expected) <= within, `${found} is not within ${within} of ${expected}`);

function rolled(place, dials, steps, seed = 1) {
  const walk = arithmetic.newWalk(place.surface, place.start, seed);
  for (let step = 0; step < steps; step += 1) walk.step(dials);
  return walk;
}

for (const place of PLACES) {
  test(`${place.id}: the gradient is the slope of the loss, the curvature the slope of the gradient`, () => {
    const tiny = 1e-5;
    for (const point of POINTS) {
      const nudged = (axis, by) => point.map((value, at) => value + (at === axis ? by : 0));
      const gradient = place.surface.gradient(point);
      const [xx, xy, yy] = place.surface.curvature(point);
      for (const axis of [0, 1]) {
        const [up, down] = [nudged(axis, tiny), nudged(axis, -tiny)];
        close(gradient[axis], (place.surface.loss(up) - place.surface.loss(down)) / (2 * tiny), 1e-7);
        const [dx, dy] = place.surface.gradient(up).map((value, at) => value - place.surface.gradient(down)[at]);
        close([xx, xy][axis], dx / (2 * tiny), 1e-6);
        close([xy, yy][axis], dy / (2 * tiny), 1e-6);
      }
    }
  });

  test(`${place.id}: nothing lies lower than the lowest point, and the floor is its loss`, () => {
    assert.ok(Math.hypot(...place.surface.gradient(place.lowest)) < 1e-9);
    for (const point of [...POINTS, place.start, ...place.valleys.map((valley) => valley.point)]) {
      assert.ok(place.surface.loss(point) >= place.floor - 1e-12);
    }
  });

  test(`${place.id}: just below the limit small steps settle, just above they do not`, () => {
    for (const momentum of [0, 0.5, 0.9]) {
      const distance = (share) => {
        const start = place.lowest.map((value) => value + 1e-4);
        const walk = arithmetic.newWalk(place.surface, start, 1);
        for (let step = 0; step < 800; step += 1) walk.step({ rate: share * place.limit(momentum), momentum, noise: 0 });
        return walk.losses.at(-1) - place.floor;
      };
      const before = place.surface.loss(place.lowest.map((value) => value + 1e-4)) - place.floor;
      assert.ok(distance(0.98) < before);
      assert.ok(distance(1.02) > before);
    }
  });

  test(`${place.id}: the same seed gives the same walk, another seed another one`, () => {
    const dials = { rate: 0.1 * place.limit(0), momentum: 0.3, noise: 1 };
    assert.deepEqual(rolled(place, dials, 30, 4).points, rolled(place, dials, 30, 4).points);
    assert.notDeepEqual(rolled(place, dials, 30, 4).points, rolled(place, dials, 30, 5).points);
  });
}

test("the limit is 2 (1 + momentum) / largest curvature", () => {
  assert.equal(arithmetic.stableLimit(4), 0.5);
  assert.equal(arithmetic.stableLimit(4, 0.9), 0.95);
  close(arithmetic.largestCurvature([2, 1, 2]), 3, 1e-12);
});

test("on a round bowl one step of half the limit reaches the bottom", () => {
  const [bowl] = PLACES;
  close(rolled(bowl, { rate: bowl.limit(0) / 2, momentum: 0, noise: 0 }, 1).losses[1], 0, 1e-20);
});

test("random numbers have the mean and spread that they should", () => {
  const random = arithmetic.randomStream(7);
  const normal = Array.from({ length: 20_000 }, random.normal);
  const mean = normal.reduce((sum, value) => sum + value, 0) / normal.length;
  close(mean, 0, 0.03);
  close(normal.reduce((sum, value) => sum + (value - mean) ** 2, 0) / normal.length, 1, 0.04);
  const counts = [0, 0, 0, 0, 0];
  for (let draw = 0; draw < 10_000; draw += 1) counts[random.below(5)] += 1;
  counts.forEach((count) => close(count, 2000, 200));
});

test("noise of 1 is as long as the slope at the start, on average over many steps", () => {
  const [bowl] = PLACES;
  const rate = 1e-6;
  const walk = rolled(bowl, { rate, momentum: 0, noise: 1 }, 4000, 3);
  const slope = Math.hypot(...bowl.surface.gradient(bowl.start));
  const squares = walk.points.slice(1).map(([x, y], at) => {
    const [px, py] = walk.points[at];
    const [gx, gy] = bowl.surface.gradient([px, py]);
    return ((px - x) / rate - gx) ** 2 + ((py - y) / rate - gy) ** 2;
  });
  close(Math.sqrt(squares.reduce((sum, value) => sum + value, 0) / squares.length) / slope, 1, 0.05);
});

test("batches: all sentences without noise, a single one with the most", () => {
  assert.deepEqual([0, 1, 2, 3, 4, 5, 6].map((at) => arithmetic.batchSize(at / 6, 40)), [40, 32, 16, 8, 4, 2, 1]);
  assert.equal(arithmetic.batchSize(1 / 6, 20), 20);
});

test("a ball that has left for good stops, with numbers that are still finite", () => {
  const [bowl] = PLACES;
  const walk = rolled(bowl, { rate: 50, momentum: 0.9, noise: 1 }, 200);
  assert.ok(walk.gone);
  assert.ok(walk.losses.length < 20);
  assert.ok(walk.losses.every(Number.isFinite));
});
