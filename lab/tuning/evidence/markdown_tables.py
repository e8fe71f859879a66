"""Tables of a Markdown text: found by their headings, whatever an editor has done to blanks and line ends."""

import dataclasses
import re
from collections.abc import Iterable, Sequence

# A bar that is text and ends no cell.
BORDER = r"\|"


@dataclasses.dataclass
class Table:
    """A Markdown table inside a text: where its rows are."""

    # Line of the first row below the heading, and the line after the last row.
    first: int
    end: int
    # Cells of each row as they stand, blanks included, as many as the heading has; what a row has too many stands in
    # its last cell.
    rows: list[list[str]]


def find_table(text: str, columns: Sequence[str]) -> Table | str:
    """Find a table by its heading, or say why it cannot be used."""
    lines = lines_of(text)
    wanted = [_name(name) for name in columns]
    heads = [at for at, line in enumerate(lines) if [_name(cell) for cell in cells(line)] == wanted]
    if len(heads) != 1:
        return "its heading was changed or removed" if not heads else f"it is there {len(heads)} times"
    first = heads[0] + 2
    if first > len(lines) or not re.fullmatch(r"[|\s:-]+", lines[first - 1]):
        return "the line below its heading was changed"
    end = first
    while end < len(lines) and lines[end].lstrip().startswith("|"):
        end += 1
    rows = [cells(line) for line in lines[first:end]]
    return Table(first, end, [even(row, len(columns)) for row in rows])


def cells(line: str) -> list[str]:
    r"""Cells of one line of a table, as they stand; ``\|`` is no border. Empty for a line that is no row."""
    line = line.strip()
    if not line.startswith("|"):
        return []
    parts = re.split(r"(?<!\\)\|", line[1:])
    return parts[:-1] if not parts[-1].strip() else parts


def even(row: list[str], count: int, border: str = "|") -> list[str]:
    """The row with so many cells: empty ones are added, and those too many become one text in the last."""
    if len(row) > count:
        return [*row[: count - 1], border.join(row[count - 1 :])]
    return row + [""] * (count - len(row))


def bare(cell: str) -> str:
    """A cell's text without the marks of emphasis, strike-through and code around it."""
    return cell.strip("*_`~ \t")


def _name(cell: str) -> str:
    """A heading's text, however its blanks and letters were set."""
    return " ".join(bare(cell).split()).casefold()


def lines_of(text: str) -> list[str]:
    """Lines with their ends, whichever they are."""
    return re.findall(r"[^\r\n]*(?:\r\n|\n|\r)|[^\r\n]+$", text)


def line_end(line: str) -> str:
    """How a line ends: with the signs of its system, or with nothing."""
    return line[len(line.rstrip("\r\n")) :]


def table(columns: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """A Markdown table; a bar inside a cell stays inside."""
    lines = [list(columns), *(list(row) for row in rows)]
    cells = [[str(cell).replace("|", r"\|") for cell in line] for line in lines]
    written = [f"| {' | '.join(line)} |" for line in cells]
    return "\n".join([written[0], "|" + "---|" * len(cells[0]), *written[1:]])
