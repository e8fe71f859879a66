"""The three labels: how files write them, how many there are, and what to say about any other word."""

import re
from collections.abc import Iterable, Mapping

import pandas as pd

LABELS = ("negative", "neutral", "positive")
LABEL_WORDS = {"neg": "negative", "neu": "neutral", "neutr": "neutral", "pos": "positive"} | {
    label: label for label in LABELS
}
# What programs write where there is nothing: pandas, R, SQL and the error values of a spreadsheet.
_ERROR_CELLS = ("#n/a", "#na", "#value!", "#ref!", "#name?", "#div/0!", "#null!", "#num!")
NOTHING = frozenset(["nan", "none", "null", "n/a", "na", "nil", "<na>", "-", "--", "\u2013", "\u2014", *_ERROR_CELLS])
# What annotators write where they could not decide.
UNDECIDED = frozenset(["unk", "unknown", "unlabeled", "unlabelled", "?"])
WORDS_SHOWN, LETTERS_SHOWN = 3, 30

# Unicode's format characters (category Cf) that editors, web pages and chats leave in a text.
_UNSEEN = re.compile("[\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]")
_NUMBERS = re.compile(r"(?:label[_ ]?)?[+-]?\d+(?:[.,]\d+)?", re.IGNORECASE)
_MARKS = ("'", "\u2018", "\u2019", "\u201a", "\u201c", "\u201d", "\u201e", "\u00ab", "\u00bb")
_MARKET = frozenset(["bullish", "bearish", "bull", "bear", "buy", "sell", "hold", "up", "down"])


def label_counts(frame: pd.DataFrame) -> dict[str, int]:
    """Sentences per label, all three labels always present."""
    counts = frame["label"].value_counts()
    return {label: int(counts.get(label, 0)) for label in LABELS}


def bare(cell: str) -> str:
    """A cell without the blanks around it and without signs that nobody sees, such as a zero-width space."""
    return (cell if cell.isascii() else _UNSEEN.sub("", cell)).strip()


def folded(cell: str) -> str:
    """A bare cell in small letters: how headers, labels and parts are compared."""
    return bare(cell).casefold()


def holds_nothing(cell: str) -> bool:
    """Whether a cell is empty or holds a word that stands for nothing, such as ``NULL``."""
    return not (word := folded(cell)) or word in NOTHING


def as_typed(word: str, accepted: Iterable[str], quoted: bool = True) -> str:
    """A word for a message; a letter that only looks like that of an accepted word gets its code point."""
    word = bare(word)[:LETTERS_SHOWN]
    strange = [sign for sign in dict.fromkeys(word) if not sign.isascii()]
    pattern = "".join("." if sign in strange else re.escape(sign) for sign in word.casefold())
    similar = strange and re.search(r"[a-z]", pattern) and any(re.fullmatch(pattern, other) for other in accepted)
    points = ", ".join(f"{sign} is U+{ord(sign):04X}" for sign in strange)
    shown = repr(word) if quoted else word
    return f"{shown} ({points})" if similar else shown


def way_out(words: Iterable[str]) -> str:
    """What to do about labels of another scheme: their meaning is for a person to look up, and not guessed."""
    words = {folded(word) for word in words}
    if any(map(_NUMBERS.fullmatch, words)):
        return (
            " A number means one thing in one file and another in the next (0 is negative, neutral or bearish):"
            " look up what it means here, then replace each number by its word."
        )
    if any(word.startswith(_MARKS) for word in words):
        return ' These quotation marks are part of the word: a CSV knows straight double ones (") only.'
    if words & _MARKET:
        return " What the market will do is not the tone of a sentence: decide which word means which, and replace it."
    return ""


def shown(words: Iterable[str], accepted: Mapping[str, str]) -> str:
    """The first few different words for a message."""
    return ", ".join(as_typed(word, accepted) for word in list(dict.fromkeys(words))[:WORDS_SHOWN])
