"""Checks on values that came from a stranger: a text is looked up or matched, a number has its bounds.

They raise `ValueError`; whoever reads a line turns that into one reason and repeats nothing of the content.
"""

import json
import re
import unicodedata
from typing import Any

from tuning.errors import ShareError

LARGEST_NUMBER = 10_000
MOST_DIGITS = 12
LONGEST_NAME = 40

# Over the classes that `_shape` gives: a stands for a letter or digit, m for a mark above, below or beside one.
_NAME = re.compile(r"a(?!.*m{7})(?:(?:[am_ .'\u2019\u00b7\u30fb-]|(?<=[am])[\u200c\u200d]){0,38}[am_.'\u2019])?")
_DEVICE = re.compile("con|prn|aux|nul|(com|lpt)[0-9]")
_CLASSES = {"L": "a", "N": "a", "Mn": "m", "Mc": "m"}


def parse(raw: bytes) -> Any:
    """Read JSON without NaN, infinities and numbers of many digits."""
    return json.loads(raw.decode("utf-8"), parse_constant=_refuse, parse_int=_short_integer)


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _short_integer(text: str) -> int:
    # Turning very many digits into a number takes very long.
    if len(text) > MOST_DIGITS:
        raise ValueError("too many digits")
    return int(text)


def integer(value: Any) -> int:
    """A whole number; True is none."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError("not a whole number")
    return value


def count(value: Any) -> int | None:
    """A whole number, or None where it is not known."""
    return None if value is None else integer(value)


def number(value: Any) -> float | None:
    """A number that is not absurdly large, or None where it is not known."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= LARGEST_NUMBER:
        raise ValueError("not a number")
    return value


def mapping(value: Any) -> dict[str, Any]:
    """A JSON object."""
    if not isinstance(value, dict):
        raise ValueError("not an object")
    return value


def text(value: Any, pattern: re.Pattern) -> str:
    """A text that fits a pattern from its first to its last character."""
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise ValueError("not this text")
    return value


def item(choices: tuple[str, ...], place: Any) -> str:
    """The text at a place of a list that both sides know."""
    if not 0 <= integer(place) < len(choices):
        raise ValueError("no such text")
    return choices[place]


def _shape(name: str) -> str:
    """A name with every letter, digit and mark, of whatever script, replaced by its class; the rest stays."""
    categories = map(unicodedata.category, name)
    return "".join(
        _CLASSES.get(kind[0]) or _CLASSES.get(kind, sign) for kind, sign in zip(categories, name, strict=True)
    )


def name(value: Any) -> str:
    """A name that `clean_name` would have written."""
    if not isinstance(value, str) or not _NAME.fullmatch(_shape(value)):
        raise ValueError("not a name")
    return value


def file_stem(name: str) -> str:
    """A name as the beginning of a file's name: its letters, digits and marks, with hyphens for the rest.

    Windows opens a device, not a file, under some names.
    """
    kept = "".join(sign if kind in "am_" else " " for sign, kind in zip(name, _shape(name), strict=True))
    stem = "-".join(kept.lower().split())
    return f"group-{stem}" if _DEVICE.fullmatch(stem) else stem


def clean_name(typed: str) -> str:
    """Check the name that a group typed, and set its blanks.

    A `ShareError` where it could do harm in a table, a slide or a spreadsheet, is empty or too long.
    """
    found = unicodedata.normalize("NFC", " ".join(str(typed).split()))
    if not _NAME.fullmatch(_shape(found)):
        raise ShareError(
            f"This group name cannot be used. Write 1 to {LONGEST_NAME} letters, digits, spaces, hyphens, full stops or"
            ' apostrophes, beginning with a letter or digit, such as "Blue 4".'
        )
    return found
