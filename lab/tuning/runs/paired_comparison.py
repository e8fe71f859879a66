"""Two recorded runs held against each other, sentence by sentence: is the second model better, or was it luck?"""

import dataclasses
import math
from statistics import NormalDist

import numpy as np
import scipy  # and not its parts: scipy.stats is loaded when it is used, which keeps the first cell quick

from tuning.data.labels import LABELS
from tuning.errors import RunError
from tuning.runs.metrics import BOOTSTRAP_SAMPLES, CONFIDENCE, f1_per_label
from tuning.runs.record import Run
from tuning.runs.store import load_predictions

# Standard errors on each side of a 95% interval.
Z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Two trained models on the same validation sentences.

    It says which of two *models* is better here. Which of two *settings* is better needs several seeds of each.
    """

    names: tuple[str, str]  # What the two are called, first and second.
    f1: tuple[float, float]  # Macro-F1 of each, 0 to 1.
    interval: tuple[float, float]  # 95% interval of second minus first, by :func:`difference_interval`.
    # Sentences that one model alone has right.
    only_first: int
    only_second: int
    p: float  # McNemar's exact p-value, by :func:`mcnemar`.
    size: int  # Sentences compared.

    @property
    def difference(self) -> float:
        """Macro-F1 of the second model minus that of the first."""
        return self.f1[1] - self.f1[0]

    @property
    def shown(self) -> bool:
        """Whether the interval leaves out zero."""
        return self.interval[0] > 0 or self.interval[1] < 0

    @property
    def sentence(self) -> str:
        """The result in one plain sentence, in points: hundredths of macro-F1."""
        first, second = self.names
        if self.only_first == self.only_second == self.difference == 0:
            return f"{first} and {second} have the same sentences right: no difference."
        word = "worse" if self.difference < 0 else "better"
        low, high = (100 * end for end in self.interval)
        verdict = "shown" if self.shown else "not shown"
        return (
            f"{second} is {word} than {first} by {100 * abs(self.difference):.1f} points of macro-F1;"
            f" between {low:.1f} and {high:.1f}: {verdict}."
        )

    def __str__(self) -> str:
        first, second = self.names
        p = f"p = {self.p:.3f}" if self.p >= 0.001 else "p < 0.001"
        return (
            f"{self.sentence} Of {self.size} sentences, {first} alone has {self.only_first} right and {second} alone"
            f" {self.only_second} (McNemar's exact test: {p})."
        )


def compare(run_a: Run, run_b: Run, names: tuple[str, str] = ("A", "B")) -> Comparison:
    """Is the second run's model better than the first's, on the same validation sentences?

    A `RunError` where predictions are not here, or the two were validated on other sentences or labels.
    """
    first, second = (load_predictions(run).set_index("id") for run in (run_a, run_b))
    same = first.index.symmetric_difference(second.index).empty
    if not same or not first["label"].equals(second["label"].reindex(first.index)):
        raise RunError(
            f"{run_a.run_id} and {run_b.run_id} were validated on different sentences or labels, so they cannot be"
            " compared. Choose two runs with the same DATA."
        )
    second = second.reindex(first.index)
    truth = np.array([LABELS.index(label) for label in first["label"]])
    predicted = [frame[list(LABELS)].to_numpy().argmax(axis=1) for frame in (first, second)]
    return of_labels(truth, *predicted, names=names)


def of_labels(truth: np.ndarray, first: np.ndarray, second: np.ndarray, names: tuple[str, str]) -> Comparison:
    """Is the second model better than the first, by label indices that each said about the same sentences?"""
    counts = joint_counts(truth, first, second)
    only_first = int(((first == truth) & (second != truth)).sum())
    only_second = int(((second == truth) & (first != truth)).sum())
    return Comparison(
        names=names,
        f1=tuple(float(f1) for f1 in _both_f1(counts)),
        interval=difference_interval(counts),
        only_first=only_first,
        only_second=only_second,
        p=mcnemar(only_first, only_second),
        size=len(truth),
    )


def joint_counts(truth: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Count sentences by true label and by what each of two models says, all three label indices of shape (sentences,).

    The shape is (labels, labels, labels): truth, first model, second model.
    """
    size = len(LABELS)
    cells = (np.asarray(truth) * size + first) * size + second
    return np.bincount(cells, minlength=size**3).reshape(size, size, size)


def _both_f1(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Macro-F1 of both models from joint counts of shape (..., labels, labels, labels)."""
    return f1_per_label(counts.sum(axis=-1)).mean(axis=-1), f1_per_label(counts.sum(axis=-2)).mean(axis=-1)


def difference_interval(counts: np.ndarray, seed: int = 0) -> tuple[float, float]:
    """95% interval of the difference in macro-F1, second minus first: paired percentile bootstrap over sentences.

    Sentences are drawn again with replacement, each with both models' answers, so that what makes a sentence hard for
    both cancels (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13). Drawing sentences is the
    same as drawing the counts of their kinds (:func:`joint_counts`) from a multinomial distribution, which is a hundred
    times faster.
    """
    size = int(counts.sum())
    drawn = np.random.default_rng(seed).multinomial(size, counts.ravel() / size, size=BOOTSTRAP_SAMPLES)
    first, second = _both_f1(drawn.reshape(-1, *counts.shape))
    low, high = np.quantile(second - first, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


def mcnemar(only_first: int, only_second: int) -> float:
    """McNemar's exact test, two-sided: could two equally accurate models disagree so unevenly by luck?

    Only the sentences that exactly one model has right count; with equal models each is a fair coin (McNemar 1947,
    Psychometrika 12, 153-157).
    """
    disagree = only_first + only_second
    return float(scipy.stats.binomtest(only_first, disagree, 0.5).pvalue) if disagree else 1.0


def accuracy_difference(only_first: int, only_second: int, size: int) -> tuple[float, float]:
    """95% interval of the difference in accuracy, second minus first, on the same sentences, also where those are few.

    Bonett and Price's adjusted Wald interval: one sentence is added to each way of disagreeing (2012, Journal of
    Educational and Behavioral Statistics 37, 479-488).
    """
    first, second = ((count + 1) / (size + 2) for count in (only_first, only_second))
    reach = Z * math.sqrt((first + second - (second - first) ** 2) / (size + 2))
    return max(second - first - reach, -1.0), min(second - first + reach, 1.0)
