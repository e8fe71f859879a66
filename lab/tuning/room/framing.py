"""A line of plain text that survives a chat: framed, found again, and refused with one reason.

``<mark><version>-<length>-<body>-<checksum>-END``. Body and checksum have letters and digits only, so that no chat app
finds anything in them to make bold, to link or to turn into a face. *Length* is the number of the body's characters;
the checksum covers everything before it. Two kinds are known: `RUN` (see `tuning.room.share`) and `SCORE` (see
`tuning.room.clinic`).

Chats wrap lines, quote them and put names and times before them. Whatever is neither letter, digit nor hyphen is
passed over, also inside the beginning of a line. Where a wrapped line has a number, or a name and a time, before each
of its rows, the last word of each row is read instead; where it was split over two messages, long words alone are,
and other whole lines between them are left out. The checksum says which reading is the right one.
"""

import dataclasses
import hashlib
import re
import zlib
from collections.abc import Callable

from tuning.errors import ShareError

END = "END"
MOST_LINES = 2_000
# What a chat may add inside a body of the greatest length: line ends, blanks, quote marks.
MOST_ADDED = 3_000


@dataclasses.dataclass(frozen=True)
class Kind:
    """One kind of line."""

    mark: str  # Three characters by which it is found.
    version: int  # Whoever changes what a body means raises it.
    oldest: int  # The oldest version that can still be read.
    alphabet: str  # The characters of a body, as in a regular expression's brackets.
    checksum: Callable[[str], str]  # Checksum of everything before it, in lower-case hexadecimal digits.
    longest: int  # Most characters of a body.


RUN = Kind("W6W", 2, 1, "0-9A-Za-z", lambda text: hashlib.sha256(text.encode()).hexdigest()[:12], 6_000)
SCORE = Kind("W6C", 1, 1, "0-9a-f", lambda text: f"{zlib.crc32(text.encode()):08x}", 2_000)
KINDS = {kind.mark: kind for kind in (RUN, SCORE)}

# Characters: a chat cuts a line into pieces much longer than a name or a time; of a sender's words, so many are shown.
PIECE, SENDER = 20, 40
# A sender's name, the time and a quote mark fit in so many characters before a line.
MOST_SENDER = 200
_ADDED = "[^0-9A-Za-z-]"
_WORD = re.compile("[0-9A-Za-z-]+")
# Programs that "correct" what was typed turn a hyphen into one of these.
_HYPHENS = dict.fromkeys(map(ord, "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe63\uff0d"), "-")


def _start() -> re.Pattern:
    gap = f"{_ADDED}{{0,12}}"
    marks = "|".join(gap.join(mark) for mark in KINDS)
    version, length = (rf"\d(?:{gap}\d){{0,{most - 1}}}" for most in (4, 5))
    return re.compile(rf"({marks}){gap}({version}){gap}-{gap}({length}){gap}-")


_START = _start()
_WHOLE = re.compile(rf"{_START.pattern}.*?-{END}", re.DOTALL)


@dataclasses.dataclass(frozen=True)
class Found:
    """The beginning of a line in a text, and what follows it."""

    kind: Kind
    row: int  # Row of the text in which it begins, from 1.
    # As the beginning says.
    version: int
    length: int
    rest: str  # The text up to the next beginning, as the chat has it.
    sender: str  # The last words before it, which in a chat name the sender; no sign in them can be taken for a format.
    # The text that follows without the other whole lines in it: a chat may have split this one around them.
    beyond: str

    def readings(self) -> list[str]:
        """What follows, read in four ways: all of it, the last word of each row, and long words up to its end."""
        words = filter(None, map(_WORD.findall, self.rest.splitlines()))
        readings = [re.sub(_ADDED, "", self.rest), "".join(row[-1] for row in words)]
        for text in (self.rest, self.beyond):
            pieces = [word for word in _WORD.findall(text) if len(word) >= PIECE or word.endswith(END)]
            readings.append("".join(pieces))
        return readings


def frame(kind: Kind, body: str) -> str:
    """Write a line around a body."""
    start = f"{kind.mark}{kind.version}-{len(body)}-{body}"
    return f"{start}-{kind.checksum(start)}-{END}"


def find(text: str) -> list[Found]:
    """Find where lines begin, whether they can be used or not; one more than `MOST_LINES` where there are too many."""
    text = text.translate(_HYPHENS)
    starts = list(_START.finditer(text))
    lines, row, counted = [], 1, 0
    for number, start in enumerate(starts[: MOST_LINES + 1]):
        row, counted = row + text.count("\n", counted, start.start()), start.start()
        end = starts[number + 1].start() if number + 1 < len(starts) else len(text)
        mark, version, length = (re.sub(_ADDED, "", part) for part in start.groups())
        kind = KINDS[mark]
        limit = start.end() + kind.longest + MOST_ADDED
        rest = text[start.end() : min(end, limit)]
        beyond = _WHOLE.sub(" ", text[start.end() : limit]) if f"-{END}" not in rest else ""
        sender = _sender(text[max(0, start.start() - MOST_SENDER) : start.start()])
        lines.append(Found(kind, row, int(version), int(length), rest, sender, beyond))
    return lines


def _sender(before: str) -> str:
    """The last words before a line, with signs that a page could take for a format replaced."""
    rows = before.rpartition(f"-{END}")[2].splitlines()
    bare = (" ".join(row.split()).strip(' >|*_`"') for row in reversed(rows))
    words = next(filter(None, bare), "").translate({ord("["): "(", ord("]"): ")"})
    return re.sub(r"[^\w .,:;@()'-]", "?", words)[-SENDER:]


def body(found: Found) -> str:
    """The body of a line, or a `ShareError` why it cannot be trusted, to be read behind "The line" or "It"."""
    kind = found.kind
    if found.version > kind.version:
        raise ShareError("comes from a newer version of the workshop. Update this copy, then read it again.")
    if found.version < kind.oldest:
        raise ShareError("comes from an older version of the workshop. Ask for it again, from this version.")
    if found.length > kind.longest:
        raise ShareError("is altered: its beginning is not that of a share line.")
    start, readings = f"{kind.mark}{found.version}-{found.length}-", found.readings()
    if not any(f"-{END}" in reading for reading in readings):
        raise ShareError("is cut off: its end is missing. Copy it again, whole.")
    pattern = re.compile(rf"([{kind.alphabet}]{{{found.length}}})-([0-9a-f]+)-{END}")
    written = list(filter(None, map(pattern.match, readings)))
    if not written:
        raise ShareError("is altered: characters were lost or added on the way. Copy it again.")
    for text, checksum in map(re.Match.groups, written):
        if kind.checksum(start + text) == checksum:
            return text
    raise ShareError("is altered: its checksum does not fit. Copy it again.")
