"""From a run to evidence: the experiment log, the worksheet's row and the tables that go with it."""

import csv
import io
from pathlib import Path
from typing import Any

import pandas as pd
from filelock import FileLock

from tuning import folders
from tuning.run import BACKUP_NOTEBOOK, Run, finished_runs, write_whole

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
    "Encoder",
    "Encoder revision",
    "Data",
    "Data SHA-256",
    "Precision",
    "Threads",
    "Processor",
    "Train seconds",
    "Total seconds",
    "Versions",
)
LOCK_SECONDS = 30


def log_file() -> Path:
    """The experiment log, ``lab/runs/experiment_log.csv``."""
    return folders.runs() / "experiment_log.csv"


def _number(value: float | None, places: int) -> str:
    return "" if value is None else f"{value:.{places}f}"


def worksheet_values(run: Run) -> dict[str, str]:
    """Part B of the worksheet for one run, column by column; a number that does not exist stays empty."""
    final = run.final
    gap = final.get("gap_accuracy")
    return {
        "Run ID": run.run_id,
        "LR preset": run.preset,
        "LR value": f"{run.learning_rate:g}",
        "Scheduler": str(run.dials["SCHEDULER"]),
        "Epochs": str(run.dials["EPOCHS"]),
        "Train subset": str(run.data.get("train_used", run.dials["TRAIN_SUBSET"])),
        "Train loss (end)": _number(final.get("train_loss"), 3),
        "Val loss": _number(final.get("val_loss"), 3),
        "Accuracy": _number(final.get("val_accuracy"), 3),
        "F1-macro": _number(final.get("val_f1_macro"), 3),
        "Gen. gap": "" if gap is None else f"{gap:+.3f}",
        "Notes": "",
    }


def baseline_values(run: Run) -> dict[str, str]:
    """The worksheet's first row: the model before training."""
    before = run.baseline
    gap = before.get("gap_accuracy")
    return dict.fromkeys(WORKSHEET_COLUMNS, "") | {
        "Run ID": "Baseline",
        "Train loss (end)": _number(before.get("train_loss"), 3),
        "Val loss": _number(before.get("val_loss"), 3),
        "Accuracy": _number(before.get("val_accuracy"), 3),
        "F1-macro": _number(before.get("val_f1_macro"), 3),
        "Gen. gap": "" if gap is None else f"{gap:+.3f}",
        "Notes": "untrained head",
    }


def worksheet_row(run: Run) -> str:
    """The run as a row of the worksheet's Part B table, in Markdown; Notes are left for the learner."""
    return _row(worksheet_values(run))


def baseline_row(run: Run) -> str:
    """The baseline as a row of the worksheet's Part B table, in Markdown."""
    return _row(baseline_values(run))


def _row(values: dict[str, str]) -> str:
    return "| " + " | ".join(value or " " for value in values.values()) + " |"


def log_values(run: Run) -> dict[str, str]:
    """One row of the experiment log: the worksheet's columns, then what is needed to repeat the run."""
    dials, timing = run.dials, run.timing
    rest: dict[str, Any] = {
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
        "Encoder": run.encoder["name"],
        "Encoder revision": run.encoder["revision"],
        "Data": run.data["path"],
        "Data SHA-256": run.data["sha256"],
        "Precision": run.machine["precision"],
        "Threads": run.machine["threads"],
        "Processor": run.machine["processor"],
        "Train seconds": _number(timing.get("train_seconds"), 1),
        "Total seconds": _number(timing.get("total_seconds"), 1),
        "Versions": " ".join(f"{name}={version}" for name, version in run.versions.items()),
    }
    return worksheet_values(run) | {name: str(value) for name, value in rest.items()}


def append(run: Run) -> None:
    """Add a run to the experiment log, once.

    The whole file is written anew beside the old one and takes its place in one step, under a lock: a crash or a
    second notebook at the same moment loses no row. A file that is no longer a log (edited beyond recognition) is
    kept under another name and a new one is begun.

    Parameters
    ----------
    run : Run
    """
    path = log_file()
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock"), timeout=LOCK_SECONDS):
        rows = _rows_on_disk(path)
        rows = [row for row in rows if row["Run ID"] != run.run_id] + [log_values(run)]
        out = io.StringIO()
        writer = csv.DictWriter(out, LOG_COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: _harmless(row[name]) for name in LOG_COLUMNS} for row in rows)
        write_whole(path, out.getvalue())


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
    if not path.exists():
        return []
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            header, rows = list(reader.fieldnames or []), list(reader)
        # csv gives a row with cells too many the key None, and one with cells too few the value None.
        if header == list(LOG_COLUMNS) and all(None not in row and None not in row.values() for row in rows):
            return rows
    except (csv.Error, UnicodeDecodeError):
        pass
    number = 1
    while (aside := path.with_name(f"experiment_log_kept_aside_{number}.csv")).exists():
        number += 1
    path.rename(aside)
    print(
        f"{folders.short(path)} was changed so that it cannot be read as a log."
        f" It is kept as {aside.name}; a new log begins."
    )
    return []


