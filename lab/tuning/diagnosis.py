"""Judge a run from its record: what went on, why we think so, and which dial to try next.

The rules, in the order in which they are asked. They look at the record only, never at the preset's name. A label
counts as *missing* when the model never predicts it on validation, or finds almost none of its sentences. What a record
lacks is done without: scores of the last epoch stand in for those after training, the first step for the start.

1. *diverged*: the loss stopped being a finite number, or exploded, and the run was stopped.
2. *unclear*: too few steps, or no scores, to say anything.
3. *too high*, or *collapsed* if the model ends by giving one answer to all: the start was violent (within the first
   steps the loss jumped clearly above where it began, or the weights moved by a large share), and the run did not
   settle: its later steps cost more than the start, or validation costs more than before training, or training loss did
   not halve, or the scores are no use.
4. The model learned *nothing from the sentences*: its training loss is not clearly below its start, or not clearly
   below what answering with the shares of the labels costs, or it gives one answer to all; and validation does not show
   the contrary, as it can where labels of training sentences are wrong. Then the traces tell why:

   - *collapsed* or *too high*, if the loss ever jumped, rose from one epoch to the next, ended above its start, or if
     the weights have moved far while it was restless; *collapsed* also if it left its start and then lay flat;
   - *unclear*, if the run was short and its loss was falling fast;
   - *too low* otherwise: it hardly moves, or is still on its way.

5. *overfitting*: validation loss turned up well above its lowest epoch (further up if that was the epoch before: one
   rise may be chance), while training loss went on falling and macro-F1 gained nothing from it; what F1 gained does not
   count where the loss is up by half after several epochs. Or training loss fell by half and validation loss is above
   where it began. A gap between the two accuracies is told with its interval, and proves nothing alone.
6. *just right*: one of the two losses fell by a quarter at least, no label is missing, macro-F1 is clearly above the
   majority class, and the losses did not both rise again.
7. What is left has learned, but not enough: *too high* if it was restless, rose again, or came less than half the way
   down although its weights went far; *too low* if it never left its calm, is still falling and has come less than half
   the way down; *unclear* otherwise, with the reason.

In a sweep of rates this gives too low, (unclear,) just right, (unclear,) too high or collapsed, diverged.
*Overfitting* is about the number of epochs and sentences, not about the rate.

Sources: the symptoms follow the learning-rate section of Goodfellow, Bengio and Courville, Deep Learning (2016),
chapters 8 and 11, and Google's Deep Learning Tuning Playbook (2023), section on training curves. The thresholds are
our own; the runs in ``assets/reference_runs/`` are the check on them.
"""

import dataclasses
import math
from functools import cached_property
from typing import Any

import numpy as np
from scipy import stats

from tuning.data import LABELS
from tuning.run import Run

