"""From a run to evidence: what the notebooks call.

The work is done elsewhere, one idea per module: the experiment log (`tuning.evidence.experiment_log`), predictions (`tuning.evidence.predictions`),
the worksheet (`tuning.evidence.worksheet`) and its export (`tuning.evidence.worksheet_export`), the share line (`tuning.room.share`), adopting
(`tuning.room.adopt`), repeating (`tuning.notebook.repeat`) and the check for Task 6 (`tuning.evidence.task6`). The tables of single runs
are here.
"""

from pathlib import Path

import pandas as pd

from tuning import folders
from tuning.errors import ShareError
from tuning.evidence.experiment_log import LOG_COLUMNS, WORKSHEET_COLUMNS, append, log_file, number, read_log, signed
from tuning.evidence.predictions import predict, prediction_and_result, prediction_of
from tuning.evidence.task6 import evidence
from tuning.evidence.worksheet import baseline_row, fill_worksheet, worksheet_row
from tuning.evidence.worksheet_export import export_worksheet
from tuning.notebook.repeat import reproduce
from tuning.room import share
from tuning.room.adopt import adopt
from tuning.runs import diagnosis
from tuning.runs.record import BACKUP_NOTEBOOK, Run, adopted_from, readable_runs

__all__ = [
    "LOG_COLUMNS",
    "WORKSHEET_COLUMNS",
    "adopt",
    "append",
    "baseline_row",
    "before_after",
    "evidence",
    "export_worksheet",
    "fill_worksheet",
    "labs_compared",
    "log_file",
    "predict",
    "prediction_and_result",
    "read_log",
    "reproduce",
    "share_line",
    "validation_and_test",
    "verdict_text",
    "worksheet_row",
]


def before_after(run: Run) -> pd.DataFrame:
    """Majority class, untrained and trained model side by side.

    Returns
    -------
    pandas.DataFrame
        Rows ``majority class``, ``before training``, ``after training``; accuracy and macro-F1 with their 95%
        intervals, losses in nats, and the gap.
    """
    top = run.majority
    rows = {"majority class": {"accuracy": number(top.get("accuracy"), 3), "macro-F1": number(top.get("f1_macro"), 3)}}
    for name, scores in (("before training", run.baseline), ("after training", run.final)):
        rows[name] = {
            "accuracy": number(scores.get("val_accuracy"), 3) + _interval(scores.get("val_accuracy_interval")),
            "macro-F1": number(scores.get("val_f1_macro"), 3) + _interval(scores.get("val_f1_macro_interval")),
            "validation loss": number(scores.get("val_loss"), 3),
            "training loss": number(scores.get("train_loss"), 3),
            "accuracy gap": signed(scores.get("gap_accuracy"), 3)
            + _interval(scores.get("gap_accuracy_interval"), sign="+"),
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
    for run in readable_runs()[0]:
        final, seconds = run.final, run.timing.get("train_seconds")
        gained = 100 * ((final.get("val_f1_macro") or 0) - (run.majority.get("f1_macro") or 0))
        rows.append(
            {
                "run": run.run_id,
                "lab": "backup" if run.notebook == BACKUP_NOTEBOOK else "main",
                "model": run.encoder["name"],
                "preset": run.preset,
                "trained on": _trained_on(run),
                "accuracy": number(final.get("val_accuracy"), 3) + _interval(final.get("val_accuracy_interval")),
                "macro-F1": number(final.get("val_f1_macro"), 3) + _interval(final.get("val_f1_macro_interval")),
                "seconds": number(seconds, 1),
                "seconds per point": number(seconds / gained, 2) if seconds and gained >= 1 else "",
            }
        )
    frame = pd.DataFrame(rows)
    return frame.sort_values("macro-F1", ascending=False).set_index("run") if rows else frame


def _trained_on(run: Run) -> str:
    """The sentences and labels of a run: rows that differ here answer different questions."""
    words = f"{run.data.get('train_used', '?')} sentences, {Path(run.dials['DATA']).name}"
    if noise := run.dials.get("LABEL_NOISE"):
        words += f", {noise:.0%} of labels wrong" + (", validation too" if run.dials.get("NOISY_VALIDATION") else "")
    return "; ".join([words, *run.departures])


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
                "accuracy": number(final.get("val_accuracy"), 3) + _interval(final.get("val_accuracy_interval")),
                "macro-F1": number(final.get("val_f1_macro"), 3) + _interval(final.get("val_f1_macro_interval")),
                "sentences": final.get("val_size", ""),
                "opened": "after every epoch",
            },
            "test": {
                "accuracy": number(test.get("accuracy"), 3) + _interval(test.get("accuracy_interval")),
                "macro-F1": number(test.get("f1_macro"), 3) + _interval(test.get("f1_macro_interval")),
                "sentences": test.get("size", ""),
                "opened": test.get("opened", "never"),
            },
        },
        orient="index",
    )


def _interval(ends: list[float] | None, sign: str = "") -> str:
    return "" if ends is None else f" ({ends[0]:{sign}.2f} to {ends[1]:{sign}.2f})"


def verdict_text(run: Run) -> str:
    """The verdict with its reasons, the next dial and what other runs have tried, as plain lines."""
    found = run.diagnosis
    next_dial = f"Next dial: {found['next_dial']} {diagnosis.tried(run, readable_runs()[0])}".rstrip()
    return "\n".join([f"Verdict: {found['verdict']}", *found["reasons"], next_dial])


def share_line(run: Run, group_name: str) -> str:
    """A run as one line for the chat, with the group's prediction; the same goes to a file in ``share/``.

    Parameters
    ----------
    run : Run
    group_name : str
        What your group calls itself on the board; empty for no line.

    Returns
    -------
    str
        The line, or what to do.

    Raises
    ------
    ShareError
        If the name cannot be used, or the run is adopted: its own group shares it.
    """
    if not group_name.strip():
        return (
            "No line yet. Write your group's name between the quotes. Nothing leaves this machine until you paste it."
        )
    if (group := adopted_from(run)) is not None:
        raise ShareError(f"{run.run_id} is {group}'s run, adopted here. Its own group shares it.")
    made = prediction_of(run) or {"word": None, "f1": None}
    line = share.line(run, group_name, made["word"], made["f1"])
    try:
        share.save(run, group_name, made["word"], made["f1"])
    except OSError as problem:
        # The line is what the room waits for.
        print(f"The file in {folders.short(folders.share())} cannot be written ({problem.strerror}). Post the line.")
    return line
