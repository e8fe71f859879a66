"""From the text of a CSV to a table: which sign separates, where the header is, and which row of the file is which."""

import csv
import dataclasses
import io
import itertools
import re
from collections.abc import Iterator

from tuning.data.labels import LABEL_WORDS, bare, folded
from tuning.errors import DataError

SENTENCE_HEADERS = ("sentence", "text", "headline", "tweet", "content")
LABEL_HEADERS = ("label", "sentiment", "class", "polarity")
SPLIT_HEADERS = ("split", "part", "fold")
SEPARATORS = ",;\t|"
# A report's title, date and blank lines stand above its header; a file of sentences has no such line further down.
TITLE_ROWS = 10
ROWS_NAMED = 3
# Where a text ends inside an open quotation mark, this row is not the last one that comes out.
_END = "the end of the file"
_SEPARATOR_LINE = re.compile(r'\s*"?sep=(.)"?[ \t]*(?:\r\n|\r|\n)', re.IGNORECASE)
_IN_QUOTES = "Put sentences that hold a separator in double quotes."
_CURLY = re.compile(r"\s*[\u201c\u201d\u201e\u201f\u00ab\u00bb]")


@dataclasses.dataclass(frozen=True)
class Table:
    """The cells of a file, every row as wide as the header."""

    header: list[str]  # Without blanks and unseen signs around the names.
    rows: list[list[str]]  # Cells as they stand. Rows without any text are left out.
    numbers: list[int]  # Where each row stands in the file as a spreadsheet shows it: blank lines count too.
    separator: str = ","
    notices: list[str] = dataclasses.field(default_factory=list)  # What was left out above the header.
    # The first row with a quoted cell that goes on after its closing quotation mark, where it could not be mended.
    torn: int | None = None

    def column(self, place: int) -> list[str]:
        """Cells of one column."""
        return [row[place] for row in self.rows]

    def place_of(self, names: tuple[str, ...]) -> int | None:
        """Place of the first column that has one of these names, the names in this order."""
        headers = list(map(folded, self.header))
        return next((headers.index(name) for name in names if name in headers), None)

    def without(self, dropped: set[int]) -> "Table":
        """The same table without the rows at these positions."""
        kept = [place for place in range(len(self.rows)) if place not in dropped]
        rows, numbers = [self.rows[place] for place in kept], [self.numbers[place] for place in kept]
        return dataclasses.replace(self, rows=rows, numbers=numbers)


def read_table(text: str, name: str) -> Table:
    """Split a text into header and rows.

    A first line such as ``sep=;`` is obeyed. A `DataError` where a row has more cells than the header, or a quotation
    mark is never closed.
    """
    given = _SEPARATOR_LINE.match(text)
    text = text[given.end() :] if given else text
    limit = csv.field_size_limit(len(text) + len(_END))
    try:
        separator, above = _layout(text, given[1] if given else SEPARATORS)
        records = _records(text, separator, name)
        torn = _torn_row(text, separator) if '"' in text else None
    finally:
        csv.field_size_limit(limit)
    if len(records) <= above:
        raise DataError(f"{name}: the table cannot be read (no line holds any text). It needs a header line.")
    header = [bare(cell) for cell in records[above][1]]
    notices = []
    mended = _mended(text, separator, above, len(header)) if torn else None
    if mended:
        records, torn = mended, None
    if above:
        first = " ".join(cell for cell in records[0][1] if cell.strip())[:40]
        rows = f"row {records[0][0]}" if above == 1 else f"rows {records[0][0]} to {records[above - 1][0]}"
        notices.append(f'{name}: {rows} above the header left out ("{first}").')
    body = records[above + 1 :]
    _refuse_wider_rows(header, body, separator, name)
    width = len(header)
    rows = [(cells + [""] * width)[:width] for _, cells in body]
    return Table(header, rows, [number for number, _ in body], separator, notices, torn)


def listed(numbers: list[int]) -> str:
    """Rows for a message: ``row 7 has``, or ``rows 7, 8, 9 and 21 more have``."""
    several = f" and {len(numbers) - ROWS_NAMED:,} more" if len(numbers) > ROWS_NAMED else ""
    rows = ", ".join(map(str, numbers[:ROWS_NAMED])) + several
    return f"row {rows} has" if len(numbers) == 1 else f"rows {rows} have"


