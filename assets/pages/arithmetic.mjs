// Loss surfaces with two weights, and a ball that goes downhill on them by SGD. Nothing here knows of a page.
// A point is [x, y]; a curvature matrix is [xx, xy, yy].

/** A quadratic with these two curvatures, its first axis turned by `angle` (radians); lowest point 0 at the origin. */
export function quadratic(curvatures, angle) {
  const [c, s] = [Math.cos(angle), Math.sin(angle)];
  const [k, m] = curvatures;
  const [xx, xy, yy] = [k * c * c + m * s * s, (k - m) * c * s, k * s * s + m * c * c];
  return {
    loss: ([x, y]) => 0.5 * (xx * x * x + 2 * xy * x * y + yy * y * y),
    gradient: ([x, y]) => [xx * x + xy * y, xy * x + yy * y],
    curvature: () => [xx, xy, yy],
  };
}

/** Round wells `{at, depth, width}` in a wide bowl of curvature `spring`; `height` is added everywhere. */
export function wells(holes, spring, height = 0) {
  const parts = (x, y) =>
    holes.map(({ at, depth, width }) => {
      const [dx, dy, square] = [x - at[0], y - at[1], width * width];
      return { dx, dy, square, pull: depth * Math.exp(-(dx * dx + dy * dy) / (2 * square)) };
    });
  return {
    loss: ([x, y]) => parts(x, y).reduce((sum, { pull }) => sum - pull, height + 0.5 * spring * (x * x + y * y)),
    gradient: ([x, y]) =>
      parts(x, y).reduce(
        ([gx, gy], { dx, dy, square, pull }) => [gx + (pull * dx) / square, gy + (pull * dy) / square],
        [spring * x, spring * y],
      ),
    curvature: ([x, y]) =>
      parts(x, y).reduce(
        ([xx, xy, yy], { dx, dy, square, pull }) => [
          xx + (pull / square) * (1 - (dx * dx) / square),
          xy - (pull * dx * dy) / (square * square),
          yy + (pull / square) * (1 - (dy * dy) / square),
        ],
        [spring, 0, spring],
      ),
  };
}

/**
 * Logistic regression with two weights: mean log loss over the sentences plus a weak spring to zero.
 * `inputs` holds two numbers for each sentence, `truth` 1 or 0. `rows` asks for the slope on these sentences only.
 */
export function twoWords(inputs, truth, spring) {
  const all = inputs.map((_, row) => row);
  const chance = (score) => 1 / (1 + Math.exp(-score));
  const logOnePlusExp = (score) => Math.max(score, 0) + Math.log1p(Math.exp(-Math.abs(score)));
  return {
    sentences: inputs.length,
    loss: ([x, y]) => {
      const sum = inputs.reduce((total, [a, b], row) => {
        const score = a * x + b * y;
        return total + logOnePlusExp(truth[row] ? -score : score);
      }, 0);
      return sum / inputs.length + 0.5 * spring * (x * x + y * y);
    },
    gradient: ([x, y], rows = all) => {
      let [gx, gy] = [0, 0];
      for (const row of rows) {
        const [a, b] = inputs[row];
        const off = chance(a * x + b * y) - truth[row];
        gx += off * a;
        gy += off * b;
      }
      return [gx / rows.length + spring * x, gy / rows.length + spring * y];
    },
    curvature: ([x, y]) => {
      let [xx, xy, yy] = [0, 0, 0];
      for (const [a, b] of inputs) {
        const p = chance(a * x + b * y);
        xx += p * (1 - p) * a * a;
        xy += p * (1 - p) * a * b;
        yy += p * (1 - p) * b * b;
      }
      return [xx / inputs.length + spring, xy / inputs.length, yy / inputs.length + spring];
    },
  };
}

/** The larger eigenvalue of a curvature matrix. */
export function largestCurvature([xx, xy, yy]) {
  return (xx + yy) / 2 + Math.hypot((xx - yy) / 2, xy);
}

/** The lowest point that Newton's method finds from `start`; a step that does not go down is halved. */
export function lowestPoint(surface, start) {
  let point = start;
  for (let round = 0; round < 100; round += 1) {
    const [gx, gy] = surface.gradient(point);
    if (Math.hypot(gx, gy) < 1e-13) break;
    const [xx, xy, yy] = surface.curvature(point);
    const area = xx * yy - xy * xy;
    const step = [(yy * gx - xy * gy) / area, (xx * gy - xy * gx) / area];
    const here = surface.loss(point);
    let share = 1;
    const next = () => [point[0] - share * step[0], point[1] - share * step[1]];
    while (share > 1e-6 && surface.loss(next()) > here) share /= 2;
    if (share <= 1e-6) break;
    point = next();
  }
  return point;
}

/** The largest rate at which steps still shrink near a lowest point whose largest curvature is `steepest`. */
export function stableLimit(steepest, momentum = 0) {
  return (2 * (1 + momentum)) / steepest;
}

/** Random numbers that are the same for the same seed: `uniform()` in [0, 1), `normal()`, `below(n)`. */
export function randomStream(seed) {
  let state = seed >>> 0;
  const uniform = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
  return {
    uniform,
    normal: () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform()),
    below: (count) => Math.floor(uniform() * count),
  };
}

/** Sentences in a batch for a noise between 0 (all of them) and 1 (a single one). */
export function batchSize(noise, sentences) {
  return Math.min(sentences, [sentences, 32, 16, 8, 4, 2, 1][Math.round(noise * 6)]);
}

/**
 * A ball that starts at `start` and moves by SGD with momentum, as PyTorch computes it:
 * velocity = momentum * velocity + slope; point = point - rate * velocity.
 *
 * Noise is what a batch does to the slope. Where the surface is made of sentences, it is a real batch of them; elsewhere
 * it is a normal error whose typical length is `noise` times the length of the slope at `usualStart`.
 */
export function newWalk(surface, start, seed, usualStart = start) {
  const random = randomStream(seed);
  const scale = Math.hypot(...surface.gradient(usualStart)) / Math.SQRT2;
  const walk = { points: [start], losses: [surface.loss(start)], rates: [], velocity: [0, 0], gone: false };

  const slope = (noise) => {
    const point = walk.points.at(-1);
    if (surface.sentences) {
      const size = batchSize(noise, surface.sentences);
      if (size >= surface.sentences) return surface.gradient(point);
      return surface.gradient(
        point,
        Array.from({ length: size }, () => random.below(surface.sentences)),
      );
    }
    const [gx, gy] = surface.gradient(point);
    return noise ? [gx + noise * scale * random.normal(), gy + noise * scale * random.normal()] : [gx, gy];
  };

  walk.step = ({ rate, momentum, noise }) => {
    if (walk.gone) return;
    const [gx, gy] = slope(noise);
    const [vx, vy] = [momentum * walk.velocity[0] + gx, momentum * walk.velocity[1] + gy];
    const [x, y] = walk.points.at(-1);
    const point = [x - rate * vx, y - rate * vy];
    const loss = surface.loss(point);
    walk.velocity = [vx, vy];
    walk.points.push(point);
    walk.losses.push(loss);
    walk.rates.push(rate);
    // Beyond this nothing is left to see, and numbers would soon stop being finite.
    walk.gone = !(loss < 1e6 * Math.max(walk.losses[0], 1));
  };
  return walk;
}
