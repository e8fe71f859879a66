"""Plan a run under a limit of time or money, and hold the plan against what happened.

Two things are needed: what a run costs on this machine (`tuning.cost.estimate`), and what it brings. The second comes
from a learning curve, fitted by least squares to every epoch of every run with a working rate that is known::

    log(1 - macro-F1) = level - sentences' share x log2(sentences) - epochs' share x log2(epochs)

that is, each doubling takes the same share of the error away: the power law that learning curves usually follow
(Hestness and others 2017, Deep Learning Scaling is Predictable, Empirically, arXiv 1712.00409). It is a rough rule,
good for choosing between dials and poor for promising a score, so its typical miss is shown beside it.
"""

import dataclasses
from collections.abc import Iterable

import numpy as np
import pandas as pd

from tuning.cost import estimate as cost
from tuning.cost.estimate import Estimate, Speed, clock
from tuning.dials import EVERYTHING, Dials
from tuning.encoder.finding import Encoder
from tuning.errors import RunError
from tuning.evidence import log_rows
from tuning.runs import energy, reference
from tuning.runs.energy import PRICE_PER_HOUR, WATTS
from tuning.runs.record import Run
from tuning.runs.store import readable_runs

SENTENCES = (50, 100, 200, 400, 800, 1600, 3200, 6400)
EPOCHS = (1, 2, 3, 4, 6, 8)
# Of the time or money that is there, so that a slow moment does not break the plan.
SHARE_USED = 0.9
# Plans closer than this in macro-F1 count as equal, and the cheaper one wins.
SAME_F1 = 0.005
# Rates this close teach the same about sentences and epochs.
NEAR_RATE = 1.5
SMALLEST_ERROR = 0.01
WORKING = ("just right", "overfitting")


@dataclasses.dataclass(frozen=True)
class LearningCurve:
    """What sentences and epochs bring."""

    level: float  # Logarithm of the error at one sentence and one epoch, far outside what was seen.
    # What a doubling takes from the logarithm of the error.
    sentences: float
    epochs: float
    miss: float  # Typical distance of the points from the curve.
    points: int  # Epochs of runs that it was fitted to.
    most_epochs: int  # Epochs seen; nothing is promised beyond.
    source: str  # Where the points come from, in words.

    def f1(self, sentences: float, epochs: float) -> float:
        """Expected macro-F1, between 0 and 1."""
        passes = max(min(epochs, self.most_epochs), 1)
        log_error = self.level - self.sentences * np.log2(sentences) - self.epochs * np.log2(passes)
        return float(np.clip(1 - np.exp(log_error), 0, 1))

    def __str__(self) -> str:
        share = [1 - np.exp(-gain) for gain in (self.sentences, self.epochs)]
        return (
            f"Learning curve: doubling the sentences takes {share[0]:.0%} of the error away, doubling the epochs"
            f" {share[1]:.0%}; typical miss {100 * self.miss:.1f} points ({self.points} epochs of {self.source})."
        )


@dataclasses.dataclass(frozen=True)
class Plan:
    """Dials that fit a limit, with their estimate."""

    dials: Dials  # The proposal.
    estimate: Estimate  # What it will take.
    f1: float  # Macro-F1 that the learning curve expects.
    curve: LearningCurve
    limit: str  # The limit in words.
    table: pd.DataFrame  # The best of all plans that fit, the proposal first.

    def __str__(self) -> str:
        return (
            f"{self.limit}: TRAIN_SUBSET = {self.dials.TRAIN_SUBSET}, EPOCHS = {self.dials.EPOCHS}.\n"
            f"Estimate: {self.estimate}; macro-F1 about {self.f1:.2f}, give or take {self.curve.miss:.2f}.\n"
            f"{self.curve}"
        )


def learning_curve(encoder: Encoder, rate: float) -> LearningCurve:
    """Fit the learning curve to the runs of the log and to the reference runs.

    Runs with this encoder and about this rate count; where these are too few others do, and it says so. A `RunError`
    where there are none at all.
    """
    known = [*readable_runs()[0], *(reference.load(name) for name in reference.names())]
    teaching = [run for run in known if _teaches(run)]
    same = [run for run in teaching if run.encoder["revision"] == encoder.revision]
    near = [run for run in same if rate / NEAR_RATE <= run.learning_rate <= rate * NEAR_RATE]
    for runs, source in (
        (near, "runs with this encoder and rate"),
        (same, "runs with this encoder at other rates too"),
        (teaching, "runs with other encoders too"),
    ):
        points = _points(runs)
        if len({sentences for sentences, _, _ in points}) > 1 and len({epochs for _, epochs, _ in points}) > 1:
            return _fitted(points, f"{len(runs)} {source}")
    raise RunError(
        "There are too few runs to learn from: a plan needs runs with two sizes of TRAIN_SUBSET and more than one"
        " epoch. The reference runs in assets/reference_runs are missing here."
    )


def _teaches(run: Run) -> bool:
    """Whether a run's curve tells what work brings: a whole run of the main lab with a rate that works."""
    return (
        not run.is_backup
        and run.outcome == "completed"
        and run.diagnosis.get("verdict") in WORKING
        and run.dials.get("TRAINED", EVERYTHING) == EVERYTHING
        and not run.apart
    )


