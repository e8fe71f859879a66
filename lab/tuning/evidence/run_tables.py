"""Tables of recorded runs, as the notebooks show them."""

from pathlib import Path
from typing import Any

import pandas as pd

from tuning.evidence.log_rows import number, signed
from tuning.runs import diagnosis
from tuning.runs.record import Run
from tuning.runs.store import readable_runs


def before_after(run: Run) -> pd.DataFrame:
    """Majority class, untrained and trained model side by side, with 95% intervals; losses in nats."""
    top = run.majority
    rows = {"majority class": {"accuracy": number(top.get("accuracy"), 3), "macro-F1": number(top.get("f1_macro"), 3)}}
    for name, scores in (("before training", run.baseline), ("after training", run.final)):
        rows[name] = _scores(scores, "val_") | {
            "validation loss": number(scores.get("val_loss"), 3),
            "training loss": number(scores.get("train_loss"), 3),
            "accuracy gap": signed(scores.get("gap_accuracy"), 3)
            + _interval(scores.get("gap_accuracy_interval"), sign="+"),
        }
    return pd.DataFrame.from_dict(rows, orient="index").fillna("")


def labs_compared() -> pd.DataFrame:
    """All finished runs of both labs: scores with intervals, and the time that a point of macro-F1 took, best first.

    Seconds per point: training seconds for each hundredth of macro-F1 above the run's own majority row.
    """
    rows = []
    for run in readable_runs()[0]:
        final, seconds = run.final, run.timing.get("train_seconds")
        gained = 100 * ((final.get("val_f1_macro") or 0) - (run.majority.get("f1_macro") or 0))
        rows.append(
            {
                "run": run.run_id,
                "lab": "backup" if run.is_backup else "main",
                "model": run.encoder["name"],
                "preset": run.preset,
                "trained on": _trained_on(run),
                **_scores(final, "val_"),
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
    """Scores on the validation part, which guided choices, beside the test part, which did not."""
    test, final = run.test or {}, run.final
    rows = {
        "validation": _scores(final, "val_") | {"sentences": final.get("val_size", ""), "opened": "after every epoch"},
        "test": _scores(test, "") | {"sentences": test.get("size", ""), "opened": test.get("opened", "never")},
    }
    return pd.DataFrame.from_dict(rows, orient="index")


def _scores(scores: dict[str, Any], part: str) -> dict[str, str]:
    """Accuracy and macro-F1 of one part of the data, each with its interval."""
    return {
        title: number(scores.get(part + key), 3) + _interval(scores.get(f"{part}{key}_interval"))
        for title, key in (("accuracy", "accuracy"), ("macro-F1", "f1_macro"))
    }


def _interval(ends: list[float] | None, sign: str = "") -> str:
    return "" if ends is None else f" ({ends[0]:{sign}.2f} to {ends[1]:{sign}.2f})"


def verdict_text(run: Run) -> str:
    """The verdict with its reasons, the next dial and what other runs have tried, as plain lines."""
    verdict = run.diagnosis
    next_dial = f"Next dial: {verdict['next_dial']} {diagnosis.tried(run, readable_runs()[0])}".rstrip()
    return "\n".join([f"Verdict: {verdict['verdict']}", *verdict["reasons"], next_dial])
