"""The learner's worksheet, and the filled copy of it that the code writes.

``my_work/Activity_Worksheet.md`` is copied once from the form in ``handouts/`` and then belongs to the learner alone.
It lies open in an editor, and a file that changes under an open editor makes the next save a choice between two losses.
So each file has one writer. The code's numbers go into ``my_work/Activity_Worksheet_filled.md``, which joins them with
what the learner has typed and is made anew each time.
"""

import dataclasses
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tuning import paths
from tuning.errors import WorksheetError
from tuning.evidence.log_rows import WORKSHEET_COLUMNS, baseline_values, number, signed, worksheet_values
from tuning.evidence.markdown_tables import BORDER, lines_of
from tuning.evidence.predictions import prediction_of
from tuning.evidence.worksheet_blocks import DIFFERENCE, FIELDS, GO_ON, SENTENCES, Block, find_blocks, unclear_run_ids
from tuning.files import free_name, sign, write_whole
from tuning.runs.diagnosis import convergence, room_word
from tuning.runs.record import Run
from tuning.runs.store import adopted_from, marked_id, readable_runs

TEMPLATE = paths.ROOT / "handouts" / "Activity_Worksheet.md"
PREDICTION_COLUMNS = ("Run ID", "Predicted", "Predicted F1", "Predicted at", "What happened", "F1-macro", DIFFERENCE)
CONVERGENCE_COLUMNS = (
    "Run ID", "Loss before training", "Loss, last but one epoch", "Loss, last epoch", "Change", "State",
    "Seconds per epoch", GO_ON,
)  # fmt: skip
_COLUMNS = {"Runs": WORKSHEET_COLUMNS, "Prediction and result": PREDICTION_COLUMNS, "Convergence": CONVERGENCE_COLUMNS}


def worksheet_file() -> Path:
    """The learner's own copy, ``my_work/Activity_Worksheet.md``."""
    return paths.work() / TEMPLATE.name


def filled_file() -> Path:
    """The copy with the code's numbers, ``my_work/Activity_Worksheet_filled.md``."""
    return worksheet_file().with_name(f"{TEMPLATE.stem}_filled.md")


def worksheet_row(run: Run) -> str:
    """The run as a row of the worksheet's table of experiments, in Markdown; Notes are left for the learner."""
    return _row(worksheet_values(run) | {"Run ID": marked_id(run)})


def baseline_row(run: Run) -> str:
    """The baseline as a row of the worksheet's table of experiments, in Markdown."""
    return _row(baseline_values(run))


def worksheet_table(run: Run) -> str:
    """Heading, baseline and run as a table of their own, in Markdown."""
    return "\n".join([*_head(WORKSHEET_COLUMNS), baseline_row(run), worksheet_row(run)])


def own_copy() -> None:
    """Give the learner a worksheet, unless there is one."""
    if not worksheet_file().exists():
        _write(worksheet_file(), read_template())


def fill_worksheet() -> str:
    """Join the numbers of all finished runs with the learner's worksheet, in a copy beside it.

    Says what was written and what to press. A `WorksheetError` where the worksheet cannot be read, or the copy cannot
    be written.
    """
    runs, damaged = readable_runs()
    own_copy()
    own = worksheet_file()
    text, notices = filled(read_worksheet(), runs)
    path = free_name(filled_file())
    _write(path, text, ours=True)
    saved = time.strftime("%H:%M", time.localtime(own.stat().st_mtime))
    return "\n".join(
        [
            f"Written: {paths.short(path)}, with {len(runs)} run{'s' * (len(runs) != 1)}.",
            f"It joins them with what you typed into {paths.short(own)}, saved at {saved}.",
            "Typed more since? Click into your worksheet, press Ctrl+S (Cmd+S on a Mac), and run this cell again.",
            *notices,
            *(reason for _, reason in damaged),
        ]
    )


def read_worksheet() -> str:
    """The learner's worksheet as text, or the form where there is none yet."""
    path = worksheet_file()
    return _read(path if path.exists() else TEMPLATE)


