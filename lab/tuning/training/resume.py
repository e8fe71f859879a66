"""Going on with a run that was killed: which checkpoint may be used, who is using it, and whether the disk has room.

A checkpoint of the Trainer that lost one of its files resumes without a word, to other weights. So only a folder that
carries our own mark counts: it is written last of all, and it names what must be the same for the numbers to be.
"""

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

from filelock import Timeout

from tuning import paths
from tuning.errors import RunError
from tuning.files import Lock, write_whole
from tuning.runs.record import Run
from tuning.runs.store import CHECKPOINTS, MARK, finished_runs, last_run

LOCK = ".lock"
# Seconds after which a run on another computer counts as dead, on a disk without file locks: no lesson is longer.
LONGEST_TRAINING = 12 * 3600
BYTES_PER_WEIGHT = 4
# The weights themselves, and AdamW's two moving averages of every gradient.
COPIES = 3
# Counted up when checkpoints hold something else than before: older ones are not continued then.
FORMAT = 3
# For the record, the predictions, the tokenizer and the executed notebook.
SPARE_BYTES = 50_000_000


@dataclasses.dataclass(frozen=True)
class HalfFinished:
    """A run that was cut off, with its newest whole checkpoint."""

    folder: Path  # The run's folder.
    checkpoint: Path
    # The record as it stood at the checkpoint.
    steps: list[dict[str, Any]]
    epochs: list[dict[str, Any]]
    departures: list[str]  # What the dials did not say about it.

    def discard(self) -> None:
        """Delete it: the marks first, so that it is gone even if a file is held by another program."""
        for mark in self.folder.glob(f"{CHECKPOINTS}/*/{MARK}"):
            mark.unlink(missing_ok=True)
        shutil.rmtree(self.folder, ignore_errors=True)


def half_finished(fingerprint: str) -> list[HalfFinished]:
    """Runs with this fingerprint that were cut off and that nobody is training now, the newest first."""
    marks = paths.runs().glob(f"*/{CHECKPOINTS}/checkpoint-*/{MARK}")
    found: dict[Path, HalfFinished] = {}
    for path in sorted(marks, key=lambda path: path.stat().st_mtime, reverse=True):
        folder = path.parents[2]
        try:
            mark = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if mark.get("fingerprint") != fingerprint or (folder / "run.json").exists() or _in_use(folder):
            continue
        found.setdefault(folder, HalfFinished(folder, path.parent, mark["steps"], mark["epochs"], mark["departures"]))
    return list(found.values())


def mark_whole(checkpoint: Path, fingerprint: str, steps: list, epochs: list, departures: list) -> None:
    """Declare a checkpoint whole, and only then let the older ones of its run go."""
    mark = {"fingerprint": fingerprint, "steps": steps, "epochs": epochs, "departures": departures}
    write_whole(checkpoint / MARK, json.dumps(mark, allow_nan=False))
    for older in checkpoint.parent.glob("checkpoint-*"):
        if older != checkpoint:
            shutil.rmtree(older, ignore_errors=True)


def lock(folder: Path) -> Lock:
    """The lock that whoever trains the run in this folder holds; a killed process lets go of it."""
    (folder / CHECKPOINTS).mkdir(parents=True, exist_ok=True)
    return Lock(folder / CHECKPOINTS / LOCK, 0, held_seconds=LONGEST_TRAINING)


def _in_use(folder: Path) -> bool:
    try:
        with lock(folder):
            return False
    except Timeout:
        return True


def newest_run() -> Run:
    """The last recorded run of the main lab; a line says so where another kernel trains one at this moment."""
    locks = paths.runs().glob(f"*/{CHECKPOINTS}/{LOCK}")
    training = sorted(path.parents[1].name for path in locks if _in_use(path.parents[1]))
    still = f"{', '.join(training)}: still being trained by another kernel. Run this cell again at its end."
    if training and not finished_runs():
        raise RunError(still)
    if training:
        print(still)
    return last_run()


def tidy(folder: Path) -> None:
    """Delete what a finished run needs no more: its checkpoints, and files that a kill left half-written."""
    shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)
    for part in folder.glob("*.part"):
        part.unlink(missing_ok=True)


def clear_remains() -> None:
    """Delete what killed runs left that nobody can use: checkpoints without a mark, or of runs that were finished."""
    for checkpoints in paths.runs().glob(f"*/{CHECKPOINTS}"):
        folder = checkpoints.parent
        finished = (folder / "run.json").exists()
        # Without any, the notebook may still be before the training cell.
        begun = (checkpoints / LOCK).exists() or any(checkpoints.glob("checkpoint-*"))
        if begun and (finished or not any(checkpoints.glob(f"*/{MARK}"))) and not _in_use(folder):
            if finished:
                tidy(folder)
            else:
                shutil.rmtree(folder, ignore_errors=True)


def room_for(weights: int, copies: int = COPIES) -> bool:
    """Whether a checkpoint of so many weights, or another number of copies of them, fits on the disk now."""
    return _free() >= copies * weights * BYTES_PER_WEIGHT + SPARE_BYTES


def check_room(weights: int, trained: int, epochs: int, half: HalfFinished | None) -> str:
    """Look, before the first step, whether the disk has room for the weights at the end and for the checkpoints.

    A checkpoint holds the weights that are trained; there is one after each epoch but the last, and a whole one stays
    while the next is saved. What comes back is for the learner, where only the checkpoints have no room. A `RunError`
    where not even the trained weights will fit: better said now than after training.
    """
    at_the_end, checkpoint = weights * BYTES_PER_WEIGHT, COPIES * trained * BYTES_PER_WEIGHT
    at_once = min(epochs - 1, 2)
    # At the end the trained weights stand beside the last checkpoint.
    most = max(at_once * checkpoint, bool(at_once) * checkpoint + at_the_end) - (checkpoint if half else 0)
    needed, least, free = most + SPARE_BYTES, at_the_end + SPARE_BYTES, _free()
    there = f"Old runs can be deleted: {paths.short(paths.runs())} holds {_mb(_held())}."
    if free < least:
        raise RunError(f"There is no room for this run: it needs {_mb(least)} of disk, {_mb(free)} is free. {there}")
    if free >= needed:
        return ""
    return (
        f"There is no room for checkpoints: they need {_mb(needed)} of disk, {_mb(free)} is free. This run trains"
        f" without them, so a killed kernel would cost all of it and not one epoch. {there}"
    )


def _free() -> int:
    folder = paths.runs()
    folder.mkdir(parents=True, exist_ok=True)
    return shutil.disk_usage(folder).free


def _held() -> int:
    return sum(path.stat().st_size for path in paths.runs().rglob("*") if path.is_file())


def _mb(size: int) -> str:
    return f"{size / 1e6:,.0f} MB"
