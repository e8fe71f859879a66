// The four surfaces of the playground: their arithmetic, where the ball starts, what the map shows, and the words.

import { largestCurvature, lowestPoint, quadratic, stableLimit, twoWords, wells } from "./arithmetic.mjs";

const WELLS = [
  { at: [-1.3, 0.6], depth: 0.9, width: 0.4 },
  { at: [1.1, -0.5], depth: 1.6, width: 0.9 },
];
const WIDE_BOWL = 0.15;

/** A surface with what the page needs to know about it; `valleys` are its low points, the deepest first, and their
 *  names say where: "in the wide valley". */
function described(surface, facts, valleys) {
  const found = valleys.map(({ name, near }) => {
    const point = lowestPoint(surface, near);
    return { name, point, steepest: largestCurvature(surface.curvature(point)) };
  });
  return {
    ...facts,
    surface,
    valleys: found,
    lowest: found[0].point,
    floor: surface.loss(found[0].point),
    limit: (momentum) => stableLimit(found[0].steepest, momentum),
  };
}

function twoValleys() {
  const raw = wells(WELLS, WIDE_BOWL);
  // Lifted so that the deepest point has loss 0, as on the other drawn surfaces.
  const height = -raw.loss(lowestPoint(raw, WELLS[1].at));
  return described(
    wells(WELLS, WIDE_BOWL, height),
    {
      id: "valleys",
      title: "Two valleys",
      about: "A narrow valley near the start, a wide and deeper one beyond.",
      weights: ["first weight", "second weight"],
      start: [-2.3, 1.7],
      centre: [-0.35, 0.2],
      reach: 2.3,
      spread: 1,
      horizon: 60,
    },
    [
      { name: "in the wide valley", near: WELLS[1].at },
      { name: "in the narrow valley", near: WELLS[0].at },
    ],
  );
}

/** All surfaces by their id; `model` is the backup lab's two-word model: words, inputs, truth, spring, steps. */
export function makeSurfaces(model) {
  const sentences = twoWords(model.inputs, model.truth, model.spring);
  const star = lowestPoint(sentences, [0, 0]);
  const all = [
    described(
      quadratic([2, 2], 0),
      {
        id: "bowl",
        title: "Bowl",
        about: "Equally steep on all sides.",
        weights: ["first weight", "second weight"],
        start: [-1.6, 1.2],
        centre: [0, 0],
        reach: 2.5,
        spread: 2,
        horizon: 60,
      },
      [{ name: "at the bottom", near: [0, 0] }],
    ),
    described(
      quadratic([0.02, 2], 0.4),
      {
        id: "ravine",
        title: "Ravine",
        about: "A hundred times steeper across than along.",
        weights: ["first weight", "second weight"],
        start: [-3, -0.2],
        centre: [-0.6, -0.2],
        reach: 2.9,
        spread: 2,
        horizon: 60,
      },
      [{ name: "at the bottom", near: [0, 0] }],
    ),
    twoValleys(),
    described(
      sentences,
      {
        id: "words",
        title: "Two words",
        about: `Real: the model of notebook 02 that sees only “${model.words[0]}” and “${model.words[1]}”.`,
        weights: model.words.map((word) => `weight of “${word}”`),
        start: [0, 0],
        centre: [star[0] / 2, star[1] / 2],
        reach: 1.15 * Math.max(Math.abs(star[0]), Math.abs(star[1])),
        spread: 2,
        horizon: model.steps,
      },
      [{ name: "at the lowest point", near: [0, 0] }],
    ),
  ];
  return Object.fromEntries(all.map((one) => [one.id, one]));
}
