"""A model small enough to see: logistic regression with two weights, its loss surface, and the path of SGD on it.

The two features are the TF-IDF values of the word that most speaks for *positive* and the one that most speaks for
*negative*. Two weights can be drawn on paper: every point of the plane is a model, and its height is its loss.
"""

import dataclasses

import numpy as np
from scipy import optimize, special

from tuning.data.labels import LABELS
from tuning.sgd.classifier import Features

STEPS = 40
BATCH = 8
# A weak spring to zero gives the surface a lowest point: without it the best weights would lie at infinity.
SPRING = 2e-3
# As shares of the largest stable step, 2 / largest curvature.
SHARES = {"TOO_LOW": 0.0005, "JUST_RIGHT": 0.1, "TOO_HIGH": 1.6}


@dataclasses.dataclass(frozen=True)
class Path:
    """A walk of SGD: the weights after every step, shape (steps + 1, 2), and the loss there, shape (steps + 1,)."""

    rate: float
    weights: np.ndarray
    losses: np.ndarray


class TwoWeights:
    """Is a sentence positive (1) or negative (0)? Two words and two weights decide.

    Parameters
    ----------
    features : Features
        TF-IDF vectors of training sentences; neutral ones, and those with neither word, are left out.

    Attributes
    ----------
    words : tuple of str
        The word for positive, then the word for negative.
    inputs : numpy.ndarray of shape (sentences, 2)
        TF-IDF values of the two words.
    truth : numpy.ndarray of shape (sentences,)
        1 for positive, 0 for negative.
    """

    def __init__(self, features: Features) -> None:
        opinion = features.train_labels != LABELS.index("neutral")
        vectors, truth = features.train[opinion], features.train_labels[opinion] == LABELS.index("positive")
        names = features.vectorizer.get_feature_names_out()
        single = np.array([" " not in name and name.isalpha() for name in names])
        lean = np.asarray(vectors[truth].sum(axis=0) - vectors[~truth].sum(axis=0)).ravel()
        lean[~single] = 0
        chosen = [int(lean.argmax()), int(lean.argmin())]
        inputs = vectors[:, chosen].toarray()
        decided = inputs.any(axis=1)
        self.words = (str(names[chosen[0]]), str(names[chosen[1]]))
        self.inputs = inputs[decided]
        self.truth = truth[decided].astype(float)

    def loss(self, weights: np.ndarray) -> np.ndarray:
        """Mean log loss at one or many points of the plane, shape (..., 2), spring included."""
        scores = weights @ self.inputs.T
        likely = np.logaddexp(0, -scores) * self.truth + np.logaddexp(0, scores) * (1 - self.truth)
        return likely.mean(axis=-1) + SPRING / 2 * np.square(weights).sum(axis=-1)

    def gradient(self, weights: np.ndarray, rows: np.ndarray | slice = slice(None)) -> np.ndarray:
        """Slope of the loss in the two weights, shape (2,), on some sentences or on all."""
        inputs, truth = self.inputs[rows], self.truth[rows]
        return (special.expit(inputs @ weights) - truth) @ inputs / len(truth) + SPRING * weights

    def lowest(self) -> np.ndarray:
        """The weights with the lowest loss, shape (2,), found by L-BFGS."""
        exact = {"ftol": 1e-15, "gtol": 1e-12}
        return optimize.minimize(self.loss, np.zeros(2), jac=self.gradient, method="L-BFGS-B", options=exact).x

    def stable_limit(self) -> float:
        """The largest rate at which steps near the lowest point still shrink: 2 / largest curvature there."""
        chance = special.expit(self.inputs @ self.lowest())
        curvature = (self.inputs * (chance * (1 - chance))[:, None]).T @ self.inputs / len(self.truth)
        return float(2 / np.linalg.eigvalsh(curvature + SPRING * np.eye(2)).max())

    def rates(self) -> dict[str, float]:
        """The rate of each preset on this surface."""
        return {preset: share * self.stable_limit() for preset, share in SHARES.items()}

    def walk(self, rate: float, steps: int = STEPS, seed: int = 0) -> Path:
        """Go downhill with SGD from zero: one random batch of eight sentences per step."""
        rng = np.random.default_rng(seed)
        points = [np.zeros(2)]
        for _ in range(steps):
            rows = rng.integers(len(self.truth), size=BATCH)
            points.append(points[-1] - rate * self.gradient(points[-1], rows))
        weights = np.array(points)
        return Path(rate, weights, self.loss(weights))
