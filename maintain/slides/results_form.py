"""The empty form of the group-results slides, ``slides/Group_Results.pptx``, which notebook 03 fills."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from maintain.slides import slide_design
from tuning.room.board import COLUMNS
from tuning.room.results_slide import PICTURE, ROWS, TABLE, TITLE, describe, write

if TYPE_CHECKING:
    from pptx.presentation import Presentation
    from pptx.slide import Slide

CONCLUSION = "conclusion"
WIDTHS = (2.0, 1.85, 1.35, 1.3, 1.45, 1.5, 1.4, 1.85)
FONT_SIZE = 18
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


def _new_slide(presentation: "Presentation", title: str, notes: str) -> "Slide":
    from pptx.util import Pt

    title_only = presentation.slide_layouts.get_by_name("Title Only")
    slide = presentation.slides.add_slide(title_only)
    shape = slide.shapes.title
    shape.name = TITLE
    write(shape, title)
    shape.text_frame.paragraphs[0].runs[0].font.size = Pt(34)
    slide.notes_slide.notes_text_frame.text = notes
    return slide


def _add_table(slide: "Slide") -> None:
    from pptx.util import Inches

    frame = slide.shapes.add_table(
        ROWS + 1, len(COLUMNS), Inches(0.3), Inches(1.3), Inches(12.7), Inches(0.43 * (ROWS + 1))
    )
    frame.name = TABLE
    describe(frame, "Results of all groups, one row per run.")
    for column, width in zip(frame.table.columns, WIDTHS, strict=True):
        column.width = Inches(width)
    _set_style(frame)
    for number, row in enumerate(frame.table.rows):
        row.height = Inches(0.43)
        for cell, heading in zip(row.cells, COLUMNS, strict=True):
            _add_text(cell, "" if number else heading, FONT_SIZE)
            cell.margin_top = cell.margin_bottom = Inches(0.03)


def _set_style(frame: Any) -> None:
    """Give a table the look of the deck's tables."""
    frame._element.xpath(".//a:tableStyleId")[0].text = slide_design.TABLE_STYLE
    frame.table.horz_banding = False


def _add_text(cell: Any, text: str, size: int, bold: bool | None = None) -> None:
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
    describe(frame, "Three questions, and room for the answer to each.")
    _set_style(frame)
    for column, wide in zip(frame.table.columns, (4.4, width - 4.4), strict=True):
        column.width = Inches(wide)
    for number, (row, texts) in enumerate(
        zip(frame.table.rows, (("the question", "our answer"), *QUESTIONS), strict=True)
    ):
        row.height = Inches((height - 0.9) / len(QUESTIONS) if number else 0.6)
        heading, *rest = texts
        _add_text(row.cells[0], heading, 22, bold=True)
        if number:
            asked = row.cells[0].text_frame.add_paragraph().add_run()
            asked.text = rest[0]
            asked.font.size, asked.font.bold = Pt(20), False
        _add_text(row.cells[1], "" if number else rest[0], 22, bold=not number or None)
