"""From the bytes of a file to text, line by line: one old line does not spoil the others."""

import re

from tuning.errors import DataError

NEEDS_UTF8 = 'Save it again as "CSV UTF-8".'
ROWS_NAMED = 3
# Letters of the line that is shown, around its first sign beyond ASCII.
BEFORE, AFTER = 12, 28


def decode(raw: bytes, name: str) -> tuple[str, list[str]]:
    """Read bytes as UTF-8, and each line that is not as cp1252, the old encoding of Windows; notices say which."""
    if not raw.strip():
        raise DataError(f"{name}: the file is empty. It needs a header line and sentences.")
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in raw:
        raise DataError(f"{name}: this is not plain text. {NEEDS_UTF8}")
    try:
        return raw.decode("utf-8-sig"), []
    except UnicodeDecodeError:
        pass
    lines = re.findall(rb"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+\Z", raw.removeprefix(b"\xef\xbb\xbf"))
    texts, old = [], []
    for number, line in enumerate(lines, start=1):
        try:
            texts.append(line.decode("utf-8"))
        except UnicodeDecodeError:
            # Five bytes mean nothing in cp1252 either: they stay visible as damaged signs.
            texts.append(line.decode("cp1252", errors="replace"))
            old.append(number)
    several = f" and {len(old) - ROWS_NAMED:,} more" if len(old) > ROWS_NAMED else ""
    which = f"{', '.join(map(str, old[:ROWS_NAMED]))}{several}"
    subject = f"line {which} is not UTF-8" if len(old) == 1 else f"lines {which} are not UTF-8"
    notice = (
        f"{name}: {subject} ({len(old):,} of {len(lines):,} lines), so cp1252 was tried, the old encoding of Windows."
        f" Line {old[0]} now reads: {_around(texts[old[0] - 1])}"
        ' If its signs look wrong, save the file as "CSV UTF-8".'
    )
    return "".join(texts), [notice]


def _around(line: str) -> str:
    """The part of a line around its first sign beyond ASCII."""
    at = next((place for place, sign in enumerate(line) if not sign.isascii()), 0)
    return f"\u2026{' '.join(line[max(at - BEFORE, 0) : at + AFTER].split())}\u2026"
