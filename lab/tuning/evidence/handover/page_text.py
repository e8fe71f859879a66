"""What the page for a manager says about a run, sentence by sentence: from the record, and from its predictions."""

import dataclasses

import numpy as np
import pandas as pd

from tuning.data.labels import LABELS
from tuning.data.loading import load
from tuning.errors import RunError
from tuning.evidence.handover import statements
from tuning.evidence.handover.statements import of_hundred
from tuning.runs import metrics
from tuning.runs.energy import footprint
from tuning.runs.record import Run
from tuning.runs.store import load_predictions

# Below this probability a person reads the sentence too.
SURE = 0.9
# What a watt-hour means: the power of a household lamp.
LAMP_WATTS = 10
# Why a run is not fit for use, by its verdict.
WHY_UNFIT = {
    "too low": "it learned too slowly",
    "too high": "its training was unsteady",
    "collapsed": "it gives nearly all sentences the same answer",
    "diverged": "its training broke down",
    "unclear": "its training does not show whether it learned",
}
UNFINISHED = "its training was not finished"


@dataclasses.dataclass(frozen=True)
class Page:
    """What the page says: its answer in one sentence, sections with their sentences, and whose run it is about."""

    answer: str
    sections: dict[str, list[str]]
    source: str


def page_of(run: Run, words: str = "") -> Page:
    """What the page says about a run.

    Parameters
    ----------
    run : Run
        With scores.
    words : str
        The learner's own paragraph.
    """
    sections = {
        "What it does": _what(run),
        "How sure are we?": _how_sure(run),
        "Where does it fail?": _failures(run),
        "What does it cost?": _cost(run),
        "What we do not promise": _not_promised(run),
        "In the words of the person who trained it": [line for line in words.splitlines() if line],
    }
    return Page(
        _answer(run),
        {title: lines for title, lines in sections.items() if lines},
        f"Run {run.run_id}, {run.encoder['name'] if run.encoder['source'] != 'folder' else 'own encoder'}, made in a"
        f" workshop on {run.started[:10]}.",
    )


def _answer(run: Run) -> str:
    share, top = run.final["val_accuracy"], run.majority["accuracy"]
    against = f"always saying \N{LEFT DOUBLE QUOTATION MARK}{run.majority['label']}\N{RIGHT DOUBLE QUOTATION MARK}"
    if not statements.learned(run):
        return (
            f"Not fit for use, because {WHY_UNFIT.get(run.diagnosis.get('verdict'), UNFINISHED)}. It is right on"
            f" {of_hundred(share)} sentences, and {against} on {of_hundred(top)}."
        )
    return (
        f"Fit for a careful trial, with a person checking. It is right on {of_hundred(share)} sentences; {against}"
        f" would be right on {of_hundred(top)}."
    )


def _what(run: Run) -> list[str]:
    return [
        "You give it one English sentence about finance. It says whether that is good news (positive), bad news"
        " (negative) or neither (neutral), and how sure it is of that, from 0 to 100%.",
        f"It learned this from {run.data.get('train_used', run.dials['TRAIN_SUBSET']):,} sentences with the right"
        f" answers: {statements.data_name(run)}.",
    ]


def _how_sure(run: Run) -> list[str]:
    low, high = run.final.get("val_accuracy_interval") or metrics.accuracy_interval(
        round(run.final["val_accuracy"] * run.final["val_size"]), run.final["val_size"]
    )
    lines = [
        f"It was tested on {run.final['val_size']} sentences from which it had not learned. On others of the same kind,"
        f" expect {100 * low:.0f} to {100 * high:.0f} of 100 (such a range holds 19 times out of 20).",
        "Choices were made by looking at these sentences, so the figure flatters it a little.",
    ]
    if run.test:
        lines[1] = (
            f"On {run.test['size']} sentences that nobody had looked at, it was right on"
            f" {of_hundred(run.test['accuracy'])}."
        )
    return [*lines, "Train it again from another random start, and it will differ a little."]


