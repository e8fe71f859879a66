"""Adopt a run: a group's run becomes a record of every member, marked as the group's.

What travels is what a share line holds: numbers and losses. Weights and the predictions of single sentences stay with
the driver, and the cells that need them say so.
"""

import json
from datetime import datetime

from tuning import paths
from tuning.errors import ShareError
from tuning.evidence import experiment_log, worksheet
from tuning.files import write_whole
from tuning.room import share
from tuning.room.share import Shared
from tuning.runs.record import Run
from tuning.runs.store import ADOPTED_FILE, adopted_from, note_finished, readable_runs

# The schema allows a run id of 81 characters.
LONGEST_STEM = 76


def adopt(text: str) -> Run:
    """Put the run of a share line into this learner's own runs, log and worksheet: it is the last run now.

    Adopting the same line again changes nothing; a line of the same run with its test part opened adds those scores. A
    `ShareError` says why a line cannot be adopted.
    """
    shared = share.read(text)
    run = shared.run
    twin = _twin(shared)
    if twin is not None and adopted_from(twin) is None:
        raise ShareError(f"This line is your own run, recorded here as {twin.run_id}: there is nothing to adopt.")
    run.run_id = twin.run_id if twin is not None else _free_id(run.run_id)
    if twin is not None and twin.test is not None:
        run.test = twin.test
    mark = {
        "name": shared.name,
        "made": datetime.now().astimezone().isoformat(timespec="seconds"),
        "word": shared.word,
        "f1": shared.f1,
    }
    try:
        run.save()
        write_whole(run.folder / ADOPTED_FILE, json.dumps(mark, ensure_ascii=False) + "\n")
        note_finished(run.folder)
    except OSError as problem:
        raise ShareError(f"{paths.short(run.folder)} cannot be written ({problem.strerror}).") from None
    experiment_log.append(run)
    shows = run.notebook if run.is_backup else "01"
    print(
        f"Adopted {run.run_id} from {shared.name}. It is in your log, marked as the group's."
        f" The sections of notebook {shows} show it."
    )
    print(worksheet.fill_worksheet())
    return run


def _twin(shared: Shared) -> Run | None:
    """The run on this disk that a line is about; a clash of names may have given it another id here."""
    for run in readable_runs()[0]:
        if run.started == shared.run.started and Shared(shared.name, run).key == shared.key_as(run.run_id):
            return run
    return None


def _free_id(run_id: str) -> str:
    free, copy = run_id, 1
    while (paths.runs() / free).exists():
        copy += 1
        free = f"{run_id[:LONGEST_STEM]}-{copy}"
    return free
