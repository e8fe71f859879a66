"""A line of plain text that survives a chat: framed, found again, and refused with one reason.

``<mark><version>-<length>-<body>-<checksum>-END``. Body and checksum have letters and digits only, so that no chat app
finds anything in them to make bold, to link or to turn into a face. *Length* is the number of the body's characters;
the checksum covers everything before it. Two kinds are known: `RUN` (see `tuning.share`) and `SCORE` (see
`tuning.clinic`).

Chats wrap lines, quote them and put names and times before them. Whatever is neither letter, digit nor hyphen is
passed over, also inside the beginning of a line.
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
    """One kind of line.

    Attributes
    ----------
    mark : str
        Three characters by which it is found.
    version : int
        Whoever changes what a body means raises it.
    alphabet : str
        The characters of a body, as in a regular expression's brackets.
    checksum : callable
        Checksum of everything before it, in lower-case hexadecimal digits.
    longest : int
        Most characters of a body.
    """

    mark: str
    version: int
    alphabet: str
    checksum: Callable[[str], str]
    longest: int


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _crc32(text: str) -> str:
    return f"{zlib.crc32(text.encode()):08x}"


RUN = Kind("W6W", 1, "0-9A-Za-z", _sha256, 6_000)
SCORE = Kind("W6C", 1, "0-9a-f", _crc32, 2_000)
KINDS = {kind.mark: kind for kind in (RUN, SCORE)}

_ADDED = "[^0-9A-Za-z-]"
# Programs that "correct" what was typed turn a hyphen into one of these.
_HYPHENS = dict.fromkeys(map(ord, "\u2010\u2011\u2012\u2013\u2014\u2212"), "-")


def _start() -> re.Pattern:
    gap = f"{_ADDED}{{0,12}}"
    marks = "|".join(gap.join(mark) for mark in KINDS)
    version, length = (rf"\d(?:{gap}\d){{0,{most - 1}}}" for most in (4, 5))
    return re.compile(rf"({marks}){gap}({version}){gap}-{gap}({length}){gap}-")


_START = _start()


@dataclasses.dataclass(frozen=True)
class Found:
    """The beginning of a line in a text, and what follows it.

    Attributes
    ----------
    kind : Kind
    row : int
        Row of the text in which it begins, from 1.
    version, length : int
        As the beginning says.
    rest : str
        The letters, digits and hyphens up to the next beginning.
    """

    kind: Kind
    row: int
    version: int
    length: int
    rest: str


def frame(kind: Kind, body: str) -> str:
    """Write a line around a body."""
    start = f"{kind.mark}{kind.version}-{len(body)}-{body}"
    return f"{start}-{kind.checksum(start)}-{END}"


def find(text: str) -> list[Found]:
    """Find where lines begin, whether they can be used or not; one more than `MOST_LINES` where there are too many.

    Parameters
    ----------
    text : str
        A whole chat, an e-mail, a file.

    Returns
    -------
    list of Found
        In the order of the text.
    """
    text = text.translate(_HYPHENS)
    starts = list(_START.finditer(text))
    found, row, counted = [], 1, 0
    for number, start in enumerate(starts[: MOST_LINES + 1]):
        row, counted = row + text.count("\n", counted, start.start()), start.start()
        end = starts[number + 1].start() if number + 1 < len(starts) else len(text)
        mark, version, length = (re.sub(_ADDED, "", part) for part in start.groups())
        kind = KINDS[mark]
        rest = text[start.end() : min(end, start.end() + kind.longest + MOST_ADDED)]
        found.append(Found(kind, row, int(version), int(length), re.sub(_ADDED, "", rest)))
    return found


def body(found: Found) -> str:
    """The body of a line.

    Raises
    ------
    ShareError
        With the reason why it cannot be trusted, to be read behind "The line" or "It".
    """
    kind = found.kind
    if found.version > kind.version:
        raise ShareError("comes from a newer version of the workshop. Update this copy, then read it again.")
    if found.version < kind.version:
        raise ShareError("comes from an older version of the workshop. Ask for it again, from this version.")
    if found.length > kind.longest:
        raise ShareError("is altered: its beginning is not that of a share line.")
    if f"-{END}" not in found.rest:
        raise ShareError("is truncated: its end is missing. Copy it again, whole.")
    start = f"{kind.mark}{kind.version}-{found.length}-"
    written = re.match(rf"([{kind.alphabet}]{{{found.length}}})-([0-9a-f]+)-{END}", found.rest)
    if written is None:
        raise ShareError("is altered: characters were lost or added on the way. Copy it again.")
    if kind.checksum(start + written[1]) != written[2]:
        raise ShareError("is altered: its checksum does not fit. Copy it again.")
    return written[1]
