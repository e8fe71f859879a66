"""The experiment log, ``lab/runs/experiment_log.csv``: one row per run, the worksheet's Part B columns first.

The file is written whole beside the old one and takes its place in one step, under a lock: a crash, or two notebooks at
once, lose no row. A file that is no longer a log is kept under another name, never dropped.
"""

import csv
import io
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
from filelock import Timeout

from tuning import folders
from tuning.energy import PRICE_PER_HOUR, WATTS, footprint
from tuning.errors import RunError
from tuning.files import Lock, write_whole
from tuning.run import BACKUP_NOTEBOOK, Run, adopted_from, readable_runs

WORKSHEET_COLUMNS = (
    "Run ID",
    "LR preset",
    "LR value",
    "Scheduler",
    "Epochs",
    "Train subset",
    "Train loss (end)",
    "Val loss",
    "Accuracy",
    "F1-macro",
    "Gen. gap",
    "Notes",
)
LOG_COLUMNS = (
    *WORKSHEET_COLUMNS,
    "Source",
    "Outcome",
    "Verdict",
    "Started",
    "Notebook",
    "Group",
    "Seed",
    "Batch size",
    "Max length",
    "Weight decay",
    "Model",
    "Other dials",
    "Encoder",
    "Encoder revision",
    "Data",
    "Data SHA-256",
    "Precision",
    "Threads",
    "Device",
    "Processor",
    "System",
    "Train seconds",
    "Total seconds",
    "Versions",
    "Energy (Wh)",
    "Energy from",
    "Cost",
    "Cost from",
    "Departures",
    "Test accuracy",
    "Test F1-macro",
    "Test opened",
)
# Columns that a log may lack, because it was begun before there were any.
_ADDED_LATER = ("Departures", "Test accuracy", "Test F1-macro", "Test opened")
LOCK_SECONDS = 60
POLL_SECONDS = 0.01
# Dials with a column of their own; all others stand together in "Other dials".
_OWN_COLUMN = {
    "LR_PRESET",
    "SCHEDULER",
    "EPOCHS",
    "TRAIN_SUBSET",
    "GROUP",
    "BATCH_SIZE",
    "MAX_LENGTH",
    "WEIGHT_DECAY",
    "MODEL",
    "DATA",
}


def log_file() -> Path:
    """The experiment log, ``lab/runs/experiment_log.csv``."""
    return folders.runs() / "experiment_log.csv"


def number(value: float | None, places: int) -> str:
    """A number as tables show it; one that does not exist stays empty."""
    return "" if value is None else f"{value:.{places}f}"


def signed(value: float | None, places: int) -> str:
    """A difference as tables show it, with its sign; nearly nothing is ``+0.00`` and never ``-0.00``."""
    return "" if value is None else f"{round(value, places) + 0.0:+.{places}f}"


def worksheet_values(run: Run) -> dict[str, str]:
    """Part B of the worksheet for one run, column by column; a number that does not exist stays empty."""
    final = run.final
    return {
        "Run ID": run.run_id,
        "LR preset": run.preset,
        "LR value": f"{run.learning_rate:g}",
        "Scheduler": str(run.dials["SCHEDULER"]),
        "Epochs": str(run.dials["EPOCHS"]),
        "Train subset": str(run.data.get("train_used", run.dials["TRAIN_SUBSET"])),
        "Train loss (end)": number(final.get("train_loss"), 3),
        "Val loss": number(final.get("val_loss"), 3),
        "Accuracy": number(final.get("val_accuracy"), 3),
        "F1-macro": number(final.get("val_f1_macro"), 3),
        "Gen. gap": signed(final.get("gap_accuracy"), 3),
        "Notes": "",
    }


