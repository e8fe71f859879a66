"""What pandoc leaves out of a slide: alt text, columns that fit, cards, the sentence to take away, the foot."""

import copy
import re
from typing import TYPE_CHECKING, Any

from maintain.slides import slide_design, table_fit
from maintain.slides.slide_design import SMALLEST
from maintain.slides.slide_source import SOURCE, Page, span
from tuning import paths
from tuning.errors import DocumentError

if TYPE_CHECKING:
    from pptx.presentation import Presentation

LARGEST_TABLE = 24
INCH = 914400
# The band with a slide's one sentence to take away.
BAND = (slide_design.LEFT, 6.0, slide_design.ACROSS, 0.75)
# Between two cards, inside them left and right, in inches; their heading, and the space below it, in points.
GUTTER = 0.3
CARD_SIDES = (0.3, 0.2)
CARD_TOP = 0.2
CARD_HEADING, CARD_SPACE = 24, 6
POINTS = 72
_COVERS = ("Title Slide", "Section Header")
_NUMERIC = re.compile(r"[\d.,]+")


def finish(presentation: "Presentation", pages: list[Page]) -> None:
    """Add what pandoc leaves out."""
    if len(presentation.slides) != len(pages):
        raise DocumentError(
            f"{paths.short(SOURCE)}: {len(pages)} headings became {len(presentation.slides)} slides. A slide holds"
            " text beside one picture or table; what stands below a table goes to the notes, or into a paragraph above."
        )
    for shown, page in zip(presentation.slides, pages, strict=True):
        _describe_pictures(shown, page)
        _lay_out(shown, page)
        if shown.slide_layout.name in ("Comparison", "Section Header"):
            _open(shown)
        if page.under:
            _write_under(shown, page.under)
        if page.cards:
            _deal(shown, page)
        if page.takeaway:
            _take_away(shown, page.takeaway)
        if shown.slide_layout.name not in _COVERS:
            opens = shown.slide_layout.name == "Comparison"
            foot = f"Workshop 6W · {pages[0].title}" if opens else f"{page.slot.title} · {span(page.slot)}"
            _foot(shown, f"{foot} · version {paths.version()}" if page is pages[-1] else foot)
        for properties in shown._element.iter("{http://schemas.openxmlformats.org/drawingml/2006/main}rPr"):
            properties.set("lang", "en-GB")
    presentation.core_properties.title = f"{pages[0].title}, Workshop 6W"
    presentation.core_properties.author = ""


def _describe_pictures(shown: Any, page: Page) -> None:
    from pptx.enum.shapes import MSO_SHAPE_TYPE

    pictures = [shape for shape in shown.shapes if shape.shape_type == MSO_SHAPE_TYPE.PICTURE]
    if len(pictures) != len(page.alt):
        raise DocumentError(f"{paths.short(SOURCE)}: a picture on “{page.title}” was lost; give it a paragraph alone.")
    for picture, alt in zip(pictures, page.alt, strict=True):
        picture._element._nvXxPr.cNvPr.set("descr", alt)


def _lay_out(shown: Any, page: Page) -> None:
    """Fit a slide's tables into their places: columns, rows as high as their text, letters as large as they can be."""
    from pptx.util import Inches

    tables = [shape for shape in shown.shapes if shape.has_table]
    cells = [[[_cell(cell) for cell in row.cells] for row in shape.table.rows] for shape in tables]
    for size in range(LARGEST_TABLE, SMALLEST - 1, -1):
        fitted = [
            table_fit.fit(texts, shape.width / INCH, size, _room(shape, page), page.widths)
            for shape, texts in zip(tables, cells, strict=True)
        ]
        if None not in fitted:
            break
    else:
        raise DocumentError(f"{paths.short(SOURCE)}: the table on “{page.title}” does not fit its slide.")
    for shape, texts, fit in zip(tables, cells, fitted, strict=True):
        _place(shape, shown)
        heading = ", ".join(cell.text for cell in texts[0] if cell.text)
        shape._element._nvXxPr.cNvPr.set("descr", f"Table with the columns {heading}.")
        for column, width in zip(shape.table.columns, fit.widths, strict=True):
            column.width = Inches(width)
        for row, height in zip(shape.table.rows, fit.heights, strict=True):
            row.height = Inches(height)
        shape.height = Inches(sum(fit.heights))
        numbers = all(_NUMERIC.fullmatch(row[-1].text) for row in texts[1:])
        for row in shape.table.rows:
            for number, cell in enumerate(row.cells, start=1):
                _dress(cell, size, right=numbers and number == len(row.cells))


