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
from tuning.room import board_figures, slide_design
from tuning.room.board import COLUMNS, Board, results, summary

if TYPE_CHECKING:
    from pptx.presentation import Presentation
    from pptx.slide import Slide

FORM = paths.ROOT / "slides" / "Group_Results.pptx"
TITLE, TABLE, PICTURE, CONCLUSION = "results-title", "results-table", "curves", "conclusion"
ROWS = 12
# A room's runs fit; a sweep gets one row per rate.
MOST_PAGES = 5
LONGEST_NAME = 15
WIDTHS = (2.0, 1.85, 1.35, 1.3, 1.45, 1.5, 1.4, 1.85)
FONT_SIZE = 18
# Smaller than its place on the slide, so that its words come out larger.
PICTURE_SIZE = (8.6, 3.9)
CURVES_BOX = (0.3, 1.25, 12.73, 5.8)
# On the last page: a question, and room for the answer of the room.
QUESTIONS = (
    ("What we saw", "Which learning rate would you choose, and on what evidence?"),
    ("How sure we are", "How much of the difference between groups is luck?"),
    ("What we tell a stakeholder", "One sentence, and what would change our mind."),
)
NOTES = {
    "table": "First the score (macro-F1, against the majority class), only then the gap."
    " Which preset moved, which stalled, which collapsed? How far apart are groups with the same preset?",
    "curves": "Point at one curve of each preset and ask its group what they saw during the first ten steps."
    " The dotted line is pure guessing.",
    "conclusion": "Each group says one sentence. Then write the room's conclusion together: which setting, on what"
    " evidence, and how sure are we?",
}


def fill(board: Board, out: Path | None = None) -> Path:
    """Fill the slides from the board.

    Parameters
    ----------
    board : Board
    out : pathlib.Path, optional
        Where to; ``my_work/Group_Results.pptx`` by default.

    Returns
    -------
    pathlib.Path
        The file: `out`, or a numbered one beside it where somebody has changed `out`.

    Raises
    ------
    WorkshopError
        If python-pptx is missing, or the form has lost its shapes, or the file cannot be written.
    """
    presentation = _open()
    first = presentation.slides[0]
    table = results(board)
    pages = _pages((table if len(table) <= MOST_PAGES * ROWS else summary(board)).to_numpy().tolist())
    slides = [first, *(_copy(presentation, first, after=number) for number in range(len(pages) - 1))]
    for number, (slide, page) in enumerate(zip(slides, pages, strict=True), start=1):
        _fill_table(slide, page)
        if len(pages) > 1:
            _say(_shape(slide, TITLE), f"Group results ({number} of {len(pages)})")
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
    presets = [list(one) for _, one in itertools.groupby(rows, key=lambda row: row[COLUMNS.index("LR preset")])]
    alone, together = (
        [part[at : at + ROWS] for part in parts for at in range(0, len(part), ROWS)] for parts in (presets, [rows])
    )
    return alone if 0 < len(alone) <= len(together) else together or [[]]


def empty_form(reference: Path | None = None) -> "Presentation":
    """Build the form: a page for the table, one for the curves, one for the conclusion.

    Parameters
    ----------
    reference : pathlib.Path, optional
        The design; that of the deck by default.
    """
    from pptx import Presentation

    presentation = Presentation(str(reference or slide_design.FILE))
    presentation.core_properties.title = "Group results, Workshop 6W"
    presentation.core_properties.author = ""
    table = _new_slide(presentation, "Group results", NOTES["table"])
    _add_table(table)
    curves = _new_slide(presentation, "Everybody's curves", NOTES["curves"])
    _add_frame(curves, "The picture of the board goes here: from notebook 03, or a screenshot.")
    conclusion = _new_slide(presentation, "What do we conclude?", NOTES["conclusion"])
    _add_questions(conclusion)
    return presentation


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


def _new_slide(presentation: "Presentation", title: str, notes: str) -> "Slide":
    from pptx.util import Pt

    title_only = presentation.slide_layouts.get_by_name("Title Only")
    slide = presentation.slides.add_slide(title_only)
    shape = slide.shapes.title
    shape.name = TITLE
    _say(shape, title)
    shape.text_frame.paragraphs[0].runs[0].font.size = Pt(34)
    slide.notes_slide.notes_text_frame.text = notes
    return slide


def _add_table(slide: "Slide") -> None:
    from pptx.util import Inches

    frame = slide.shapes.add_table(
        ROWS + 1, len(COLUMNS), Inches(0.3), Inches(1.3), Inches(12.7), Inches(0.43 * (ROWS + 1))
    )
    frame.name = TABLE
    _describe(frame, "Results of all groups, one row per run.")
    for column, width in zip(frame.table.columns, WIDTHS, strict=True):
        column.width = Inches(width)
    _set_style(frame)
    for number, row in enumerate(frame.table.rows):
        row.height = Inches(0.43)
        for cell, heading in zip(row.cells, COLUMNS, strict=True):
            _write(cell, "" if number else heading, FONT_SIZE)
            cell.margin_top = cell.margin_bottom = Inches(0.03)


