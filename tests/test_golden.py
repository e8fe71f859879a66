"""What a user sees of a fixed set of runs, byte for byte: a move of code may not change it.

The runs are the recorded ones that curves are drawn from. Generated documents, slides, pages and pictures are held by
tests of their own: the published file against what its command makes. Where a change is meant, write the files anew
with ``UPDATE_GOLDEN=1 python3 workshop.py test tests/test_golden.py`` and read the difference.
"""

import dataclasses
import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tuning import paths
from tuning.evidence import experiment_log, predictions, run_tables, worksheet
from tuning.room import board, budget_round, share
from tuning.runs import diagnosis, reference
from tuning.runs.record import Run
from tuning.runs.store import note_finished, save_predictions

GOLDEN = Path(__file__).parent / "golden"
NAMES = (
    *("too_low-seed1", "just_right-seed1", "just_right-seed2", "too_high-seed1", "over-training", "over-fitting-seed3"),
    *("budget-2400x2-seed1", "sweep-10", "backup-too_low-seed1", "backup-just_right-seed1", "backup-too_high-seed1"),
)
CALLS = ("stalled, 0.25", "moving, 0.8", "moving, 0.75", "crashed, 0.3")
# What changes from day to day, machine to machine, or with the version of a library.
MASKS = (
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[+-]\d\d:\d\d|Z)?"), "MOMENT"),
    (re.compile(r"(?<=saved at )\d\d:\d\d"), "HH:MM"),
    (re.compile(re.escape(str(paths.ROOT))), "ROOT"),
)


@pytest.fixture
def runs(workshop_folders) -> list[Run]:
    """The recorded runs as a learner's own, with ids in one order."""
    own = []
    for number, name in enumerate(NAMES):
        run = reference.load(name)
        preset = run.preset.lower().replace("_", "-")
        run = dataclasses.replace(run, run_id=f"20260101-0000{number:02d}-{preset}")
        run.save(paths.runs() / run.run_id)
        save_predictions(paths.runs() / run.run_id, [1], ["neutral"], np.array([[0.0, 1.0, 0.0]]))
        own.append(Run.load(paths.runs() / run.run_id))
        note_finished(own[-1].folder)
    return own


def records(runs: list[Run]) -> str:
    """Records, read and written again; of the steps only a few, as all of them are in the recorded run already."""
    shown = []
    for run in runs:
        record = json.loads((run.folder / "run.json").read_text(encoding="utf-8"))
        record["steps"] = record["steps"][:2] + record["steps"][-1:]
        shown.append(json.dumps(record, indent=1, ensure_ascii=False))
    return "\n".join(shown)


def log_rows(runs: list[Run]) -> str:
    """The experiment log."""
    for run in runs:
        experiment_log.append(run)
    return experiment_log.log_file().read_text(encoding="utf-8-sig")


def tables(runs: list[Run]) -> str:
    """What the notebooks show of one run."""
    shown = []
    for run in runs:
        shown += [f"== {run.run_id}", text(run_tables.before_after(run)), text(run_tables.validation_and_test(run))]
        shown += [
            run_tables.verdict_text(run),
            str(diagnosis.convergence(run)),
            text(predictions.prediction_and_result(run)),
        ]
        shown += [worksheet.baseline_row(run), worksheet.worksheet_row(run), diagnosis.room_word(run)]
    return "\n".join(shown)


def labs(runs: list[Run]) -> str:
    """Both labs in one table."""
    return text(run_tables.labs_compared())


def filled_worksheet(runs: list[Run]) -> str:
    """The worksheet with everything that can be filled."""
    said = worksheet.fill_worksheet()
    return f"{said}\n{worksheet.filled_file().read_text(encoding='utf-8')}"


def share_lines(runs: list[Run]) -> str:
    """A line for the chat, and what is read out of it."""
    shown = []
    for run in whole(runs):
        line = share.line(run, "Group one", "moving", 0.8)
        again = share.read(line)
        read = json.dumps(dataclasses.asdict(again.run), ensure_ascii=False, default=str)
        shown += [f"== {run.run_id}", line[:4] + line[-3:], read[:2000]]
    return "\n".join(shown)


def board_tables(runs: list[Run]) -> str:
    """The board of notebook 03 from a pasted chat."""
    chat = []
    for number, run in enumerate(whole(runs)):
        word, f1 = CALLS[number % len(CALLS)].split(", ")
        chat.append(f"> Ada, 11:{number:02d}: {share.line(run, f'Group {number + 1}', word, float(f1))}")
    chat.append(chat[0] + "x")
    made = board.collect("\n".join(chat))
    views = (board.results, board.summary, board.not_comparable, board.refused, board.predictions, board.luck)
    return "\n".join([str(made), *(text(view(made)) for view in (*views, budget_round.budget))])


def whole(runs: list[Run]) -> list[Run]:
    """Those with all their steps: of the others no line can be made."""
    return [run for run in runs if len(run.steps) == run.steps[-1]["step"]]


def text(frame: pd.DataFrame) -> str:
    """A table in full."""
    return frame.to_csv()


VIEWS: tuple[Callable[[list[Run]], str], ...] = (
    *(records, log_rows, tables, labs, filled_worksheet, share_lines, board_tables),
)


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.__name__)
def test_what_a_user_sees_stays_as_it_was(view, runs, workshop_folders):
    seen = view(runs).replace(str(workshop_folders), "FOLDER")
    for pattern, mask in MASKS:
        seen = pattern.sub(mask, seen)
    file = GOLDEN / f"{view.__name__}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        file.write_text(seen, encoding="utf-8")
    assert seen == file.read_text(encoding="utf-8")
