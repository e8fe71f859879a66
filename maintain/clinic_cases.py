"""The clinic's twelve cases: recorded runs without a label, and sealed answers.

Which run becomes which case follows from the records: each round needs runs of certain causes (`PLAN`), and of one
cause the runs whose rate makes them easiest to tell come first. An answer is sealed once for each cause that a learner
may commit to, under a key made of the case and that cause, and holds what speaks against this cause if it is the wrong
one.

Sealing keeps answers out of the page's source, its search and its developer tools for those who read them. It keeps
nothing from those who run the page's own code on every cause, or click, look and reload: the page must be able to
answer without a network, so whatever it needs is in it.
"""

import base64
import hashlib
import json
import math
from typing import Any

import numpy as np

from maintain import curve_figures, reference_runs
from tuning.errors import RunError
from tuning.figures import curves
from tuning.room import clinic
from tuning.runs import reference
from tuning.runs.diagnosis import percent
from tuning.runs.record import Run

# A rate that is too high has three faces, and the learner is asked for the cause.
CAUSE_OF = {
    "too low": "too low",
    "just right": "just right",
    "too high": "too high",
    "collapsed": "too high",
    "diverged": "too high",
    "overfitting": "overfitting",
}
OFFERED = ("too low", "just right", "too high", "overfitting")
GOOD_DIALS = {
    "too low": ("higher learning rate",),
    "just right": ("more training sentences", "change nothing"),
    "too high": ("lower learning rate",),
    "overfitting": ("fewer epochs", "more training sentences"),
}
# A good rate whose validation loss ends so many times above its lowest mark is no fair question.
MOST_TURNED_UP = 1.1
# Activity 1 and the wrap are compared, so they hold the same causes, and of each cause two runs of the same dials that
# differ in the seed alone. Practice takes what is left, the clearest first.
PLAN = (
    ("Activity 1", ("too high", "just right", "overfitting", "too low")),
    ("wrap", ("too low", "overfitting", "too high", "just right")),
    ("practice", ("just right", "too low", "too high", "too low")),
)
COMPARED = 2
# What two runs share that differ in the seed alone.
SAME = ("LR_PRESET", "SCHEDULER", "TRAIN_SUBSET", "EPOCHS", "LABEL_NOISE")
DIGITS = 4
# Macro-F1 that far above the majority class's: the scores did go up.
LEARNED = 0.1


def recorded() -> dict[str, Run]:
    """The main lab's reference runs of one encoder by name, those of the budget round left out, which are thinned.

    The backup lab's losses and rates are of another kind.
    """
    start = reference_runs.drawn_from()
    others = (reference_runs.BACKUP, reference_runs.BUDGETED) + (() if start else (reference_runs.DISTILBERT,))
    names = [name.removeprefix(start) for name in reference.names(start)]
    return {name: curve_figures.recorded(name) for name in names if not name.startswith(others)}


def choose(runs: dict[str, Run], shown: set[str]) -> list[tuple[str, str]]:
    """Round and name of the run of each case, in order.

    Parameters
    ----------
    runs : dict of str to Run
        Recorded runs by name.
    shown : set of str
        Names that learners see elsewhere as curve pictures; they are left out.

    Raises
    ------
    RunError
        If a cause has too few runs.
    """
    working = np.median([math.log(run.learning_rate) for run in runs.values() if _cause(run) == "just right"] or [0])
    waiting = {}
    for cause in OFFERED:
        names = [name for name, run in runs.items() if _cause(run) == cause and _is_fair(run) and name not in shown]
        # The further a wrong rate lies from one that works, the clearer is the picture; the nearer a right one.
        sign = 1 if cause == "just right" else -1
        names.sort(key=lambda name: (sign * abs(math.log(runs[name].learning_rate) - working), name))
        needed = sum(causes.count(cause) for _, causes in PLAN)
        twins = next((pair for name in names if len(pair := _twins(runs, names, name)) == COMPARED), [])
        rest = [name for name in names if name not in twins]
        if not twins or len(rest) < needed - COMPARED:
            raise RunError(
                f"assets/reference_runs: the clinic needs {needed} runs that are {cause}, two of them with equal dials"
                f" and other seeds; there is {', '.join(names) or 'none'}. Record the missing ones: python3 workshop.py"
                " reference"
            )
        places = np.linspace(0, len(rest) - 1, needed - COMPARED) if needed > COMPARED else []
        waiting[cause] = [*twins, *(rest[round(place)] for place in places)]
    return [(when, waiting[cause].pop(0)) for when, causes in PLAN for cause in causes]


