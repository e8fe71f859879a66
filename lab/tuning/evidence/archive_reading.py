"""A saved file, read with suspicion: every name, size and checksum, before anything on this machine changes.

People unpack such a file and zip it again: with a folder more around it, with what macOS adds, with drive letters. All
that is read; what would lie outside our folders is refused.
"""

import contextlib
import datetime
import json
import re
import struct
import time
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from tuning.errors import KeepsakeError
from tuning.runs.record import RUN_ID

PLACES = ("my_work", "runs", "share")
SUFFIXES = {".csv", ".docx", ".html", ".ipynb", ".json", ".jsonl", ".md", ".png", ".pptx", ".svg", ".txt"}
WEIGHTS = "model"
# When each file was last changed, in seconds: a zip file itself keeps local times, to two seconds.
TIMES = "times.json"
LARGEST = 2_000_000_000
CHUNK = 1_000_000
# The last record of a zip file, with the longest comment that it may have.
LONGEST_END = 22 + 65_535
# Seconds: time zones differ by whole quarters of an hour, and a zip file rounds to two seconds.
QUARTER, RESOLUTION = 900, 3
# What systems put into every folder.
_ADDED = {".DS_Store", "Thumbs.db", "desktop.ini"}
_DRIVE = re.compile(r"\A[A-Za-z]:")


def unpack(file: Path, folder: Path) -> dict[str, float]:
    """Unpack a whole saved file into an empty folder, below `PLACES`; nothing else is touched.

    Gives each name below the folder, with forward slashes, and when it was last changed, oldest first. A
    `KeepsakeError` where the file is damaged, or is not one that the workshop saved; an `OSError` where there is no
    room for it.
    """
    damaged = KeepsakeError(f"{file.name} is damaged. Download or upload it again.")
    try:
        archive = zipfile.ZipFile(file)
    # A RuntimeError: a form of zip that the library does not read.
    except (zipfile.BadZipFile, EOFError, RuntimeError, ValueError, struct.error):
        raise damaged from None
    with archive:
        if len(archive.infolist()) != _number_noted(file):
            raise damaged
        entries, noted = _checked(archive.infolist(), file.name)
        times = {}
        for name, entry in entries.items():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("wb") as out:
                for chunk in _chunks(archive, entry, damaged):
                    out.write(chunk)
            times[name] = _moment(entry)
        if noted is not None:
            times |= _noted(b"".join(_chunks(archive, noted, damaged)), times)
    return dict(sorted(times.items(), key=lambda item: item[1]))


def _number_noted(file: Path) -> int:
    """How many entries the last record of a zip file says it has; zipfile believes another field of it."""
    with file.open("rb") as raw:
        raw.seek(max(file.stat().st_size - LONGEST_END, 0))
        _, _, end = raw.read().rpartition(b"PK\x05\x06")
    return int.from_bytes(end[6:8], "little")


def _chunks(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, damaged: KeepsakeError) -> Iterator[bytes]:
    """The content of an entry; its checksum is compared at its end."""
    read = 0
    try:
        with archive.open(entry) as source:
            while chunk := source.read(CHUNK):
                read += len(chunk)
                yield chunk
    # An entry that is damaged may ask for a password, or for a method that does not exist.
    except (zipfile.BadZipFile, EOFError, zlib.error, RuntimeError, ValueError, struct.error, OSError):
        raise damaged from None
    if read != entry.file_size:
        raise damaged


def _checked(infos: Sequence[zipfile.ZipInfo], file: str) -> tuple[dict[str, zipfile.ZipInfo], zipfile.ZipInfo | None]:
    """The entries by their place, if every one of them may be written, and the entry that holds the times."""
    entries: dict[str, zipfile.ZipInfo] = {}
    around, noted = set(), None
    for info in infos:
        parts = _parts(info.filename)
        if info.is_dir() or not parts or "__MACOSX" in parts or parts[-1] in _ADDED or parts[-1].startswith("._"):
            continue
        if info.flag_bits & 1:
            raise KeepsakeError(f"{file} is locked with a password. Unpack it, and zip it again without one.")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise KeepsakeError(f"{file} is packed in an unusual way. Unpack it, and zip it again as a plain zip file.")
        if parts[-1] == TIMES and not {*PLACES} & {*parts}:
            noted = info
            continue
        at = next((at for at, part in enumerate(parts) if part in PLACES), len(parts))
        name = "/".join(parts[at:])
        if not _is_ours(parts[at:]):
            raise KeepsakeError(f"{file} is not a file that the workshop saved (it holds {info.filename[:80]!r}).")
        around.add("/".join(parts[:at]))
        if len(around) > 1:
            first, second = sorted(around)
            raise KeepsakeError(f"{file} holds two saved copies, in {first!r} and {second!r}. Zip one of them alone.")
        if name in entries:
            raise KeepsakeError(f"{file} is not a file that the workshop saved (it holds {name[:80]!r} twice).")
        entries[name] = info
    if sum(info.file_size for info in entries.values()) > LARGEST:
        raise KeepsakeError(f"{file} is far larger than anything that the workshop saves.")
    return entries, noted


def _parts(name: str) -> list[str]:
    name = _DRIVE.sub("", unicodedata.normalize("NFC", name).replace("\\", "/"), count=1)
    return [part for part in name.split("/") if part not in ("", ".")]


def _is_ours(parts: Sequence[str]) -> bool:
    """Whether a path is inside our folders and of a kind that `save` writes."""
    if len(parts) < 2 or any(part == ".." or ":" in part or not part.isprintable() for part in parts):
        return False
    if parts[0] == "runs" and len(parts) > 2 and not RUN_ID.fullmatch(parts[1]):
        return False
    kind = PurePosixPath(parts[-1]).suffix.lower()
    weights = len(parts) == 4 and parts[0] == "runs" and parts[2] == WEIGHTS
    return kind in SUFFIXES or (weights and kind == ".safetensors")


def _moment(entry: zipfile.ZipInfo) -> float:
    try:
        return time.mktime(datetime.datetime(*entry.date_time).timetuple())
    except (ValueError, OverflowError):
        return 0.0


def _noted(raw: bytes, times: dict[str, float]) -> dict[str, float]:
    """The exact times where they agree with those of the zip file: a file that was replaced since has its own."""
    noted: dict[str, float] = {}
    with contextlib.suppress(ValueError, AttributeError, TypeError, KeyError):
        for name, moment in json.loads(raw).items():
            off = (times[name] - moment + QUARTER / 2) % QUARTER - QUARTER / 2
            if abs(off) <= RESOLUTION:
                noted[name] = float(moment)
    return noted
