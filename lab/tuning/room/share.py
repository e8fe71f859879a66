"""The share line: one line of letters and digits that carries a run through any chat.

``W6W2-<length>-<body>-<checksum>-END`` (see `tuning.room.framing`). The body is the run's shortened record (see
`tuning.room.run_codec`) with the group's name and prediction, as JSON, compressed by zlib and written in base 62: the
bytes, behind a byte 1, as one large number, its most significant digit first.

A line comes from a stranger. Reading is bounded in size before and after decompression, the checksum is asked first,
and the record must then pass narrow rules for every text and the schema of a run. Whatever does not is refused with
one reason and the sender's last words before it; nothing of the line itself is repeated. A chat may hold the clinic's
score lines as well (see `tuning.room.clinic`); they are gathered beside the runs.
"""

import dataclasses
import functools
import hashlib
import json
import string
import zlib
from pathlib import Path
from typing import Any

from tuning import paths
from tuning.errors import DialError, RunError, ShareError
from tuning.evidence.predictions import prediction_of
from tuning.files import write_whole
from tuning.room import clinic, framing, run_codec
from tuning.room.clinic import Score
from tuning.room.framing import MOST_LINES, RUN, SCORE
from tuning.room.run_codec import pack, short, unpack
from tuning.room.validators import clean_name, file_stem, name, number, parse
from tuning.runs.record import Run
from tuning.runs.store import adopted_from
from tuning.runs.symptoms import CALL_WORDS

LONGEST_RECORD = 60_000
LONGEST_TEXT = 4_000_000
ENDINGS = (".json", ".txt", ".md", ".csv")

_DIGITS = string.digits + string.ascii_uppercase + string.ascii_lowercase
_VALUES = {digit: value for value, digit in enumerate(_DIGITS)}
_NOT_OURS = "was not written by this workshop's code; it is not used."


@dataclasses.dataclass(frozen=True)
class Shared:
    """A run that came in a line."""

    name: str  # What the group calls itself.
    run: Run  # The record, as far as it travels: no gradient norms, no platform, numbers to four places.
    word: str | None = None  # The group's one-word prediction, one of `CALL_WORDS`.
    f1: float | None = None  # The macro-F1 that it predicted.

    @functools.cached_property
    def key(self) -> str:
        """Hash that is equal for two copies of one run, whoever sent them, before or after its test part was opened."""
        return _hash(pack(self.run))

    def key_as(self, run_id: str) -> str:
        """The key that the run would have under another id."""
        return _hash(pack(self.run) | {"i": run_id})


def _hash(record: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(record | {"x": None}, sort_keys=True).encode()).hexdigest()


@dataclasses.dataclass(frozen=True)
class Gathered:
    """What was found in a chat or a folder."""

    # Runs of good lines, in the order in which they came.
    shared: list[Shared] = dataclasses.field(default_factory=list)
    # The sender's last words before a bad line, or its row, and the reason.
    refused: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    scores: list[Score] = dataclasses.field(default_factory=list)  # Score lines of the clinic, one per visitor.
    # Where a copy of a line began that was there already: it counts once.
    repeated: list[str] = dataclasses.field(default_factory=list)
    _places: dict[str, int] = dataclasses.field(default_factory=dict, init=False, repr=False, compare=False)

    def add(self, shared: Shared, place: str) -> None:
        """Take a run in, once; a copy with its test part opened replaces one without."""
        twin = self._places.setdefault(shared.key, len(self.shared))
        if twin == len(self.shared):
            self.shared.append(shared)
        elif shared.run.test and not self.shared[twin].run.test:
            self.shared[twin] = shared
        else:
            self.repeated.append(place)

    def add_score(self, score: Score, place: str) -> None:
        """Take a visitor's answers in, once; a line with more answers replaces one with fewer."""
        twin = next((at for at, other in enumerate(self.scores) if other.visitor == score.visitor), None)
        if twin is None:
            self.scores.append(score)
        elif len(score.answers) > len(self.scores[twin].answers):
            self.scores[twin] = score
        else:
            self.repeated.append(place)


def line(run: Run, group_name: str, word: str | None = None, f1: float | None = None) -> str:
    """Write a run as a share line, under 1,500 characters with the default dials.

    A `ShareError` where the name cannot be used.
    """
    record = {"n": clean_name(group_name), "p": [word, short(f1)]} | pack(run)
    text = json.dumps(record, separators=(",", ":"), allow_nan=False)
    return framing.frame(RUN, to_base62(zlib.compress(text.encode(), 9)))


def save(run: Run, group_name: str, word: str | None = None, f1: float | None = None) -> Path:
    """Write the same line as ``share/<group>.json``, for rooms that collect files; a later run gets a number."""
    content = {"run_id": run.run_id, "line": line(run, group_name, word, f1)}
    stem = file_stem(clean_name(group_name))
    path, copy = paths.share() / f"{stem}.json", 1
    while path.exists() and f'"run_id": "{run.run_id}"' not in path.read_text(encoding="utf-8", errors="replace"):
        copy += 1
        path = path.with_name(f"{stem}-{copy}.json")
    write_whole(path, json.dumps(content, indent=1) + "\n")
    return path


