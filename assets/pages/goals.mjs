// What to try on each surface, how the page sees that it was done, and what a walk looks like in words.

import { batchSize } from "./arithmetic.mjs";

const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
const steps = (run) => run.walk.losses.length - 1;
const away = ([x, y], [a, b]) => Math.hypot(x - a, y - b);

/** The first step at which the loss is at most `target`, or -1. */
export function firstBelow(losses, target) {
  return losses.findIndex((loss) => loss <= target);
}

/** Does every one of the first steps land on the other side of the lowest point? */
export function bounces({ points }, lowest, count = 5) {
  const from = points.slice(0, count + 1).map(([x, y]) => [x - lowest[0], y - lowest[1]]);
  return from.length > count && from.slice(1).every(([x, y], before) => x * from[before][0] + y * from[before][1] < 0);
}

function reachBelow(target, within) {
  return (run) => {
    const at = firstBelow(run.walk.losses, target);
    if (at >= 0 && at <= within) return { reached: true, told: `Reached at step ${at}.` };
    const best = Math.min(...run.walk.losses.slice(0, within + 1));
    return { reached: false, told: steps(run) ? `Lowest so far: ${best.toPrecision(3)}.` : "" };
  };
}

/** The step after which the rate was cut to a third or less, with ten steps on either side; -1 if there is none. */
function rateCut(rates) {
  return rates.findIndex((rate, at) => at >= 10 && at <= rates.length - 10 && rate <= rates[at - 1] / 3);
}

/**
 * The goals in order. `check(run)` gets `{ walk, settings, place }` (a walk, the dials now, a surface with its facts) and
 * answers `{ reached, told }`. A goal counts from the usual start only.
 */
export const GOALS = [
  {
    surface: "bowl",
    task: "Get the loss under 0.01 in 30 steps.",
    think: "More than one rate does it. Which one needs the fewest steps?",
    line: 0.01,
    check: reachBelow(0.01, 30),
  },
  {
    surface: "bowl",
    task: "No noise, no momentum: find the lowest rate at which the ball bounces, each step landing across the bottom.",
    think: "Double that rate until the ball leaves for good: that is the limit. Why does the loss still fall in between?",
    check: ({ walk, settings, place }) => {
      if (settings.noise || settings.momentum) return { reached: false, told: "Set noise and momentum to zero." };
      if (walk.rates.length < 5) return { reached: false, told: "" };
      if (new Set(walk.rates).size > 1) return { reached: false, told: "The rate changed on the way: reset, run again." };
      if (!bounces(walk, place.lowest)) return { reached: false, told: "It does not bounce yet." };
      const lowest = walk.rates[0] <= 0.55 * place.limit(0);
      return { reached: lowest, told: lowest ? "This is where it starts." : "It bounces. Does a lower rate bounce too?" };
    },
  },
  {
    surface: "ravine",
    task: "Get the loss under 0.01 in 40 steps. One dial is not enough.",
    think: "The steepest direction sets the limit. Which direction sets the waiting time, and what does momentum do there?",
    line: 0.01,
    check: reachBelow(0.01, 40),
  },
  {
    surface: "valleys",
    task: "End in the wide valley after 60 steps.",
    think: "What carried the ball across: a long step, momentum or noise? Draw new noise five times: skill or luck?",
    check: ({ walk, place }) => {
      if (walk.rates.length < 60) return { reached: false, told: walk.rates.length ? "Let it run to step 60." : "" };
      const reached = away(walk.points[60], place.lowest) < 0.8;
      return { reached, told: reached ? "It lies in the wide valley." : "It ended elsewhere." };
    },
  },
  {
    surface: "words",
    task: "Batches of 8: come within 0.02 of the lowest loss by step 4, and still be there on average at the end.",
    think: "Double that rate, then double it again. What changes first: the speed, or how still the ball lies at the end?",
    line: 0.02,
    check: ({ walk, settings, place }) => {
      if (batchSize(settings.noise, place.surface.sentences) !== 8) {
        return { reached: false, told: "Set the batch to 8 sentences." };
      }
      if (walk.rates.length < place.horizon) {
        return { reached: false, told: walk.rates.length ? `Let it run to step ${place.horizon}.` : "" };
      }
      const at = firstBelow(walk.losses, place.floor + 0.02);
      const over = mean(walk.losses.slice(place.horizon - 9, place.horizon + 1)) - place.floor;
      const reached = at >= 0 && at <= 4 && over <= 0.02;
      const arrived = at < 0 ? "It never came that close" : `It came that close at step ${at}`;
      return { reached, told: `${arrived}; its last ten steps lie ${over.toPrecision(2)} above the lowest.` };
    },
  },
  {
    surface: "bowl",
    task: "Noise at half or more: let the ball hover, then calm it in mid-run without starting again.",
    think: "What you did by hand is a schedule. Which dial of notebook 01 does it for you, and what did it cost in speed?",
    check: ({ walk, settings }) => {
      if (settings.noise < 0.5) return { reached: false, told: "Set the noise to half of the slope or more." };
      const cut = rateCut(walk.rates);
      if (cut < 0) return { reached: false, told: walk.rates.length ? "It hovers. Which dial calms it?" : "" };
      const [before, after] = [mean(walk.losses.slice(cut - 9, cut + 1)), mean(walk.losses.slice(-10))];
      const reached = after < before / 2;
      return { reached, told: reached ? "Calmer by more than half." : "A little calmer. Give it time, or cut further." };
    },
  },
];

/** What the walk looks like now, in one sentence; empty before the third step. */
export function reading({ walk, place }) {
  const { losses, points, gone } = walk;
  const count = losses.length - 1;
  if (gone) return "Gone: each step lands higher.";
  if (count < 3) return "";
  const first = losses[0] - place.floor;
  const near = place.valleys.find(({ point }) => away(points[count], point) < 0.02 * place.reach);
  const still = away(points[count], points[count - 1]) < 0.01 * place.reach;
  if (near && still) return `Settled ${near.name}.`;
  const width = Math.min(10, Math.floor(count / 2));
  const late = mean(losses.slice(-width)) - place.floor;
  const early = mean(losses.slice(-2 * width, -width)) - place.floor;
  if (late < 0.03 * first && early < 0.03 * first) return "Hovering close to the lowest point.";
  if (losses.every((loss) => Math.abs(loss - losses[0]) < 0.15 * first)) {
    return "Stalled: it has hardly moved.";
  }
  // A ball that hovers in noise is lower than a moment ago in every second draw, but not lower than ever before.
  const before = losses.slice(0, losses.length - width).map((_, at) => mean(losses.slice(at, at + width)) - place.floor);
  const best = Math.min(...before.slice(0, before.length - width + 1));
  if (late < 0.9 * best) return "Moving: the loss is still falling.";
  const downhill = losses.slice(-width - 1).every((loss, at, recent) => at === 0 || loss < recent[at - 1]);
  if (downhill) return "Creeping: downhill, by very little.";
  if (late > 1.1 * early && late > 0.5 * first) return "Climbing: the steps up are longer than the steps down.";
  return "Hovering: it moves and gets no lower.";
}