def baseline_values(run: Run) -> dict[str, str]:
    """The worksheet's first row: the model before training."""
    before = run.baseline
    return dict.fromkeys(WORKSHEET_COLUMNS, "") | {
        "Run ID": "Baseline",
        "Train loss (end)": number(before.get("train_loss"), 3),
        "Val loss": number(before.get("val_loss"), 3),
        "Accuracy": number(before.get("val_accuracy"), 3),
        "F1-macro": number(before.get("val_f1_macro"), 3),
        "Gen. gap": signed(before.get("gap_accuracy"), 3),
        "Notes": "all weights zero" if run.notebook == BACKUP_NOTEBOOK else "untrained head",
    }


def log_values(run: Run, watts: float = WATTS, price_per_hour: float = PRICE_PER_HOUR) -> dict[str, str]:
    """One row of the experiment log: the worksheet's columns, then what is needed to repeat the run.

    Parameters
    ----------
    run : Run
    watts, price_per_hour : float
        What energy and cost assume.
    """
    dials, timing = run.dials, run.timing
    group = adopted_from(run)
    rest: dict[str, Any] = {
        "Source": "own" if group is None else f"group: {group}",
        "Outcome": run.outcome,
        "Verdict": run.diagnosis.get("verdict", ""),
        "Started": run.started,
        "Notebook": run.notebook,
        "Group": "" if dials["GROUP"] is None else dials["GROUP"],
        "Seed": run.seed,
        "Batch size": dials.get("BATCH_SIZE", ""),
        "Max length": dials.get("MAX_LENGTH", ""),
        "Weight decay": dials.get("WEIGHT_DECAY", ""),
        "Model": dials.get("MODEL", ""),
        "Other dials": " ".join(f"{name}={value}" for name, value in dials.items() if name not in _OWN_COLUMN),
        "Encoder": run.encoder["name"],
        "Encoder revision": run.encoder["revision"],
        "Data": run.data["path"],
        "Data SHA-256": run.data["sha256"],
        "Precision": run.machine["precision"],
        "Threads": run.machine["threads"],
        "Device": run.machine["device"],
        "Processor": run.machine["processor"],
        "System": run.machine["platform"],
        "Train seconds": number(timing.get("train_seconds"), 1),
        "Total seconds": number(timing.get("total_seconds"), 1),
        "Versions": " ".join(f"{name}={version}" for name, version in run.versions.items()),
        "Departures": "; ".join(run.departures),
        "Test accuracy": number((run.test or {}).get("accuracy"), 3),
        "Test F1-macro": number((run.test or {}).get("f1_macro"), 3),
        "Test opened": (run.test or {}).get("opened", ""),
    }
    costs = _costs(run, watts, price_per_hour)
    return worksheet_values(run) | {name: str(value) for name, value in rest.items()} | costs


def _costs(run: Run, watts: float, price_per_hour: float) -> dict[str, str]:
    took = footprint(run, watts, price_per_hour)
    return {
        "Energy (Wh)": number(took.watt_hours, 3),
        "Energy from": "a meter" if took.measured else f"{watts:g} W assumed",
        "Cost": number(took.money, 5),
        "Cost from": f"{price_per_hour:g} an hour assumed",
    }


def append(run: Run) -> None:
    """Add a run to the experiment log, once; a note that stands in its row already is kept.

    Parameters
    ----------
    run : Run

    Raises
    ------
    RunError
        If the file cannot be written: the disk is full, or another program holds it.
    """
    _rewrite(run, lambda rows: _with_row(rows, log_values(run)))


def amend(run: Run, note: str = "", watts: float = WATTS, price_per_hour: float = PRICE_PER_HOUR) -> None:
    """Let a run's row in the log say what a notebook showed: energy and cost under its assumptions, and a note.

    Parameters
    ----------
    run : Run
        Where its row is gone, it gets a new one.
    note : str
        Written only where no note stands: what a learner wrote stays.
    watts, price_per_hour : float
        The assumptions.

    Raises
    ------
    RunError
        As :func:`append`.
    """

    def change(rows: list[dict[str, str]]) -> list[dict[str, str]]:
        row = next((row for row in rows if row["Run ID"] == run.run_id), None)
        if row is None:
            rows.append(row := log_values(run))
        row |= _costs(run, watts, price_per_hour) | {"Notes": row["Notes"] or note}
        return rows

    _rewrite(run, change)


