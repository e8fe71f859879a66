"""The disk and its files: what fits, what can be written, files that are whole, and one installation at a time."""

import contextlib
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from launcher.settings import WorkshopError, say

if os.name == "nt":
    import msvcrt
else:
    import fcntl


def check_path(folder: Path) -> None:
    """Refuse a path in which no environment can be made: programs are found through lists of paths.

    Raises
    ------
    WorkshopError
        If it has the sign that separates paths, or letters that are not UTF-8.
    """
    try:
        str(folder).encode("utf-8")
    except UnicodeEncodeError:
        raise WorkshopError("the path of the workshop's folder is not UTF-8: rename the folder, or move it") from None
    if os.pathsep in str(folder):
        raise WorkshopError(
            f"the path of the workshop's folder has a '{os.pathsep}' in it: rename the folder, or move it"
        )


def can_link(folder: Path) -> bool:
    """Tell whether the disk that holds an existing folder has symbolic links."""
    link = folder / "link.part"
    try:
        link.symlink_to("nowhere")
        link.unlink()
    except OSError:
        return False
    return True


def can_hold_files(folder: str) -> bool:
    """Tell whether a folder is there, or can be made, and files can be written into it."""
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK)


def check_disk(folder: Path, needed_mb: float, free_mb: float | None = None) -> None:
    """Refuse to start an installation that would fill the disk.

    Parameters
    ----------
    folder : Path
        An existing folder on the disk in question.
    needed_mb : float
        Space that the installation takes, in megabytes.
    free_mb : float, optional
        Space that is free; asked of the system if not given.

    Raises
    ------
    WorkshopError
        If there is too little.
    """
    if free_mb is None:
        free_mb = shutil.disk_usage(folder).free / 1e6
    if free_mb < needed_mb:
        raise WorkshopError(
            f"too little disk space: the installation needs {needed_mb / 1000:.1f} GB, and "
            f"{free_mb / 1000:.1f} GB are free on the disk of {folder}; free some, or move this folder"
        )


def folder_mb(folder: Path) -> float:
    """Add up the files under a folder, in megabytes; 0 if it does not exist."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):  # a link that leads nowhere, or a file that has just gone
                total += os.lstat(os.path.join(place, name)).st_size
    return total / 1e6


def write_whole(path: Path, text: str) -> None:
    """Write a file so that it is either there whole or not at all."""
    part = path.with_name(path.name + ".part")
    with part.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)


def try_lock(file: IO[str]) -> bool:
    """Take the lock of an open file if nobody has it; the system gives it back when this process ends."""
    try:
        if os.name == "nt":
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:
        return True  # a network folder without locks: better one unguarded installation than none
    return True


@contextlib.contextmanager
def install_lock(file: Path) -> Iterator[None]:
    """Let one installation run at a time; a second call waits and says so."""
    file.parent.mkdir(exist_ok=True)
    with file.open("a") as handle:
        if not try_lock(handle):
            say("another call is installing; waiting for it")
            while not try_lock(handle):
                time.sleep(0.5)
        yield
