"""Files that come back from a saved file, beside what is here already: nothing that a person wrote is replaced.

Of two versions of a file the newer one has the name, and the older one lies beside it with its time in the name. Logs,
predictions and the order of runs grow line by line, so two versions of them are joined.
"""

import filecmp
import glob
import os
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from tuning import paths
from tuning.evidence import experiment_log
from tuning.evidence.predictions import LOCK_SECONDS, predictions_file
from tuning.evidence.worksheet import read_template, worksheet_file
from tuning.files import PART, Lock, flush, flush_folder, write_whole
from tuning.runs.store import order_file

# Two files that were changed within so many seconds of each other count as equally old.
AT_ONCE = 2


def take_all(coming: Sequence["Coming"]) -> tuple[list[Path], list[str]]:
    """Put all files where they belong, or raise the disk's `OSError` and change nothing.

    Gives what was written, and one line for each file of which there were two versions.
    """
    grown = (experiment_log.log_file(), predictions_file(), order_file())
    joined = [file for file in coming if file.target in grown and file.target.is_file()]
    new = [file for file in coming if file not in joined and not file.is_done()]
    _place(new)
    written, notes = [file.written for file in new], [note for file in new if (note := file.note())]
    for file in joined:
        join = experiment_log.join if file.target == experiment_log.log_file() else _join_lines
        if join(file.target, file.source.read_bytes()):
            written.append(file.target)
            notes.append(f"{paths.short(file.target)}: what it lacked was added from the saved one.")
    return written, notes


def _join_lines(path: Path, saved: bytes) -> bool:
    """Put the lines that are missing here in front: they were written before the file was saved."""
    with Lock(path.with_suffix(".lock"), LOCK_SECONDS):
        here = path.read_bytes().splitlines()
        lines = saved.splitlines()
        if not {*lines} - {*here}:
            return False
        write_whole(path, b"".join(line + b"\n" for line in [*lines, *(line for line in here if line not in {*lines})]))
    return True


class Coming:
    """One file that comes back: where it goes, and what becomes of another one that is there."""

    def __init__(self, source: Path, target: Path, moment: float) -> None:
        self.source, self.target, self.moment = source, target, moment
        self.part = target.with_name(f"{target.name}.{os.getpid()}{PART}")
        # Where it is written to, and where another version that is here goes.
        self.written, self.aside = target, None
        if target.is_file() and not self.is_done() and not _is_untouched_form(target):
            here = target.stat().st_mtime
            if moment > here + AT_ONCE:
                self.aside = self._beside(here)
            else:
                self.written = self._beside(moment)

    def is_done(self) -> bool:
        """Whether the same file is here, or beside another one that is newer."""
        beside = self.target.parent.glob(f"{glob.escape(self.target.stem)}.of-*{self.target.suffix}")
        same = (filecmp.cmp(place, self.source, shallow=False) for place in (self.target, *beside) if place.is_file())
        return self.target.is_file() and any(same)

    def note(self) -> str:
        """What to tell the learner; nothing where the file was simply missing."""
        name = paths.short(self.target)
        if self.aside is not None:
            return f"{name}: the saved one is newer and was taken; the one that was here is {self.aside.name}."
        if self.written != self.target:
            return f"{name}: the one here is newer and stays; the saved one is {self.written.name}."
        return ""

    def _beside(self, moment: float) -> Path:
        stem = f"{self.target.stem}.of-{time.strftime('%Y%m%d-%H%M%S', time.localtime(moment))}"
        path, number = self.target.with_name(f"{stem}{self.target.suffix}"), 1
        while path.exists():
            number += 1
            path = self.target.with_name(f"{stem}-{number}{self.target.suffix}")
        return path


def _is_untouched_form(path: Path) -> bool:
    """Whether it is the empty worksheet, which a checkpoint puts there: nobody has written anything into it."""
    return path == worksheet_file() and path.read_text(encoding="utf-8", errors="replace") == read_template()


def _place(steps: list[Coming]) -> None:
    """Write all files or none: first beside their places, then by renaming; a failure takes everything back."""
    moved: list[tuple[Path, Path | None]] = []
    try:
        for step in steps:
            step.target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(step.source, step.part)
            os.utime(step.part, (step.moment, step.moment))
            with step.part.open("r+b") as file:
                flush(file.fileno())
        for step in steps:
            if step.aside is not None:
                step.target.rename(step.aside)
                moved.append((step.target, step.aside))
            step.part.replace(step.written)
            moved.append((step.written, None))
        for folder in {step.target.parent for step in steps}:
            flush_folder(folder)
    except OSError:
        for place, before in reversed(moved):
            if before is None:
                place.unlink(missing_ok=True)
            else:
                before.rename(place)
        raise
    finally:
        for step in steps:
            step.part.unlink(missing_ok=True)
