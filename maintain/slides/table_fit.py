"""How wide the columns and how high the rows of a slide's table have to be, so that the file says what is shown.

PowerPoint and LibreOffice make a row higher when its text needs it, and the table then grows over the edge. The widths
of the letters are those of Helvetica, which Arial and Liberation Sans share; matplotlib brings them along.
"""

import dataclasses
import functools
import re
from pathlib import Path

import matplotlib as mpl

SIDE, ABOVE = 0.1, 0.075
LINE = 1.19
# Programs round letters differently; a line that just fits here would break there.
SAFE = 1.03
# Air that a row gets where there is room, in inches.
AIR = 0.17
_LETTER = re.compile(r"^C (?P<code>\d+) ; WX (?P<width>\d+) ;", re.MULTILINE)


@dataclasses.dataclass(frozen=True)
class Fitted:
    """Widths of the columns and heights of the rows, in inches."""

    widths: list[float]
    heights: list[float]


@dataclasses.dataclass(frozen=True)
class Cell:
    """The text of a cell, and whether it is bold."""

    text: str
    bold: bool = False


@functools.cache
def _letters(bold: bool) -> dict[int, int]:
    name = "Helvetica-Bold.afm" if bold else "Helvetica.afm"
    text = Path(mpl.get_data_path(), "fonts", "pdfcorefonts", name).read_text(encoding="latin-1")
    return {int(found["code"]): int(found["width"]) for found in _LETTER.finditer(text)}


def width(text: str, size: float, bold: bool = False) -> float:
    """Width of a text on one line, in inches, at a size in points."""
    letters = _letters(bold)
    return sum(letters.get(ord(letter), 600) for letter in text) * size / 72_000


def lines(cell: Cell, across: float, size: float) -> int:
    """How many lines a cell takes when its text may be so many inches wide."""
    count, used = 1, 0.0
    space = width(" ", size, cell.bold)
    for word in cell.text.split():
        long = width(word, size, cell.bold)
        if used and used + space + long > across:
            count, used = count + 1, long
        else:
            used += long + (space if used else 0)
    return count


def fit(
    cells: list[list[Cell]], across: float, size: float, high: float, shares: tuple[float, ...] = ()
) -> Fitted | None:
    """Lay a table out.

    Parameters
    ----------
    cells : list of list of Cell
        Rows of texts.
    across, high : float
        Width of the table and the height that it may have, in inches.
    size : float
        Size of its letters in points.
    shares : tuple of float
        How the columns share the width; as their texts need it where the number of shares is another.

    Returns
    -------
    Fitted or None
        None where it does not fit. Where there is room, rows are given some air.
    """
    columns = list(zip(*cells, strict=True))

    def widest(texts: list[Cell]) -> float:
        return max((width(text.text, size, text.bold) for text in texts), default=0) * SAFE + 2 * SIDE

    if len(shares) != len(columns):
        shares = tuple(widest(column) for column in columns)
    least = [widest([Cell(word, cell.bold) for cell in column for word in cell.text.split()]) for column in columns]
    widths = _shared(across, shares, least)
    if widths is None:
        return None
    heights = [
        LINE
        * size
        / 72
        * max(lines(cell, (wide - 2 * SIDE) / SAFE, size) for cell, wide in zip(row, widths, strict=True))
        + 2 * ABOVE
        for row in cells
    ]
    left = high - sum(heights)
    return Fitted(widths, [height + min(left / len(heights), AIR) for height in heights]) if left >= 0 else None


def _shared(across: float, shares: tuple[float, ...], least: list[float]) -> list[float] | None:
    """Divide a width by shares, but give no column less than its longest word needs."""
    if sum(least) > across:
        return None
    fixed: set[int] = set()
    while True:
        free = across - sum(least[at] for at in fixed)
        total = sum(share for at, share in enumerate(shares) if at not in fixed)
        widths = [least[at] if at in fixed else free * share / total for at, share in enumerate(shares)]
        short = {at for at, wide in enumerate(widths) if wide < least[at]} - fixed
        if not short:
            return widths
        fixed |= short
