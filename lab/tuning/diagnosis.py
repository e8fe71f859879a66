"""Judge a run from its record: what went on, why we think so, and which dial to try next.

The rules, in the order in which they are asked. They look at the record only, never at the preset's name.

1. *diverged*: the loss stopped being a finite number, or exploded, and the run was stopped.
2. *unclear*: too few steps, or no scores, to say anything.
3. *violent start*: within the first steps the loss jumped clearly above where it began (see `JUMP`; a healthy run is
   noisy too), or the pretrained weights moved by a large share. With a violent start the run is *collapsed* if it ends
   by predicting one class; else it is *too high*, unless it calmed down (the later steps cost less than the start) and
   reached a useful score.
4. *overfitting*: the validation loss turned up well above its lowest epoch while the training loss went on falling.
5. *just right*: the training loss fell clearly and the validation macro-F1 is clearly above the majority class.
6. *too low*: none of that: the loss hardly fell, or fell without the scores following yet.

Sources: the symptoms follow the learning-rate section of Goodfellow, Bengio and Courville, Deep Learning (2016),
chapters 8 and 11, and Google's Deep Learning Tuning Playbook (2023), section on training curves. The thresholds are
our own; the runs in ``assets/reference_runs/`` are the check on them.
"""

import dataclasses
from typing import Any

import numpy as np
from scipy import stats

from tuning.run import Run

FEWEST_STEPS = 10
FIRST_STEPS = 40
JUMP = 1.6
BIG_MOVEMENT = 0.12
ONE_CLASS = 0.97
CLEAR_FALL = 0.10
USEFUL_F1 = 0.10
TURNED_UP = 0.15
WORKSHEET_DELTA = 0.01


@dataclasses.dataclass(frozen=True)
class Diagnosis:
    """A verdict, the reasons in plain words with their numbers, and the next dial to try."""

    verdict: str
    reasons: list[str]
    next_dial: str

    def as_dict(self) -> dict[str, Any]:
        """The ``diagnosis`` part of the record."""
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True)
class Convergence:
    """What the convergence check found.

    Attributes
    ----------
    state : str
        ``converged``, ``still falling``, ``rising``, ``stalled``, ``collapsed`` or ``cannot tell``.
    reason : str
        One sentence with the numbers.
    delta : float or None
        Change of the evaluation-mode training loss between the last two epochs, in nats.
    slope, slope_error : float or None
        Change of the step loss per 100 steps over the second half of the run, and its standard error.
    epoch_seconds : float or None
        What one more epoch would take, from the mean of the epochs so far.
    """

    state: str
    reason: str
    delta: float | None
    slope: float | None
    slope_error: float | None
    epoch_seconds: float | None

    def epoch_cost(self, price_per_hour: float) -> float | None:
        """Money for one more epoch at a machine's price per hour, in the price's currency."""
        return None if self.epoch_seconds is None else self.epoch_seconds / 3600 * price_per_hour


def diagnose(run: Run) -> Diagnosis:
    """Name what happened in a run.

    Parameters
    ----------
    run : Run

    Returns
    -------
    Diagnosis
    """
    final = run.final
    if run.outcome == "diverged" or (run.steps and final and final.get("val_loss") is None):
        step = run.steps[-1]["step"] if run.steps else 0
        return Diagnosis(
            "diverged",
            [f"The loss stopped being a usable number at step {step}, so the run was stopped there."],
            "Learning rate: at least ten times lower.",
        )
    losses = run.step_losses()
    needed = [
        run.baseline.get("train_loss"),
        *map(final.get, ("train_loss", "val_loss", "val_accuracy", "val_f1_macro")),
    ]
    if len(losses) < FEWEST_STEPS or None in needed:
        return Diagnosis(
            "unclear",
            [
                f"{len(losses)} steps were recorded{'' if None not in needed else ', and not all scores'};"
                f" at least {FEWEST_STEPS} steps and the scores before and after are needed."
            ],
            "Train for longer, then ask again.",
        )
    facts = _Facts.of(run, losses)
    if facts.violent and (facts.lasting or not facts.useful):
        return _too_violent(facts)
    if facts.turned_up:
        return _overfitting(facts)
    if facts.fell >= CLEAR_FALL and facts.useful:
        return _just_right(facts)
    return _too_low(facts)


