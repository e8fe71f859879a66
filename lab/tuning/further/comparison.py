"""Run 1 and its variations held against each other, in a table and in writing."""

import re
from collections.abc import Mapping

import pandas as pd

from tuning.dials import FrozenDials, FurtherDials
from tuning.evidence import experiment_log, log_rows
from tuning.files import write_whole
from tuning.further.options import OPTIONS
from tuning.runs import energy, paired_comparison
from tuning.runs.paired_comparison import Comparison
from tuning.runs.record import Run
from tuning.runs.store import COMPARISON_FILE, note_result

HEAD = "For Part D of your worksheet (add what you expected, and what you would do next):"


def summary(run_1: Run, others: Mapping[str, Run], setup: FurtherDials) -> pd.DataFrame:
    """Run 1 and its variations by title: what was changed, scores, and what each took, evaluations included."""
    rows = {}
    for title, run in {"Run 1": run_1, **_changed_runs(run_1, others)}.items():
        took = energy.footprint(run, setup.WATTS, setup.PRICE_PER_HOUR)
        source = "measured" if took.measured else f"at {setup.WATTS:g} W"
        low, high = run.final.get("val_f1_macro_interval") or (None, None)
        rows[title] = {
            "changed": changed(run_1, run),
            "macro-F1": log_rows.number(run.final.get("val_f1_macro"), 3),
            "95% interval": "" if low is None else f"{low:.2f} to {high:.2f}",
            "val loss": log_rows.number(run.final.get("val_loss"), 3),
            "verdict": run.diagnosis.get("verdict", ""),
            energy.WHOLE_RUN: log_rows.number(took.seconds, 0),
            "energy": f"{log_rows.number(took.watt_hours, 2)} Wh {source}",
            f"money (at {setup.PRICE_PER_HOUR:g} an hour)": log_rows.number(took.money, 4),
            "run": run.run_id,
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def _changed_runs(run_1: Run, others: Mapping[str, Run | Comparison]) -> dict[str, Run | Comparison]:
    return {title: run for title, run in others.items() if run is not run_1}


def changed(run_1: Run, run: Run) -> str:
    """The dials in which a run differs from Run 1, in words."""
    if run.is_backup:
        return "another model: word counts, SGD"
    before, after = (FrozenDials().as_dict() | each.dials for each in (run_1, run))
    changes = [f"{name} = {after[name]}" for name in FrozenDials.names() if after[name] != before[name]]
    return ", ".join(changes) or "nothing"


def compared(run_1: Run, others: Mapping[str, Run | Comparison], setup: FurtherDials, of: str) -> str:
    """Each variation held against Run 1, sentence by sentence, in words; the log's rows say the same.

    The notes of the log call it `of`, such as ``option A``. What was not trained is a `Comparison`, noted at Run 1. A
    `RunError` where predictions are not here, or were made on different sentences.
    """
    lines = []
    experiment_log.amend(run_1, "", setup.WATTS, setup.PRICE_PER_HOUR)
    for number, (title, other) in enumerate(_changed_runs(run_1, others).items(), start=2):
        if isinstance(other, Comparison):
            run, difference, note = run_1, other, f"{of[0].upper()}{of[1:]}: {other.sentence}"
        else:
            run, difference = other, paired_comparison.compare(run_1, other, ("Run 1", title))
            note = f"Run {number} of {of}; Run 1 is {run_1.run_id}. {difference.sentence}"
        experiment_log.amend(run, note, setup.WATTS, setup.PRICE_PER_HOUR, add=run is run_1)
        lines.append(str(difference))
    return "\n".join(lines) or "There is nothing to compare with Run 1."


def _change(run_1: Run, number: int, title: str, other: Run | Comparison) -> str:
    if isinstance(other, Comparison):
        return title
    numbered = title if title == f"Run {number}" else f"Run {number}, {title}"
    return f"{numbered}: {changed(run_1, other)} ({other.run_id})"


def for_worksheet(
    option: str, run_1: Run, others: Mapping[str, Run | Comparison], setup: FurtherDials, more: str = ""
) -> str:
    """Text for Part D of the worksheet; what you expected and what you would do next is yours to write.

    It is kept in the folder of the last of these runs, as ``comparison.md``, and in the notes of the log. `more` is
    what else happened.
    """
    pairs = _changed_runs(run_1, others)
    named = enumerate(pairs.items(), start=2)
    what = "; ".join(_change(run_1, number, title, other) for number, (title, other) in named)
    happened = f"{compared(run_1, others, setup, f'option {option}')}{more and f' {more}'}"
    change = f"What I changed, from Run 1 ({run_1.run_id}): {what or 'nothing'}. The sentences were the same."
    kept = next((other for other in reversed(pairs.values()) if isinstance(other, Run)), run_1)
    return written(option, change, happened, kept)


def written(option: str, change: str, happened: str, run: Run) -> str:
    """The lines for Part D of the worksheet, kept as ``comparison.md`` in a run's folder.

    Below those of other options, where there are any; the same option's are replaced.

    Parameters
    ----------
    option : str
        Its letter.
    change : str
        The line that says what was changed.
    happened : str
        The comparison in words.
    run : Run
        In whose folder they are kept.
    """
    text = "\n".join(
        [
            HEAD,
            f"Option: {option}, {OPTIONS[option].title}",
            f"The question it answers: {OPTIONS[option].question}",
            change,
            f"What happened: {happened}",
        ]
    )
    path = run.folder / COMPARISON_FILE
    before = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    parts = (part.strip() for part in re.split(rf"^(?={re.escape(HEAD)})", before, flags=re.MULTILINE))
    others = [part for part in parts if part and f"\nOption: {option}, " not in part]
    write_whole(path, "\n\n".join([*others, text]) + "\n")
    note_result(run.folder)
    return text
