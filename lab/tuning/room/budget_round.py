"""The budget round of Activity 5: who spent the sentence-passes how, and who won on validation."""

from collections import Counter

import pandas as pd

from tuning.dials import PRESETS
from tuning.evidence.log_rows import number, signed
from tuning.room.board import MAY_DIFFER, Board, all_dials, default_dials
from tuning.runs.record import Run

BUDGET = 4_800


def budget(board: Board, passes: int = BUDGET) -> pd.DataFrame:
    """The budget round: who spent the sentence-passes how, best validation macro-F1 first.

    A run takes part if it spent more than half of the budget and not more than all of it; others are below, with the
    reason. Runs on other data or another encoder than most are left out, so are those that differ from their dials or
    had wrong labels, and those with the default number of sentences and epochs: in the backup lab the morning's runs
    are over the budget, and nobody meant them for it. ``Slip`` is macro-F1 on test minus validation: usually negative
    for the winner, who was chosen on validation.
    """
    usual = Counter(_ground(shared.run) for shared in board.one_lab()).most_common(1)
    rows = []
    for shared in board.one_lab():
        final, test = shared.run.final, shared.run.test or {}
        meant = _ground(shared.run) == usual[0][0] and not (_by_default(shared.run) or shared.run.apart)
        if not meant or final.get("val_f1_macro") is None:
            continue
        slip = None if test.get("f1_macro") is None else test["f1_macro"] - final["val_f1_macro"]
        scores = round(final["val_f1_macro"], 3), number(test.get("f1_macro"), 3) or "closed", signed(slip, 3)
        rows.append((shared.name, spent(shared.run), _spending(shared.run), *scores, _out(spent(shared.run), passes)))
    frame = pd.DataFrame(rows, columns=["Group", "Spent", "How", "Validation F1", "Test F1", "Slip", "Verdict"])
    frame = frame.sort_values(["Verdict", "Validation F1"], ascending=[True, False], ignore_index=True)
    if len(frame) and not frame.loc[0, "Verdict"]:
        frame.loc[0, "Verdict"] = "winner on validation"
    return frame


def _out(passes_spent: int, passes: int) -> str:
    """Why a run takes no part in the budget round; empty if it does."""
    if passes_spent > passes:
        return "over the budget"
    return "" if passes_spent > passes / 2 else "half the budget or less"


def spent(run: Run) -> int:
    """Sentence-passes of a run: training sentences times epochs done."""
    epochs = run.steps[-1]["epoch"] if run.steps else 0
    return round(run.data.get("train_used", 0) * epochs)


def _ground(run: Run) -> tuple[str, str]:
    """What a budget is spent on: the data and the encoder."""
    return run.data["sha256"], run.encoder["revision"]


def _by_default(run: Run) -> bool:
    """Nobody chose how many sentences and epochs this run has."""
    usual, chosen = default_dials(run), all_dials(run)
    return all(chosen[name] == usual[name] for name in ("TRAIN_SUBSET", "EPOCHS"))


def _spending(run: Run) -> str:
    rate = run.preset if run.preset in PRESETS else f"rate {run.learning_rate:g}"
    usual = default_dials(run)
    named = {*MAY_DIFFER, "TRAIN_SUBSET", "EPOCHS", "SCHEDULER"}
    changed = [
        f"{name} {value}" for name, value in all_dials(run).items() if name not in named and value != usual.get(name)
    ]
    spending = f"{run.data.get('train_used', 0)} sentences x {run.dials['EPOCHS']} epochs"
    return ", ".join([spending, rate, run.dials["SCHEDULER"], *changed])
