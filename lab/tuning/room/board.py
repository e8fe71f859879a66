"""The class board: the runs of a whole room as tables.

Every table takes the runs as `collect` gives them. Only runs that differ in nothing but learning rate and seed are
compared with each other; the others are named with what is different, and runs of the backup lab stand apart, unless
the whole room has used it. Pictures are in `tuning.room.board_figures`, the clinic's answers in
`tuning.room.clinic_board`.
"""

import dataclasses
import os
import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tuning import paths
from tuning.dials import PRESETS, FrozenDials, SgdDials
from tuning.errors import RunError, ShareError
from tuning.evidence.log_rows import number, signed
from tuning.evidence.predictions import prediction_of
from tuning.room import share
from tuning.room.clinic import Score
from tuning.room.share import Gathered, Shared
from tuning.runs.diagnosis import room_word
from tuning.runs.record import Run
from tuning.runs.scores import RecordedScores
from tuning.runs.store import adopted_from, readable_runs

COLUMNS = ("Group", "LR preset", "LR value", "Val loss", "Accuracy", "F1-macro", "Gen. gap", "In one word")
OWN_RATE = "own"
# The first two may differ between runs that are compared; the others have been turned into data, encoder and precision.
MAY_DIFFER = {"LR_PRESET", "GROUP", "DATA", "AGREEMENT", "MODEL", "PRECISION"}


@dataclasses.dataclass(frozen=True)
class Board:
    """The runs of a room, sorted."""

    compared: list[Shared]  # Runs of one lab that differ in learning rate and seed alone, by preset, then by name.
    apart: list[tuple[Shared, str]]  # A run of the same lab that is not comparable, and what is different.
    backup: list[Shared]  # Runs of the backup lab, where the main lab has runs too.
    refused: list[tuple[str, str]]  # Where a bad line began, and the reason.
    scores: list[Score]  # Answers in the clinic, one per visitor.
    repeated: int = 0  # Copies of lines that were there already.

    def one_lab(self) -> list[Shared]:
        """All runs of the lab that is compared, comparable or not."""
        return [*self.compared, *(shared for shared, _ in self.apart)]

    def __str__(self) -> str:
        return (
            f"{len(self.compared)} runs can be compared.\nMore differs than learning rate and seed: {len(self.apart)};"
            f" from the backup lab: {len(self.backup)}; lines that cannot be used: {len(self.refused)}.\n"
            f"People who have sent their answers in the clinic: {len(self.scores)}."
            f"{self._silent()}"
        )

    def _silent(self) -> str:
        """Which groups have sent nothing, up to the highest number that was seen; and copies that count once."""
        numbers = {shared.run.dials.get("GROUP") for shared in [*self.one_lab(), *self.backup]} - {None}
        missing = [str(number) for number in range(1, max(numbers, default=0)) if number not in numbers]
        silent = f"\nNo line from GROUP {', '.join(missing)}." if missing else ""
        return silent + (f"\nCame more than once and count once: {self.repeated}." if self.repeated else "")


def collect(source: str = "") -> Board:
    """Read what the room has shared.

    The source is a whole chat with share lines in it, or the path of a file or folder, or nothing, for the runs on this
    machine; a `ShareError` where it is none of these.
    """
    source = source.strip()
    if not source:
        return sort(local_runs())
    # Windows copies a path with quotation marks around it.
    path = os.path.expanduser(source.strip('"'))
    # Unlike its twin in pathlib, this is also silent about a text that is no possible name.
    if os.path.exists(path):
        gathered, missing = _from_path(Path(path)), f"{paths.short(path)} has no share line and no run in it."
    else:
        gathered = share.gather(source)
        missing = "SHARED has no share line in it, and there is no file or folder of that name."
    if gathered == Gathered():
        raise ShareError(missing)
    return sort(gathered)


def local_runs() -> Gathered:
    """The runs on this machine, own and adopted, as if they had been shared."""
    runs, damaged = readable_runs()
    gathered = Gathered(refused=[(folder, f"cannot be read: {reason}") for folder, reason in damaged])
    for run in runs:
        made = prediction_of(run) or {"word": None, "f1": None}
        gathered.add(Shared(adopted_from(run) or _local_name(run), run, made["word"], made["f1"]), run.run_id)
    return gathered


