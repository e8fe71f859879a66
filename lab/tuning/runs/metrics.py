"""The arithmetic of every score the workshop shows: accuracy, macro-F1, loss, their intervals and the gap.

Pure numpy and scipy, so that the backup lab can use it without torch. The `evaluate` adapter for the Trainer is
`tuning.training.scoring`; two recorded runs are held against each other in `tuning.runs.paired_comparison`.

The *generalisation gap* has one definition everywhere: training accuracy minus validation accuracy, both measured after
training, in evaluation mode, on fixed subsets.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
import scipy  # and not its parts: scipy.stats is loaded when it is used, which keeps the first cell quick

from tuning.data.labels import LABELS
from tuning.runs.scores import RecordedScores

# Training sentences on which training scores are measured.
CHECK_SIZE = 300
BOOTSTRAP_SAMPLES = 2_000
CONFIDENCE = 0.95


@dataclasses.dataclass(frozen=True)
class Scores:
    """How a set of predictions did on one part of the data."""

    size: int  # Sentences scored.
    correct: int  # Sentences whose most likely label is right.
    # Between 0 and 1.
    accuracy: float
    f1_macro: float
    loss: float  # Mean cross-entropy in nats; NaN where the logits are not finite.
    f1: dict[str, float]  # F1 of each label.
    predicted: dict[str, int]  # How often each label was predicted.
    # Mean probability of the label that was predicted, over the sentences on which it is wrong; None where the model
    # makes no mistake, or its logits are not finite.
    mistake_confidence: float | None = None


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Logarithm of the softmax probabilities, in float64; logits have the shape (sentences, labels)."""
    shifted = logits.astype(np.float64) - np.max(logits, axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def cross_entropy(logits: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Loss of each sentence: minus the log-probability of its true label, in nats; logits are (sentences, labels)."""
    return -log_softmax(logits)[np.arange(len(truth)), truth]


def confusion(truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Count sentences by true label (rows) and predicted label (columns), shape (labels, labels)."""
    size = len(LABELS)
    return np.bincount(truth * size + predicted, minlength=size * size).reshape(size, size)


def f1_per_label(table: np.ndarray) -> np.ndarray:
    """F1 of each label from a confusion table: 2 TP / (2 TP + FP + FN), and 0 for a label never seen nor predicted.

    From shape (..., labels, labels) to (..., labels).
    """
    hits = np.diagonal(table, axis1=-2, axis2=-1)
    total = table.sum(axis=-1) + table.sum(axis=-2)
    return 2 * hits / np.maximum(total, 1)


def score(logits: np.ndarray, truth: Sequence[int] | np.ndarray) -> Scores:
    """Score predictions against the true labels.

    Parameters
    ----------
    logits : numpy.ndarray of shape (sentences, labels)
    truth : sequence of int, length sentences
        Index of the true label in ``tuning.data.loading.LABELS``.

    Returns
    -------
    Scores
        From logits that are not finite (a diverged model) the loss is NaN, and the label that ``argmax`` gives counts.
    """
    truth = np.asarray(truth, dtype=int)
    predicted = logits.argmax(axis=-1)
    table = confusion(truth, predicted)
    f1 = f1_per_label(table)
    with np.errstate(invalid="ignore", over="ignore"):
        loss = float(cross_entropy(logits, truth).mean())
    return Scores(
        size=len(truth),
        correct=int(np.trace(table)),
        accuracy=float(np.trace(table) / len(truth)),
        f1_macro=float(f1.mean()),
        loss=loss if np.isfinite(loss) else float("nan"),
        f1=dict(zip(LABELS, f1.tolist(), strict=True)),
        predicted=dict(zip(LABELS, table.sum(axis=0).tolist(), strict=True)),
        mistake_confidence=mistake_confidence(logits, truth),
    )


def mistake_confidence(logits: np.ndarray, truth: Sequence[int] | np.ndarray) -> float | None:
    """How sure a model is where it is wrong: the mean probability of its answers to the sentences that it gets wrong.

    From logits of shape (sentences, labels); None without mistakes, or where the logits are not finite.
    """
    wrong = logits[logits.argmax(axis=-1) != np.asarray(truth)]
    if not len(wrong) or not np.isfinite(wrong).all():
        return None
    return float(np.exp(log_softmax(wrong).max(axis=-1)).mean())


def majority(truth: Sequence[int] | np.ndarray) -> dict[str, float | str]:
    """Score the model that always says the most frequent label: ``label``, ``accuracy`` and ``f1_macro``."""
    truth = np.asarray(truth, dtype=int)
    top = int(np.bincount(truth, minlength=len(LABELS)).argmax())
    always = np.eye(len(LABELS))[np.full(len(truth), top)]
    scores = score(always, truth)
    return {"label": LABELS[top], "accuracy": scores.accuracy, "f1_macro": scores.f1_macro}


def accuracy_interval(correct: int, size: int) -> tuple[float, float]:
    """95% interval of an accuracy (Wilson score interval, through scipy)."""
    interval = scipy.stats.binomtest(correct, size).proportion_ci(CONFIDENCE, method="wilson")
    return float(interval.low), float(interval.high)


def f1_interval(logits: np.ndarray, truth: Sequence[int] | np.ndarray, seed: int = 0) -> tuple[float, float]:
    """95% interval of macro-F1: percentile bootstrap over sentences, through scipy.

    Parameters
    ----------
    logits : numpy.ndarray of shape (sentences, labels)
    """
    truth = np.asarray(truth, dtype=int)
    pairs = truth * len(LABELS) + logits.argmax(axis=-1)

    def macro_f1(sample: np.ndarray, axis: int = -1) -> np.ndarray:
        kinds = np.arange(len(LABELS) ** 2)
        counts = np.stack([(sample == kind).sum(axis=axis) for kind in kinds], axis=-1)
        return f1_per_label(counts.reshape(*counts.shape[:-1], len(LABELS), len(LABELS))).mean(axis=-1)

    result = scipy.stats.bootstrap(
        (pairs,),
        macro_f1,
        n_resamples=BOOTSTRAP_SAMPLES,
        confidence_level=CONFIDENCE,
        method="percentile",
        rng=np.random.default_rng(seed),
        vectorized=True,
        batch=500,
    )
    return float(result.confidence_interval.low), float(result.confidence_interval.high)


def gap_interval(train: Scores, validation: Scores) -> tuple[float, float]:
    """95% interval of the generalisation gap in accuracy.

    Newcombe's hybrid score interval for the difference of two independent proportions (Newcombe 1998, Statistics in
    Medicine 17, 873-890, method 10): the Wilson limits of each part, combined by squares.
    """
    low_t, high_t = accuracy_interval(train.correct, train.size)
    low_v, high_v = accuracy_interval(validation.correct, validation.size)
    gap = train.accuracy - validation.accuracy
    below = np.hypot(train.accuracy - low_t, high_v - validation.accuracy)
    above = np.hypot(high_t - train.accuracy, validation.accuracy - low_v)
    return float(gap - below), float(gap + above)


def summary(
    train: Scores, validation: Scores, logits: np.ndarray, truth: np.ndarray, intervals: bool = True
) -> RecordedScores:
    """Put the scores of both parts together as the record keeps them, with the gap.

    They are the keys of ``final`` in ``run.schema.json``, weight movement apart. Logits and true labels are those of
    the validation sentences; without the 95% intervals it is quicker.
    """
    scores: RecordedScores = {
        "train_accuracy": train.accuracy,
        "train_loss": train.loss,
        "val_accuracy": validation.accuracy,
        "val_f1_macro": validation.f1_macro,
        "val_loss": validation.loss,
        "val_f1": validation.f1,
        "val_predicted": validation.predicted,
        "val_mistake_confidence": validation.mistake_confidence,
        "gap_accuracy": train.accuracy - validation.accuracy,
        "gap_loss": validation.loss - train.loss,
        "train_size": train.size,
        "val_size": validation.size,
    }
    if intervals:
        scores["val_accuracy_interval"] = list(accuracy_interval(validation.correct, validation.size))
        scores["val_f1_macro_interval"] = list(f1_interval(logits, truth))
        scores["gap_accuracy_interval"] = list(gap_interval(train, validation))
    return scores