def _set_style(frame: Any) -> None:
    """Give a table the look of the deck's tables."""
    frame._element.xpath(".//a:tableStyleId")[0].text = slide_design.TABLE_STYLE
    frame.table.horz_banding = False


def _write(cell: Any, text: str, size: int, bold: bool | None = None) -> None:
    from pptx.enum.text import MSO_ANCHOR
    from pptx.util import Pt

    cell.vertical_anchor = MSO_ANCHOR.MIDDLE
    run = cell.text_frame.paragraphs[0].add_run()
    run.text = text
    run.font.size, run.font.bold = Pt(size), bold


def _add_frame(slide: "Slide", text: str) -> None:
    """Add the place of the picture: a pale box with a broken line around it."""
    from pptx.dml.color import MSO_THEME_COLOR
    from pptx.enum.dml import MSO_LINE
    from pptx.enum.shapes import MSO_SHAPE
    from pptx.oxml.ns import qn
    from pptx.util import Inches, Pt

    shape = slide.shapes.add_shape(MSO_SHAPE.RECTANGLE, *(Inches(value) for value in CURVES_BOX))
    shape.name = PICTURE
    # The theme's own look for shapes has a shadow.
    shape._element.remove(shape._element.find(qn("p:style")))
    shape.fill.solid()
    shape.fill.fore_color.theme_color = MSO_THEME_COLOR.BACKGROUND_2
    shape.line.color.theme_color = MSO_THEME_COLOR.ACCENT_6
    shape.line.width, shape.line.dash_style = Pt(1.5), MSO_LINE.DASH
    run = shape.text_frame.paragraphs[0].add_run()
    run.text = text
    run.font.size, run.font.color.theme_color = Pt(24), MSO_THEME_COLOR.TEXT_1


def _add_questions(slide: "Slide") -> None:
    """Add the table in which the room's conclusion is written, in front of everybody."""
    from pptx.util import Inches, Pt

    left, top, width, height = CURVES_BOX
    frame = slide.shapes.add_table(
        len(QUESTIONS) + 1, 2, *(Inches(value) for value in (left, top, width, height - 0.3))
    )
    frame.name = CONCLUSION
    _describe(frame, "Three questions, and room for the answer to each.")
    _set_style(frame)
    for column, wide in zip(frame.table.columns, (4.4, width - 4.4), strict=True):
        column.width = Inches(wide)
    for number, (row, texts) in enumerate(
        zip(frame.table.rows, (("the question", "our answer"), *QUESTIONS), strict=True)
    ):
        row.height = Inches((height - 0.9) / len(QUESTIONS) if number else 0.6)
        heading, *rest = texts
        _write(row.cells[0], heading, 22, bold=True)
        if number:
            asked = row.cells[0].text_frame.add_paragraph().add_run()
            asked.text = rest[0]
            asked.font.size, asked.font.bold = Pt(20), False
        _write(row.cells[1], "" if number else rest[0], 22, bold=not number or None)


def _fill_table(slide: "Slide", rows: list[list[str]]) -> None:
    table = _shape(slide, TABLE).table
    if len(table.columns) != len(COLUMNS) or len(table.rows) <= ROWS:
        raise WorkshopError(f'{paths.short(FORM)}: the table "{TABLE}" needs {len(COLUMNS)} columns and {ROWS} rows.')
    for number in range(ROWS):
        values = rows[number] if number < len(rows) else [""] * len(COLUMNS)
        for cell, value in zip(table.rows[number + 1].cells, [_short(values[0]), *values[1:]], strict=True):
            _say(cell, value)


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
    _describe(shown, picture.words)


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
    found = next((shape for shape in slide.shapes if shape.name == name), None)
    if found is None:
        raise WorkshopError(
            f'{paths.short(FORM)}: its shape "{name}" is gone. To write it again: python3 workshop.py slides'
        )
    return found


def _say(place: Any, text: str) -> None:
    """Put a text into a shape or cell and keep the look of what stood there."""
    paragraph = place.text_frame.paragraphs[0]
    run = paragraph.runs[0] if paragraph.runs else paragraph.add_run()
    run.text = text


def _describe(shape: Any, words: str) -> None:
    """Set a shape's alt text."""
    shape._element._nvXxPr.cNvPr.set("descr", words)


if __name__ == "__main__":
    empty_form().save(str(FORM))
    print(paths.short(FORM))
