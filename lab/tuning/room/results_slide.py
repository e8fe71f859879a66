"""The group-results slide of Activity 4: an editable PowerPoint file, filled from the board by one call.

``slides/Group_Results.pptx`` is the empty form: it can be filled by hand when nothing else works, and given another
design, as long as its shapes keep the names below. ``python3 workshop.py slides`` writes that form anew.
"""

import copy
import io
import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tuning import paths
from tuning.errors import WorkshopError
from tuning.files import free_name, sign
from tuning.room import board_figures
from tuning.room.board import COLUMNS, Board, results, summary

if TYPE_CHECKING:
    from pptx.presentation import Presentation
    from pptx.slide import Slide

FORM = paths.ROOT / "slides" / "Group_Results.pptx"
TITLE, TABLE, PICTURE = "results-title", "results-table", "curves"
ROWS = 12
# A room's runs fit; a sweep gets one row per rate.
MOST_PAGES = 5
LONGEST_NAME = 15
# Smaller than its place on the slide, so that its words come out larger.
PICTURE_SIZE = (8.6, 3.9)


def fill(board: Board, out: Path | None = None) -> Path:
    """Fill the slides from the board; where somebody has changed the file, a numbered one is written beside it.

    A `WorkshopError` where python-pptx is missing, the form has lost its shapes, or the file cannot be written.
    """
    presentation = _open()
    first = presentation.slides[0]
    table = results(board)
    pages = _pages((table if len(table) <= MOST_PAGES * ROWS else summary(board)).to_numpy().tolist())
    slides = [first, *(_copy(presentation, first, after=number) for number in range(len(pages) - 1))]
    for number, (slide, page) in enumerate(zip(slides, pages, strict=True), start=1):
        _fill_table(slide, page)
        if len(pages) > 1:
            write(_shape(slide, TITLE), f"Group results ({number} of {len(pages)})")
    _put_picture(presentation.slides[len(pages)], board)
    out = free_name(out or paths.work() / FORM.name)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        presentation.save(str(out))
        sign(out)
    except OSError as problem:
        raise WorkshopError(
            f"{paths.short(out)} cannot be written ({problem.strerror}). If PowerPoint has it open, close it there."
        ) from None
    return out


def _pages(rows: list[list[str]]) -> list[list[list[str]]]:
    """Rows of each page: one preset a page where that takes no more pages."""
    presets = [list(rows) for _, rows in itertools.groupby(rows, key=lambda row: row[COLUMNS.index("LR preset")])]
    alone, together = (
        [part[at : at + ROWS] for part in parts for at in range(0, len(part), ROWS)] for parts in (presets, [rows])
    )
    return alone if 0 < len(alone) <= len(together) else together or [[]]


def _open() -> "Presentation":
    try:
        from pptx import Presentation
    except ImportError:
        raise WorkshopError(
            f"python-pptx is not installed here, so fill {paths.short(FORM)} by hand, or: pip install python-pptx"
        ) from None
    if not FORM.is_file():
        raise WorkshopError(f"{paths.short(FORM)} is missing. To write it again: python3 workshop.py slides")
    return Presentation(str(FORM))


def _fill_table(slide: "Slide", rows: list[list[str]]) -> None:
    table = _shape(slide, TABLE).table
    if len(table.columns) != len(COLUMNS) or len(table.rows) <= ROWS:
        raise WorkshopError(f'{paths.short(FORM)}: the table "{TABLE}" needs {len(COLUMNS)} columns and {ROWS} rows.')
    for number in range(ROWS):
        values = rows[number] if number < len(rows) else [""] * len(COLUMNS)
        for cell, value in zip(table.rows[number + 1].cells, [_short(values[0]), *values[1:]], strict=True):
            write(cell, value)


def _short(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1].rstrip() + "…"


def _put_picture(slide: "Slide", board: Board) -> None:
    picture = board_figures.overlay(board, PICTURE_SIZE)
    holder = _shape(slide, PICTURE)
    left, top, width, height = holder.left, holder.top, holder.width, holder.height
    holder._element.getparent().remove(holder._element)
    shown = slide.shapes.add_picture(io.BytesIO(picture.png(dpi=150)), left, top, width=width)
    if shown.height > height:
        shown.width, shown.height = round(shown.width * height / shown.height), height
    shown.name = PICTURE
    describe(shown, picture.words)


def _copy(presentation: "Presentation", slide: "Slide", after: int) -> "Slide":
    """Copy a page that holds no picture, and put it behind page `after`, counted from 0."""
    page = presentation.slides.add_slide(slide.slide_layout)
    for shape in list(page.shapes):
        shape._element.getparent().remove(shape._element)
    for shape in slide.shapes:
        page.shapes._spTree.append(copy.deepcopy(shape._element))
    page.notes_slide.notes_text_frame.text = slide.notes_slide.notes_text_frame.text
    order = presentation.slides._sldIdLst
    order.insert(after + 1, order[-1])
    return page


def _shape(slide: "Slide", name: str) -> Any:
    shape = next((shape for shape in slide.shapes if shape.name == name), None)
    if shape is None:
        raise WorkshopError(
            f'{paths.short(FORM)}: its shape "{name}" is gone. To write it again: python3 workshop.py slides'
        )
    return shape


def write(place: Any, text: str) -> None:
    """Put a text into a shape or cell and keep the look of what stood there."""
    paragraph = place.text_frame.paragraphs[0]
    run = paragraph.runs[0] if paragraph.runs else paragraph.add_run()
    run.text = text


def describe(shape: Any, words: str) -> None:
    """Set a shape's alt text."""
    shape._element._nvXxPr.cNvPr.set("descr", words)
