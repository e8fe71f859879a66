"""What counts as a word where words are counted: the backup lab and the audit."""

import re
from collections.abc import Sequence

# As scikit-learn sets it by default: at least two letters or digits.
WORDS = r"(?u)\b\w\w+\b"
# Each letter, digit or other sign by itself: for emoji, and for scripts without blanks.
SIGNS = r"(?u)\w|[^\w\s]"
# A text of so many letters without a blank is no single word.
LONGEST_WORD = 15

_WORD = re.compile(WORDS)


def token_pattern(sentences: Sequence[str]) -> str:
    """The pattern of a word that suits these sentences: `SIGNS` where most have no word of two letters or no blank."""
    without = sum(map(_has_no_words, sentences))
    return SIGNS if 2 * without > len(sentences) else WORDS


def _has_no_words(sentence: str) -> bool:
    blanks = any(map(str.isspace, sentence.strip()))
    long = len(sentence) > LONGEST_WORD or not sentence.isascii()
    return not _WORD.search(sentence) or (not blanks and long)
