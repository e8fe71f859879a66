"""The experiment log, ``lab/runs/experiment_log.csv``: one row per run, the worksheet's Part B columns first.

The file is written whole beside the old one and takes its place in one step, under a lock: a crash, or two notebooks at
once, lose no row. A spreadsheet may save it in another form: notes and columns of one's own are then carried over, and
a copy of the file as it was is kept.
"""

import csv
import io
import re
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
from filelock import Timeout

from tuning import paths
from tuning.errors import RunError
from tuning.evidence.log_rows import LOG_COLUMNS, cost_values, log_values
from tuning.files import Lock, write_whole
from tuning.runs.energy import PRICE_PER_HOUR, WATTS
from tuning.runs.record import Run
from tuning.runs.spreadsheets import Table, as_typed, harmless, read_table
from tuning.runs.store import readable_runs

# Columns that a log may lack, because it was begun before there were any.
_ADDED_LATER = ("Departures", "Test accuracy", "Test F1-macro", "Test opened")
_COSTS = ("Energy (Wh)", "Energy from", "Cost", "Cost from")
LOCK_SECONDS = 60
POLL_SECONDS = 0.01


def log_file() -> Path:
    """The experiment log, ``lab/runs/experiment_log.csv``."""
    return paths.runs() / "experiment_log.csv"


def append(run: Run) -> None:
    """Add a run to the experiment log, once; a note that stands in its row already is kept."""
    _rewrite(run, lambda rows: with_row(rows, log_values(run)))


def amend(
    run: Run, note: str = "", watts: float = WATTS, price_per_hour: float = PRICE_PER_HOUR, *, add: bool = False
) -> None:
    """Let a run's row in the log say what a notebook showed: energy and cost under its assumptions, and a note.

    A row that is gone comes back, and a note of the learner's stays; where `add` is true, the new one goes behind it.
    """

    def change(rows: list[dict[str, str]]) -> list[dict[str, str]]:
        row = next((row for row in rows if row["Run ID"] == run.run_id), None)
        if row is None:
            rows.append(row := log_values(run))
        notes = row.get("Notes") or ""
        if add and note not in notes:
            notes = f"{notes} {note}".strip()
        row |= cost_values(run, watts, price_per_hour) | {"Notes": notes or note}
        return rows

    _rewrite(run, change)


def join(path: Path, raw: bytes) -> bool:
    """Take in rows, notes and added columns of another copy of the log that this one lacks; was there any?

    A copy that cannot be read as a log is kept beside this one.
    """
    with Lock(path.with_suffix(".lock"), LOCK_SECONDS, poll_seconds=POLL_SECONDS):
        table = _on_disk(path)
        other = _plain_table(raw) or read_table(raw, LOG_COLUMNS, "Run ID", "Notes")
        if other is None:
            return _keep_aside(path, raw).is_file()
        before = _text(table)
        own = [name for name in other.columns if name not in LOG_COLUMNS]
        here, older = {row["Run ID"]: row for row in table.rows}, []
        for row in other.rows:
            twin = here.get(row["Run ID"])
            if twin is None:
                older.append(dict.fromkeys(LOG_COLUMNS, "") | row)
                continue
            for name in ("Notes", *own):
                words, there = row.get(name, ""), twin.get(name, "")
                if words not in there:
                    twin[name] = f"{there}; {words}" if there else words
        columns = [*table.columns, *(name for name in own if name not in table.columns)]
        after = _text(Table(columns, [*older, *table.rows]))
        if after != before:
            write_whole(path, after)
    return after != before


def _rewrite(run: Run, change: Callable[[list[dict[str, str]]], list[dict[str, str]]]) -> None:
    path = log_file()
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with Lock(path.with_suffix(".lock"), LOCK_SECONDS, poll_seconds=POLL_SECONDS):
            table = _on_disk(path)
            write_whole(path, _text(Table(table.columns, change(table.rows))))
        # Whoever writes many rows in a row lets the others have a turn.
        time.sleep(2 * POLL_SECONDS)
    except Timeout:
        raise RunError(f"{paths.short(path)} is held by another notebook. {_again(run)}") from None
    except OSError as problem:
        raise RunError(f"{paths.short(path)} cannot be written ({problem.strerror}). {_again(run)}") from None


def _again(run: Run) -> str:
    return (
        f"The run itself is safe in {paths.short(run.folder)}. If the log is open in a spreadsheet, close it, and"
        " then run: from tuning.runs import last_run; from tuning.evidence.experiment_log import append;"
        f" append(last_run({run.run_id!r}))"
    )


def with_row(rows: list[dict[str, str]], new: dict[str, str]) -> list[dict[str, str]]:
    """Put a run's new row at the end, with the words that a person wrote into its old one."""
    old = next((row for row in rows if row["Run ID"] == new["Run ID"]), None)
    if old is not None:
        own = {name: cell for name, cell in old.items() if name == "Notes" or name not in LOG_COLUMNS}
        new = new | own
    return [row for row in rows if row is not old] + [new]


