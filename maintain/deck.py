"""The slides of the day: ``python3 workshop.py slides`` makes ``slides/workshop.pptx`` and ``.pdf`` from the Markdown.

``slides/workshop.md`` is the source. Pandoc puts its text into the layouts of ``slides/reference.pptx``; afterwards
python-pptx adds what pandoc cannot: alt text, table columns that fit, the foot of each slide. The PDF is printed from
that very PowerPoint by LibreOffice. The time of every slide comes from the front matter of the activities.
"""

import argparse
import copy
import dataclasses
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maintain import deck_pictures, markdown_blocks, table_fit
from maintain.markdown_blocks import Slot, clock
from tuning import paths
from tuning.command import one_line_errors
from tuning.errors import DocumentError
from tuning.files import write_whole
from tuning.notebook.activities import Activity
from tuning.room import results_slide, slide_design
from tuning.room.slide_design import SMALLEST

if TYPE_CHECKING:
    from pptx.presentation import Presentation

FOLDER = paths.ROOT / "slides"
SOURCE = FOLDER / "workshop.md"
DECK = FOLDER / "workshop.pptx"
PRINTED = FOLDER / "workshop.pdf"
LARGEST_TABLE = 24
INCH = 914400
# Pandoc writes this date instead of the hour of the day, so that the same source gives the same file.
EPOCH = "1735689600"
PRINT_SECONDS = 300
DPI = 150

# The band with a slide's one sentence to take away.
BAND = (slide_design.LEFT, 6.0, slide_design.ACROSS, 0.75)
# Between two cards, inside them left and right, in inches; their heading, and the space below it, in points.
GUTTER = 0.3
CARD_SIDES = (0.3, 0.2)
CARD_TOP = 0.2
CARD_HEADING, CARD_SPACE = 24, 6
POINTS = 72

_READ = "markdown-implicit_figures"
_COVERS = ("Title Slide", "Section Header")
_NUMERIC = re.compile(r"[\d.,]+")


@dataclasses.dataclass
class Page:
    """One slide as the source has it.

    Attributes
    ----------
    title : str
    slot : Slot
        The part of the day that it belongs to.
    minutes : int
    begins : int
        Minutes since midnight.
    widths : tuple of float
        Shares of the columns of its tables; empty to let them fit.
    alt : list of str
        Descriptions of its pictures.
    reveal : bool
        Whether it gives the answers to Activity 1.
    takeaway : str
        The sentence in the band at the foot of the slide; empty for none.
    cards : bool
        Whether each of its paragraphs stands on a card, with its bold words as the heading.
    under : str
        What stands below the title of a half of the day.
    """

    title: str
    slot: Slot
    minutes: int = 0
    begins: int = 0
    widths: tuple[float, ...] = ()
    alt: list[str] = dataclasses.field(default_factory=list)
    reveal: bool = False
    takeaway: str = ""
    cards: bool = False
    under: str = ""


def build(folder: Path = FOLDER) -> list[Path]:
    """Write the source's blocks, the pictures, the design, the deck and the empty group-results slides.

    Parameters
    ----------
    folder : pathlib.Path
        Where to.

    Returns
    -------
    list of pathlib.Path
        The files written.

    Raises
    ------
    DocumentError
        If the source does not fit the day, its tables do not fit their slides, or a file cannot be written.
    """
    text = _source()
    if folder == FOLDER and text != SOURCE.read_text(encoding="utf-8"):
        write_whole(SOURCE, text)
    reference, deck = folder / slide_design.FILE.name, folder / DECK.name
    (folder / "pictures").mkdir(parents=True, exist_ok=True)
    words = {}
    for name, picture in deck_pictures.draw():
        (folder / "pictures" / name).write_bytes(picture.png(dpi=DPI))
        words[name] = picture.words
    slide_design.save(slide_design.reference(), reference)
    tree = _parsed(text)
    pages = plan(tree, words)
    presentation = _converted(tree, reference, folder)
    _finish(presentation, pages)
    slide_design.save(presentation, deck)
    presentation.core_properties.keywords = fingerprint(deck)
    slide_design.save(presentation, deck)
    form = folder / results_slide.FORM.name
    slide_design.save(results_slide.empty_form(reference), form)
    pictures = [folder / "pictures" / name for name in words]
    return [*pictures, reference, deck, form]


def fingerprint(deck: Path) -> str:
    """A short name of what a deck holds; the printed deck carries it too, so that the two cannot drift unseen."""
    digest = hashlib.sha256()
    with zipfile.ZipFile(deck) as members:
        for name in sorted(members.namelist()):
            if name != "docProps/core.xml":
                digest.update(name.encode() + b"\0" + members.read(name))
    # Without a space: LibreOffice takes keywords apart.
    return f"deck-{digest.hexdigest()[:16]}"


def printed_from(deck: Path, printed: Path) -> bool:
    """Whether a PDF was printed from just this deck."""
    return printed.is_file() and fingerprint(deck).encode("utf-16-be").hex().upper().encode() in printed.read_bytes()


