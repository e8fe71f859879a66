"""Judge a run from its record: the verdict with its reasons, the next dial, and the convergence check.

What counts is in `tuning.runs.symptoms`, one table and one tree; here it is put into words. Only the record counts,
never the preset's name. An *unclear* run is told what speaks for each reading.
"""

import dataclasses
import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import scipy  # and not its parts: scipy.stats is loaded when it is used, which keeps the first cell quick

from tuning.runs.record import Run
from tuning.runs.symptoms import DECAYING, LIMITS, VERDICTS, WORKSHEET_DELTA, Facts

# What a run may be, where it is not clear; the last three are no verdicts.
TITLES = {
    "too low": "a learning rate that is too low",
    "just right": "a learning rate that is about right",
    "too high": "a learning rate that is too high",
    "overfitting": "over-fitting",
    "collapsed": "a model that gives one answer to all",
    "halfway": "a run that got half way",
    "chance": "bad luck, or a rate at its limit",
    "too short": "a run that was too short",
}


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
    """What the convergence check found."""

    # ``converged``, ``still falling``, ``rising``, ``stalled``, ``collapsed`` or ``cannot tell``; see `OUTCOMES`.
    state: str
    reason: str  # One sentence with the numbers.
    delta: float | None  # Change of the evaluation-mode training loss between the last two epochs, in nats.
    # Change of the step loss per 100 steps over the second half of the run, and its standard error.
    slope: float | None
    slope_error: float | None
    epoch_seconds: float | None  # What one more epoch would take, from the mean of the epochs so far.

    def epoch_cost(self, price_per_hour: float) -> float | None:
        """Money for one more epoch at a machine's price per hour, in the price's currency."""
        return None if self.epoch_seconds is None else self.epoch_seconds / 3600 * price_per_hour


def diagnose(run: Run) -> Diagnosis:
    """Name what happened in a run.

    Where ``baseline`` has no loss, that of the first step stands in: it is taken before any update. Where the scores
    after training lack one, that of the last epoch does.
    """
    facts = Facts(run)
    readings = facts.readings
    verdict = min(readings) if len(readings) == 1 and readings < set(VERDICTS) else "unclear"
    names = [reading for reading in dict.fromkeys((*VERDICTS, *TITLES)) if reading in readings]
    if len(names) == 1:
        reasons = _evidence(facts, names[0])
    else:
        reasons = [f"It could be {TITLES[name]}. {_evidence(facts, name)[0]}" for name in names] + [_scored(facts)]
    return Diagnosis(verdict, [*reasons, *_below_the_start(facts)], _next_dial(facts, readings))


def convergence(run: Run) -> Convergence:
    """Apply the worksheet's convergence rule, in agreement with the verdict.

    The training loss after the last epoch is compared with the lowest after an earlier one. A change below 0.01 means
    *converged* only if the loss first came down; `OUTCOMES` says which state belongs to which verdict.
    """
    facts = Facts(run)
    losses = [row["train_loss"] for row in facts.run.epochs]
    state, delta = "cannot tell", None
    if facts.diverged:
        reason = "The run diverged: there is no loss to compare."
    elif len(losses) < 2 or facts.start is None:
        reason = f"The rule compares two epochs, and this run recorded {len(losses)}."
    elif None in losses[-2:]:
        reason = "The rule compares the last two epochs, and one of them has no training loss."
    else:
        delta = losses[-1] - losses[-2]
        state = facts.state(diagnose(run).verdict)
        reason = f"Between the last two epochs the training loss changed by {delta:+.3f}{_because(facts, state)}."
    seconds = [row["seconds"] for row in facts.run.epochs if row["seconds"] is not None]
    slope, error = _slope(facts.run)
    return Convergence(state, reason, delta, slope, error, float(np.mean(seconds)) if seconds else None)


def tried(run: Run, others: Iterable[Run]) -> str:
    """What runs that differ in rate and seed alone have shown about the rate, in a sentence; empty if nothing.

    Asked for a run whose verdict wants another rate; the others come with their recorded verdicts.
    """
    rates: dict[str, set[float]] = {}
    for other in (run, *others):
        if _question(other) == _question(run):
            verdict = other.diagnosis.get("verdict")
            side = "too high" if verdict in ("collapsed", "diverged") else verdict
            rates.setdefault(side, set()).add(other.learning_rate)
    right, low, high = (rates.get(side, set()) for side in ("just right", "too low", "too high"))
    if run.diagnosis.get("verdict") in ("just right", "overfitting"):
        return ""
    if right:
        return f"Tried already with these dials: {min(right):g} was just right."
    if low and high and max(low) < min(high):
        between = math.sqrt(max(low) * min(high))
        return f"Tried already with these dials: {max(low):g} was too low, {min(high):g} too high. Try {between:.1g}."
    return ""


def _question(run: Run) -> tuple[Any, ...]:
    """What two runs share that differ in rate and seed alone."""
    dials = {name: value for name, value in run.dials.items() if name not in ("LR_PRESET", "GROUP")}
    return dials, run.notebook, run.encoder.get("name"), run.data.get("sha256")


