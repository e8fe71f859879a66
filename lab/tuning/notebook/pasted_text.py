"""What a chat holds is text: a cell whose first line is ``%%pasted NAME`` is never Python.

A chat is written by strangers. Jupyter hands everything below that line on as one text. As long as this package is not
loaded, the kernel does not know the word, and the cell ends with an error before anything in it runs.
"""

import re
from typing import Any

from tuning.errors import WorkshopError

MAGIC = "pasted"
NAMES = ("SHARED", "GROUP_LINE", "ANSWERS")

# Blanks before it, or text typed right behind it, are slips of the hand.
_FIRST_LINE = re.compile(rf"\s*%%{MAGIC}[ \t]+({'|'.join(NAMES)})(.*)", re.DOTALL)


def switch_on(shell: Any) -> None:
    """Make ``%%pasted NAME`` known to an IPython shell: the text below it becomes the value of that name."""
    from IPython.core.magic import no_var_expand

    @no_var_expand
    def keep(line: str, cell: str) -> None:
        if line not in NAMES:
            raise WorkshopError(f"The first line of this cell must be %%{MAGIC} {f' or %%{MAGIC} '.join(NAMES)}.")
        shell.user_ns[line] = cell
        rows = [row for row in cell.splitlines() if row.strip()]
        print(f"{len(rows)} line{'s' * (len(rows) != 1)} taken as text." if rows else "Nothing is pasted here.")

    shell.register_magic_function(keep, "cell", MAGIC)
    if as_text not in shell.input_transformers_cleanup:
        shell.input_transformers_cleanup.insert(0, as_text)


def name_in(source: str) -> str | None:
    """The name that a cell fills with pasted text; None for any other cell."""
    place = _FIRST_LINE.match(source.partition("\n")[0])
    return place[1] if place else None


def as_text(lines: list[str]) -> list[str]:
    """Turn a cell of pasted text into one line that calls the magic, with the text as it is; any other cell stays."""
    at = next((at for at, line in enumerate(lines) if _FIRST_LINE.match(line)), None)
    if at is None:
        return lines
    name, rest = _FIRST_LINE.match(lines[at]).groups()
    text = "".join([*lines[:at], rest.lstrip(" \t") if rest.strip() else "", *lines[at + 1 :]])
    # IPython refuses a cell magic without a text.
    return [f"get_ipython().run_cell_magic({MAGIC!r}, {name!r}, {text or chr(10)!r})\n"]
