// Numbers for people, ticks, and lines of equal height.

import assert from "node:assert/strict";
import { test } from "node:test";

import { contourLevels, contourPath, heightGrid, shade } from "../../assets/pages/contours.mjs";
import { linePath, say, ticks, tickText, two } from "../../assets/pages/drawing.mjs";

test("numbers are written for people", () => {
  assert.deepEqual([0, 0.25, 12.345, 123.4, 12345, 0.00012, -0.5].map(say), ["0", "0.250", "12.3", "123", "12,345", "0.00012", "−0.500"]);
  assert.equal(say(Number.NaN), "no number");
  assert.equal(two(null), "no number");
  assert.equal(two(-1.005), "−1.00");
  assert.deepEqual([0.1 + 0.2, -2, 1e5, 1e-5].map(tickText), ["0.3", "−2", "10⁵", "10⁻⁵"]);
});

test("ticks are round and lie inside", () => {
  assert.deepEqual(ticks(0, 60, 6), [0, 10, 20, 30, 40, 50, 60]);
  assert.deepEqual(ticks(-2.6, 2.6, 6).map(tickText), ["−2", "−1", "0", "1", "2"]);
});

test("a line breaks where a value is missing", () => {
  assert.equal(linePath([[0, 0], [1, 1], null, [2, 2]]), "M0.0 0.0L1.0 1.0M2.0 2.0");
});

test("the line at one height of a round bowl is a circle", () => {
  const [size, reach] = [2, 3];
  const heights = heightGrid(([x, y]) => x * x + y * y, [-reach, -reach], [reach, reach], 121, 121);
  const path = contourPath(heights, 4, size);
  const points = [...path.matchAll(/[ML]([\d.]+) ([\d.]+)/g)].map(([, x, y]) => [Number(x), Number(y)]);
  assert.ok(points.length > 200);
  for (const [px, py] of points) {
    const [x, y] = [px, py].map((at) => (at / (120 * size)) * 2 * reach - reach);
    assert.ok(Math.abs(Math.hypot(x, y) - 2) < 0.01);
  }
});

test("levels rise, and the shade is darkest where the loss is lowest", () => {
  const heights = heightGrid(([x, y]) => x * x + y * y, [-1, -1], [1, 1], 21, 21);
  const levels = contourLevels(heights, 0, 2, 5);
  assert.ok(levels.every((level, at) => at === 0 || level > levels[at - 1]));
  const image = { width: 9, height: 9, data: new Uint8ClampedArray(9 * 9 * 4) };
  shade(image, heights, levels, [[0, 0, 0], [255, 255, 255]]);
  assert.equal(image.data[4 * (4 * 9 + 4)], 0);
  assert.equal(image.data[0], 255);
});
