"""What a record shows: a run's measures, the table that they are held against, and the tree that reads the answers.

A run is measured once (`Facts`). Each measure is held against the table `THRESHOLDS`, and the answer is *yes*, *no* or,
inside the threshold's band, *open*. `readings_of` is the one decision tree, asked with every combination of the open
answers. Where all lead to one verdict, that is the verdict; otherwise the run is *unclear*. So a band lies between any
two verdicts that advise differently, and a small change of the numbers moves a run into the band, never across it.

`OUTCOMES` says once how a verdict, the room's word and the state of convergence go together.

Sources: the symptoms follow the learning-rate section of Goodfellow, Bengio and Courville, Deep Learning (2016),
chapters 8 and 11, and Google's Deep Learning Tuning Playbook (2023), section on training curves. *Measured* in the
table means that the value lies in a gap between recorded runs that people read differently: those in
``assets/reference_runs/`` and in ``tests/runs/recorded_curves.json``.
"""

import dataclasses
import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from tuning.data.labels import LABELS
from tuning.runs.record import Run


@dataclasses.dataclass(frozen=True)
class Threshold:
    """One limit: below `no` the answer is no, from `yes` on it is yes, and between them it is open.

    The two are equal where both sides advise the same, or where one side is *unclear* already.
    """

    name: str
    no: float
    yes: float
    unit: str
    tells: str
    source: str

    def ask(self, value: float | None) -> bool | None:
        """Yes, no, or None for open; what was not recorded is no."""
        if value is None or value < self.no:
            return False
        return True if value >= self.yes else None

    def row(self) -> tuple[str, ...]:
        """Name, value or band, unit, what a yes tells, and source, for a table that people read."""
        value = f"{self.no:g}" if self.no == self.yes else f"{self.no:g} to {self.yes:g}"
        return self.name, value, self.unit, self.tells, self.source