def _points(runs: Iterable[Run]) -> list[tuple[int, float, float]]:
    """Sentences, epochs and macro-F1; under a falling rate only the end of a run is a result."""
    return [
        (run.data.get("train_used") or run.dials["TRAIN_SUBSET"], row["epoch"], row["val_f1_macro"])
        for run in runs
        for row in (run.epochs if run.dials["SCHEDULER"] == "constant" else run.epochs[-1:])
        if row["val_f1_macro"] is not None
    ]


def _fitted(points: list[tuple[int, float, float]], source: str) -> LearningCurve:
    sentences, epochs, f1 = np.array(points, dtype=float).T
    log_error = np.log(np.maximum(1 - f1, SMALLEST_ERROR))
    doublings = np.column_stack([np.log2(sentences), np.log2(np.maximum(epochs, 1))])
    factors, *_ = np.linalg.lstsq(np.column_stack([np.ones(len(f1)), -doublings]), log_error, rcond=None)
    # More work that brings less is the noise of a short log, not a law.
    gains = np.maximum(factors[1:], 0)
    level = float(np.mean(log_error + doublings @ gains))
    miss = float(np.sqrt(np.mean((1 - np.exp(level - doublings @ gains) - f1) ** 2)))
    return LearningCurve(level, float(gains[0]), float(gains[1]), miss, len(f1), int(epochs.max()), source)


def plan(
    minutes: float | None = None,
    budget: float | None = None,
    base: Dials | None = None,
    price_per_hour: float = PRICE_PER_HOUR,
    watts: float = WATTS,
    speed: Speed | None = None,
    encoder: Encoder | None = None,
) -> Plan:
    """Propose dials that fit a limit of minutes or of money, in the currency of the price; the tighter one counts.

    All dials but ``TRAIN_SUBSET`` and ``EPOCHS`` are those of `base`. The speed is by default what is known of this
    machine, else that of a probe. A `RunError` where no limit is given, nothing fits, or there are no runs to learn
    from.
    """
    base = base or Dials()
    limits = {}
    if minutes is not None:
        limits[f"{minutes:g} minutes"] = 60 * minutes
    if budget is not None:
        limits[f"{budget:g} at {price_per_hour:g} an hour"] = 3600 * budget / price_per_hour
    if not limits:
        raise RunError("A plan needs a limit: plan(minutes=10) or plan(budget=0.20).")
    limit = min(limits, key=limits.get)
    encoder = encoder or cost.at_hand(base.MODEL)
    speed = speed or cost.known(base, encoder) or cost.probe(base, encoder)
    curve = learning_curve(encoder, encoder.rate(base.LR_PRESET))
    counter = cost.Counter(base, encoder)
    sizes = sorted({min(size, counter.sentences) for size in SENTENCES})
    candidates = [dataclasses.replace(base, TRAIN_SUBSET=size, EPOCHS=epochs) for size in sizes for epochs in EPOCHS]
    timed = [(dials, speed.seconds(counter.work(dials))) for dials in candidates]
    fitting = [
        (dials, seconds, curve.f1(dials.TRAIN_SUBSET, dials.EPOCHS))
        for dials, seconds in timed
        if seconds <= SHARE_USED * limits[limit]
    ]
    if not fitting:
        smallest = speed.seconds(counter.work(dataclasses.replace(base, TRAIN_SUBSET=SENTENCES[0], EPOCHS=1)))
        raise RunError(
            f"Nothing fits into {limit}: the smallest run, {SENTENCES[0]} sentences once, takes about"
            f" {clock(smallest)} here. Give more, or use the backup lab."
        )
    best = max(f1 for _, _, f1 in fitting)
    chosen = min((plan for plan in fitting if plan[2] >= best - SAME_F1), key=lambda plan: plan[1])
    others = sorted((plan for plan in fitting if plan[0] != chosen[0]), key=lambda plan: -plan[2])
    dials, seconds, f1 = chosen
    estimate = Estimate(seconds, speed.source, watts, price_per_hour)
    return Plan(dials, estimate, f1, curve, limit, _table([chosen, *others[:5]], watts, price_per_hour))


def _table(plans: list[tuple[Dials, float, float]], watts: float, price_per_hour: float) -> pd.DataFrame:
    rows = [
        {
            "TRAIN_SUBSET": dials.TRAIN_SUBSET,
            "EPOCHS": dials.EPOCHS,
            "time": clock(seconds),
            "Wh": round(watts * seconds / 3600, 2),
            "money": round(price_per_hour * seconds / 3600, 4),
            "expected macro-F1": round(f1, 3),
        }
        for dials, seconds, f1 in plans
    ]
    return pd.DataFrame(rows, index=["proposed", *[""] * (len(rows) - 1)])


def estimate_and_actual(made: Plan, run: Run) -> pd.DataFrame:
    """The plan beside what happened: time, energy, money and macro-F1, and actual as a share of the estimate."""
    took = energy.footprint(run, made.estimate.watts, made.estimate.price_per_hour)
    pairs = {
        energy.WHOLE_RUN: (made.estimate.seconds, took.seconds, 0),
        "Wh" + (", measured" if took.measured else ", assumed power"): (made.estimate.watt_hours, took.watt_hours, 2),
        "money": (made.estimate.money, took.money, 4),
        "macro-F1": (made.f1, run.final.get("val_f1_macro"), 3),
    }
    rows = {
        name: {
            "estimate": log_rows.number(expected, places),
            "actual": log_rows.number(actual, places),
            "actual / estimate": "" if not actual or not expected else f"{actual / expected:.0%}",
        }
        for name, (expected, actual, places) in pairs.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index")