def _twins(runs: dict[str, Run], names: list[str], name: str) -> list[str]:
    """This run and the next of the same dials with another seed."""
    own = [runs[name].dials.get(dial) for dial in SAME]
    return [other for other in names if [runs[other].dials.get(dial) for dial in SAME] == own][:COMPARED]


def _cause(run: Run) -> str | None:
    return CAUSE_OF.get(run.diagnosis.get("verdict", ""))


def _is_fair(run: Run) -> bool:
    losses = [row["val_loss"] for row in run.epochs if row["val_loss"] is not None]
    return run.diagnosis["verdict"] != "just right" or losses[-1] <= MOST_TURNED_UP * min(losses)


def good_dials(run: Run) -> tuple[str, ...]:
    """The dials that count as a good next one: those of the cause, and more epochs where the record says so."""
    good = GOOD_DIALS[CAUSE_OF[run.diagnosis["verdict"]]]
    still_falling = run.diagnosis["verdict"] == "just right" and run.diagnosis["next_dial"].startswith("Epochs")
    return (*good, "more epochs") if still_falling else good


def facts() -> dict[str, Any]:
    """Everything that the clinic's page needs: words, rounds, and the cases with their sealed answers."""
    runs = recorded()
    chosen = choose(runs, set(curve_figures.CURVES.values()))
    cases = [case(number, when, runs[name]) for number, (when, name) in enumerate(chosen, start=1)]
    return {
        "causes": [[clinic.CAUSES.index(cause), cause] for cause in OFFERED],
        "dials": list(clinic.DIALS),
        "rounds": list(clinic.ROUNDS),
        "cases": cases,
        "set": hashlib.sha256(json.dumps(cases).encode()).hexdigest()[:12],
    }


def case(number: int, when: str, run: Run) -> dict[str, Any]:
    """One case: what the learner sees of a run, and its answers sealed."""
    return {"item": number, "round": clinic.ROUNDS.index(when), "run": seen(run), "sealed": _answers(number, run)}


def seen(run: Run) -> dict[str, Any]:
    """A run as the pages draw it (see ``assets/pages/records.mjs``), without rate, preset, verdict and name."""
    marks = [
        {
            "epoch": row.get("epoch", 0),
            "step": round(step),
            "train": _short(row.get("train_loss")),
            "validation": _short(row.get("val_loss")),
            "accuracy": _short(row.get("val_accuracy")),
            "f1": _short(row.get("val_f1_macro")),
            "seconds": _short(row.get("seconds", 0)),
        }
        for step, row in curves.epoch_marks(run)
    ]
    marks[0] |= {"accuracy": _short(run.baseline.get("val_accuracy")), "f1": _short(run.baseline.get("val_f1_macro"))}
    majority = run.majority
    return {
        "steps": [[step["step"], _short(step["loss"])] for step in run.steps],
        "marks": marks,
        "majority": {"label": majority["label"], "accuracy": majority["accuracy"], "f1": majority["f1_macro"]},
        "predicted": [[label, round(count)] for label, count in run.final["val_predicted"].items()],
        "moved": _short(run.final.get("weight_movement")),
        "outcome": run.outcome,
    }


def _short(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.{DIGITS}g}")