THRESHOLDS = (
    Threshold("enough steps", 10, 10, "steps", "the run can be judged", "two windows of five steps"),
    Threshold("long enough", 60, 60, "steps", "a good rate would show by now", "measured: 100 sentences, 2 epochs"),
    Threshold("exploded", 100, 100, "nats", "the loss has left for good", "ninety times ln 3, the loss of guessing"),
    Threshold("window", 40, 40, "sentences, in five steps or more", "where the loss stayed", "five batches of 8"),
    Threshold("jumped", 1.48, 1.56, "times the loss at the start", "the steps were too long", "measured"),
    Threshold("moved far", 0.02, 0.045, "share of the pretrained weights", "the steps were too long", "measured"),
    Threshold("came down", 0.04, 0.15, "share of the loss at the start", "training loss left its start", "measured"),
    Threshold("half way", 0.515, 0.58, "share of the loss at the start", "training loss came far down", "about half"),
    Threshold("learned", 0.38, 0.45, "share of the macro-F1 above majority", "it reads sentences", "measured"),
    Threshold("one answer", 0.97, 0.97, "share of the predictions", "one label for all", "a few may slip through"),
    Threshold("label found", 0.1, 0.1, "F1 of the worst label", "no label is left out", "what luck would give"),
    Threshold("named too often", 1.65, 1.65, "times its share in the data", "it leans to one label", "measured"),
    Threshold("F1 rose", 0.03, 0.07, "macro-F1", "it is no chance", "1.5 to 4 standard errors, 600 sentences"),
    Threshold("real gap", 0.225, 0.24, "lower end of the accuracy gap", "learned by heart", "measured"),
    Threshold("turned up", 1.17, 1.38, "times the lowest validation loss", "validation loss rose", "measured"),
    Threshold("far up", 1.58, 1.72, "times the lowest validation loss", "over-confident, learned by heart", "measured"),
    Threshold("training rose", 0.85, 1.08, "times the training loss then", "the rate is restless", "measured"),
    Threshold("still changing", 0.01, 0.01, "nats per epoch", "it has not converged", "the worksheet's rule"),
)
LIMITS = {threshold.name: threshold for threshold in THRESHOLDS}
WORKSHEET_DELTA = LIMITS["still changing"].yes
EPOCH_KEYS = ("epoch", "train_loss", "val_loss", "val_f1_macro", "val_accuracy", "seconds")
# Schedules that end at a rate of zero.
DECAYING = ("linear", "cosine")
# Larger numbers are typing errors, smaller losses are zero.
ABSURD, TINY = 1e9, 1e-6


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What goes together: a verdict, whether training loss came down, the room's word, and the convergence states.

    The states are those of a training loss that is falling, flat or rising at the end, compared with its lowest earlier
    epoch. A run of one epoch has the state *cannot tell*, whatever else is known.
    """

    verdict: str
    came_down: bool | None
    word: str
    falling: str
    flat: str
    rising: str


OUTCOMES = (
    Outcome("too low", False, "stalled", "stalled", "stalled", "stalled"),
    Outcome("too low", True, "moving", "still falling", "stalled", "stalled"),
    Outcome("just right", True, "moving", "still falling", "converged", "cannot tell"),
    Outcome("too high", False, "crashed", "still falling", "stalled", "rising"),
    Outcome("too high", True, "moving", "still falling", "stalled", "rising"),
    Outcome("overfitting", True, "moving", "still falling", "converged", "cannot tell"),
    Outcome("collapsed", None, "collapsed", "collapsed", "collapsed", "collapsed"),
    Outcome("diverged", None, "crashed", "cannot tell", "cannot tell", "cannot tell"),
    Outcome("unclear", False, "cannot tell", "stalled", "stalled", "rising"),
    Outcome("unclear", True, "moving", "still falling", "converged", "rising"),
)
VERDICTS = tuple(dict.fromkeys(outcome.verdict for outcome in OUTCOMES))
CALL_WORDS = ("moving", "stalled", "collapsed", "crashed")


class Facts:
    """The few numbers on which the rules stand, worked out from a record that may have holes."""

    def __init__(self, run: Run) -> None:
        self.run = run = _without_odd_numbers(run)
        self.losses = np.array([step["loss"] for step in run.steps if step["loss"] is not None], dtype=float)
        self.steps = int(run.steps[-1]["step"]) if run.steps else 0
        # An untrained model knows no sentence, so its two losses are alike; the mean is steadier than either.
        before = _mean(run.baseline.get(key) for key in ("train_loss", "val_loss"))
        self.start = before or next(iter(self.losses.tolist()), None) or None
        last = run.epochs[-1] if run.epochs else {}
        self.end, self.val, self.f1, self.accuracy = (
            last.get(key) if run.final.get(key) is None else run.final[key]
            for key in ("train_loss", "val_loss", "val_f1_macro", "val_accuracy")
        )
        self.gap: float | None = run.final.get("gap_accuracy")

    @property
    def diverged(self) -> bool:
        steps, final = self.run.steps, self.run.final
        last = steps[-1]["loss"] if steps else 0.0
        # Stopped by hand, a run may lack its scores for want of time.
        lost = self.run.outcome == "completed" and "val_loss" in final and final["val_loss"] is None
        left = last is None or any(LIMITS["exploded"].ask(loss) for loss in (last, self.end))
        return self.run.outcome == "diverged" or lost or left

    @property
    def complete(self) -> bool:
        """Are there enough steps, and the scores before and after?"""
        scores = (self.start, self.end, self.val, self.f1)
        return bool(LIMITS["enough steps"].ask(len(self.losses))) and None not in scores

    # Measures

    @property
    def window(self) -> int:
        """Neighbouring steps that `level` looks at together."""
        batch = max(self.run.dials.get("BATCH_SIZE") or 1, 1)
        return min(max(LIMITS["enough steps"].yes // 2, round(LIMITS["window"].yes / batch)), len(self.losses))

    @cached_property
    def level(self) -> float:
        """The highest median of neighbouring step losses: where the loss stayed for a while, not where it once was."""
        windows = np.lib.stride_tricks.sliding_window_view(self.losses, self.window)
        return float(np.median(windows, axis=1).max())

    @cached_property
    def fell(self) -> float:
        """Share by which the training loss fell, both ends in evaluation mode."""
        return (self.start - self.end) / self.start

    @cached_property
    def majority_f1(self) -> float:
        known = self.run.majority.get("f1_macro")
        share = max(self.shares.values(), default=1 / len(LABELS))
        return 2 * share / (1 + share) / len(LABELS) if known is None else known

    @cached_property
    def shares(self) -> dict[str, float]:
        """Share of each label in the data; empty where not recorded."""
        return _shares(self.run.data.get("label_counts"))

    @cached_property
    def answers(self) -> dict[str, float]:
        """Share of each label among the predictions on validation; empty where not recorded."""
        return _shares(self.run.final.get("val_predicted"))

    @cached_property
    def leaning(self) -> dict[str, float]:
        """How many times its share in the data each label is predicted."""
        return {label: share / self.shares[label] for label, share in self.answers.items() if self.shares.get(label)}

    @cached_property
    def label_f1(self) -> dict[str, float]:
        f1 = {label: value for label, value in (self.run.final.get("val_f1") or {}).items() if value is not None}
        return {label: value for label, value in f1.items() if self.shares.get(label) or not self.shares}

    @cached_property
    def rows(self) -> list[dict[str, Any]]:
        """Before training, and each epoch that has both losses."""
        before = {"epoch": 0, "train_loss": self.start, "val_loss": self.run.baseline.get("val_loss") or self.start}
        last = {"epoch": len(self.run.epochs), "train_loss": self.end, "val_loss": self.val, "val_f1_macro": self.f1}
        whole = [row for row in self.run.epochs[:-1] if None not in (row["train_loss"], row["val_loss"])]
        return [before | {"val_f1_macro": None}, *whole, last]

    @cached_property
    def lowest(self) -> dict[str, Any]:
        """The earlier row, before training included, with the lowest validation loss."""
        return min(self.rows[:-1], key=lambda row: row["val_loss"])

    @cached_property
    def change(self) -> float:
        """Change of the training loss against the lowest earlier row."""
        return self.end - min(row["train_loss"] for row in self.rows[:-1])

    @property
    def best_epoch(self) -> int:
        """The epoch to stop after: validation loss has been lowest by then, and macro-F1 is as good as it gets."""
        scored = [row for row in self.rows if row["val_f1_macro"] is not None]
        good = max(row["val_f1_macro"] for row in scored) - LIMITS["F1 rose"].yes
        first = next(row for row in scored if row["val_f1_macro"] >= good)
        return round(max(self.lowest["epoch"] or 0, first["epoch"] or 0))

    @cached_property
    def gap_interval(self) -> tuple[float | None, float | None]:
        """The interval of the accuracy gap; the gap itself where there is none."""
        match self.run.final.get("gap_accuracy_interval"):
            case [int() | float() as low, int() | float() as high]:
                return low, high
        return self.gap, self.gap

    # Answers

    @cached_property
    def answered(self) -> dict[str, bool | None]:
        """The measures, each held against its threshold."""
        f1 = [row["val_f1_macro"] for row in self.rows[:-1] if row["val_f1_macro"] is not None]
        measures = {
            "long enough": self.steps,
            "jumped": self.level / self.start,
            "moved far": self.run.final.get("weight_movement"),
            "came down": self.fell,
            "half way": self.fell,
            "learned": (self.f1 - self.majority_f1) / max(1 - self.majority_f1, TINY),
            "one answer": max(self.answers.values(), default=None),
            "named too often": max(self.leaning.values(), default=None),
            "label found": min(self.label_f1.values(), default=math.inf),
            "real gap": self.gap_interval[0],
            "turned up": self.val / max(self.lowest["val_loss"], TINY),
            "far up": self.val / max(self.lowest["val_loss"], TINY),
            "training rose": self.end / max(self.lowest["train_loss"], TINY),
            "F1 rose": self.f1 - max(f1) if f1 else None,
        }
        answered = {name: LIMITS[name].ask(value) for name, value in measures.items()}
        # These two lead to *unclear*, so that they need no band.
        answered["F1 fell"] = bool(f1) and LIMITS["F1 rose"].ask(float(np.median(f1)) - self.f1) is True
        answered["rose again"] = self.change > LIMITS["came down"].no * self.start
        return answered

    @cached_property
    def readings(self) -> set[str]:
        """What the run may be, by every combination of the open answers."""
        if self.diverged:
            return {"diverged"}
        if not self.complete:
            return {"too short"}
        names = [name for name, answer in self.answered.items() if answer is None]
        choices = itertools.product((True, False), repeat=len(names))
        return set().union(*(readings_of(self.answered | dict(zip(names, choice, strict=True))) for choice in choices))

    def outcome(self, verdict: str) -> Outcome:
        """The row of `OUTCOMES` that fits."""
        middle = (LIMITS["came down"].no + LIMITS["came down"].yes) / 2
        came_down = None not in (self.start, self.end) and self.fell >= middle
        rows = [row for row in OUTCOMES if row.verdict == verdict]
        return next((row for row in rows if row.came_down in (came_down, None)), rows[0])

    def state(self, verdict: str) -> str:
        """State of convergence of a run with two epochs."""
        outcome = self.outcome(verdict)
        if abs(self.change) < WORKSHEET_DELTA:
            return outcome.flat
        return outcome.falling if self.change < 0 else outcome.rising


def readings_of(yes: Mapping[str, bool]) -> set[str]:
    """What a run may be, from plain answers: the one decision tree.

    More than one reading, or one that is no verdict, is *unclear*: *too short*, *halfway* (training loss came down, and
    the scores did not follow) and *chance* (the scores are good, and something about them is odd).
    """
    restless = yes["jumped"] or yes["rose again"]
    rough = restless or yes["moved far"]
    by_heart = {"too high"} if yes["jumped"] else {"overfitting", "too high"} if yes["rose again"] else {"overfitting"}
    if yes["half way"] and yes["real gap"]:
        return by_heart
    if yes["turned up"] and yes["training rose"]:
        return {"collapsed" if yes["one answer"] else "too high"}
    if yes["half way"] and yes["far up"]:
        return by_heart | {"just right"} if yes["F1 rose"] and not restless else by_heart
    if not (yes["learned"] and yes["came down"]):
        if yes["half way"]:
            return {"halfway", "too high"} if rough else {"halfway"}
        if rough:
            return {"collapsed" if yes["one answer"] else "too high"}
        return {"too low", "too short"} if yes["came down"] and not yes["long enough"] else {"too low"}
    if yes["jumped"]:
        return {"just right", "too high"}
    odd = yes["named too often"] or not yes["label found"] or yes["F1 fell"] or yes["rose again"]
    return {"just right", "chance"} if odd else {"just right"}


# Records


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _shares(counts: Mapping[str, float | None] | None) -> dict[str, float]:
    """Counts by label as shares; empty where there are none."""
    known = {label: count or 0 for label, count in (counts or {}).items()}
    total = sum(known.values())
    return {label: count / total for label, count in known.items()} if total > 0 else {}


def _number(value: Any) -> float | None:
    """A number that can be reckoned with, or None."""
    return value if isinstance(value, int | float) and abs(value) < ABSURD else None


def _without_odd_numbers(run: Run) -> Run:
    """Copy a record so that each row has all its keys, and None stands for whatever is no usable number.

    Our own files are checked against the schema; a record that was put together by hand need not be.
    """

    def rows(found: list[dict[str, Any]], keys: Sequence[str]) -> list[dict[str, Any]]:
        return [{key: _number(row.get(key)) for key in keys} for row in found]

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: plain(item) for key, item in value.items()}
        return _number(value) if isinstance(value, int | float) else value

    steps = rows(run.steps, ("step", "loss"))
    for place, step in enumerate(steps, start=1):
        step["step"] = step["step"] or place
    parts = {part: plain(getattr(run, part) or {}) for part in ("dials", "data", "majority", "baseline", "final")}
    return dataclasses.replace(run, steps=steps, epochs=rows(run.epochs, EPOCH_KEYS), **parts)