@dataclasses.dataclass(frozen=True)
class _Facts:
    """The few numbers on which the rules stand."""

    start: float
    end: float
    highest: float
    late: float
    movement: float | None
    one_class: float
    class_name: str
    f1: float
    majority_f1: float
    accuracy: float
    lowest_val: float
    lowest_epoch: int
    last_val: float
    gap: float | None
    gap_low: float | None
    steps: int

    @classmethod
    def of(cls, run: Run, losses: np.ndarray) -> "_Facts":
        final, epochs = run.final, [row for row in run.epochs if row["val_loss"] is not None]
        early = losses[: max(FIRST_STEPS, len(losses) // 10)]
        predicted = final.get("val_predicted") or {}
        total = sum(predicted.values()) or 1
        top = max(predicted, key=predicted.get) if predicted else (run.majority.get("label") or "one class")
        accuracy, f1 = final["val_accuracy"], final["val_f1_macro"]
        majority_f1 = run.majority.get("f1_macro") or 0.0
        same_as_majority = abs(f1 - majority_f1) < 0.02 and abs(accuracy - (run.majority.get("accuracy") or 0)) < 0.02
        values = [row["val_loss"] for row in epochs] or [final["val_loss"]]
        interval = final.get("gap_accuracy_interval")
        return cls(
            start=run.baseline["train_loss"],
            end=final["train_loss"],
            highest=float(np.nanmax(_smooth(early))),
            late=float(np.nanmean(losses[len(losses) // 2 :])),
            movement=final.get("weight_movement"),
            one_class=predicted[top] / total if predicted else float(same_as_majority),
            class_name=top,
            f1=f1,
            majority_f1=majority_f1,
            accuracy=accuracy,
            lowest_val=min(values),
            lowest_epoch=int(np.argmin(values)) + 1,
            last_val=values[-1],
            gap=final.get("gap_accuracy"),
            gap_low=interval[0] if interval else None,
            steps=len(losses),
        )

    @property
    def fell(self) -> float:
        """Share by which the training loss fell, both ends in evaluation mode."""
        return (self.start - self.end) / self.start

    @property
    def violent(self) -> bool:
        jumped = self.highest > JUMP * self.start
        return jumped or (self.movement is not None and self.movement > BIG_MOVEMENT)

    @property
    def lasting(self) -> bool:
        return self.late > self.start

    @property
    def useful(self) -> bool:
        return self.one_class < ONE_CLASS and self.f1 > self.majority_f1 + USEFUL_F1

    @property
    def turned_up(self) -> bool:
        return self.last_val > self.lowest_val * (1 + TURNED_UP) and self.fell >= CLEAR_FALL

    def moved(self) -> str:
        return "" if self.movement is None else f" The pretrained weights moved by {self.movement:.1%} of their size."


def _smooth(losses: np.ndarray, width: int = 3) -> np.ndarray:
    """Running mean of a few steps: one unlucky batch is no jump."""
    filled = losses[np.isfinite(losses)]
    if len(filled) < width:
        return filled if len(filled) else np.array([np.nan])
    return np.convolve(filled, np.ones(width) / width, mode="valid")


def _too_violent(facts: _Facts) -> Diagnosis:
    began = (
        f"The step loss jumped to {facts.highest:.2f} early in the run, from about {facts.start:.2f}.{facts.moved()}"
    )
    if facts.one_class >= ONE_CLASS:
        return Diagnosis(
            "collapsed",
            [
                began,
                f"Afterwards the model says {facts.class_name} for {facts.one_class:.0%} of the validation sentences:"
                f" accuracy {facts.accuracy:.2f} looks tolerable, macro-F1 {facts.f1:.2f} does not.",
            ],
            "Learning rate: ten to fifty times lower.",
        )
    return Diagnosis(
        "too high",
        [
            began,
            f"Over the second half of the run the step loss was {facts.late:.2f} on average, and macro-F1 ended at"
            f" {facts.f1:.2f}, with {facts.majority_f1:.2f} for the majority class.",
        ],
        "Learning rate: three to ten times lower.",
    )


def _overfitting(facts: _Facts) -> Diagnosis:
    gap = "" if facts.gap is None else f" The accuracy gap is {facts.gap:+.2f}."
    return Diagnosis(
        "overfitting",
        [
            f"Validation loss was lowest after epoch {facts.lowest_epoch} ({facts.lowest_val:.2f}) and rose to"
            f" {facts.last_val:.2f}, while training loss fell to {facts.end:.2f}.{gap}"
        ],
        f"Epochs: stop after {facts.lowest_epoch}. Then more training sentences, if there are any.",
    )


def _just_right(facts: _Facts) -> Diagnosis:
    reasons = [
        f"Training loss fell from {facts.start:.2f} to {facts.end:.2f} without a violent start.{facts.moved()}",
        f"Validation macro-F1 is {facts.f1:.2f}, with {facts.majority_f1:.2f} for the majority class.",
    ]
    if facts.gap_low is not None and facts.gap_low > 0:
        reasons.append(f"The gap of {facts.gap:+.2f} is real (its interval starts at {facts.gap_low:+.2f}): watch it.")
    return Diagnosis("just right", reasons, "Training sentences or epochs; leave the learning rate where it is.")


def _too_low(facts: _Facts) -> Diagnosis:
    fell = f"Training loss went from {facts.start:.2f} to {facts.end:.2f} in {facts.steps} steps"
    told = "it hardly moved" if facts.fell < CLEAR_FALL else "it moved, but the scores have not followed yet"
    return Diagnosis(
        "too low",
        [
            f"{fell}: {told}.{facts.moved()}",
            f"Validation macro-F1 is {facts.f1:.2f}, with {facts.majority_f1:.2f} for the majority class.",
        ],
        "Learning rate: three to ten times higher.",
    )


def convergence(run: Run) -> Convergence:
    """Apply the worksheet's convergence rule, and say when it does not apply.

    A change below 0.01 between the last two epochs means *converged* only if the loss first fell clearly below its
    start. Otherwise the run *stalled*, or it *collapsed*. One epoch, or a diverged run, gives *cannot tell*.

    Parameters
    ----------
    run : Run

    Returns
    -------
    Convergence
    """
    losses = [row["train_loss"] for row in run.epochs if row["train_loss"] is not None]
    slope, error = _slope(run)
    seconds = [row["seconds"] for row in run.epochs if row["seconds"] is not None]
    epoch_seconds = float(np.mean(seconds)) if seconds else None
    start = run.baseline.get("train_loss")
    verdict = diagnose(run).verdict

    def found(state: str, reason: str, delta: float | None = None) -> Convergence:
        return Convergence(state, reason, delta, slope, error, epoch_seconds)

    if verdict == "diverged":
        return found("cannot tell", "The run diverged: there is no loss to compare.")
    if len(losses) < 2 or start is None:
        return found("cannot tell", f"The rule compares two epochs, and {len(losses)} is recorded.")
    delta = losses[-1] - losses[-2]
    change = f"Between the last two epochs the training loss changed by {delta:+.3f}"
    if verdict == "collapsed":
        return found("collapsed", f"{change}, but the model gives one answer to all: flat is not converged.", delta)
    if abs(delta) >= WORKSHEET_DELTA:
        state = "still falling" if delta < 0 else "rising"
        return found(state, f"{change}, more than {WORKSHEET_DELTA}.", delta)
    fell = (start - losses[-1]) / start
    if fell >= CLEAR_FALL:
        return found("converged", f"{change}, after it had fallen by {fell:.0%} from {start:.2f}.", delta)
    return found("stalled", f"{change}, but it never fell clearly below its start of {start:.2f}.", delta)


def _slope(run: Run) -> tuple[float | None, float | None]:
    """Least-squares slope of the second half of the step losses, per 100 steps, with its standard error."""
    half = [step for step in run.steps[len(run.steps) // 2 :] if step["loss"] is not None]
    if len(half) < FEWEST_STEPS:
        return None, None
    fit = stats.linregress([step["step"] for step in half], [step["loss"] for step in half])
    return float(fit.slope * 100), float(fit.stderr * 100)