def read_template() -> str:
    """The empty form in ``handouts/``."""
    return _read(TEMPLATE)


def _read(path: Path) -> str:
    try:
        raw = path.read_bytes()
    except OSError as problem:
        raise WorksheetError(f"{paths.short(path)} cannot be opened ({problem.strerror}).") from None
    if b"\0" in raw:
        raise WorksheetError(f"{paths.short(path)} is not plain text in UTF-8. Save it again as UTF-8.")
    return raw.decode("utf-8-sig", "replace")


def _write(path: Path, text: str, *, ours: bool = False) -> None:
    try:
        write_whole(path, text)
        if ours:
            sign(path)
    except OSError as problem:
        raise WorksheetError(
            f"{paths.short(path)} cannot be written ({problem.strerror}). If a program has it open, close it there."
        ) from None


@dataclasses.dataclass(frozen=True)
class _Entry:
    """What the code and the learner know about one run, or about the model before training."""

    blocks: list[Block]
    run: Run | None = None

    @property
    def typed(self) -> dict[str, str]:
        """What was typed, field by field; two blocks about one run are read as one."""
        return {name: " ".join(filter(None, (block.typed[name] for block in self.blocks))) for name in FIELDS}

    def row(self, columns: Sequence[str], values: Callable[[Run], dict[str, str]]) -> dict[str, str]:
        """A row of a table: the code's numbers, the learner's sentences."""
        known, typed = {} if self.run is None else values(self.run), self.typed
        if self.run is not None and known["Run ID"] == self.run.run_id:
            known["Run ID"] = marked_id(self.run)
            if typed["Run ID"].startswith("~~"):
                known["Run ID"] = f"~~{known['Run ID']}~~"
        return {
            name: (typed[name] if name in SENTENCES and typed[name] else known.get(name) or typed.get(name, ""))
            for name in columns
        }


def filled(text: str, runs: Sequence[Run], spare: int = 0) -> tuple[str, list[str]]:
    """Put the tables of Part B where the blocks stand: the numbers of the runs, and what was typed about them.

    A block gives way to the tables where they show all of its text; any other stays below them, so no word is lost. The
    runs come oldest first, and `spare` empty rows stand below each table. The notices need the learner's hand: a block
    that names no run or several, and runs without a note.
    """
    blocks = find_blocks(text)
    fitting = {block: block.belongs_to(runs) for block in blocks}
    # The baseline is that of the first own run of the main lab, where there is one.
    first = min(runs, key=lambda run: (adopted_from(run) is not None, run.is_backup), default=None)
    before = _Entry([block for block in blocks if block.is_baseline], first)
    of_runs = [_Entry([block for block in blocks if fitting[block] == [run]], run) for run in runs]
    by_hand = [
        _Entry([block])
        for block in blocks
        if not block.is_baseline and len(fitting[block]) != 1 and any(block.typed.values())
    ]
    baseline = before.row(WORKSHEET_COLUMNS, baseline_values) | {"Run ID": "Baseline"}
    tables = {
        "Runs": [baseline, *(entry.row(WORKSHEET_COLUMNS, worksheet_values) for entry in of_runs + by_hand)],
        "Prediction and result": [
            entry.row(PREDICTION_COLUMNS, prediction_values)
            for entry in of_runs + by_hand
            if entry.run or entry.typed[DIFFERENCE]
        ],
        "Convergence": [
            entry.row(CONVERGENCE_COLUMNS, convergence_values)
            for entry in of_runs + by_hand
            if entry.run or entry.typed[GO_ON]
        ],
    }
    entries = zip([before, *of_runs, *by_hand], tables["Runs"], strict=True)
    row_of = {block: row for entry, row in entries for block in entry.blocks}
    lines = lines_of(text)
    place = blocks[0].first if blocks else len(lines)
    for block in reversed(blocks):
        # An empty block has no row; what was typed about prediction and convergence is always in their tables.
        shown = row_of.get(block, {}) | {"Run ID": block.typed["Run ID"]}
        if all(_says(shown[name], block.typed[name]) for name in WORKSHEET_COLUMNS if block.typed[name]):
            del lines[block.first : block.end]
    above, below = "".join(lines[:place]), "".join(lines[place:])
    written = "\n".join([*(_table(title, rows, spare) for title, rows in tables.items()), *_below(runs)])
    return f"{above.rstrip()}\n\n{written}\n{below}", _notices(fitting, of_runs)