def _cell(cell: Any) -> table_fit.Cell:
    runs = [run for part in cell.text_frame.paragraphs for run in part.runs]
    first = cell._tc.getparent().getprevious() is None or cell._tc.getparent().getprevious().tag.endswith("tblGrid")
    return table_fit.Cell(cell.text, first or any(run.font.bold for run in runs))


def _room(shape: Any, page: Page) -> float:
    """How high a table may be, in inches."""
    return _end(page) - shape.top / INCH


def _end(page: Page) -> float:
    """How far down a slide's content may go, in inches."""
    return BAND[1] - 0.2 if page.takeaway else slide_design.BODY[1] + slide_design.BODY[3]


def _place(shape: Any, shown: Any) -> None:
    """Name the placeholder in which a table stands: pandoc names another, and a reset would move the table there."""
    for holder in shown.slide_layout.placeholders:
        if abs(holder.left - shape.left) < INCH / 10 and abs(holder.top - shape.top) < INCH / 10:
            shape._element.nvGraphicFramePr.nvPr.find(".//{*}ph").set("idx", str(holder.placeholder_format.idx))


def _dress(cell: Any, size: int, right: bool) -> None:
    from pptx.enum.text import MSO_ANCHOR, PP_ALIGN
    from pptx.util import Inches, Pt

    cell.vertical_anchor = MSO_ANCHOR.MIDDLE
    cell.margin_left = cell.margin_right = Inches(table_fit.SIDE)
    cell.margin_top = cell.margin_bottom = Inches(table_fit.ABOVE)
    for part in cell.text_frame.paragraphs:
        for run in part.runs:
            run.font.size = Pt(size)
        # An empty cell has a height too.
        part._p.get_or_add_endParaRPr().set("sz", str(Pt(size).centipoints))
        if right:
            part.alignment = PP_ALIGN.RIGHT


def _open(shown: Any) -> None:
    """Set the number of an activity, or of a half of the day, above its name."""
    from pptx.dml.color import MSO_THEME_COLOR
    from pptx.util import Pt

    (paragraph,) = shown.shapes.title.text_frame.paragraphs
    kicker, colon, name = shown.shapes.title.text_frame.text.partition(": ")
    if colon:
        for run in paragraph.runs[1:]:
            paragraph._p.remove(run._r)
        paragraph.runs[0].text = f"{kicker}:"
        paragraph.runs[0].font.size = Pt(24)
        paragraph.runs[0].font.color.theme_color = MSO_THEME_COLOR.ACCENT_2
        paragraph.add_line_break()
        paragraph.add_run().text = name


def _write_under(shown: Any, text: str) -> None:
    """Fill the place below the title of a cover: pandoc leaves it out."""
    from pptx.oxml.ns import qn

    (place,) = [holder for holder in shown.slide_layout.placeholders if holder.placeholder_format.idx == 1]
    holder = copy.deepcopy(place._element)
    holder.spPr[:] = []
    holder.txBody.find(qn("a:lstStyle"))[:] = []
    shown.shapes._spTree.append(holder)
    holder._nvXxPr.cNvPr.set("id", str(1 + max(shape.shape_id for shape in shown.shapes)))
    next(shape for shape in shown.placeholders if shape._element is holder).text_frame.text = text