def read_log() -> pd.DataFrame:
    """The experiment log as a data frame, one row per run, all cells as text; empty if there is none."""
    path = log_file()
    if not path.exists():
        return pd.DataFrame(columns=list(LOG_COLUMNS))
    return pd.read_csv(path, dtype=str, keep_default_na=False)


def before_after(run: Run) -> pd.DataFrame:
    """Majority class, untrained and trained model side by side.

    Returns
    -------
    pandas.DataFrame
        Rows ``majority class``, ``before training``, ``after training``; accuracy and macro-F1 with their 95%
        intervals, losses in nats, and the gap.
    """
    top = run.majority
    rows = {"majority class": {"accuracy": _number(top["accuracy"], 3), "macro-F1": _number(top["f1_macro"], 3)}}
    for name, scores in (("before training", run.baseline), ("after training", run.final)):
        rows[name] = {
            "accuracy": _number(scores.get("val_accuracy"), 3) + _interval(scores.get("val_accuracy_interval")),
            "macro-F1": _number(scores.get("val_f1_macro"), 3) + _interval(scores.get("val_f1_macro_interval")),
            "validation loss": _number(scores.get("val_loss"), 3),
            "training loss": _number(scores.get("train_loss"), 3),
            "gap": _signed(scores.get("gap_accuracy")) + _interval(scores.get("gap_accuracy_interval"), sign="+"),
        }
    return pd.DataFrame.from_dict(rows, orient="index").fillna("")


def labs_compared() -> pd.DataFrame:
    """All finished runs of both labs: scores with intervals, and the time that a point of macro-F1 took.

    Seconds per point: training seconds for each hundredth of macro-F1 above the run's own majority row.

    Returns
    -------
    pandas.DataFrame
        One row per run, the best macro-F1 first.
    """
    rows = []
    for folder in finished_runs():
        run = Run.load(folder)
        final, seconds = run.final, run.timing.get("train_seconds")
        gained = 100 * ((final.get("val_f1_macro") or 0) - (run.majority.get("f1_macro") or 0))
        rows.append(
            {
                "run": run.run_id,
                "lab": "backup" if run.notebook == BACKUP_NOTEBOOK else "main",
                "model": run.encoder["name"],
                "preset": run.preset,
                "accuracy": _number(final.get("val_accuracy"), 3) + _interval(final.get("val_accuracy_interval")),
                "macro-F1": _number(final.get("val_f1_macro"), 3) + _interval(final.get("val_f1_macro_interval")),
                "seconds": _number(seconds, 1),
                "seconds per point": _number(seconds / gained, 2) if seconds and gained >= 1 else "",
            }
        )
    frame = pd.DataFrame(rows)
    return frame.sort_values("macro-F1", ascending=False).set_index("run") if rows else frame


def validation_and_test(run: Run) -> pd.DataFrame:
    """Scores on the validation part, which guided choices, beside the test part, which did not.

    Returns
    -------
    pandas.DataFrame
        Rows ``validation`` and ``test``.
    """
    test, final = run.test or {}, run.final
    return pd.DataFrame.from_dict(
        {
            "validation": {
                "accuracy": _number(final.get("val_accuracy"), 3) + _interval(final.get("val_accuracy_interval")),
                "macro-F1": _number(final.get("val_f1_macro"), 3) + _interval(final.get("val_f1_macro_interval")),
                "sentences": final.get("val_size", ""),
                "opened": "after every epoch",
            },
            "test": {
                "accuracy": _number(test.get("accuracy"), 3) + _interval(test.get("accuracy_interval")),
                "macro-F1": _number(test.get("f1_macro"), 3) + _interval(test.get("f1_macro_interval")),
                "sentences": test.get("size", ""),
                "opened": test.get("opened", "never"),
            },
        },
        orient="index",
    )


def _signed(value: float | None) -> str:
    return "" if value is None else f"{value:+.3f}"


def _interval(ends: list[float] | None, sign: str = "") -> str:
    return "" if ends is None else f" ({ends[0]:{sign}.2f} to {ends[1]:{sign}.2f})"


def verdict_text(run: Run) -> str:
    """The verdict with its reasons and the next dial, as plain lines."""
    found = run.diagnosis
    return "\n".join([f"Verdict: {found['verdict']}", *found["reasons"], f"Next dial: {found['next_dial']}"])
