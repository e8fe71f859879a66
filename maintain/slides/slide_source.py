"""The source of the slides, ``slides/workshop.md``: its slides with their times, as pandoc reads them."""

import dataclasses
import json
from pathlib import Path
from typing import Any

from maintain.documents import markdown_blocks
from maintain.documents.day import DECK, Moment, Slot, clock, day
from tuning import paths
from tuning.errors import DocumentError

FOLDER = DECK.parent
SOURCE = DECK
_READ = "markdown-implicit_figures"


@dataclasses.dataclass
class Page:
    """One slide as the source has it.

    Attributes
    ----------
    title : str
    slot : Slot
        The part of the day that it belongs to.
    task : int
        The moment of the slot at which it is shown; 0 for the whole slot.
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
    task: int = 0
    minutes: int = 0
    begins: int = 0
    widths: tuple[float, ...] = ()
    alt: list[str] = dataclasses.field(default_factory=list)
    reveal: bool = False
    takeaway: str = ""
    cards: bool = False
    under: str = ""


def source_text() -> str:
    try:
        return markdown_blocks.filled(SOURCE.read_text(encoding="utf-8"), SOURCE)
    except OSError as problem:
        raise DocumentError(f"{paths.short(SOURCE)} cannot be read ({problem.strerror}).") from None


def parsed(text: str) -> dict[str, Any]:
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
    return plan(parsed(source_text()), {})


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
    slots = {slot.name: slot for slot in day()}
    meta = tree["meta"]
    attributes = {key: _plain(meta.pop(key)["c"]) for key in ("slot", "minutes") if key in meta}
    pages = [_page(_plain(meta["title"]["c"]), attributes, slots, None)]
    notes = [meta["notes"]["c"]]
    kept = []
    for block in tree["blocks"]:
        if block["t"] == "Div" and "takeaway" in block["c"][0][1]:
            pages[-1].takeaway = " ".join(_plain(part["c"]) for part in block["c"][1])
            continue
        kept.append(block)
        if block["t"] == "Header" and block["c"][0] <= 2:
            _, (_, _, pairs), inlines = block["c"]
            pages.append(_page(_plain(inlines), dict(pairs), slots, pages[-1].slot))
            notes.append([])
        elif block["t"] == "Div" and "notes" in block["c"][0][1]:
            notes[-1] = block["c"][1]
        else:
            for link in _parts(block, "Link"):
                if not link["c"][-1][0].startswith("https://"):
                    raise DocumentError(
                        f"{paths.short(SOURCE)}: the link {link['c'][-1][0]} on “{pages[-1].title}” would lead into a"
                        " folder of this machine. Write the file's name as text, or a whole https address."
                    )
            for image in _parts(block, "Image"):
                _, alt, (target, _) = image["c"]
                pages[-1].alt.append(f"{_plain(alt)}. {words.get(Path(target).name, '')}".strip())
                image["c"][1] = []
    tree["blocks"] = kept
    _give_minutes(pages)
    for page, paragraphs in zip(pages, notes, strict=True):
        if not paragraphs:
            raise DocumentError(f"{paths.short(SOURCE)}: the slide “{page.title}” has no notes.")
        paragraphs[:0] = _times(page, opens=page is next(other for other in pages if other.slot is page.slot))
    return pages


def _page(title: str, attributes: dict[str, str], slots: dict[str, Slot], before: Slot | None) -> Page:
    name = attributes.get("slot")
    if name is not None and name not in slots:
        raise DocumentError(f"{paths.short(SOURCE)}: the slide “{title}” names the slot {name}, which the day has not.")
    slot = slots[name] if name is not None else before
    if slot is None:
        raise DocumentError(f"{paths.short(SOURCE)}: the first slide names no slot of the day.")
    try:
        widths = tuple(float(width) for width in attributes.get("widths", "").split(",") if width)
        minutes, task = int(attributes.get("minutes", 0)), int(attributes.get("task", 0))
    except ValueError:
        raise DocumentError(
            f"{paths.short(SOURCE)}: “{title}” has minutes, a task or widths that are no numbers."
        ) from None
    if task > len(slot.moments) or (slot.activity and not name and not task):
        raise DocumentError(
            f"{paths.short(SOURCE)}: “{title}” names task {task} of “{slot.title}”, which has {len(slot.moments)}."
        )
    return Page(
        title,
        slot,
        task,
        minutes,
        widths=widths,
        reveal="reveal" in attributes,
        cards="cards" in attributes,
        under=attributes.get("under", ""),
    )


def _give_minutes(pages: list[Page]) -> None:
    """Put each slide inside its task, or one after the other into a talk, and set when it begins and how long it takes.

    The slide that opens an activity stands behind every task that has no slide of its own.
    """
    for slot in dict.fromkeys(page.slot for page in pages):
        members = [page for page in pages if page.slot is slot]
        if slot.activity:
            members[0].begins, members[0].minutes = slot.start, slot.minutes
            members = members[1:]
        for task in dict.fromkeys(page.task for page in members):
            part = slot.moments[task - 1] if task else slot
            _share([page for page in members if page.task == task], part, slot)


def _share(pages: list[Page], part: Moment | Slot, slot: Slot) -> None:
    """Let the one slide of a task or a talk that names no minutes take what is left."""
    left = part.minutes - sum(page.minutes for page in pages)
    free = [page for page in pages if not page.minutes]
    if left < len(free) or (left and not free) or len(free) > 1:
        raise DocumentError(
            f"{paths.short(SOURCE)}: the slides of “{part.name if part is not slot else slot.title}” take"
            f" {part.minutes - left} minutes and {len(free)} of them have none; the day gives {part.minutes}. Exactly"
            " one slide takes the rest."
        )
    for page in free:
        page.minutes = left
    now = part.start
    for page in pages:
        page.begins, now = now, now + page.minutes


def _times(page: Page, opens: bool) -> list[dict[str, Any]]:
    """The first paragraph of the notes: when, for how long and, where an activity opens, what it is for."""
    many = "minute" if page.minutes == 1 else "minutes"
    task = page.slot.moments[page.task - 1] if page.task else None
    kind = f"Task {page.task}: " if page.slot.activity else ""
    lines = [
        f"{clock(page.begins)}, {page.minutes} {many}. {page.slot.title}, {span(page.slot)}."
        + (f" {kind}{task.name}, {span(task)}." if task else "")
    ]
    if opens and page.slot.activity:
        lines.append(f"They will be able to: {' '.join(page.slot.activity.objectives)}")
        clocks = "; ".join(f"{clock(moment.start)} {moment.name}" for moment in page.slot.moments)
        lines.append(f"Clock: {clocks}.")
    if opens and page.slot.late:
        lines.append(f"Late? Cut: {page.slot.late}.")
    return [{"t": "Para", "c": [{"t": "Str", "c": line}]} for line in lines]


def span(part: Slot | Moment) -> str:
    """From when to when, as ``09:05 to 09:20``."""
    return f"{clock(part.start)} to {clock(part.end)}"


def _parts(block: Any, kind: str) -> list[dict[str, Any]]:
    """Pandoc's images or links, wherever they stand in a block."""
    if isinstance(block, dict):
        return [block] if block.get("t") == kind else _parts(block.get("c"), kind)
    return [found for part in block for found in _parts(part, kind)] if isinstance(block, list) else []


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