def share_line(run: Run, group_name: str) -> str:
    """A run as one line for the chat, with the group's prediction; the same goes to a file in ``share/``.

    Parameters
    ----------
    group_name : str
        What your group calls itself on the board; empty for no line.

    Raises
    ------
    ShareError
        If the name cannot be used, or the run is adopted: its own group shares it.
    """
    if not group_name.strip():
        return (
            "No line yet. Write your group's name between the quotes. Nothing leaves this machine until you paste it."
        )
    if (group := adopted_from(run)) is not None:
        raise ShareError(f"{run.run_id} is {group}'s run, adopted here. Its own group shares it.")
    made = prediction_of(run) or {"word": None, "f1": None}
    try:
        save(run, group_name, made["word"], made["f1"])
    except OSError as problem:
        # The line is what the room waits for.
        print(f"The file in {paths.short(paths.share())} cannot be written ({problem.strerror}). Post the line.")
    return line(run, group_name, made["word"], made["f1"])


def read(text: str) -> Shared:
    """Read one share line, however a chat has wrapped or quoted it; a `ShareError` says why it cannot be trusted."""
    gathered = gather(text)
    if len(gathered.shared) == 1:
        return gathered.shared[0]
    if gathered.shared:
        raise ShareError(f"{len(gathered.shared)} share lines of different runs were found; give one.")
    if gathered.refused:
        raise ShareError(f"The share line {gathered.refused[0][1]}")
    if gathered.scores:
        raise ShareError(f"This is a score line of the clinic. The share line of a run begins with {RUN.mark}.")
    raise ShareError(f"There is no share line in this text. It begins with {RUN.mark} and ends with {framing.END}.")


def gather(text: str, where: str = "") -> Gathered:
    """Find all lines in a text: a whole chat, an e-mail, a file; reasons call it `where`."""
    gathered = Gathered()
    if len(text) > LONGEST_TEXT:
        gathered.refused.append((where or "the text", f"is longer than {LONGEST_TEXT:,} characters."))
        return gathered
    lines = framing.find(text)
    for line in lines[:MOST_LINES]:
        place = ", ".join(filter(None, [where, f'"{line.sender}"' if line.sender else f"line {line.row}"]))
        try:
            if line.kind is SCORE:
                gathered.add_score(_read_score(framing.body(line)), place)
            else:
                gathered.add(_read_run(framing.body(line)), place)
        except ShareError as problem:
            gathered.refused.append((place, str(problem)))
    if len(lines) > MOST_LINES:
        gathered.refused.append((where or "the text", f"is read no further than its first {MOST_LINES:,} lines."))
    return gathered


def gather_files(path: Path) -> Gathered:
    """Find all lines in a file, or in the text files of a folder."""
    if not path.exists():
        raise ShareError(f"{paths.short(path)}: there is no such file or folder.")
    try:
        inside = path.is_dir()
        files = sorted(file for file in path.iterdir() if file.suffix.lower() in ENDINGS) if inside else [path]
    except OSError as problem:
        raise ShareError(f"{paths.short(path)}: cannot be opened ({problem.strerror}).") from None
    whole = Gathered()
    for file in files[:MOST_LINES]:
        try:
            if file.stat().st_size > LONGEST_TEXT:
                whole.refused.append((file.name, "is too large to be a share file."))
                continue
            part = gather(file.read_bytes().decode("utf-8", errors="replace"), file.name)
        except OSError as problem:
            whole.refused.append((file.name, f"cannot be opened ({problem.strerror})."))
            continue
        whole.refused.extend(part.refused)
        whole.repeated.extend(part.repeated)
        for shared in part.shared:
            whole.add(shared, file.name)
        for score in part.scores:
            whole.add_score(score, file.name)
    whole.refused.extend((file.name, f"comes after {MOST_LINES:,} other files.") for file in files[MOST_LINES:])
    return whole


def _read_run(body: str) -> Shared:
    try:
        unpacker = zlib.decompressobj()
        raw = unpacker.decompress(from_base62(body), LONGEST_RECORD)
        if not unpacker.eof or unpacker.unused_data:
            raise ShareError(_NOT_OURS)
        return _shared(parse(raw))
    except (ValueError, TypeError, KeyError, ArithmeticError, RecursionError, zlib.error, DialError, RunError):
        raise ShareError(_NOT_OURS) from None


def _shared(record: Any) -> Shared:
    if not isinstance(record, dict) or not set(record) >= {"n", "p", *run_codec.KEYS}:
        raise ValueError("keys are missing")
    word, f1 = record.pop("p")
    if word is not None and word not in CALL_WORDS:
        raise ValueError("no such word")
    if f1 is not None and not 0 <= (number(f1) or 0) <= 1:
        raise ValueError("no such score")
    return Shared(name(record.pop("n")), unpack(record), word, f1)


def _read_score(body: str) -> Score:
    try:
        return clinic.unpack(parse(bytes.fromhex(body)))
    except (ValueError, TypeError, KeyError, RecursionError):
        raise ShareError(_NOT_OURS) from None


def to_base62(raw: bytes) -> str:
    """Write bytes with letters and digits only."""
    # A leading 1 keeps zero bytes at the front.
    value, digits = int.from_bytes(b"\x01" + raw), []
    while value:
        value, digit = divmod(value, 62)
        digits.append(_DIGITS[digit])
    return "".join(reversed(digits))


def from_base62(text: str) -> bytes:
    """Read what `to_base62` wrote."""
    value = 0
    for character in text:
        value = value * 62 + _VALUES[character]
    raw = value.to_bytes((value.bit_length() + 7) // 8)
    if raw[:1] != b"\x01":
        raise ValueError("no leading mark")
    return raw[1:]
