"""The group's prediction, stored with its time before training, and set beside the result afterwards."""

import contextlib
import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd
from filelock import Timeout

from tuning import paths
from tuning.dials import Dials, SgdDials
from tuning.errors import DialError, RunError, nearest
from tuning.evidence.log_rows import number
from tuning.files import Lock, append_line
from tuning.runs.diagnosis import room_word
from tuning.runs.record import Run, with_first_dials
from tuning.runs.store import adoption
from tuning.runs.symptoms import CALL_WORDS

LONGEST_REASON = 300
LOCK_SECONDS = 30


def predictions_file() -> Path:
    """Where predictions are kept: ``lab/runs/predictions_made.jsonl``, one JSON object per line."""
    return paths.runs() / "predictions_made.jsonl"


def predict(dials: Dials | SgdDials, word: str, f1: float | None = None, because: str = "") -> str:
    """Store a prediction with the present time, and say so, or what to do.

    Parameters
    ----------
    word : str
        ``moving``, ``stalled``, ``collapsed`` or ``crashed``; empty stores nothing.
    f1 : float, optional
        The macro-F1 on validation that you expect, 0 to 1.
    because : str
        Your reason, in half a sentence.

    Raises
    ------
    DialError
        If the word is none of the four or the number is no score.
    RunError
        If the file cannot be written.
    """
    word = word.strip().lower()
    if not word:
        return f"No prediction yet. Write one of these words between the quotes: {', '.join(CALL_WORDS)}."
    if word not in CALL_WORDS:
        raise DialError(
            f"The prediction {word[:30]!r} is none of the four words.{nearest(word, CALL_WORDS)}"
            f" Words: {', '.join(CALL_WORDS)}."
        )
    if f1 is not None and not _is_score(f1):
        raise DialError(f"The predicted macro-F1 {f1!r} is no score. Write a number from 0 to 1, such as 0.7, or None.")
    made = datetime.now().astimezone().isoformat(timespec="seconds")
    lab = "backup" if isinstance(dials, SgdDials) else "main"
    entry = {"made": made, "lab": lab, "dials": dials.as_dict(), "word": word, "f1": f1}
    _add(entry | {"because": " ".join(because.split())[:LONGEST_REASON]})
    expected = "" if f1 is None else f", macro-F1 {f1:.2f}"
    return f"Stored at {made[11:16]}: {dials.LR_PRESET} will be {word}{expected}."


def prediction_of(run: Run) -> dict[str, Any] | None:
    """The newest prediction for a run's lab and dials that was stored before the run began.

    A run with other dials is another question, so this morning's prediction does not serve this afternoon's run.
    """
    mark = adoption(run)
    if mark is not None:
        return mark | {"made": "", "because": f"predicted by {mark['name']}"} if mark["word"] else None
    entries, noted = _entries_before(run.run_id)
    began = datetime.fromisoformat(run.started)
    fitting = [
        entry
        for entry in entries
        if entry["lab"] == ("backup" if run.is_backup else "main")
        and entry["dials"] == run.dials
        and (noted or datetime.fromisoformat(entry["made"]) <= began)
    ]
    return fitting[-1] if fitting else None


def prediction_and_result(run: Run) -> pd.DataFrame:
    """Prediction and result of a run, side by side."""
    made = prediction_of(run) or {"word": "no prediction", "f1": None, "made": "", "because": ""}
    f1, verdict = number(run.final.get("val_f1_macro"), 3), run.diagnosis.get("verdict", "")
    rows = {
        "predicted": [made["word"], number(made["f1"], 2), made["made"][11:16], made["because"]],
        "happened": [room_word(run), f1, run.started[11:16], verdict],
    }
    return pd.DataFrame.from_dict(rows, orient="index", columns=["in one word", "macro-F1", "time", "because"])


def _add(entry: dict[str, Any]) -> None:
    path = predictions_file()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with Lock(path.with_suffix(".lock"), LOCK_SECONDS):
            append_line(path, json.dumps(entry))
    except Timeout:
        raise RunError(f"{paths.short(path)} is held by another notebook. Run this cell again.") from None
    except OSError as problem:
        raise RunError(
            f"{paths.short(path)} cannot be written ({problem.strerror}). Write the prediction into your worksheet."
        ) from None


def note_start(run_id: str) -> None:
    """Note between the predictions that a run begins: what stands above was predicted before, whatever the clock says.

    Where it cannot be written, the times decide.
    """
    path = predictions_file()
    if path.exists():
        with contextlib.suppress(OSError), Lock(path.with_suffix(".lock"), LOCK_SECONDS):
            append_line(path, json.dumps({"began": run_id}))


def _entries_before(run_id: str) -> tuple[list[dict[str, Any]], bool]:
    """Entries that were stored before a run began, unreadable ones apart, and whether the file says when that was."""
    try:
        lines = predictions_file().read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return [], False
    entries = []
    for line in lines:
        try:
            entry = json.loads(line)
            if entry.get("began") == run_id:
                return entries, True
            whole = {key: entry[key] for key in ("made", "lab", "dials", "word", "f1", "because")}
            if whole["lab"] == "main":
                whole["dials"] = with_first_dials(whole["dials"])
            known = datetime.fromisoformat(whole["made"]).tzinfo is not None and whole["word"] in CALL_WORDS
            if known and (whole["f1"] is None or _is_score(whole["f1"])):
                entries.append(whole)
        except (AttributeError, ValueError, TypeError, KeyError):
            continue
    return entries, False


def _is_score(value: Any) -> bool:
    return not isinstance(value, bool) and isinstance(value, int | float) and 0 <= value <= 1