def room_word(run: Run) -> str:
    """What a run did in one of the room's four words, or ``cannot tell``, by its recorded verdict."""
    return Facts(run).outcome(run.diagnosis.get("verdict", "unclear")).word


# Words


def _evidence(facts: Facts, reading: str) -> list[str]:
    """Sentences that speak for one reading; the first can stand alone."""
    if reading == "diverged":
        return [f"The loss stopped being a usable number at step {facts.steps}, so the run was stopped there."]
    if not facts.complete:
        needed = f"at least {LIMITS['enough steps'].yes} steps and the scores before and after are needed"
        return [f"Only {len(facts.losses)} steps were recorded; {needed}."]
    answered, (low, high) = facts.answered, facts.gap_interval
    went = f"Training loss went from {facts.start:.2f} to {facts.end:.2f} in {facts.steps} steps"
    movement = facts.run.final.get("weight_movement")
    moved = "" if movement is None else f" The pretrained weights moved by {percent(movement)} of their size."
    scored = _scored(facts)
    gap = [] if low is None else [f"The accuracy gap is {facts.gap or low:+.2f} ({low:+.2f} to {high:+.2f})."]
    match reading:
        case "too low":
            how = "half the way down at most" if answered["came down"] else "it hardly left its start"
            return [f"{went}: {how}.{moved}", scored]
        case "just right":
            real = [f"{gap[0]} It is real: watch it."] if gap and low > 0 else []
            return [f"{went}.{moved}", scored, *real]
        case "overfitting" if answered["far up"] is False:
            return [
                f"Training loss fell to {facts.end:.2f}: the training sentences are learned by heart.",
                *gap,
                scored,
            ]
        case "overfitting":
            return [f"{_turned(facts)}, while training loss fell to {facts.end:.2f}.", *gap, scored]
        case "too high":
            return [f"{_rough(facts)}{moved}", scored]
        case "collapsed":
            return [f"{_rough(facts)}{moved}", _one_answer(facts)]
        case "too short":
            return [f"{went}, and {facts.steps} steps are few.{moved}"]
        case "halfway":
            return [f"{went}, but the scores have not followed.{moved}", scored]
    return [_oddity(facts)]


def _scored(facts: Facts) -> str:
    return f"Validation macro-F1 is {facts.f1:.3f}, with {facts.majority_f1:.3f} for the majority class."


def _below_the_start(facts: Facts) -> list[str]:
    """A sentence where training has lowered the score, to the three places that are shown."""
    before = facts.run.baseline.get("val_f1_macro")
    if before is None or facts.f1 is None or round(facts.f1, 3) >= round(before, 3):
        return []
    return [f"The untrained model had a macro-F1 of {before:.3f}: the score fell in training."]


def _turned(facts: Facts) -> str:
    """How validation loss turned, without a full stop."""
    low = facts.lowest
    when = f"after epoch {low['epoch']:.0f}" if low["epoch"] else "before training"
    return f"Validation loss was lowest {when} ({low['val_loss']:.2f}) and ended at {facts.val:.2f}"


def _rough(facts: Facts) -> str:
    """What tells of steps that were too long."""
    answered = facts.answered
    if answered["jumped"] is not False:
        return (
            f"For {facts.window} steps in a row the median loss was {facts.level:.2f}; the first was near"
            f" {facts.start:.2f}."
        )
    if answered["turned up"] is not False and answered["training rose"] is not False:
        return f"{_turned(facts)}; training loss went from {facts.lowest['train_loss']:.2f} to {facts.end:.2f}."
    if answered["rose again"]:
        return f"Training loss rose again, from {facts.end - facts.change:.2f} to {facts.end:.2f}."
    return f"Training loss went from {facts.start:.2f} to {facts.end:.2f}, and the weights went far."


def _one_answer(facts: Facts) -> str:
    top = max(facts.answers, key=facts.answers.get)
    answers = f"The model says {top} for {facts.answers[top]:.0%} of the validation sentences"
    accuracy = "" if facts.accuracy is None else f"accuracy {facts.accuracy:.3f} may look tolerable, "
    return f"{answers}: {accuracy}macro-F1 {facts.f1:.3f} does not."


def _oddity(facts: Facts) -> str:
    """What is odd about good scores."""
    answered, odd = facts.answered, []
    if not answered["label found"]:
        odd.append(f"{_worst_label(facts)} is hardly ever predicted")
    if answered["named too often"]:
        label = max(facts.leaning, key=facts.leaning.get)
        odd.append(f"{label} is predicted {facts.leaning[label]:.1f} times as often as it occurs")
    if answered["F1 fell"]:
        odd.append("macro-F1 fell from one epoch to the next")
    if answered["rose again"]:
        odd.append(f"training loss rose again, from {facts.end - facts.change:.2f} to {facts.end:.2f}")
    text = f"{', and '.join(odd)}."
    return text[0].upper() + text[1:]


def _worst_label(facts: Facts) -> str:
    return min(facts.label_f1, key=facts.label_f1.get)


