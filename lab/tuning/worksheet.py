"""The learner's worksheet: found, filled, and shown as a difference.

``handouts/Activity_Worksheet.md`` is the contract: the three tables of its Part B are found by their headings. The
learner's own copy lies in ``my_work/``. Filling writes into cells that hold nothing but blanks, and adds rows; a
character that somebody typed is never changed, and the file as it was is kept in ``my_work/backups/``.
"""

import difflib
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from filelock import Timeout

from tuning import folders
from tuning.diagnosis import convergence
from tuning.errors import WorksheetError
from tuning.files import Lock, write_whole
from tuning.log import WORKSHEET_COLUMNS, baseline_values, number, signed, worksheet_values
from tuning.markdown_tables import BORDER, Table, bare, find_table, line_end, lines_of
from tuning.prediction import prediction_of, result_word
from tuning.run import BACKUP_NOTEBOOK, Run, adopted_from, readable_runs

TEMPLATE = folders.ROOT / "handouts" / "Activity_Worksheet.md"
PREDICTION_COLUMNS = (
    "Run ID",
    "Predicted",
    "Predicted F1",
    "Predicted at",
    "What happened",
    "F1-macro",
    "What the difference tells us",
)
CONVERGENCE_COLUMNS = (
    "Run ID",
    "Loss before training",
    "Loss, last but one epoch",
    "Loss, last epoch",
    "Change",
    "State",
    "Seconds per epoch",
    "Go on or stop, and why",
)
BASELINE = "baseline"
LOCK_SECONDS = 30


def worksheet_file() -> Path:
    """The learner's own copy, ``my_work/Activity_Worksheet.md``."""
    return folders.work() / TEMPLATE.name


def worksheet_row(run: Run) -> str:
    """The run as a row of the worksheet's Part B table, in Markdown; Notes are left for the learner."""
    return _row(worksheet_values(run))


def baseline_row(run: Run) -> str:
    """The baseline as a row of the worksheet's Part B table, in Markdown."""
    return _row(baseline_values(run))


def fill_worksheet() -> str:
    """Write all finished runs into the learner's worksheet, each once.

    Returns
    -------
    str
        The lines that were added, as a difference, and for each table that the code no longer finds, why, with the rows
        to paste by hand.

    Raises
    ------
    WorksheetError
        If the worksheet cannot be read or written.
    """
    runs, damaged = readable_runs()
    path = worksheet_file()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with Lock(path.with_suffix(".lock"), LOCK_SECONDS):
            old = read_worksheet()
            new, notices = filled(old, runs)
            if new != old or not path.exists():
                if path.exists():
                    _back_up(path)
                _write(path, new)
    except Timeout:
        raise WorksheetError(f"{folders.short(path)} is held by another notebook. Run this cell again.") from None
    except OSError as problem:
        raise WorksheetError(
            f"{folders.short(path)} cannot be written ({problem.strerror}). If a program has it open, close it there."
        ) from None
    return "\n".join([_difference(old, new, path), *notices, *(reason for _, reason in damaged)])


def read_worksheet() -> str:
    """The learner's worksheet as text, or the template where there is none yet.

    Bytes that are no UTF-8 come through unchanged when the text is written again.

    Raises
    ------
    WorksheetError
        If it cannot be opened, or is no plain text.
    """
    path = worksheet_file()
    return _read(path if path.exists() else TEMPLATE)


def read_template() -> str:
    """The empty form in ``handouts/``.

    Raises
    ------
    WorksheetError
        If it cannot be opened.
    """
    return _read(TEMPLATE)


def _read(path: Path) -> str:
    try:
        raw = path.read_bytes()
    except OSError as problem:
        raise WorksheetError(f"{folders.short(path)} cannot be opened ({problem.strerror}).") from None
    if b"\0" in raw:
        raise WorksheetError(
            f"{folders.short(path)} is no plain text in UTF-8. Save it again as UTF-8, or take a copy from backups/."
        )
    return raw.decode("utf-8", "surrogateescape")


def filled(text: str, runs: Sequence[Run]) -> tuple[str, list[str]]:
    """Fill the tables of a worksheet.

    Parameters
    ----------
    text : str
        The worksheet, with its own line ends.
    runs : sequence of Run
        Oldest first.

    Returns
    -------
    text : str
        With the rows that were missing.
    notices : list of str
        One per table that was not found, and one per row that has too many cells.
    """
    notices = []
    baselines = [baseline_values(run) for run in _main_first(runs)[:1]]
    text, trouble = _fill(text, "Experiments", WORKSHEET_COLUMNS, runs, worksheet_values, baselines)
    notices += trouble
    for title, columns, values in (
        ("Prediction and result", PREDICTION_COLUMNS, prediction_values),
        ("Convergence", CONVERGENCE_COLUMNS, convergence_values),
    ):
        text, trouble = _fill(text, title, columns, runs, values, [])
        notices += trouble
    return text, notices


