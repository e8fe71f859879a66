"""Files of value: written whole or not at all, safely on disk before the next line runs, and by one process at a time.

A new content is written beside the old one, flushed to the disk and renamed into its place; then the folder is flushed
too, because the new name is kept there. A crash, a power cut or a full disk leaves the old file or the new one.
"""

import contextlib
import errno
import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import psutil
from filelock import FileLock, SoftFileLock

# In each folder that such files are written to: name of a file and the SHA-256 that it had as the code left it.
AS_WRITTEN = ".as-written.json"
PART = ".part"
POLL_SECONDS = 0.05
# A process that holds a file this long is dead: writing one takes well under a second.
HELD_SECONDS = 120
# File systems that cannot flush, or cannot lock: network shares, some FUSE mounts and sandboxes.
_NO_FLUSH = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}
_NO_LOCKS = {*_NO_FLUSH, errno.ENOLCK, errno.EPERM, errno.EIO}
_noted: set[str] = set()


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file, and its folder, so that a reader, or a crash, sees the old or the new content and nothing between.

    Text is written as UTF-8, with line ends as they are. Where an `OSError` ends it, the old content stays.
    """
    with replacing(path) as part:
        part.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary file beside `path` to be written, which then takes its place in one step.

    A symbolic link is followed, so that a worksheet linked from elsewhere stays linked.
    """
    path = Path(os.path.realpath(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    clear_parts(path.parent, f"{path.name}.*")
    part = path.with_name(f"{path.name}.{os.getpid()}{PART}")
    try:
        yield part
        if path.exists():
            shutil.copymode(path, part)
        with part.open("r+b") as file:
            flush(file.fileno())
        part.replace(path)
        flush_folder(path.parent)
    finally:
        part.unlink(missing_ok=True)


def free_name(path: Path) -> Path:
    """Say where a new version of a file goes, so that nothing a person changed is written over.

    It is `path`, or the first of ``<stem>-2``, ``<stem>-3``, ... that is free or still as :func:`sign` saw it.
    """
    kept, number, name = _as_written(path.parent), 1, path
    while name.is_file() and (name.name not in kept or kept[name.name] != _digest(name)):
        number += 1
        name = path.with_name(f"{path.stem}-{number}{path.suffix}")
    return name


def sign(path: Path) -> None:
    """Remember a file as the code left it: :func:`free_name` gives its name again until somebody changes it."""
    kept = _as_written(path.parent) | {path.name: _digest(path)}
    write_whole(path.parent / AS_WRITTEN, json.dumps(kept, indent=1) + "\n")


def _as_written(folder: Path) -> dict[str, str]:
    """What was signed in a folder; nothing where that cannot be read, so that every file there counts as changed."""
    try:
        kept = json.loads((folder / AS_WRITTEN).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return kept if isinstance(kept, dict) else {}


def _digest(path: Path) -> str:
    """SHA-256 of a file; empty, which no signature is, where it cannot be read."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""


def append_line(path: Path, line: str) -> None:
    """Add a line to a text file, or raise the disk's `OSError` and leave it as it was.

    A line that a crash cut short before it is ended first.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as file:
        size = file.seek(0, os.SEEK_END)
        cut_short = False
        if size:
            file.seek(size - 1)
            cut_short = file.read(1) != b"\n"
        try:
            file.write(b"\n" * cut_short + line.encode("utf-8") + b"\n")
            file.flush()
            flush(file.fileno())
        except OSError:
            # On a full disk there is room for this at least.
            with contextlib.suppress(OSError):
                os.ftruncate(file.fileno(), size)
            raise
    if not size:
        flush_folder(path.parent)


def clear_parts(folder: Path, pattern: str = "*") -> None:
    """Remove temporary files in a folder whose process has ended: a killed one cannot do it itself."""
    for part in folder.glob(f"{pattern}{PART}"):
        pid = part.stem.rpartition(".")[2]
        if pid.isdecimal() and not (len(pid) < 10 and psutil.pid_exists(int(pid))):
            with contextlib.suppress(OSError):
                part.unlink()


def flush(descriptor: int) -> None:
    """Have an open file on the disk, where the disk can say so."""
    try:
        os.fsync(descriptor)
    except OSError as problem:
        if problem.errno not in _NO_FLUSH:
            raise


def flush_folder(folder: Path) -> None:
    """Have the names in a folder on the disk."""
    # Windows opens no folder, and keeps names by itself.
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        flush(descriptor)
    finally:
        os.close(descriptor)


class Lock:
    """One process at a time: a file lock, or on a disk without file locks an exclusive file that names its owner.

    Parameters
    ----------
    path : pathlib.Path
        The lock's file; its folder must exist.
    seconds : float
        How long to wait for another process.
    held_seconds : float
        On a disk without file locks: the age at which an owner on another machine counts as dead.

    Raises
    ------
    filelock.Timeout, OSError
        When another process holds it all that time, or the file cannot be made.
    """

    def __init__(
        self, path: Path, seconds: float, held_seconds: float = HELD_SECONDS, poll_seconds: float = POLL_SECONDS
    ) -> None:
        self.held_seconds = held_seconds
        self._lock = FileLock(path, timeout=seconds, poll_interval=poll_seconds, fallback_to_soft=False)
        self._owner = path.with_name(f"{path.name}.owner")
        self._owned = SoftFileLock(self._owner, timeout=seconds, poll_interval=poll_seconds)

    def acquire(self) -> "Lock":
        """Wait for it and hold it."""
        try:
            self._lock.acquire()
        except OSError as problem:
            # filelock's Timeout is an OSError too, without a number.
            if problem.errno not in _NO_LOCKS:
                raise
            self._own(problem)
        return self

    def release(self) -> None:
        """Let go of it."""
        self._lock.release()
        self._owned.release()

    def __enter__(self) -> "Lock":
        return self.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def _own(self, reason: OSError) -> None:
        # filelock passes over an owner on this machine that has ended; of another machine only the age is known.
        with contextlib.suppress(FileNotFoundError):
            if time.time() - self._owner.stat().st_mtime > self.held_seconds:
                self._owner.unlink()
        self._owned.acquire()
        where = str(self._owner.parent)
        if where not in _noted:
            _noted.add(where)
            print(
                f"This disk has no file locks ({reason.strerror}), so a file {self._owner.name} does their work."
                " Use these files on one computer at a time."
            )