FEWEST_STEPS = 10
FIRST_STEPS = 40
SMOOTHED_SENTENCES = 24
RESTLESS_SENTENCES = 32
USUAL_BATCH = 8
EXPLODED = 100.0
JUMP = 1.6
BUMP = 1.08
BIG_MOVEMENT = 0.12
RESTLESS = 1.25
SOMEWHAT_RESTLESS = 1.05
NOTED_MOVEMENT = 0.04
TIMID_MOVEMENT = 0.02
TINY_MOVEMENT = 0.003
ROSE = 1.10
ONE_CLASS = 0.97
CLEAR_FALL = 0.10
WELL_FALLEN = 0.25
HALF_WAY = 0.5
LEFT_START = 0.05
USEFUL_F1 = 0.15
MISSING_F1 = 0.10
FAR_BELOW = 0.17
GAINED_F1 = 0.05
TURNED_UP = 0.15
TURNED_UP_AT_ONCE = 0.30
FAR_UP = 0.50
FEW_EPOCHS = 3
TINY_LOSS = 1e-6
STILL_FALLING = 0.03
SHORT_RUN = 60
FAST_FALL = 0.0025
WORKSHEET_DELTA = 0.01
SPIKE = 2.5
ABSURD = 1e9
EPOCH_KEYS = ("epoch", "train_loss", "val_loss", "val_f1_macro", "val_accuracy", "seconds")


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
        Where ``baseline`` has no training loss, that of the first step stands in: it is taken before any update.

    Returns
    -------
    Diagnosis
    """
    facts = _Facts(run)
    if facts.diverged:
        return _diverged(facts)
    if len(facts.losses) < FEWEST_STEPS or None in facts.needed:
        return _too_little(facts)
    for applies, verdict in (
        (facts.violent and not facts.settled, _too_violent),
        (not facts.learned, _nothing_learned),
        (facts.overfitted, _overfitting),
        (facts.useful and facts.well_fallen and not facts.rebounded, _just_right),
    ):
        if applies:
            return verdict(facts)
    return _not_enough(facts)


class _Facts:
    """The few numbers on which the rules stand, worked out from a record that may have holes.

    Epoch 0, before training, counts as a row of the epochs' losses. Where the scores after training lack one, that of
    the last epoch stands in.
    """

    def __init__(self, run: Run) -> None:
        self.run = run = _without_odd_numbers(run)
        told = [(step["step"], step["loss"]) for step in run.steps if step["loss"] is not None]
        # A record that was thinned lacks steps, most of them late ones: places in the run go by the steps' numbers.
        self.places = np.array([place for place, _ in told], dtype=float)
        self.losses = np.array([loss for _, loss in told], dtype=float)
        self.final = final = run.final
        last = run.epochs[-1] if run.epochs else {}
        self.end, self.val, self.f1, self.accuracy = (
            last.get(key) if final.get(key) is None else final[key]
            for key in ("train_loss", "val_loss", "val_f1_macro", "val_accuracy")
        )
        first = float(self.losses[0]) if len(self.losses) else None
        self.start: float | None = run.baseline.get("train_loss") or first or None
        self.movement: float | None = final.get("weight_movement")
        self.gap: float | None = final.get("gap_accuracy")

    @property
    def needed(self) -> list[float | None]:
        return [self.start, self.end, self.val, self.f1, self.accuracy]

    @property
    def steps(self) -> int:
        """Steps of the run, also where the record keeps only some of them."""
        return int(self.run.steps[-1]["step"])

    @property
    def diverged(self) -> bool:
        steps, final = self.run.steps, self.run.final
        if self.run.outcome == "diverged":
            return True
        if not steps:
            return False
        if steps[-1]["loss"] is None or steps[-1]["loss"] > EXPLODED or (self.end or 0) > EXPLODED:
            return True
        # Stopped by hand, a run may lack its scores for want of time.
        return self.run.outcome == "completed" and "val_loss" in final and final["val_loss"] is None

    # What the step losses say

    def _windows(self, sentences: int) -> np.ndarray:
        """Neighbouring step losses that make up so many sentences, shape (windows, steps)."""
        width = max(3, round(sentences / max(self.run.dials.get("BATCH_SIZE") or USUAL_BATCH, 1)))
        return np.lib.stride_tricks.sliding_window_view(self.losses, min(width, len(self.losses)))

    @cached_property
    def _first(self) -> int:
        """How many of the recorded losses belong to the first steps; some always do."""
        return max(int((self.places <= max(FIRST_STEPS, self.steps // 10)).sum()), 1)

    @cached_property
    def highest(self) -> float:
        """Highest running mean of the first steps, each loss cut at a height: one unlucky batch is no jump."""
        means = np.minimum(self._windows(SMOOTHED_SENTENCES), SPIKE * self.start).mean(axis=1)
        return float(means[: self._first].max())

    @cached_property
    def restless_level(self) -> float:
        """Highest running mean of all steps, the worst batch of each stretch left out, in multiples of the start.

        In a long run chance alone makes some stretches high, so that a few of them are passed over.
        """
        means = np.sort(self._windows(RESTLESS_SENTENCES), axis=1)[:, :-1].mean(axis=1)
        return float(np.sort(means)[-1 - len(means) // 200]) / self.start

    @property
    def peak(self) -> float:
        """Highest single step loss of the first steps."""
        return float(self.losses[: self._first].max())

    @property
    def late(self) -> float:
        return float(self.losses[self.places > self.places[-1] / 2].mean())

    @property
    def violent(self) -> bool:
        return self.highest > JUMP * self.start or (self.movement or 0) > BIG_MOVEMENT

    @property
    def settled(self) -> bool:
        came_back = self.late <= self.start and self.val <= self.val_before
        return came_back and self.learned and self.useful and self.fell > HALF_WAY

    @property
    def calm(self) -> bool:
        """Did the loss never rise noticeably above its start?

        Single batches differ, the more so the smaller they are: a loss that went up and down around its start without
        ever leaving it was not driven up, and nor was that of weights that have hardly moved.
        """
        noise = self.restless_level <= RESTLESS and (self.at_start or 0 < (self.movement or 0) < TINY_MOVEMENT)
        return self.restless_level <= SOMEWHAT_RESTLESS or noise

    @property
    def at_start(self) -> bool:
        return self.late < ROSE * self.start and abs(self.end - self.start) < LEFT_START * self.start

    @property
    def timid(self) -> bool:
        """Do the traces fit steps that were too short: a calm loss, and weights that stayed near their start?

        Where nobody measured the weights, a bump in the first steps tells of long ones.
        """
        if self.movement is None:
            return self.calm and (self.at_start or self.highest < BUMP * self.start)
        return self.calm and self.movement < TIMID_MOVEMENT

    @property
    def restless(self) -> bool:
        """Traces of steps that were too long, short of a violent start."""
        rose = any(late > ROSE * early for early, late in zip(self.train[1:], self.train[2:], strict=False))
        moved = (self.movement or 0) > NOTED_MOVEMENT and not self.calm
        return self.restless_level > RESTLESS or moved or rose or self.end > ROSE * self.start

    @property
    def strayed(self) -> bool:
        """Did long steps bring little: weights far from their start, and training loss less than half the way down?"""
        return (self.movement or 0) > NOTED_MOVEMENT and self.fell < HALF_WAY

    # What the epochs say

    @cached_property
    def train(self) -> list[float]:
        """Training loss before training and after each epoch that has one."""
        return [self.start, *(row["train_loss"] for row in self.run.epochs if row["train_loss"] is not None)]

    @cached_property
    def val_rows(self) -> list[dict[str, Any]]:
        return [row for row in self.run.epochs if row["val_loss"] is not None]

    @property
    def val_before(self) -> float:
        # An untrained model knows no sentence: its two losses are alike.
        return self.run.baseline.get("val_loss") or self.start

    @property
    def fell(self) -> float:
        """Share by which the training loss fell, both ends in evaluation mode."""
        return (self.start - self.end) / self.start

    @property
    def well_fallen(self) -> bool:
        """Did one of the two losses fall by a good part?"""
        return max(self.fell, (self.val_before - self.val) / self.val_before) > WELL_FALLEN

    @property
    def blind(self) -> float:
        """What a model costs that answers with the labels' shares, whatever the sentence; the start where unknown."""
        return float(stats.entropy(self.counts)) if min(self.counts) > 0 else self.start

    @property
    def counts(self) -> list[float]:
        """Sentences of each label in the data; zeros where not recorded."""
        known = self.run.data.get("label_counts") or {}
        return [known.get(label) or 0 for label in LABELS]

    @property
    def falling(self) -> bool:
        """Was validation loss on its way down over the last third of the epochs? Without it the step losses decide."""
        losses = [self.val_before, *(row["val_loss"] for row in self.val_rows)]
        if len(losses) == 1:
            return self._slope_is_down
        return losses[-1] < (1 - STILL_FALLING) * losses[-1 - max(1, len(self.val_rows) // 3)]

    @property
    def flat(self) -> bool:
        """Has the training loss stopped moving, between the last two epochs and in the second half of the steps?"""
        still = len(self.train) < 3 or self.train[-2] - self.train[-1] < WORKSHEET_DELTA
        return still and not self._slope_is_down

    @property
    def _slope_is_down(self) -> bool:
        slope, error = _slope(self.run)
        return slope is not None and slope < -2 * error

    # What the scores say

    @cached_property
    def majority_f1(self) -> float:
        known = self.run.majority.get("f1_macro")
        share = max(self.counts) / sum(self.counts) if sum(self.counts) else 1 / len(LABELS)
        return _one_class_f1(share) if known is None else known

    @cached_property
    def answers(self) -> dict[str, float]:
        """Share of each label among the validation predictions; empty where not recorded."""
        counted = {label: number or 0 for label, number in (self.final.get("val_predicted") or {}).items()}
        total = sum(counted.values())
        return {label: number / total for label, number in counted.items()} if total else {}

    @property
    def top(self) -> str:
        """The label that is predicted most, as far as the record tells."""
        if self.answers:
            return max(self.answers, key=self.answers.get)
        usual = abs((self.run.majority.get("accuracy") or 0) - self.accuracy) < 0.01
        return (self.run.majority.get("label") or "one label") if usual else "one label"

    @property
    def one_class(self) -> bool:
        if self.answers:
            return max(self.answers.values()) >= ONE_CLASS
        # A model with one answer to all has the F1 that belongs to its accuracy.
        return abs(self.f1 - _one_class_f1(self.accuracy)) < 0.01

    @property
    def missing(self) -> list[str]:
        """Labels that are never predicted, or hardly ever found."""
        f1 = {label: value for label, value in (self.final.get("val_f1") or {}).items() if value is not None}
        there = [label for label, count in zip(LABELS, self.counts, strict=True) if count or not any(self.counts)]
        return [label for label in there if self.answers.get(label, 1) == 0 or f1.get(label, 1) < MISSING_F1]

    @property
    def leaves_out(self) -> bool:
        """Is a label missing? Where the record has no numbers by label, a macro-F1 far below accuracy gives it away."""
        if self.answers or self.final.get("val_f1"):
            return bool(self.missing)
        return self.f1 < (len(LABELS) - 1) / len(LABELS) and self.accuracy - self.f1 > FAR_BELOW

    @property
    def useful(self) -> bool:
        return not self.one_class and not self.leaves_out and self.f1 >= self.majority_f1 + USEFUL_F1

    @property
    def learned(self) -> bool:
        """Did the model take more from the sentences than how frequent the labels are?"""
        fell = self.end < (1 - CLEAR_FALL) * min(self.start, self.blind) and not self.one_class
        # Wrong labels among the training sentences keep their loss high, however much was learned.
        return fell or (self.useful and self.val < (1 - CLEAR_FALL) * min(self.val_before, self.blind))

    @property
    def lowest(self) -> dict[str, Any]:
        """The epoch with the lowest validation loss."""
        return min(self.val_rows, key=lambda row: row["val_loss"])

    @property
    def turned_up(self) -> bool:
        if len(self.val_rows) < 2:
            return False
        low, last = self.lowest, self.val_rows[-1]
        went_on = (low["train_loss"] or math.inf) > self.end
        gained = (last["val_f1_macro"] or 0) > (low["val_f1_macro"] or 0) + GAINED_F1
        # One epoch's rise may be chance; and far enough up, a few more hits do not outweigh the confident misses.
        rise = last["val_loss"] / max(low["val_loss"], TINY_LOSS) - 1
        clear = rise > (TURNED_UP if low is not self.val_rows[-2] else TURNED_UP_AT_ONCE)
        return went_on and clear and (not gained or (rise > FAR_UP and len(self.val_rows) > FEW_EPOCHS))

    @property
    def rebounded(self) -> bool:
        """Did both losses end clearly above what they had been after an earlier epoch?"""
        if len(self.val_rows) < 2:
            return False
        train = [row["train_loss"] for row in self.val_rows if row["train_loss"] is not None]
        rose = bool(train) and self.end > ROSE * min(train)
        return rose and self.val_rows[-1]["val_loss"] > (1 + TURNED_UP) * self.lowest["val_loss"]

    @property
    def overfitted(self) -> bool:
        return self.turned_up or (self.val > self.val_before and self.fell > HALF_WAY)

    @property
    def gap_interval(self) -> tuple[float, float] | None:
        """The interval of the accuracy gap, where there is one."""
        match self.final.get("gap_accuracy_interval"):
            case [int() | float() as low, int() | float() as high]:
                return low, high
        return None

    # Words

    def moved(self) -> str:
        if self.movement is None:
            return ""
        return f" The pretrained weights moved by {_percent(self.movement)} of their size."

    def scored(self) -> str:
        return f"Validation macro-F1 is {self.f1:.2f}, with {self.majority_f1:.2f} for the majority class."

    def one_answer(self) -> str:
        share = f" for {max(self.answers.values()):.0%} of the validation sentences" if self.answers else " to all"
        return (
            f"The model says {self.top}{share}: accuracy {self.accuracy:.2f} may look tolerable, macro-F1 {self.f1:.2f}"
            " does not."
        )

    def left_out(self) -> str:
        if not self.missing:
            return f"{self.scored()} That is far below accuracy, {self.accuracy:.2f}: a label is hardly ever predicted."
        names = " and ".join(self.missing)
        never = all(self.answers.get(label, 1) == 0 for label in self.missing)
        return f"{names.capitalize()} is {'never' if never else 'hardly ever'} predicted. {self.scored()}"


def _percent(share: float) -> str:
    """A share in percent; a small one keeps a digit, so that hardly anything does not read as nothing."""
    return f"{100 * share:.1g}%" if 1e-6 < share < 0.001 else f"{share:.1%}"


def _number(value: Any) -> float | None:
    """A number that can be reckoned with, or None."""
    usable = isinstance(value, int | float) and abs(value) < ABSURD
    return value if usable else None


def _without_odd_numbers(run: Run) -> Run:
    """Copy a record so that each row has all its keys, and None stands for whatever is no usable number.

    Our own files are checked against the schema; a record that was put together by hand need not be.
    """

    def rows(found: list[dict[str, Any]], keys: tuple[str, ...]) -> list[dict[str, Any]]:
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


def _one_class_f1(accuracy: float) -> float:
    return 2 * accuracy / max(1 + accuracy, 1) / len(LABELS)


def _diverged(facts: _Facts) -> Diagnosis:
    step = facts.steps if facts.run.steps else 0
    return Diagnosis(
        "diverged",
        [f"The loss stopped being a usable number at step {step}, so the run was stopped there."],
        "Learning rate: at least ten times lower.",
    )


def _too_little(facts: _Facts) -> Diagnosis:
    missing = ", and not all scores" if None in facts.needed else ""
    return Diagnosis(
        "unclear",
        [
            f"{len(facts.losses)} steps were recorded{missing}; at least {FEWEST_STEPS} steps and the scores before and"
            " after are needed."
        ],
        "Train for longer, then ask again.",
    )


def _too_violent(facts: _Facts) -> Diagnosis:
    if facts.highest > JUMP * facts.start:
        began = (
            f"The step loss jumped to {facts.peak:.2f} early in the run, from about {facts.start:.2f}.{facts.moved()}"
        )
    else:
        began = (
            f"The pretrained weights moved by {_percent(facts.movement)} of their size, far more than learning needs."
        )
    return _collapsed(facts, began) if facts.one_class else _too_high(facts, began)


def _collapsed(facts: _Facts, began: str) -> Diagnosis:
    return Diagnosis("collapsed", [began, facts.one_answer()], "Learning rate: ten to fifty times lower.")


def _too_high(facts: _Facts, began: str, change: str = "three to ten times lower") -> Diagnosis:
    return Diagnosis(
        "too high",
        [
            began,
            f"Over the second half of the run the step loss was {facts.late:.2f} on average, and validation loss ended"
            f" at {facts.val:.2f}. {facts.scored()}",
        ],
        f"Learning rate: {change}.",
    )


def _nothing_learned(facts: _Facts) -> Diagnosis:
    went = f"Training loss went from {facts.start:.2f} to {facts.end:.2f} in {facts.steps} steps"
    if facts.restless or (facts.one_class and not facts.calm):
        began = f"{went}, but not steadily: single steps reached {facts.losses.max():.2f}.{facts.moved()}"
        return _collapsed(facts, began) if facts.one_class else _too_high(facts, began)
    if facts.one_class and facts.flat and facts.fell > LEFT_START and not facts.timid:
        return _collapsed(facts, f"{went} and lies flat there: it knows how frequent the labels are.{facts.moved()}")
    if not facts.timid:
        return Diagnosis(
            "unclear",
            [
                f"{went}, and the traces do not say whether its steps were too short or too long.{facts.moved()}",
                facts.scored(),
            ],
            "Learning rate: three times lower, and once more three times higher; then compare.",
        )
    if facts.steps < SHORT_RUN and (facts.start - facts.end) / facts.steps > FAST_FALL:
        return Diagnosis(
            "unclear",
            [f"{went}: it moves, but the run was short.{facts.moved()}", facts.scored()],
            "Epochs, or training sentences: more of them. Then ask again.",
        )
    told = "it hardly moved" if facts.fell < CLEAR_FALL else "it moved, but the scores have not followed yet"
    return Diagnosis(
        "too low", [f"{went}: {told}.{facts.moved()}", facts.scored()], "Learning rate: three to ten times higher."
    )


def _overfitting(facts: _Facts) -> Diagnosis:
    interval = "" if facts.gap_interval is None else " ({:+.2f} to {:+.2f})".format(*facts.gap_interval)
    gap = "" if facts.gap is None else f" The accuracy gap is {facts.gap:+.2f}{interval}."
    if facts.turned_up:
        low = facts.lowest
        epoch = round(low["epoch"] or 1 + facts.val_rows.index(low))
        told = (
            f"Validation loss was lowest after epoch {epoch} ({low['val_loss']:.2f}) and rose to"
            f" {facts.val_rows[-1]['val_loss']:.2f}, while training loss fell to {facts.end:.2f}.{gap}"
        )
        dial = f"Epochs: stop after {epoch}. Then more training sentences, if there are any."
    else:
        told = (
            f"Training loss fell to {facts.end:.2f}, but validation loss is {facts.val:.2f}, above the"
            f" {facts.val_before:.2f} before training.{gap}"
        )
        dial = "Training sentences: more, or cleaner ones. Then fewer epochs."
    return Diagnosis("overfitting", [told, facts.scored()], dial)


def _just_right(facts: _Facts) -> Diagnosis:
    how = "after a rough start" if facts.violent else "without a violent start"
    reasons = [
        f"Training loss fell from {facts.start:.2f} to {facts.end:.2f} {how}.{facts.moved()}",
        facts.scored(),
    ]
    interval = facts.gap_interval
    if facts.gap is not None and interval and interval[0] > 0:
        reasons.append(f"The gap of {facts.gap:+.2f} is real (its interval starts at {interval[0]:+.2f}): watch it.")
    more = "Epochs: it is still falling" if facts.falling else "Training sentences: more epochs would bring little"
    return Diagnosis("just right", reasons, f"{more}; leave the learning rate where it is.")


def _not_enough(facts: _Facts) -> Diagnosis:
    fell = f"Training loss fell from {facts.start:.2f} to {facts.end:.2f} in {facts.steps} steps"
    scores = facts.left_out() if facts.leaves_out else facts.scored()
    for applies, told in (
        (facts.rebounded, "but both losses had been lower after an earlier epoch"),
        (facts.restless, f"but not steadily: single steps reached {facts.losses.max():.2f}"),
        (facts.strayed, "less than half the way, though the weights went far"),
    ):
        if applies:
            return _too_high(facts, f"{fell}, {told}.{facts.moved()}", "about three times lower")
    if not facts.falling:
        rate = "Learning rate: about three times lower"
        more = "Training sentences: more" if facts.timid else rate
        after = f"; after that, {rate.lower()}" if facts.timid else ""
        return Diagnosis(
            "unclear",
            [f"{fell}, and validation loss has stopped falling at {facts.val:.2f}.{facts.moved()}", scores],
            f"{more}, or another seed (GROUP){after}.",
        )
    if facts.fell < HALF_WAY and facts.steps >= SHORT_RUN and facts.timid:
        return Diagnosis(
            "too low",
            [f"{fell}: less than half the way, and it was still falling.{facts.moved()}", scores],
            "Learning rate: about three times higher; or more epochs.",
        )
    instead = "; or, at no extra cost, a rate about three times higher" if facts.timid else ""
    return Diagnosis(
        "unclear",
        [f"{fell}, and it was still falling when the run ended.{facts.moved()}", scores],
        f"Epochs: one or two more at this learning rate{instead}. Then ask again.",
    )


def convergence(run: Run) -> Convergence:
    """Apply the worksheet's convergence rule, and say when it does not apply.

    A change below 0.01 between the last two epochs means *converged* only if the loss first fell clearly below its
    start, and below what answering with the labels' shares costs. Otherwise the run *stalled*, or it *collapsed*. A run
    that creeps by a little more, and that at its present pace would need more than as many epochs again to have fallen
    clearly, has stalled as well. One epoch, or a diverged run, gives *cannot tell*.

    Parameters
    ----------
    run : Run

    Returns
    -------
    Convergence
    """
    facts = _Facts(run)
    start, rows = facts.start, facts.run.epochs
    losses = [row["train_loss"] for row in rows]
    slope, error = _slope(facts.run)
    seconds = [row["seconds"] for row in rows if row["seconds"] is not None]
    epoch_seconds = float(np.mean(seconds)) if seconds else None

    def found(state: str, reason: str, delta: float | None = None) -> Convergence:
        return Convergence(state, reason, delta, slope, error, epoch_seconds)

    if facts.diverged:
        return found("cannot tell", "The run diverged: there is no loss to compare.")
    if len(losses) < 2 or start is None:
        return found("cannot tell", f"The rule compares two epochs, and {len(losses)} is recorded.")
    if None in losses[-2:]:
        return found("cannot tell", "The rule compares the last two epochs, and one of them has no training loss.")
    delta = losses[-1] - losses[-2]
    change = f"Between the last two epochs the training loss changed by {delta:+.3f}"
    if diagnose(run).verdict == "collapsed":
        flat = "flat is not converged" if abs(delta) < WORKSHEET_DELTA else "there is nothing to wait for"
        return found("collapsed", f"{change}, but the model gives one answer to all: {flat}.", delta)
    fell = (start - losses[-1]) / start
    clearly = losses[-1] < (1 - CLEAR_FALL) * min(start, facts.blind)
    if abs(delta) < WORKSHEET_DELTA:
        if clearly:
            return found("converged", f"{change}, after it had fallen by {fell:.0%} from {start:.2f}.", delta)
        if fell >= CLEAR_FALL:
            told = f"{change}, but {losses[-1]:.2f} is about what knowing the labels' shares alone costs."
            return found("stalled", told, delta)
        return found("stalled", f"{change}, but it never fell clearly below its start of {start:.2f}.", delta)
    if delta > 0:
        return found("rising", f"{change}, more than {WORKSHEET_DELTA}.", delta)
    if not clearly and fell - len(losses) * delta / start < CLEAR_FALL:
        return found("stalled", f"{change}: a creep, which has brought it only {fell:.0%} below its start.", delta)
    return found("still falling", f"{change}, more than {WORKSHEET_DELTA}.", delta)


def _slope(run: Run) -> tuple[float | None, float | None]:
    """Least-squares slope of the second half of the step losses, per 100 steps, with its standard error."""
    middle = run.steps[-1]["step"] / 2 if run.steps else 0
    half = [step for step in run.steps if step["loss"] is not None and step["step"] > middle]
    if len(half) < FEWEST_STEPS:
        return None, None
    fit = stats.linregress([step["step"] for step in half], [step["loss"] for step in half])
    return float(fit.slope * 100), float(fit.stderr * 100)