def prediction_values(run: Run) -> dict[str, str]:
    """One row of the table "Prediction and result"."""
    made = prediction_of(run) or {"word": "", "f1": None, "made": ""}
    return {
        "Run ID": run.run_id,
        "Predicted": made["word"],
        "Predicted F1": number(made["f1"], 2),
        "Predicted at": made["made"][11:16],
        "What happened": result_word(run),
        "F1-macro": number(run.final.get("val_f1_macro"), 3),
        "What the difference tells us": "",
    }


def convergence_values(run: Run) -> dict[str, str]:
    """One row of the table "Convergence"."""
    found = convergence(run)
    losses = [None, None, *(row["train_loss"] for row in run.epochs)]
    return {
        "Run ID": run.run_id,
        "Loss before training": number(run.baseline.get("train_loss"), 3),
        "Loss, last but one epoch": number(losses[-2], 3),
        "Loss, last epoch": number(losses[-1], 3),
        "Change": signed(found.delta, 3),
        "State": found.state,
        "Seconds per epoch": number(found.epoch_seconds, 1),
        "Go on or stop, and why": "",
    }


def _main_first(runs: Sequence[Run]) -> list[Run]:
    """Own runs of the main lab first: the baseline is the first of these."""
    return sorted(runs, key=lambda run: (adopted_from(run) is not None, run.notebook == BACKUP_NOTEBOOK))


def _fill(
    text: str,
    title: str,
    columns: Sequence[str],
    runs: Sequence[Run],
    values: Callable[[Run], dict[str, str]],
    baselines: list[dict[str, str]],
) -> tuple[str, list[str]]:
    table = find_table(text, columns)
    if isinstance(table, str):
        rows = [_row(row) for row in baselines] + [_row(_marked(values(run), run)) for run in runs]
        told = f'The table "{title}" of your worksheet was left alone: {table}.'
        return text, [told, *(["Rows to paste by hand:", *rows] if rows else [])]
    lines = lines_of(text)
    for row in baselines:
        _fill_baseline(lines, table, row)
    # Struck through or not.
    known = {bare(bare(row[0]).split(" ")[0]) for row in table.rows}
    new = [_row(_marked(values(run), run)) for run in runs if run.run_id not in known]
    blank = [table.first + at for at, row in enumerate(table.rows) if not "".join(row).strip()]
    ending = line_end(lines[table.end - 1]) or line_end(lines[table.first - 1]) or "\n"
    for at, row in zip(blank, new, strict=False):
        lines[at] = row + line_end(lines[at])
    rest = new[len(blank) :]
    if rest:
        if not line_end(lines[table.end - 1]):
            lines[table.end - 1] += ending
        lines[table.end : table.end] = [row + ending for row in rest]
    told = (
        f'The table "{title}" of your worksheet: the row "{name}" has more than {len(columns)} cells.'
        r" Write \| for a bar that is text."
        for name in table.overfull
    )
    return "".join(lines), list(told)


def _fill_baseline(lines: list[str], table: Table, values: dict[str, str]) -> None:
    """Write the numbers before training into the row "Baseline", where nobody has written any."""
    for at, row in enumerate(table.rows):
        if bare(row[0]).casefold() == BASELINE and not "".join(row[1:-1]).strip():
            written = [
                f" {value} " if not cell.strip() else cell for cell, value in zip(row, values.values(), strict=True)
            ]
            lines[table.first + at] = f"|{'|'.join(written)}|{line_end(lines[table.first + at])}"
            return


def _marked(values: dict[str, str], run: Run) -> dict[str, str]:
    group = adopted_from(run)
    return values if group is None else values | {"Run ID": f"{run.run_id} (group: {group})"}


def _row(values: dict[str, str]) -> str:
    return "| " + " | ".join(_cell(value) or " " for value in values.values()) + " |"


def _cell(value: str) -> str:
    """A text that stays inside its cell."""
    return " ".join(value.split()).replace("|", BORDER).replace("<", "&lt;")


def _write(path: Path, text: str) -> None:
    write_whole(path, text.encode("utf-8", "surrogateescape"))


def _back_up(path: Path) -> None:
    folder = path.parent / "backups"
    folder.mkdir(exist_ok=True)
    stem = f"{path.stem}-{time.strftime('%Y%m%d-%H%M%S')}"
    number = 1
    while (kept := folder / f"{stem}{'' if number == 1 else f'-{number}'}.md").exists():
        number += 1
    write_whole(kept, path.read_bytes())


def _difference(old: str, new: str, path: Path) -> str:
    if old == new:
        return f"{folders.short(path)}: every finished run is in it already."
    changes = difflib.unified_diff(old.splitlines(), new.splitlines(), lineterm="", n=0)
    added = [line for line in list(changes)[2:] if line.startswith("+")]
    shown = [line.encode("utf-8", "replace").decode() for line in added]
    return "\n".join([f"Written into {folders.short(path)}:", *shown])