def _says(shown: str, typed: str) -> bool:
    """Whether a cell holds what was typed, or the number that was typed with fewer places."""
    if re.fullmatch(r"[-+]?\d+\.\d+", shown) and re.fullmatch(r"[-+]?\d*\.\d+", typed):
        return round(float(shown), len(typed.partition(".")[2])) == float(typed)
    return typed in shown


def prediction_values(run: Run) -> dict[str, str]:
    """One row of the table "Prediction and result"."""
    made = prediction_of(run) or {"word": "", "f1": None, "made": ""}
    return {
        "Run ID": run.run_id,
        "Predicted": made["word"],
        "Predicted F1": number(made["f1"], 2),
        "Predicted at": made["made"][11:16],
        "What happened": room_word(run),
        "F1-macro": number(run.final.get("val_f1_macro"), 3),
        DIFFERENCE: "",
    }


def convergence_values(run: Run) -> dict[str, str]:
    """One row of the table "Convergence"."""
    check = convergence(run)
    losses = [None, None, *(row["train_loss"] for row in run.epochs)]
    return {
        "Run ID": run.run_id,
        "Loss before training": number(run.baseline.get("train_loss"), 3),
        "Loss, last but one epoch": number(losses[-2], 3),
        "Loss, last epoch": number(losses[-1], 3),
        "Change": signed(check.delta, 3),
        "State": check.state,
        "Seconds per epoch": number(check.epoch_seconds, 1),
        GO_ON: "",
    }


def _below(runs: Sequence[Run]) -> list[str]:
    """What the tables have no column for: the encoders, and the test parts that were opened."""
    encoders: dict[str, list[str]] = {}
    for run in runs:
        encoders.setdefault(run.encoder["name"], []).append(run.run_id)
    lines = [f"Encoder {name}: {', '.join(run_ids)}." for name, run_ids in encoders.items()]
    lines += [
        f"Test part of {run.run_id}, opened {run.test['opened'][:16].replace('T', ' ')}: accuracy"
        f" {number(run.test['accuracy'], 3)}, macro-F1 {number(run.test['f1_macro'], 3)}."
        for run in runs
        if run.test
    ]
    return [_cell(line) + "\n" for line in lines]


def _notices(fitting: dict[Block, list[Run]], of_runs: Sequence[_Entry]) -> list[str]:
    notices = [
        "A block of Part B has no Run ID. Write it, or the end of it: - Run ID: just-right"
        for block in fitting
        if not block.typed["Run ID"] and any(block.typed.values())
    ]
    notices += unclear_run_ids(fitting)
    silent = [entry.run.run_id for entry in of_runs if not entry.typed["Notes"]]
    if silent:
        notices.append(f"No note of yours yet on {', '.join(silent)}. Write Run ID and Notes into a block of Part B.")
    return notices


def _table(title: str, rows: Sequence[dict[str, str]], spare: int) -> str:
    columns = _COLUMNS[title]
    blank = [_row(dict.fromkeys(columns, ""))] * spare
    return "\n".join([f"#### {title}", "", *_head(columns), *map(_row, rows), *blank, ""])


def _head(columns: Sequence[str]) -> list[str]:
    return [_row(dict(zip(columns, columns, strict=True))), f"|{'---|' * len(columns)}"]


def _row(values: dict[str, str]) -> str:
    return "| " + " | ".join(_cell(value) or " " for value in values.values()) + " |"


def _cell(value: str) -> str:
    """A text that stays inside its cell; a bar that is marked as text already keeps its mark."""
    return re.sub(r"(?<!\\)\|", lambda bar: BORDER, " ".join(value.split())).replace("<", "&lt;")
