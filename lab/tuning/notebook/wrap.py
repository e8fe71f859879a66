"""Printed lines that fit the narrow pane beside a worksheet: JupyterLab breaks longer ones in the middle of a word."""

import re
import sys
import textwrap
from typing import Any

WIDTH = 70
# The mark of a check, or the indentation of a list, under which the next lines hang.
_HANG = re.compile(r"\[(?:OK|WARN|FAIL)\] *|\s*(?:\[\w+\] +)?")
# To be copied as they are: rows of tables, aligned columns, command lines, addresses.
_KEPT = re.compile(r"\s*(?:\||(?:python3?|py|pip|git|tensorboard|wandb)\s|%|!)|.*\S {3,}\S|.*[\r\x1b]")


def wrapped(text: str, width: int = WIDTH) -> str:
    """Break lines that are too long between words; a word longer than the width, such as a share line, stays whole."""
    return "\n".join(_wrapped(line, width) for line in text.split("\n"))


def _wrapped(line: str, width: int) -> str:
    if len(line) <= width or _KEPT.match(line):
        return line
    hang = " " * len(_HANG.match(line)[0])
    rows = textwrap.wrap(line, width, subsequent_indent=hang, break_long_words=False, break_on_hyphens=False)
    return "\n".join(rows)


def wrap_prints(shell: Any) -> None:
    """Let all that a notebook's cells print from now on be :func:`wrapped`."""
    _wrap_this_cell()
    if _wrap_this_cell not in shell.events.callbacks["pre_run_cell"]:
        shell.events.register("pre_run_cell", _wrap_this_cell)


def _wrap_this_cell(*_: object) -> None:
    stream: Any = sys.stdout
    usual = stream.write
    # Only a kernel's stream. IPython puts a stream's own `write` back when a cell ends.
    if not hasattr(stream, "pub_thread") or getattr(usual, "wraps", False):
        return

    def write(text: str) -> int | None:
        return usual(wrapped(text) if isinstance(text, str) else text)

    write.wraps = True
    stream.write = write
