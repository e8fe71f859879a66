"""Writing files: whole or not at all, and never over what a person has changed."""

import hashlib
import json
import os
from pathlib import Path

# In each folder that such files are written to: name of a file and the SHA-256 that it had as the code left it.
AS_WRITTEN = ".as-written.json"


def write_whole(path: Path, text: str) -> None:
    """Write a text file so that a reader, or a crash, sees the old or the new content and nothing between."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with part.open("w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def free_name(path: Path) -> Path:
    """Say where a new version of a file goes, so that nothing a person changed is written over.

    Parameters
    ----------
    path : pathlib.Path
        The name that the file has the first time.

    Returns
    -------
    pathlib.Path
        `path`, or the first of ``<stem>-2``, ``<stem>-3``, ... that is free or still as :func:`sign` saw it.
    """
    kept, number, name = _as_written(path.parent), 1, path
    while name.is_file() and (name.name not in kept or kept[name.name] != _digest(name)):
        number += 1
        name = path.with_name(f"{path.stem}-{number}{path.suffix}")
    return name


def sign(path: Path) -> None:
    """Remember a file as the code left it: :func:`free_name` gives its name again until somebody changes it.

    Raises
    ------
    OSError
        If that cannot be written.
    """
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
