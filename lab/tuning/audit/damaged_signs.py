"""Signs that a file lost or mangled on its way: what a reader overlooks and a tokenizer does not."""

import re
from collections.abc import Sequence

# What UTF-8 becomes when it is read as cp1252: a leading sign, then one to three of these.
_REST = "\u0080-\u00bf\u0152\u0153\u0160\u0161\u0178\u017d\u017e\u0192\u02c6\u02dc\u2013-\u203a\u20ac\u2122"
KINDS = {
    "replacement sign (U+FFFD)": re.compile("\ufffd"),
    # A single pair such as the last two signs of "Spaß\u201d" is text, so the rarer leading signs count in twos.
    "mojibake (UTF-8 read as cp1252)": re.compile(
        f"[\u00c2\u00c3][{_REST}]|(?:[\u00c4-\u00df][{_REST}]){{2}}|[\u00e2\u00ef][{_REST}]{{2}}"
        f"|(?:[\u00e3-\u00e9][{_REST}]{{2}}){{2}}|\u00f0[{_REST}]{{3}}"
    ),
    "HTML entity": re.compile(r"&(?:[a-z]{2,8}|#\d{2,6}|#x[0-9a-f]{2,6});", re.IGNORECASE),
    "control character": re.compile("[\u0000-\u0008\u000e-\u001f\u007f-\u009f]"),
}


def damaged(sentences: Sequence[str]) -> dict[str, dict[int, int]]:
    """For each kind of damage that is there: positions of its sentences, and the place of the first sign in each."""
    kinds = {kind: {} for kind in KINDS}
    for position, sentence in enumerate(sentences):
        for kind, sign in KINDS.items():
            if match := sign.search(sentence):
                kinds[kind][position] = match.start()
    return {kind: positions for kind, positions in kinds.items() if positions}