def _from_path(path: Path) -> Gathered:
    """Lines in a file or folder, or the records of a folder of runs, such as a sweep's."""
    records = sorted(path.glob("*/run.json"))
    if not records:
        return share.gather_files(path)
    gathered = Gathered()
    for record in records:
        try:
            run = Run.load(record)
        except RunError as problem:
            gathered.refused.append((record.parent.name, f"cannot be read: {problem}"))
        else:
            gathered.add(Shared(_local_name(run), run), run.run_id)
    return gathered


def _local_name(run: Run) -> str:
    group = run.dials["GROUP"]
    return "here" if group is None else f"group {group}"


def sort(gathered: Gathered) -> Board:
    """Separate what can be compared from what cannot."""
    backup = [shared for shared in gathered.shared if shared.run.is_backup]
    main = [shared for shared in gathered.shared if not shared.run.is_backup]
    if not main:
        # A whole room without the main lab still has a board.
        main, backup = backup, []
    settings = Counter(tuple(_setting(shared.run).items()) for shared in main)
    usual = dict(settings.most_common(1)[0][0]) if settings else {}
    encoders = {shared.run.encoder["revision"]: shared.run.encoder["name"] for shared in main}
    differences = [(shared, _difference(shared.run, usual, encoders)) for shared in main]
    return Board(
        sorted([shared for shared, difference in differences if not difference], key=_order),
        [(shared, difference) for shared, difference in differences if difference],
        sorted(backup, key=_order),
        gathered.refused,
        gathered.scores,
        len(gathered.repeated),
    )


def results(board: Board) -> pd.DataFrame:
    """The runs that can be compared, in the columns of the slide, one row per run."""
    return pd.DataFrame([_row(shared) for shared in board.compared], columns=COLUMNS)


def summary(board: Board) -> pd.DataFrame:
    """The same columns with one row per preset or rate, for a board of very many runs: medians, and the usual word."""
    rows = []
    for (preset, rate), members in by_rate(board).items():
        finals = [shared.run.final for shared in members]
        medians = {key: _median(finals, key) for key in ("val_loss", "val_accuracy", "val_f1_macro", "gap_accuracy")}
        words = Counter(room_word(shared.run) for shared in members)
        group = f"{len(members)} run{'s' if len(members) > 1 else ''}"
        rows.append(_cells(group, preset, rate, medians, words.most_common(1)[0][0]))
    return pd.DataFrame(rows, columns=COLUMNS)


def _median(finals: list[dict[str, Any]], key: str) -> float | None:
    values = [final[key] for final in finals if final.get(key) is not None]
    return float(np.median(values)) if values else None


def not_comparable(board: Board) -> pd.DataFrame:
    """Runs that stand apart, with the reason."""
    reason = "backup lab: another model, other learning rates, another training loop"
    rows = [_row(shared) | {"Why apart": difference} for shared, difference in board.apart]
    rows += [_row(shared) | {"Why apart": reason} for shared in board.backup]
    return pd.DataFrame(rows, columns=[*COLUMNS, "Why apart"])


def refused(board: Board) -> pd.DataFrame:
    """Lines that could not be used, with one reason each."""
    return pd.DataFrame([(where, f"It {reason}") for where, reason in board.refused], columns=["where", "reason"])


def predictions(board: Board) -> pd.DataFrame:
    """What the groups predicted beside what happened, by run; ``off by`` is result minus prediction in macro-F1."""
    rows = []
    for shared in [*board.one_lab(), *board.backup]:
        if shared.word is None:
            continue
        happened, f1 = room_word(shared.run), shared.run.final.get("val_f1_macro")
        right = "yes" if shared.word == happened else "no"
        off_by = "" if None in (shared.f1, f1) else signed(f1 - shared.f1, 2)
        scores = number(shared.f1, 2), number(f1, 2), off_by
        rows.append((shared.name, shared.run.preset, shared.word, happened, right, *scores))
    columns = ["Group", "LR preset", "Predicted", "Happened", "Right", "Predicted F1", "F1-macro", "Off by"]
    return pd.DataFrame(rows, columns=columns)


