"""Adopt a run: a group's run becomes a record of every member, marked as the group's.

What travels is what a share line holds: numbers and losses. Weights and the predictions of single sentences stay with
the driver, and the cells that need them say so.
"""

import json
from datetime import datetime

from tuning import folders, log, share, worksheet
from tuning.errors import ShareError
from tuning.run import ADOPTED_FILE, Run, adopted_from, finished_runs, write_whole
from tuning.share import Shared


def adopt(text: str) -> Run:
    """Put the run of a share line into this learner's own runs, log and worksheet.

    Adopting the same line again changes nothing; a line of the same run with its test part opened adds those scores.

    Parameters
    ----------
    text : str
        The line, as the chat shows it.

    Returns
    -------
    Run
        From now on the last run, for all cells that start from it.

    Raises
    ------
    ShareError
        If the line cannot be trusted, or is this learner's own.
    """
    shared = share.read(text)
    run = shared.run
    twin = _twin(shared)
    if twin is not None and adopted_from(twin) is None:
        raise ShareError(f"This line is your own run, recorded here as {twin.run_id}: there is nothing to adopt.")
    run.run_id = twin.run_id if twin is not None else _free_id(run.run_id)
    if twin is not None and twin.test is not None:
        run.test = twin.test
    run.save()
    mark = {
        "name": shared.name,
        "made": datetime.now().astimezone().isoformat(timespec="seconds"),
        "word": shared.word,
        "f1": shared.f1,
    }
    write_whole(run.folder / ADOPTED_FILE, json.dumps(mark, ensure_ascii=False) + "\n")
    log.append(run)
    print(f"Adopted {run.run_id} from {shared.name}. It is in your log, marked as the group's.")
    print(worksheet.fill_worksheet())
    return run


def _twin(shared: Shared) -> Run | None:
    """The run on this disk that a line is about."""
    for folder in finished_runs():
        run = Run.load(folder)
        if run.started == shared.run.started and Shared(shared.name, run).key == _key_as(shared, run.run_id):
            return run
    return None


def _key_as(shared: Shared, run_id: str) -> str:
    """The key that a line would have under another run id: a clash of names may have changed it here."""
    as_here = Run(**vars(shared.run) | {"run_id": run_id})
    return Shared(shared.name, as_here).key


def _free_id(run_id: str) -> str:
    number = 1
    while (folders.runs() / (found := run_id if number == 1 else f"{run_id[:76]}-{number}")).exists():
        number += 1
    return found