def _rewrite(run: Run, change: Callable[[list[dict[str, str]]], list[dict[str, str]]]) -> None:
    path = log_file()
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with Lock(path.with_suffix(".lock"), LOCK_SECONDS, poll_seconds=POLL_SECONDS):
            write_whole(path, _text(change(_rows_on_disk(path))))
        # Whoever writes many rows in a row lets the others have a turn.
        time.sleep(2 * POLL_SECONDS)
    except Timeout:
        raise RunError(f"{folders.short(path)} is held by another notebook. {_again(run)}") from None
    except OSError as problem:
        raise RunError(f"{folders.short(path)} cannot be written ({problem.strerror}). {_again(run)}") from None


def _again(run: Run) -> str:
    return (
        f"The run itself is safe in {folders.short(run.folder)}. If the log is open in a spreadsheet, close it, and"
        f" then run: from tuning import journal, run; journal.append(run.last_run({run.run_id!r}))"
    )


def _with_row(rows: list[dict[str, str]], new: dict[str, str]) -> list[dict[str, str]]:
    old = next((row for row in rows if row["Run ID"] == new["Run ID"]), None)
    if old is not None:
        new = new | {"Notes": old["Notes"]}
    return [row for row in rows if row is not old] + [new]


def _text(rows: list[dict[str, str]]) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, LOG_COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _harmless(row[name]) for name in LOG_COLUMNS} for row in rows)
    return out.getvalue()


def _harmless(value: str) -> str:
    """A cell that a spreadsheet would run as a formula gets an apostrophe in front; signed numbers stay numbers."""
    if value[:1] not in ("=", "+", "-", "@"):
        return value
    try:
        float(value)
    except ValueError:
        return "'" + value
    return value


def _rows_on_disk(path: Path) -> list[dict[str, str]]:
    """The rows so far; a file that is no longer a log is kept aside, and the runs on disk give their rows again."""
    rows = _rows(path)
    if rows is not None:
        return rows
    copy = 1
    while (aside := path.with_name(f"experiment_log_kept_aside_{copy}.csv")).exists():
        copy += 1
    path.rename(aside)
    found = [log_values(run) for run in readable_runs()[0]]
    print(
        f"{folders.short(path)} was changed so that it cannot be read as a log. It is kept as {aside.name};"
        f" a new log begins with the {len(found)} runs on this machine."
    )
    return found


def _rows(path: Path) -> list[dict[str, str]] | None:
    """The rows of a file; none if there is no file, None if it is not a log."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            header, rows = list(reader.fieldnames or []), list(reader)
    except FileNotFoundError:
        return []
    except (csv.Error, UnicodeDecodeError):
        return None
    # csv gives a row with cells too many the key None, and one with cells too few the value None.
    whole = all(None not in row and None not in row.values() for row in rows)
    lacking = [name for name in _ADDED_LATER if name not in header]
    if not whole or header != [name for name in LOG_COLUMNS if name not in lacking]:
        return None
    return [dict.fromkeys(LOG_COLUMNS, "") | row for row in rows]


def read_log() -> pd.DataFrame:
    """The experiment log as a data frame.

    Returns
    -------
    pandas.DataFrame
        One row per run, all cells as text; empty if there is none.

    Raises
    ------
    RunError
        If the file cannot be opened, or was changed so that it is no log.
    """
    path = log_file()
    try:
        rows = _rows(path)
    except OSError as problem:
        raise RunError(f"{folders.short(path)} cannot be opened ({problem.strerror}).") from None
    if rows is None:
        raise RunError(
            f"{folders.short(path)} was changed so that it cannot be read as a log. Nothing is lost: the next run keeps"
            " it aside under another name and begins a new log."
        )
    return pd.DataFrame(rows, columns=list(LOG_COLUMNS), dtype=str)