def _layout(text: str, separators: str) -> tuple[str, int]:
    """The sign between cells, and how many rows with text stand above the header."""
    best, layout = (-1, 0, 0), (separators[0], 0)
    for separator in separators:
        first = [cells for _, cells in itertools.islice(_text_rows(text, separator), TITLE_ROWS + 1)]
        for above, cells in enumerate(first):
            names = set(map(folded, cells))
            known = (not names.isdisjoint(SENTENCE_HEADERS)) + (not names.isdisjoint(LABEL_HEADERS))
            # Below other rows only what is surely a header: both names, or one of them under lines of a single cell.
            single = len(cells) > 1 and all(sum(map(bool, map(bare, row))) == 1 for row in first[:above])
            if above and known < (1 if single else 2):
                continue
            rank = (known, -above, len(cells))
            if rank > best:
                best, layout = rank, (separator, above)
    return layout


def _text_rows(text: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    """Rows that hold any text, each with its number."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    return ((number, cells) for number, cells in enumerate(reader, start=1) if any(map(bare, cells)))


def _records(text: str, separator: str, name: str) -> list[tuple[int, list[str]]]:
    ended = text if text.endswith(("\n", "\r")) else text + "\n"
    records = list(_text_rows(ended + _END, separator))
    number, last = records.pop()
    if last != [_END]:
        raise DataError(
            f"{name}: the table cannot be read (a quotation mark in row {number} is never closed)."
            " Close it, or delete it."
        )
    return records


def _torn_row(text: str, separator: str) -> int | None:
    """The first row with a quoted cell that goes on after its closing quotation mark, and would come out changed."""
    try:
        for _ in csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True):
            pass
    except csv.Error:
        cell = re.compile(rf'"(?:[^"]|"")*"?([^{re.escape(separator)}\r\n]*)|[^{re.escape(separator)}\r\n]*')
        number, at = 1, 0
        while at < len(text):
            match = cell.match(text, at)
            if bare(match[1] or ""):
                return number
            at = match.end()
            end = re.compile(r"\r\n|\r|\n").match(text, at)
            at, number = (end.end(), number + 1) if end else (at + 1, number)
    return None


def _mended(text: str, separator: str, above: int, width: int) -> list[tuple[int, list[str]]] | None:
    """The rows of a file whose writer put cells in quotation marks and left those inside as they were.

    A mark then closes its cell where a separator or the end of the line follows. None where that gives any row another
    number of cells than the header, or where a cell is opened and not closed in its line.
    """
    mark = re.escape(separator)
    cell = re.compile(rf'(?:"(.*?)"[ ]*|([^{mark}"][^{mark}]*|))(?:{mark}|$)')
    records = []
    for number, line in enumerate(re.split(r"\r\n|\r|\n", text), start=1):
        cells, at = [], 0
        while at <= len(line):
            match = cell.match(line, at)
            if match is None:
                return None
            cells.append(match[2] if match[1] is None else match[1].replace('""', '"'))
            if match.end() == len(line) and not line.endswith(separator, at):
                break
            at = match.end()
            if at == len(line):
                cells.append("")
                break
        if any(map(bare, cells)):
            records.append((number, cells))
    return records if all(len(cells) == width for _, cells in records[above:]) else None


def _refuse_wider_rows(header: list[str], body: list[tuple[int, list[str]]], separator: str, name: str) -> None:
    """Cells beyond the header are harmless where they are empty; otherwise every cell may be in the wrong column."""
    width = len(header)
    wider = [(number, cells) for number, cells in body if any(map(bare, cells[width:]))]
    if not wider:
        return
    number, cells = wider[0]
    counted = f"{len(cells)} in row {number}, {width} in the header"
    problem = f"{name}: {listed([number for number, _ in wider])} more cells than the header ({counted})."
    if any(map(_CURLY.match, cells)):
        raise DataError(
            f"{problem} Its quotation marks are curly (\u201c \u201d), which hold nothing together in a CSV:"
            ' replace them by straight ones (").'
        )
    lacks = len(wider) == len(body) and all(len(cells) == width + 1 for _, cells in body)
    first, last = ([bare(cells[place]) for _, cells in body] for place in (0, -1))
    if lacks and len(set(first)) == len(body) and not any(cell.split()[1:] for cell in first):
        known = not set(map(folded, header)).isdisjoint(LABEL_HEADERS)
        new = ["id", *header] if known or not set(map(folded, last)) <= LABEL_WORDS.keys() else [*header, "label"]
        raise DataError(f"{problem} The header lacks a name: make it {separator.join(new)!r}.")
    raise DataError(f"{problem} {_IN_QUOTES}")