def print_deck(deck: Path = DECK, printed: Path = PRINTED) -> Path:
    """Print a deck as PDF through LibreOffice.

    Raises
    ------
    DocumentError
        If LibreOffice is missing or fails.
    """
    office = shutil.which("soffice") or shutil.which("libreoffice")
    if office is None:
        raise DocumentError(
            f"LibreOffice is not installed here, so {paths.short(printed)} was not printed."
            " Install it, or open the deck in PowerPoint and save it as PDF."
        )
    with tempfile.TemporaryDirectory() as scratch:
        # A profile of its own: an office that is open on this machine would refuse a second one.
        profile = f"-env:UserInstallation={Path(scratch, 'profile').as_uri()}"
        kind = 'pdf:impress_pdf_Export:{"UseTaggedPDF":{"type":"boolean","value":"true"}}'
        command = [office, profile, "--headless", "--convert-to", kind, "--outdir", scratch, str(deck)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=PRINT_SECONDS, check=False)
        except subprocess.TimeoutExpired:
            raise DocumentError(f"LibreOffice did not print {paths.short(deck)} in {PRINT_SECONDS} seconds.") from None
        made = Path(scratch, f"{deck.stem}.pdf")
        if not made.is_file():
            told = (done.stderr or done.stdout).strip().splitlines()
            raise DocumentError(f"LibreOffice did not print {paths.short(deck)} ({told[-1] if told else 'no reason'}).")
        shutil.copyfile(made, printed)
    return printed


# Reading the source


def _source() -> str:
    try:
        return markdown_blocks.filled(SOURCE.read_text(encoding="utf-8"), SOURCE)
    except OSError as problem:
        raise DocumentError(f"{paths.short(SOURCE)} cannot be read ({problem.strerror}).") from None


def _parsed(text: str) -> dict[str, Any]:
    try:
        import pypandoc
    except ImportError:
        raise DocumentError("Pandoc is not installed here. Run: pip install pypandoc-binary") from None
    tree = json.loads(pypandoc.convert_text(text, "json", format=_READ))
    _drop_comments(tree["blocks"])
    return tree


def _drop_comments(blocks: list[Any]) -> None:
    """Take comments out: pandoc would begin a new slide after each."""
    blocks[:] = [block for block in blocks if block["t"] != "RawBlock"]
    for block in blocks:
        if block["t"] == "Div":
            _drop_comments(block["c"][1])


def pages() -> list[Page]:
    """The slides of the source, in order, with their times.

    Raises
    ------
    DocumentError
        If their minutes do not fit the day.
    """
    return plan(_parsed(_source()), {})


def plan(tree: dict[str, Any], words: dict[str, str]) -> list[Page]:
    """Find the slides in pandoc's tree, give each its time, and move the pictures' descriptions out of the text.

    Parameters
    ----------
    tree : dict
        Pandoc's syntax tree; its notes get the time of their slide.
    words : dict of str to str
        What a drawn picture says, by file name; it follows the description in the source.

    Returns
    -------
    list of Page

    Raises
    ------
    DocumentError
        If a slide names no slot of the day, has no notes, or minutes do not add up.
    """
    slots = {slot.activity.name if slot.activity else slot.title: slot for slot in markdown_blocks.day()}
    meta = tree["meta"]
    attributes = {key: _plain(meta.pop(key)["c"]) for key in ("slot", "minutes") if key in meta}
    found = [_page(_plain(meta["title"]["c"]), attributes, slots, None)]
    notes = [meta["notes"]["c"]]
    kept = []
    for block in tree["blocks"]:
        if block["t"] == "Div" and "takeaway" in block["c"][0][1]:
            found[-1].takeaway = " ".join(_plain(part["c"]) for part in block["c"][1])
            continue
        kept.append(block)
        if block["t"] == "Header" and block["c"][0] <= 2:
            _, (_, _, pairs), inlines = block["c"]
            found.append(_page(_plain(inlines), dict(pairs), slots, found[-1].slot))
            notes.append([])
        elif block["t"] == "Div" and "notes" in block["c"][0][1]:
            notes[-1] = block["c"][1]
        else:
            for image in _images(block):
                _, alt, (target, _) = image["c"]
                found[-1].alt.append(f"{_plain(alt)}. {words.get(Path(target).name, '')}".strip())
                image["c"][1] = []
    tree["blocks"] = kept
    _give_minutes(found)
    for page, told in zip(found, notes, strict=True):
        if not told:
            raise DocumentError(f"{paths.short(SOURCE)}: the slide “{page.title}” has no notes.")
        told[:0] = _times(page, opens=page is next(one for one in found if one.slot is page.slot))
    return found


