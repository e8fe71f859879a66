"""What a chat holds is text: nothing that is pasted between three quotation marks can end them and become code.

A chat is written by strangers and pasted into a cell. Three quotation marks in it would end the text there, and what
follows would be run. So the cell's text reaches from its first three quotation marks to its last ones.
"""

import re

NAMES = ("SHARED", "GROUP_LINE")

_PASTED = re.compile(rf'^({"|".join(NAMES)}) = r?"""(.*)"""', re.MULTILINE | re.DOTALL)


def as_text(lines: list[str]) -> list[str]:
    """Turn what was pasted into one plain string, before Python reads the cell.

    Parameters
    ----------
    lines : list of str
        A cell, as ``input_transformers_cleanup`` of an IPython shell hands it on.

    Returns
    -------
    list of str
        The same cell; one that assigns to none of `NAMES` comes back as it is.
    """
    cell = "".join(lines)
    plain = _PASTED.sub(lambda found: f"{found[1]} = {found[2]!r}", cell)
    return lines if plain == cell else plain.splitlines(keepends=True)
