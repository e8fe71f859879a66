"""What spreadsheets do to our CSV files: cells that they would run, and the forms in which they save a file again."""

import csv
import dataclasses
import io
import re
from collections.abc import Sequence

# What a cell begins with that Excel or LibreOffice takes for a formula; full-width signs count for them too.
_FORMULA = re.compile(r"\s*[=+\-@\uff1d\uff0b\uff0d\uff20]|[\t\r]")
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_SEPARATORS = ",;\t|"
# A person may put a title above the table.
_MOST_TITLE_ROWS = 10


def harmless(cell: str) -> str:
    """Put an apostrophe before a cell that a spreadsheet would run as a formula; signed numbers stay numbers."""
    return "'" + cell if _FORMULA.match(cell) and not _NUMBER.fullmatch(cell) else cell


def as_typed(cell: str) -> str:
    """Take the apostrophe away again that `harmless` put there."""
    return cell[1:] if cell[:1] == "'" and _FORMULA.match(cell[1:]) else cell


@dataclasses.dataclass(frozen=True)
class Table:
    """A table of text cells."""

    # Names of our columns as they are spelt in the code, and of a person's own columns as they stand there.
    columns: list[str]
    rows: list[dict[str, str]]  # A cell for each of these columns.


def read_table(raw: bytes, ours: Sequence[str], key: str, free_text: str) -> Table | None:
    """Read a table of ours in any form in which a spreadsheet saves it; None if it is not this table.

    Another separator, UTF-16 or an old encoding of Windows, columns in another order, fewer or more of them, a title
    above, blank rows, cells missing at the end of a row. Without the column `key` it is not our table; what a row has
    too many stood in `free_text` without quotation marks.
    """
    text = _text(raw)
    if text is None:
        return None
    spelt = {_plain(name): name for name in ours}
    # So Excel may note the separator.
    text = re.sub(r"\Asep=.\s*?\n", "", text, flags=re.IGNORECASE)
    for separator in _SEPARATORS:
        try:
            reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
            rows = [row for row in reader if any(cell.strip() for cell in row)]
        except csv.Error:
            continue
        for at, row in enumerate(rows[:_MOST_TITLE_ROWS]):
            columns = [spelt.get(_plain(cell), cell.strip()) for cell in row]
            if key in columns and sum(name in spelt.values() for name in columns) > 1:
                return _table(columns, rows[at + 1 :], columns.index(free_text) if free_text in columns else None)
    return None


def _table(columns: list[str], rows: list[list[str]], free: int | None) -> Table:
    width, read = len(columns), []
    # Blank columns at the end, in the heading as in the rows.
    while width and not columns[width - 1]:
        width -= 1
    blank, columns = len(columns) - width, columns[:width]
    for row in rows:
        row = row[: len(row) - blank] if len(row) >= width + blank and not any(row[len(row) - blank :]) else row
        more = len(row) - width
        if more > 0:
            at = width - 1 if free is None else free
            row = [*row[:at], ",".join(row[at : at + more + 1]), *row[at + more + 1 :]]
        read.append([as_typed(cell) for cell in row] + [""] * -min(more, 0))
    # Two columns of one name, or of none, would hide each other.
    names: list[str] = []
    for name in columns:
        name, number = name or "unnamed", 1
        while (numbered := name if number == 1 else f"{name} {number}") in names:
            number += 1
        names.append(numbered)
    return Table(names, [dict(zip(names, row, strict=True)) for row in read])


def _plain(name: str) -> str:
    return " ".join(name.casefold().split())


def _text(raw: bytes) -> str | None:
    """Bytes as text: UTF-8 or UTF-16, else line by line the old encoding of Windows; None where it is no text."""
    zero = raw[:200].find(0)
    encoding = "utf-8-sig" if zero < 0 else "utf-16-le" if zero % 2 else "utf-16-be"
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        encoding = "utf-16"
    try:
        text = raw.decode(encoding)
    except UnicodeDecodeError:
        if encoding.startswith("utf-16"):
            return None
        lines = raw.removeprefix(b"\xef\xbb\xbf").splitlines(keepends=True)
        text = "".join(_line(line) for line in lines)
    return None if "\0" in text else text


def _line(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("cp1252", errors="replace")
