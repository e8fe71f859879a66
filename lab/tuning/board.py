"""The class board: the runs of a whole room as tables.

Every table takes the runs as `collect` gives them. Only runs that differ in nothing but learning rate and seed are
compared with each other; the others are named with what is different, and runs of the backup lab stand apart.
"""

import dataclasses
import os
import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tuning import share
from tuning.dials import PRESETS
from tuning.errors import ShareError
from tuning.log import number
from tuning.prediction import prediction_of, result_word
from tuning.run import BACKUP_NOTEBOOK, Run, adopted_from, finished_runs
from tuning.share import Gathered, Shared

BUDGET = 4_800
COLUMNS = ("Group", "LR preset", "LR value", "Val loss", "Accuracy", "F1-macro", "Gen. gap", "In one word")
OWN_RATE = "own"
_SAME = ("SCHEDULER", "EPOCHS", "TRAIN_SUBSET", "MAX_LENGTH", "BATCH_SIZE", "WEIGHT_DECAY")


@dataclasses.dataclass(frozen=True)
class Board:
    """The runs of a room, sorted.

    Attributes
    ----------
    compared : list of Shared
        Runs of the main lab that differ in learning rate and seed alone, by preset, then by name.
    apart : list of tuple
        A run of the main lab that is not comparable, and what is different.
    backup : list of Shared
        Runs of the backup lab.
    refused : list of tuple of str
        Where a bad line began, and the reason.
    """

    compared: list[Shared]
    apart: list[tuple[Shared, str]]
    backup: list[Shared]
    refused: list[tuple[str, str]]

    def main_lab(self) -> list[Shared]:
        """All runs of the main lab, comparable or not."""
        return [*self.compared, *(shared for shared, _ in self.apart)]


def collect(source: str = "") -> Board:
    """Read what the room has shared.

    Parameters
    ----------
    source : str
        A whole chat with share lines in it; or the path of a file or folder; or nothing, for the runs on this machine.

    Returns
    -------
    Board

    Raises
    ------
    ShareError
        If the source is none of these.
    """
    source = source.strip()
    if not source:
        return sort(local_runs())
    path = os.path.expanduser(source)
    # Unlike its twin in pathlib, this is also silent about a text that is no possible name.
    if os.path.exists(path):
        return sort(share.gather_files(Path(path)))
    if share.MARK not in source:
        raise ShareError("SHARED has no share line in it, and there is no file or folder of that name.")
    return sort(share.gather(source))


def local_runs() -> Gathered:
    """The runs on this machine, own and adopted, as if they had been shared."""
    found = Gathered([], [])
    for folder in finished_runs():
        run = Run.load(folder)
        made = prediction_of(run) or {"word": None, "f1": None}
        group = run.dials["GROUP"]
        name = adopted_from(run) or ("here" if group is None else f"group {group}")
        found.add(Shared(name, run, made["word"], made["f1"]), run.run_id)
    return found


def sort(found: Gathered) -> Board:
    """Separate what can be compared from what cannot."""
    main = [shared for shared in found.shared if shared.run.notebook != BACKUP_NOTEBOOK]
    backup = [shared for shared in found.shared if shared.run.notebook == BACKUP_NOTEBOOK]
    settings = Counter(tuple(_setting(shared.run).items()) for shared in main)
    usual = dict(settings.most_common(1)[0][0]) if settings else {}
    told = [(shared, _difference(shared.run, usual)) for shared in main]
    return Board(
        sorted([shared for shared, difference in told if not difference], key=_order),
        [(shared, difference) for shared, difference in told if difference],
        sorted(backup, key=_order),
        found.refused,
    )


def results(board: Board, lab: str = "main") -> pd.DataFrame:
    """The results table, in the columns of the slide.

    Parameters
    ----------
    board : Board
    lab : str
        ``main`` for the runs that can be compared, ``backup`` for those of the backup lab.

    Returns
    -------
    pandas.DataFrame
    """
    return pd.DataFrame(
        [_row(shared) for shared in (board.backup if lab == "backup" else board.compared)], columns=COLUMNS
    )


def not_comparable(board: Board) -> pd.DataFrame:
    """Runs that stand apart, with the reason.

    Returns
    -------
    pandas.DataFrame
    """
    reason = "backup lab: another model, other learning rates, another training loop"
    rows = [_row(shared) | {"Why apart": difference} for shared, difference in board.apart]
    rows += [_row(shared) | {"Why apart": reason} for shared in board.backup]
    return pd.DataFrame(rows, columns=[*COLUMNS, "Why apart"])


def refused(board: Board) -> pd.DataFrame:
    """Lines that could not be used, with one reason each."""
    return pd.DataFrame([(where, f"It {reason}") for where, reason in board.refused], columns=["where", "reason"])


def predictions(board: Board) -> pd.DataFrame:
    """What the groups predicted beside what happened.

    Returns
    -------
    pandas.DataFrame
        One row per run that carries a prediction; ``off by`` is result minus prediction in macro-F1.
    """
    rows = []
    for shared in [*board.main_lab(), *board.backup]:
        if shared.word is None:
            continue
        happened, f1 = result_word(shared.run), shared.run.final.get("val_f1_macro")
        rows.append(
            {
                "Group": shared.name,
                "LR preset": shared.run.preset,
                "Predicted": shared.word,
                "Happened": happened,
                "Right": "yes" if shared.word == happened else "no",
                "Predicted F1": number(shared.f1, 2),
                "F1-macro": number(f1, 2),
                "Off by": "" if None in (shared.f1, f1) else f"{f1 - shared.f1:+.2f}",
            }
        )
    columns = ["Group", "LR preset", "Predicted", "Happened", "Right", "Predicted F1", "F1-macro", "Off by"]
    return pd.DataFrame(rows, columns=columns)