def _answers(number: int, run: Run) -> dict[str, str]:
    truth = CAUSE_OF[run.diagnosis["verdict"]]
    answer = {
        "truth": clinic.CAUSES.index(truth),
        "verdict": run.diagnosis["verdict"],
        "rate": f"{run.learning_rate:g}",
        "reasons": run.diagnosis["reasons"],
        "next": run.diagnosis["next_dial"],
        "good": [clinic.DIALS.index(dial) for dial in good_dials(run)],
    }
    told = _against(run)
    return {
        cause: seal(answer | {"against": told[truth].get(cause, "")}, f"case {number}, {cause}") for cause in OFFERED
    }


def _against(run: Run) -> dict[str, dict[str, str]]:
    """For each true cause: what in this run speaks against another one."""
    start, end = run.baseline, run.final
    movement = end.get("weight_movement")
    moved = "they are beyond use" if movement is None else f"they moved by {percent(movement)}"
    marks = f"training loss went from {_two(start['train_loss'])} to {_two(end['train_loss'])}"
    validation = [row["val_loss"] for row in run.epochs if row["val_loss"] is not None]
    lowest, last = _two(min(validation, default=None)), _two(validation[-1] if validation else None)
    f1, majority = _two(end["val_f1_macro"]), _two(run.majority["f1_macro"])
    scores = f"macro-F1 ended at {f1}, with {majority} for the majority class"
    # Not the two losses themselves: rounded, they may differ in the last digit from those of the reasons.
    fell = "training loss came down by " + _share_lost(start["train_loss"], end["train_loss"])
    learned = (end["val_f1_macro"] or 0) > run.majority["f1_macro"] + LEARNED
    turned = (
        f"A rate that fits keeps what it gained. Here validation loss was {lowest} at its lowest and {last} at the end."
    )
    return {
        "too low": {
            "just right": f"A rate that fits takes the marks clearly down. Here {fell}.",
            "too high": f"A rate that is too high leaves a jump at the start, and weights far from home. Here {moved}.",
            "overfitting": f"Over-fitting needs training sentences learned by heart. Here {fell}.",
        },
        "just right": {
            "too low": f"A rate that is too low leaves the scores where they were. Here {scores}.",
            "too high": f"Single batches are noisy in every run. The marks fall without a jump at the start: {marks}.",
            "overfitting": "Over-fitting needs validation loss that turns up clearly. Here it began at"
            f" {_two(start['val_loss'])} and ended at {last}; its lowest mark is {lowest}.",
        },
        "too high": {
            "too low": ("" if learned else "Both may end near guessing. ")
            + f"A rate that is too low hardly moves the weights; here {moved}.",
            "just right": turned if learned else f"A rate that fits takes the scores up. Here {scores}.",
            "overfitting": f"Over-fitting takes training loss near zero. Here {marks}.",
        },
        "overfitting": {
            "too low": f"The steps were long enough: {marks}.",
            "just right": f"Look at the diamonds: validation loss was {lowest} at its lowest and {last} at the end.",
            "too high": f"There is no jump at the start, and {marks}: the steps fit. What happened came later.",
        },
    }


def _share_lost(start: float, end: float | None) -> str:
    return "nothing" if end is None or end >= start else f"{1 - end / start:.1%}"


def _two(value: float | None) -> str:
    return "no number" if value is None else f"{value:.2f}"


def seal(answer: dict[str, Any], key: str) -> str:
    """Hide an answer from readers; `unseal` in ``assets/pages/sealed.mjs`` opens it.

    Each block of 32 bytes of its JSON is combined (exclusive or) with the SHA-256 of ``<key>/<number of the block>``.

    Returns
    -------
    str
        Base 64.
    """
    raw = json.dumps(answer, ensure_ascii=False, separators=(",", ":")).encode()
    pads = (hashlib.sha256(f"{key}/{block}".encode()).digest() for block in range(-(-len(raw) // 32)))
    return base64.b64encode(bytes(one ^ other for one, other in zip(raw, b"".join(pads), strict=False))).decode()