def luck(board: Board) -> pd.DataFrame:
    """How far groups with the same rate lie apart: they differ in their seed alone.

    One row per preset or own rate: runs, different seeds, lowest, mean and highest macro-F1, ``spread`` between the
    extremes, and the mean width of a single run's own 95% interval, to be read beside it. Runs with one seed repeat
    each other, so the first of them counts alone.
    """
    rows = {}
    for (preset, rate), members in by_rate(board).items():
        scored = [shared.run for shared in members if shared.run.final.get("val_f1_macro") is not None]
        finals = [run.final for run in {run.seed: run for run in reversed(scored)}.values()]
        scores = [final["val_f1_macro"] for final in finals]
        widths = [high - low for low, high in filter(None, (final.get("val_f1_macro_interval") for final in finals))]
        if scores:
            rows[f"rate {rate:g}" if preset == OWN_RATE else preset] = {
                "runs": len(scored),
                "seeds": len(scores),
                "lowest F1": f"{min(scores):.3f}",
                "mean F1": f"{np.mean(scores):.3f}",
                "highest F1": f"{max(scores):.3f}",
                "spread": f"{max(scores) - min(scores):.3f}" if len(scores) > 1 else "",
                "one run's interval": f"{np.mean(widths):.3f} wide" if widths else "",
            }
    return pd.DataFrame.from_dict(rows, orient="index")


def by_preset(board: Board) -> dict[str, list[Shared]]:
    """The comparable runs by preset, presets in the order of the lab, own rates last."""
    order = (*PRESETS, OWN_RATE)
    presets = {preset: [shared for shared in board.compared if shared.run.preset == preset] for preset in order}
    return {preset: members for preset, members in presets.items() if members}


def by_rate(board: Board) -> dict[tuple[str, float], list[Shared]]:
    """The comparable runs by preset and learning rate, in the order of the board."""
    members: dict[tuple[str, float], list[Shared]] = {}
    for shared in board.compared:
        members.setdefault((shared.run.preset, shared.run.learning_rate), []).append(shared)
    return members


def _order(shared: Shared) -> tuple[Any, ...]:
    # "Group 10" comes behind "Group 9".
    name = [part.zfill(9) if part.isdigit() else part for part in re.split(r"(\d+)", shared.name.casefold())]
    preset = shared.run.preset
    return PRESETS.index(preset) if preset in PRESETS else len(PRESETS), shared.run.learning_rate, name


def _row(shared: Shared) -> dict[str, str]:
    run = shared.run
    return _cells(shared.name, run.preset, run.learning_rate, run.final, room_word(run))


def _cells(group: str, preset: str, rate: float, final: RecordedScores, word: str) -> dict[str, str]:
    scores = [number(final.get(key), 2) for key in ("val_loss", "val_accuracy", "val_f1_macro")]
    gap = signed(final.get("gap_accuracy"), 2)
    return dict(zip(COLUMNS, [group, preset, f"{rate:g}", *scores, gap, word], strict=True))


def default_dials(run: Run) -> dict[str, Any]:
    """The default dials of a run's lab."""
    return (SgdDials() if run.is_backup else FrozenDials()).as_dict()


def all_dials(run: Run) -> dict[str, Any]:
    """The dials of a run; a record from before a dial existed was made with its default."""
    return default_dials(run) | run.dials


def _setting(run: Run) -> dict[str, Any]:
    """Everything that must be equal for two runs of one lab to be compared."""
    dials = {name: value for name, value in all_dials(run).items() if name not in MAY_DIFFER}
    return dials | {
        "data": run.data["sha256"][:8],
        "encoder": run.encoder["revision"],
        "precision": run.machine["precision"],
        "departures": "; ".join(run.departures) or "none",
        "adapter": " ".join(map(str, (run.adapter or {"": "none"}).values())),
    }


def _difference(run: Run, usual: dict[str, Any], encoders: dict[str, str]) -> str:
    """What is different, an encoder by its name; two of one name by their revisions as well."""
    setting, usual = _setting(run), dict(usual)
    if setting["encoder"] != usual["encoder"]:
        revisions = setting["encoder"], usual["encoder"]
        names = [encoders[revision] for revision in revisions]
        alike = names[0] == names[1]
        setting["encoder"], usual["encoder"] = (
            f"{name} {revision[:7]}" if alike else name for name, revision in zip(names, revisions, strict=True)
        )
    differences = [
        f"{name} {setting.get(name)} (most: {usual.get(name)})"
        for name in setting | usual
        if setting.get(name) != usual.get(name)
    ]
    if run.outcome == "interrupted":
        differences.append("stopped by hand")
    return ", ".join(differences)