def luck(board: Board) -> pd.DataFrame:
    """How far groups with the same preset lie apart: they differ in their seed alone.

    Returns
    -------
    pandas.DataFrame
        One row per preset: runs, different seeds, lowest, mean and highest macro-F1, ``spread`` between the extremes,
        and the width of a single run's own 95% interval, to be read beside it.
    """
    rows = {}
    for preset, members in by_preset(board).items():
        scores = [one.run.final["val_f1_macro"] for one in members if one.run.final.get("val_f1_macro") is not None]
        ends = [one.run.final.get("val_f1_macro_interval") for one in members]
        widths = [high - low for low, high in filter(None, ends)]
        if scores:
            rows[preset] = {
                "runs": len(scores),
                "seeds": len({one.run.seed for one in members}),
                "lowest F1": f"{min(scores):.3f}",
                "mean F1": f"{np.mean(scores):.3f}",
                "highest F1": f"{max(scores):.3f}",
                "spread": f"{max(scores) - min(scores):.3f}" if len(scores) > 1 else "",
                "one run's interval": f"{np.mean(widths):.3f} wide" if widths else "",
            }
    return pd.DataFrame.from_dict(rows, orient="index")


def by_preset(board: Board) -> dict[str, list[Shared]]:
    """The comparable runs by preset, presets in the order of the lab, own rates last."""
    found = {preset: [one for one in board.compared if one.run.preset == preset] for preset in (*PRESETS, OWN_RATE)}
    return {preset: members for preset, members in found.items() if members}


def budget(board: Board, passes: int = BUDGET) -> pd.DataFrame:
    """The budget round: who spent the sentence-passes how, best validation macro-F1 first.

    A run takes part if it spent more than half of the budget; one that spent more than all of it is out. Runs on other
    data or another encoder than most are left out as well.

    Parameters
    ----------
    board : Board
    passes : int
        Training sentences times epochs that each group may spend.

    Returns
    -------
    pandas.DataFrame
        ``slip`` is macro-F1 on test minus validation: usually negative for the winner, who was chosen on validation.
    """
    runs = [one for one in board.main_lab() if spent(one.run) > passes / 2]
    usual = Counter((one.run.data["sha256"], one.run.encoder["revision"]) for one in board.main_lab()).most_common(1)
    rows = []
    for one in runs:
        final, test = one.run.final, one.run.test or {}
        if (one.run.data["sha256"], one.run.encoder["revision"]) != usual[0][0] or final.get("val_f1_macro") is None:
            continue
        slip = None if test.get("f1_macro") is None else test["f1_macro"] - final["val_f1_macro"]
        rows.append(
            {
                "Group": one.name,
                "Spent": spent(one.run),
                "How": _spending(one.run),
                "Validation F1": round(final["val_f1_macro"], 3),
                "Test F1": number(test.get("f1_macro"), 3) or "closed",
                "Slip": "" if slip is None else f"{slip:+.3f}",
                "Verdict": "over the budget" if spent(one.run) > passes else "",
            }
        )
    frame = pd.DataFrame(rows, columns=["Group", "Spent", "How", "Validation F1", "Test F1", "Slip", "Verdict"])
    frame = frame.sort_values(["Verdict", "Validation F1"], ascending=[True, False], ignore_index=True)
    if len(frame) and not frame.loc[0, "Verdict"]:
        frame.loc[0, "Verdict"] = "winner on validation"
    return frame


def spent(run: Run) -> int:
    """Sentence-passes of a run: training sentences times epochs done."""
    epochs = run.steps[-1]["epoch"] if run.steps else 0
    return round(run.data.get("train_used", 0) * epochs)


def _order(shared: Shared) -> tuple[Any, ...]:
    # "Group 10" comes behind "Group 9".
    name = [part.zfill(9) if part.isdigit() else part for part in re.split(r"(\d+)", shared.name.casefold())]
    preset = shared.run.preset
    return PRESETS.index(preset) if preset in PRESETS else len(PRESETS), shared.run.learning_rate, name


def _row(shared: Shared) -> dict[str, str]:
    run, final = shared.run, shared.run.final
    gap = final.get("gap_accuracy")
    values = (
        shared.name,
        run.preset,
        f"{run.learning_rate:g}",
        number(final.get("val_loss"), 2),
        number(final.get("val_accuracy"), 2),
        number(final.get("val_f1_macro"), 2),
        "" if gap is None else f"{gap:+.2f}",
        result_word(run),
    )
    return dict(zip(COLUMNS, values, strict=True))


def _setting(run: Run) -> dict[str, Any]:
    """Everything that must be equal for two runs of the main lab to be compared."""
    found = {name: run.dials.get(name) for name in _SAME}
    return found | {
        "data": run.data["sha256"][:8],
        "encoder": run.encoder["revision"],
        "precision": run.machine["precision"],
    }


def _difference(run: Run, usual: dict[str, Any]) -> str:
    told = [f"{name} {value} (most: {usual[name]})" for name, value in _setting(run).items() if value != usual[name]]
    if run.outcome == "interrupted":
        told.append("stopped by hand")
    return ", ".join(told)


def _spending(run: Run) -> str:
    rate = run.preset if run.preset in PRESETS else f"rate {run.learning_rate:g}"
    return f"{run.data.get('train_used', 0)} sentences x {run.dials['EPOCHS']} epochs, {rate}, {run.dials['SCHEDULER']}"