def _failures(run: Run) -> list[str]:
    answers = _answers(run)
    if answers is None:
        return ["What it said about single sentences is not known here, so nobody can say where it fails."]
    wrong = answers[answers["said"] != answers["label"]]
    right = (answers["said"] == answers["label"]).groupby(answers["label"]).mean()
    shares = [f"{of_hundred(share)} {label} sentences" for label, share in right.items()]
    recognised = f"It recognises {', '.join(shares[:-1])} and {shares[-1]}."
    if wrong.empty:
        return [recognised, "It made no mistake on these sentences; there will be some on others."]
    (label, said), count = wrong.groupby(["label", "said"]).size().pipe(lambda sizes: (sizes.idxmax(), sizes.max()))
    surely = int((wrong["confidence"] >= SURE).sum())
    lines = [
        recognised,
        f"Its most frequent mistake is to call a {label} sentence {said} ({count} of {len(wrong)} mistakes). In"
        f" {surely} of its {len(wrong)} mistakes it was at least {SURE:.0%} sure of itself.",
    ]
    example = _example(run, wrong)
    return [*lines, example] if example else lines


def _answers(run: Run) -> pd.DataFrame | None:
    """What the run said about each validation sentence and how sure it was; None where that is not known."""
    try:
        kept = load_predictions(run)
    except RunError:
        return None
    logits = kept[list(LABELS)].to_numpy(dtype=float)
    if not np.isfinite(logits).all():
        return None
    probs = np.exp(metrics.log_softmax(logits))
    return kept[["id", "label"]].assign(said=np.array(LABELS)[probs.argmax(axis=1)], confidence=probs.max(axis=1))


def _example(run: Run, wrong: pd.DataFrame) -> str:
    """Its surest mistake; sentences of the learner's own file, or of another licence, stay in the house."""
    data = load() if run.dials["DATA"] == "bundled" else None
    if data is None or data.sha256 != run.data["sha256"]:
        return ""
    worst = wrong.loc[wrong["confidence"].idxmax()]
    confidence = "over 99%" if worst["confidence"] > 0.99 else f"{worst['confidence']:.0%}"
    text = data.frame.loc[data.frame["id"] == worst["id"], "sentence"].item()
    return (
        f"Its surest mistake: \N{LEFT DOUBLE QUOTATION MARK}{text}\N{RIGHT DOUBLE QUOTATION MARK} It says"
        f" {worst['said']} ({confidence} sure); the right answer is {worst['label']}."
    )


def _cost(run: Run) -> list[str]:
    took, answers = footprint(run), _answers(run)
    lines = []
    if took.seconds is not None:
        lamp = took.watt_hours / LAMP_WATTS * 3600
        assumed = "" if took.measured else f", assuming that it draws {took.watts:g} watts"
        lines.append(
            f"Training took {took.seconds:.0f} seconds on one computer and as much electricity as a"
            f" {LAMP_WATTS}-watt lamp takes in {lamp:.0f} seconds{assumed}. At an assumed"
            f" {took.price_per_hour:g} an hour that costs {took.money:.4f} in your currency."
        )
    if answers is not None and statements.learned(run):
        unsure = answers["confidence"] < SURE
        missed = ((answers["said"] != answers["label"]) & ~unsure).sum() / max((~unsure).sum(), 1)
        lines.append(
            f"The expensive part is people. If somebody reads every sentence of which it is less than {SURE:.0%} sure,"
            f" that is {of_hundred(unsure.mean())}; of those that nobody reads, {of_hundred(missed)} are still wrong."
        )
    return lines or ["The record does not say."]


def _not_promised(run: Run) -> list[str]:
    return [
        f"That it is as good on our own texts: it was tested on {statements.data_name(run)}."
        f" {' '.join(statements.data_limits(run)[:2])}",
        "That it may decide anything about money, jobs or customers while nobody checks.",
        "That it stays as good: language changes, and nobody tests it after today unless we plan that.",
    ]