def _text(table: Table) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(harmless(name) for name in table.columns)
    writer.writerows([harmless(row.get(name, "")) for name in table.columns] for row in table.rows)
    return out.getvalue()


def _on_disk(path: Path) -> Table:
    """The log so far, or what can be made of a file that somebody has changed; that file is copied aside first."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return Table(list(LOG_COLUMNS), [])
    if (table := _plain_table(raw)) is not None:
        return table
    aside = _keep_aside(path, raw)
    table, runs = read_table(raw, LOG_COLUMNS, "Run ID", "Notes"), readable_runs()[0]
    if table is None:
        print(
            f"{paths.short(path)} was changed so that it cannot be read as a log. It is kept as {aside.name};"
            f" a new log begins with the {len(runs)} runs on this machine."
        )
        return Table(list(LOG_COLUMNS), [log_values(run) for run in runs])
    print(
        f"{paths.short(path)} was saved by another program. Its {len(table.rows)} rows, notes and added columns were"
        f" read; the file as it was is kept as {aside.name}."
    )
    return _in_our_form(table, runs)


def _keep_aside(path: Path, raw: bytes) -> Path:
    """Copy the file beside itself, once; it stays in its place until the better one is whole."""
    copy = 1
    while (aside := path.with_name(f"experiment_log_kept_aside_{copy}.csv")).exists() and aside.read_bytes() != raw:
        copy += 1
    if not aside.exists():
        write_whole(aside, raw)
    return aside


def _in_our_form(table: Table, runs: list[Run]) -> Table:
    """Numbers from the records, where there is one, since spreadsheets rewrite them; words from the table."""
    known = {run.run_id: run for run in runs}
    own = [name for name in table.columns if name not in LOG_COLUMNS]
    rows: dict[str, dict[str, str]] = {}
    for row in table.rows:
        run = known.get(row["Run ID"].strip())
        if run is None:
            # Not on this machine, or a line that somebody wrote below the table.
            rows[f"row {len(rows)}"] = dict.fromkeys(LOG_COLUMNS, "") | row
            continue
        words = {name: row[name] for name in ("Notes", *own) if row.get(name)}
        if (twin := rows.get(run.run_id)) is not None:
            words = {name: "; ".join(dict.fromkeys([twin.get(name) or word, word])) for name, word in words.items()}
        costs = {name: _number_again(row[name]) for name in _COSTS if row.get(name)}
        rows[run.run_id] = log_values(run) | (twin or {}) | costs | words
    return Table([*LOG_COLUMNS, *own], list(rows.values()))


def _number_again(cell: str) -> str:
    """A number that a spreadsheet wrote with a decimal comma, as we write it."""
    return cell.replace(",", ".") if re.fullmatch(r"-?\d+,\d+", cell) else cell


def _plain_table(raw: bytes) -> Table | None:
    """The table if it is as this module writes it, but for its cells; None in any other form."""
    try:
        reader = csv.reader(io.StringIO(raw.decode("utf-8-sig"), newline=""), strict=True)
        header, *rows = list(reader) or [[]]
    except (csv.Error, UnicodeDecodeError):
        return None
    columns = [as_typed(name) for name in header]
    ours = [name for name in columns if name in LOG_COLUMNS]
    expected = [name for name in LOG_COLUMNS if name in ours or name not in _ADDED_LATER]
    if ours != expected or columns[: len(ours)] != ours or len({*columns}) < len(columns):
        return None
    if any(len(row) != len(columns) for row in rows):
        return None
    cells = [dict(zip(columns, map(as_typed, row), strict=True)) for row in rows]
    return Table([*LOG_COLUMNS, *columns[len(ours) :]], [dict.fromkeys(LOG_COLUMNS, "") | row for row in cells])


def read_log() -> pd.DataFrame:
    """The experiment log as a data frame: one row per run, all cells as text, a learner's own columns last.

    A `RunError` where the file cannot be opened, or was changed so that it is no log.
    """
    path = log_file()
    try:
        raw = path.read_bytes() if path.exists() else _text(Table(list(LOG_COLUMNS), [])).encode()
    except OSError as problem:
        raise RunError(f"{paths.short(path)} cannot be opened ({problem.strerror}).") from None
    table = _plain_table(raw)
    if table is None and (table := read_table(raw, LOG_COLUMNS, "Run ID", "Notes")) is not None:
        table = _in_our_form(table, readable_runs()[0])
    if table is None:
        raise RunError(
            f"{paths.short(path)} was changed so that it cannot be read as a log. Nothing is lost: the next run keeps"
            " it aside under another name and begins a new log."
        )
    return pd.DataFrame(table.rows, columns=table.columns, dtype=str).fillna("")