def _next_dial(facts: Facts, readings: set[str]) -> str:
    """The dial to try next, with regard to what the run has tried already."""
    match sorted(readings):
        case ["too low"]:
            return "Learning rate: ten times higher. Look at the curve, and ask again."
        case ["too high"] if facts.answered["came down"] and facts.answered["learned"] is not False:
            return "Learning rate: three times lower. Look at the curve, and ask again."
        case ["collapsed" | "diverged" | "too high"] | ["collapsed", "too high"]:
            return "Learning rate: ten times lower. Look at the curve, and ask again."
        case ["overfitting"]:
            stop = (
                f"Epochs: stop after {facts.best_epoch}. " if facts.answered["turned up"] and facts.best_epoch else ""
            )
            return f"{stop}Training sentences: {_more_sentences(facts)}"
        case ["just right"]:
            return f"{_go_on(facts)} Leave the learning rate where it is."
    if "too short" in readings:
        return "Epochs or training sentences: more of them. Then ask again."
    if {"too high", "too low"} <= readings:
        return "Learning rate: three times lower, and once more three times higher. Compare the three curves."
    if "too high" in readings:
        return "Learning rate: three times lower. Compare the two curves."
    if "overfitting" in readings:
        return "Another seed (GROUP). Judge by macro-F1 on validation as well as by the loss."
    falling = facts.change < -WORKSHEET_DELTA and facts.val < facts.lowest["val_loss"]
    if "chance" in readings and not facts.answered["label found"] and facts.state("unclear") == "converged":
        return f"Training sentences: more with the label {_worst_label(facts)}. More epochs would change little."
    if "chance" in readings and (facts.answered["label found"] or not falling):
        return "Another seed (GROUP) at this learning rate. If it happens again: three times lower."
    if facts.change < -WORKSHEET_DELTA:
        return f"{_more_epochs(facts)}, or a learning rate three times higher. Compare the two curves."
    return "Learning rate: three times higher. Compare the two curves."


def _go_on(facts: Facts) -> str:
    """What a run at a good rate may still gain, in agreement with its state of convergence."""
    if len(facts.rows) < 3:
        return f"{_more_epochs(facts)}: one epoch cannot tell whether it has converged."
    state = facts.state("just right")
    if state == "cannot tell":
        return f"{_more_epochs(facts)}: training loss has neither settled nor clearly risen."
    if state == "converged":
        return f"Training sentences: {_more_sentences(facts)} More epochs would change little."
    if facts.answered["turned up"] is not False and facts.answered["F1 rose"] is False:
        since = f"{facts.lowest['epoch']:.0f}"
        stopped = f"No more epochs: validation loss has risen since epoch {since}, and macro-F1 has gained little."
        return f"Training sentences: {_more_sentences(facts)} {stopped}"
    if facts.val < facts.lowest["val_loss"]:
        return f"{_more_epochs(facts)}: both losses are still falling."
    return f"{_more_epochs(facts)}, for as long as macro-F1 rises: validation loss has stopped falling."


def _more_epochs(facts: Facts) -> str:
    """More epochs than the run had, without a full stop."""
    epochs = max(len(facts.run.epochs), 1)
    schedule = facts.run.dials.get("SCHEDULER")
    why = f" in a new run, since the {schedule} schedule ended at a rate of zero" if schedule in DECAYING else ""
    return f"Epochs: {epochs + max(epochs // 2, 1)} instead of {epochs}{why}"


def _more_sentences(facts: Facts) -> str:
    """More training sentences, where there are more."""
    size, used = (facts.run.data.get("split_sizes") or {}).get("train"), facts.run.data.get("train_used")
    if noise := facts.run.dials.get("LABEL_NOISE"):
        return f"more of them, with right labels: {noise:.0%} of these are wrong (LABEL_NOISE)."
    return "all are in use, so check their labels." if size and used == size else "more of them."


def _because(facts: Facts, state: str) -> str:
    """The second half of the sentence about convergence."""
    fell = f"{abs(facts.fell):.0%} {'below' if facts.fell >= 0 else 'above'} its start of {facts.start:.2f}"
    return {
        "collapsed": ", but the model gives one answer to all: flat is not converged",
        "stalled": f", and it ended {fell}: flat is not converged",
        "converged": f", and it ended {fell}",
        "still falling": f", and it is {-facts.change:.3f} below its lowest earlier epoch",
        "rising": f", and it is {facts.change:.3f} above its lowest earlier epoch",
        "cannot tell": ", too much for converged and too little for rising",
    }[state]


def percent(share: float) -> str:
    """A share in percent; below one it has two digits, so that hardly anything does not read as nothing."""
    return f"{100 * share:.2g}%" if 1e-6 < share < 0.01 else f"{share:.1%}"


def _slope(run: Run) -> tuple[float | None, float | None]:
    """Least-squares slope of the second half of the step losses, per 100 steps, with its standard error."""
    middle = run.steps[-1]["step"] / 2 if run.steps else 0
    half = [step for step in run.steps if step["loss"] is not None and step["step"] > middle]
    if len(half) < LIMITS["enough steps"].yes:
        return None, None
    fit = scipy.stats.linregress([step["step"] for step in half], [step["loss"] for step in half])
    return float(fit.slope * 100), float(fit.stderr * 100)