def _deal(shown: Any, page: Page) -> None:
    """Put each paragraph of a slide on a card, two or three beside each other."""
    from pptx.dml.color import MSO_THEME_COLOR
    from pptx.enum.text import MSO_ANCHOR
    from pptx.util import Inches, Pt

    (body,) = [holder for holder in shown.placeholders if holder.placeholder_format.idx == 1]
    paragraphs = body.text_frame.paragraphs
    body._element.getparent().remove(body._element)
    across = 3 if len(paragraphs) % 3 == 0 else 2
    down = -(-len(paragraphs) // across)
    left, top, width, _ = slide_design.BODY
    wide = (width - GUTTER * (across - 1)) / across
    high = (_end(page) - top - GUTTER * (down - 1)) / down
    size = _card_size(paragraphs, wide - sum(CARD_SIDES), high - 1.5 * CARD_TOP)
    if size is None:
        raise DocumentError(f"{paths.short(SOURCE)}: the cards on “{page.title}” do not fit their slide.")
    for number, paragraph in enumerate(paragraphs):
        row, column = divmod(number, across)
        box = (left + column * (wide + GUTTER), top + row * (high + GUTTER), wide, high)
        frame = _panel(shown, "Card", box, MSO_THEME_COLOR.ACCENT_1)
        frame.vertical_anchor, frame.margin_top = MSO_ANCHOR.TOP, Inches(CARD_TOP)
        heading, text = frame.paragraphs[0], frame.add_paragraph()
        text.space_before = Pt(CARD_SPACE)
        for run in paragraph.runs:
            added = (heading if run.font.bold else text).add_run()
            added.text = run.text.strip()
            added.font.size = Pt(CARD_HEADING if run.font.bold else size)
            added.font.bold = run.font.bold
            added.font.color.theme_color = MSO_THEME_COLOR.TEXT_2 if run.font.bold else MSO_THEME_COLOR.TEXT_1


def _card_size(paragraphs: Any, wide: float, high: float) -> int | None:
    """The largest size at which the text of every card fits below its heading; None where none does."""
    for size in range(LARGEST_TABLE, SMALLEST - 1, -1):
        tall = []
        for paragraph in paragraphs:
            lines = 0.0
            for bold, points in ((True, CARD_HEADING), (False, size)):
                words = "".join(run.text for run in paragraph.runs if bool(run.font.bold) is bold)
                lines += points * table_fit.lines(table_fit.Cell(words, bold), wide / table_fit.SAFE, points)
            tall.append((lines * table_fit.LINE + CARD_SPACE) / POINTS)
        if max(tall) <= high:
            return size
    return None


def _take_away(shown: Any, text: str) -> None:
    """Put the sentence to take away into a band above the foot."""
    from pptx.dml.color import MSO_THEME_COLOR
    from pptx.util import Pt

    frame = _panel(shown, "Takeaway", BAND, MSO_THEME_COLOR.ACCENT_2)
    frame.paragraphs[0].add_run().text = text
    font = frame.paragraphs[0].runs[0].font
    font.size, font.bold, font.color.theme_color = Pt(22), True, MSO_THEME_COLOR.TEXT_2


def _panel(shown: Any, name: str, box: tuple[float, ...], accent: Any) -> Any:
    """Add a pale box with an upright line in an accent colour, and return its empty text."""
    from pptx.dml.color import MSO_THEME_COLOR
    from pptx.enum.shapes import MSO_SHAPE
    from pptx.enum.text import MSO_ANCHOR
    from pptx.oxml.ns import qn
    from pptx.util import Inches

    left, top, width, height = (Inches(value) for value in box)
    shapes = []
    for called, wide, colour in ((name, width, MSO_THEME_COLOR.BACKGROUND_2), ("Accent", Inches(0.09), accent)):
        shape = shown.shapes.add_shape(MSO_SHAPE.RECTANGLE, left, top, wide, height)
        shape.name = called
        shape.fill.solid()
        shape.fill.fore_color.theme_color = colour
        shape.line.fill.background()
        # The theme's own look for shapes has a shadow.
        shape._element.remove(shape._element.find(qn("p:style")))
        # And their text would stand in the middle.
        body = shape.text_frame._txBody
        body.remove(body.find(qn("a:p")))
        body.add_p().get_or_add_pPr().set("algn", "l")
        shapes.append(shape)
    frame = shapes[0].text_frame
    frame.word_wrap, frame.vertical_anchor = True, MSO_ANCHOR.MIDDLE
    frame.margin_left, frame.margin_right = (Inches(side) for side in CARD_SIDES)
    return frame


def _foot(shown: Any, text: str) -> None:
    """Give a slide its foot: where in the day it is, and its number."""
    from pptx.oxml.ns import qn

    for place in shown.slide_layout.placeholders:
        kind = place.placeholder_format.type.name
        if kind not in ("FOOTER", "SLIDE_NUMBER"):
            continue
        foot = copy.deepcopy(place._element)
        foot.spPr[:] = []
        foot.txBody.find(qn("a:lstStyle"))[:] = []
        shown.shapes._spTree.append(foot)
        foot._nvXxPr.cNvPr.set("id", str(1 + max(shape.shape_id for shape in shown.shapes)))
        if kind == "FOOTER":
            next(shape for shape in shown.placeholders if shape._element is foot).text_frame.text = text