def _page(title: str, attributes: dict[str, str], slots: dict[str, Slot], before: Slot | None) -> Page:
    name = attributes.get("slot")
    if name is not None and name not in slots:
        raise DocumentError(f"{paths.short(SOURCE)}: the slide “{title}” names the slot {name}, which the day has not.")
    slot = slots[name] if name is not None else before
    if slot is None:
        raise DocumentError(f"{paths.short(SOURCE)}: the first slide names no slot of the day.")
    try:
        widths = tuple(float(width) for width in attributes.get("widths", "").split(",") if width)
        minutes = int(attributes.get("minutes", 0))
    except ValueError:
        raise DocumentError(f"{paths.short(SOURCE)}: “{title}” has minutes or widths that are no numbers.") from None
    return Page(
        title,
        slot,
        minutes,
        widths=widths,
        reveal="reveal" in attributes,
        cards="cards" in attributes,
        under=attributes.get("under", ""),
    )


def _give_minutes(pages: list[Page]) -> None:
    """Let the one slide of each slot without minutes take what is left, and set when each begins."""
    for slot in dict.fromkeys(page.slot for page in pages):
        members = [page for page in pages if page.slot is slot]
        left = slot.minutes - sum(page.minutes for page in members)
        free = [page for page in members if not page.minutes]
        if left < len(free) or (left and not free) or len(free) > 1:
            raise DocumentError(
                f"{paths.short(SOURCE)}: the slides of “{slot.title}” take {slot.minutes - left} minutes and"
                f" {len(free)} of them have none; the day gives {slot.minutes}. Exactly one slide takes the rest."
            )
        for page in free:
            page.minutes = left
        now = slot.start
        for page in members:
            page.begins, now = now, now + page.minutes


def _times(page: Page, opens: bool) -> list[dict[str, Any]]:
    """The first paragraph of the notes: when, for how long and, where an activity opens, what it is for."""
    many = "minute" if page.minutes == 1 else "minutes"
    told = [f"{clock(page.begins)}, {page.minutes} {many}. {page.slot.title}, {_span(page.slot)}."]
    if opens and page.slot.activity:
        told.append(f"They will be able to: {' '.join(page.slot.activity.objectives)}")
        told.append(_tasks(page.slot.activity, page.slot.start))
    return [{"t": "Para", "c": [{"t": "Str", "c": line}]} for line in told]


def _tasks(activity: Activity, start: int) -> str:
    told = []
    for task in activity.tasks:
        told.append(f"{clock(start)} {task.name}")
        start += task.minutes
    return "Clock: " + "; ".join(told) + "."


def _span(slot: Slot) -> str:
    return f"{clock(slot.start)} to {clock(slot.end)}"


def _images(block: Any) -> list[dict[str, Any]]:
    if isinstance(block, dict):
        return [block] if block.get("t") == "Image" else _images(block.get("c"))
    return [image for part in block for image in _images(part)] if isinstance(block, list) else []


def _plain(inlines: Any) -> str:
    """The text of pandoc's inlines."""
    if isinstance(inlines, list):
        return "".join(_plain(part) for part in inlines)
    if not isinstance(inlines, dict):
        return ""
    if inlines["t"] in ("Space", "SoftBreak"):
        return " "
    if inlines["t"] in ("Str", "MetaString"):
        return inlines["c"]
    if inlines["t"] == "Quoted":
        return f"“{_plain(inlines['c'][1])}”"
    return inlines["c"][-1] if inlines["t"] == "Code" else _plain(inlines.get("c", []))


# Making the deck


def _converted(tree: dict[str, Any], reference: Path, folder: Path) -> "Presentation":
    import pypandoc
    from pptx import Presentation

    with tempfile.TemporaryDirectory() as scratch:
        made = Path(scratch, DECK.name)
        options = ["--slide-level=2", f"--reference-doc={reference}", f"--resource-path={folder}"]
        before = os.environ.get("SOURCE_DATE_EPOCH")
        os.environ["SOURCE_DATE_EPOCH"] = EPOCH
        try:
            pypandoc.convert_text(json.dumps(tree), "pptx", format="json", outputfile=str(made), extra_args=options)
        except RuntimeError as problem:
            raise DocumentError(f"{paths.short(SOURCE)}: pandoc cannot make slides of it ({problem}).") from None
        finally:
            if before is None:
                del os.environ["SOURCE_DATE_EPOCH"]
            else:
                os.environ["SOURCE_DATE_EPOCH"] = before
        return Presentation(str(made))


def _finish(presentation: "Presentation", pages: list[Page]) -> None:
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
            _foot(shown, f"Workshop 6W · {pages[0].title}" if opens else f"{page.slot.title} · {_span(page.slot)}")
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


@one_line_errors
def main(argv: list[str] | None = None) -> int:
    """Command line of ``workshop.py slides``."""
    parser = argparse.ArgumentParser(prog="workshop.py slides", description=__doc__.splitlines()[0])
    parser.add_argument("--no-pdf", action="store_true", help="make the PowerPoint only; the PDF stays as it is")
    options = parser.parse_args(argv)
    for path in build():
        print(paths.short(path))
    if options.no_pdf:
        print(f"{paths.short(PRINTED)} was not printed again.")
    elif printed_from(DECK, PRINTED):
        print(f"{paths.short(PRINTED)} is up to date.")
    else:
        print(paths.short(print_deck()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
