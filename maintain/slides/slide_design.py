"""The design of the slides: one theme, eight layouts and one table style, written as ``slides/reference.pptx``.

Pandoc looks layouts up by their names and fills their placeholders; the group-results slides start from the same file.
Whoever wants another look changes this module and runs ``python3 workshop.py slides``.
"""

import io
import math
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tuning import paths
from tuning.errors import DocumentError
from tuning.figures import style

if TYPE_CHECKING:
    from pptx.presentation import Presentation

FILE = paths.ROOT / "slides" / "reference.pptx"
WIDTH, HEIGHT = 13.333, 7.5
LEFT, ACROSS = 0.75, 11.833
SMALLEST = 18
FONT = "Arial"
INK, WHITE, NAVY, PALE, LINE = "16232E", "FFFFFF", "0B2F4A", "EEF4F8", "C9D6DF"
_ACCENTS = (style.BLUE, style.ORANGE, style.GREEN, style.RED, "#CC79A7", style.GREY)
THEME = {
    "dk1": INK,
    "lt1": WHITE,
    "dk2": NAVY,
    "lt2": PALE,
    **{f"accent{number}": colour.lstrip("#") for number, colour in enumerate(_ACCENTS, start=1)},
    "hlink": style.BLUE.lstrip("#"),
    "folHlink": style.GREY.lstrip("#"),
}
TABLE_STYLE = "{2F6D4C1E-6B57-4A30-9C11-0072B2E69F00}"
# The layouts that are kept: those that pandoc asks for, and the one of the group results.
LAYOUTS = (
    "Title Slide", "Title and Content", "Section Header", "Two Content", "Comparison", "Title Only", "Blank",
    "Content with Caption",
)  # fmt: skip
PANEL = 4.75
# How far a list stands in, and its mark hangs out, in inches.
INDENT = 0.4
BODY = (LEFT, 1.75, ACROSS, 4.95)
FOOTER = (LEFT, 6.95, 9.6, 0.4)
NUMBER = (11.583, 6.95, 1.0, 0.4)
# Where the loss falls on the covers.
CURVE = (6.1, 2.75, 6.3, 3.7)
_XML = (
    'xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main"'
    ' xmlns:p="http://schemas.openxmlformats.org/presentationml/2006/main"'
    ' xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"'
)


def reference() -> "Presentation":
    """Build the reference document.

    Returns
    -------
    pptx.presentation.Presentation
        Without a slide; its layouts carry the design.
    """
    from pptx import Presentation
    from pptx.util import Inches

    presentation = Presentation()
    presentation.slide_width, presentation.slide_height = Inches(WIDTH), Inches(HEIGHT)
    presentation.core_properties.title = "Design of Workshop 6W"
    presentation.core_properties.author = ""
    for layout in list(presentation.slide_layouts):
        if layout.name not in LAYOUTS:
            presentation.slide_layouts.remove(layout)
    _theme(presentation)
    _table_style(presentation)
    _master(presentation.slide_master)
    for layout in presentation.slide_layouts:
        _layout(layout)
    return presentation


def save(presentation: "Presentation", path: Path) -> None:
    """Write a presentation so that the same content gives the same bytes: no time of writing in the file.

    Raises
    ------
    DocumentError
        If the file cannot be written.
    """
    written, stable = io.BytesIO(), io.BytesIO()
    presentation.save(written)
    with zipfile.ZipFile(written) as old, zipfile.ZipFile(stable, "w", zipfile.ZIP_DEFLATED) as new:
        for member in old.infolist():
            new.writestr(zipfile.ZipInfo(member.filename), old.read(member), zipfile.ZIP_DEFLATED)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(stable.getvalue())
    except OSError as problem:
        raise DocumentError(
            f"{paths.short(path)} cannot be written ({problem.strerror}). If PowerPoint has it open, close it there."
        ) from None


def _theme(presentation: "Presentation") -> None:
    from lxml import etree
    from pptx.opc.constants import RELATIONSHIP_TYPE as RT

    part = presentation.slide_master.part.part_related_by(RT.THEME)
    theme = etree.fromstring(part.blob)
    spaces = {"a": theme.nsmap["a"]}
    theme.set("name", "Workshop 6W")
    for name, colour in THEME.items():
        place = theme.find(f".//a:clrScheme/a:{name}", spaces)
        place[:] = [_element(f'<a:srgbClr {_XML} val="{colour}"/>')]
    for kind in ("majorFont", "minorFont"):
        theme.find(f".//a:{kind}/a:latin", spaces).set("typeface", FONT)
    part._blob = etree.tostring(theme, xml_declaration=True, encoding="UTF-8", standalone=True)


def _table_style(presentation: "Presentation") -> None:
    """One calm style for every table: a strong line under the heading, thin lines between rows, no boxes."""
    from lxml import etree
    from pptx.opc.constants import RELATIONSHIP_TYPE as RT

    def line(side: str, colour: str, width: float) -> str:
        fill = f'<a:solidFill><a:schemeClr val="{colour}"/></a:solidFill>' if width else "<a:noFill/>"
        return f'<a:{side}><a:ln w="{round(12700 * width)}" cmpd="sng">{fill}</a:ln></a:{side}>'

    none = "".join(line(side, "bg2", 0) for side in ("left", "right"))
    thin = f'<a:solidFill><a:srgbClr val="{LINE}"/></a:solidFill>'
    rows = "".join(
        f'<a:{side}><a:ln w="9525" cmpd="sng">{thin}</a:ln></a:{side}>' for side in ("top", "bottom", "insideH")
    )
    inside = line("insideV", "bg2", 0)
    part = presentation.part.part_related_by(RT.TABLE_STYLES)
    part._blob = etree.tostring(
        _element(
            f"""<a:tblStyleLst {_XML} def="{TABLE_STYLE}"><a:tblStyle styleId="{TABLE_STYLE}" styleName="Workshop 6W">
            <a:wholeTbl><a:tcTxStyle><a:fontRef idx="minor"/><a:schemeClr val="tx1"/></a:tcTxStyle>
            <a:tcStyle><a:tcBdr>{none}{rows}{inside}</a:tcBdr><a:fill><a:noFill/></a:fill></a:tcStyle></a:wholeTbl>
            <a:firstRow><a:tcTxStyle b="on"><a:fontRef idx="minor"/><a:schemeClr val="accent1"/></a:tcTxStyle>
            <a:tcStyle><a:tcBdr>{line("bottom", "accent1", 2.25)}</a:tcBdr><a:fill><a:noFill/></a:fill></a:tcStyle>
            </a:firstRow></a:tblStyle></a:tblStyleLst>"""
        ),
        xml_declaration=True,
        encoding="UTF-8",
        standalone=True,
    )


def _master(master: Any) -> None:
    from pptx.oxml.ns import qn

    for holder in master.placeholders:
        kind = holder.placeholder_format.type.name
        _move(holder, {"TITLE": _TITLE, "BODY": BODY, "FOOTER": FOOTER, "SLIDE_NUMBER": NUMBER}.get(kind, FOOTER))
        if kind in ("FOOTER", "SLIDE_NUMBER"):
            _letters(holder, SMALLEST, "accent6", align="l" if kind == "FOOTER" else "r", anchor="ctr")
        elif kind == "DATE":
            holder._element.getparent().remove(holder._element)
        else:
            _frame(holder, "ctr" if kind == "TITLE" else "t")
    old = master._element.find(qn("p:txStyles"))
    old.getparent().replace(old, _text_styles())
    tree = master.shapes._spTree
    tree.insert(2, _box(2001, "Accent", (LEFT, 0.52, 0.75, 0.09), "accent1"))
    tree.insert(3, _box(2002, "Footer line", (LEFT, 6.88, ACROSS, 0.012), "accent6", 45))


_TITLE = (LEFT, 0.66, ACROSS, 0.9)


def _text_styles() -> Any:
    """Title 34, text 24 and 20 points; bullets in the accent colour."""

    def level(number: int, size: int, indent: float) -> str:
        left, hang = round(914400 * indent), round(914400 * INDENT)
        return (
            f'<a:lvl{number}pPr marL="{left}" indent="-{hang}" algn="l"><a:lnSpc><a:spcPct val="100000"/></a:lnSpc>'
            f'<a:spcBef><a:spcPts val="900"/></a:spcBef><a:buClr><a:schemeClr val="accent1"/></a:buClr>'
            f'<a:buFont typeface="{FONT}"/><a:buChar char="•"/><a:defRPr sz="{size}00">'
            '<a:solidFill><a:schemeClr val="tx1"/></a:solidFill><a:latin typeface="+mn-lt"/></a:defRPr>'
            f"</a:lvl{number}pPr>"
        )

    body = "".join(level(number, 24 if number == 1 else 20, INDENT * number) for number in range(1, 6))
    return _element(
        f"""<p:txStyles {_XML}><p:titleStyle><a:lvl1pPr algn="l"><a:lnSpc><a:spcPct val="95000"/></a:lnSpc>
        <a:spcBef><a:spcPts val="0"/></a:spcBef><a:buNone/><a:defRPr sz="3400" b="1">
        <a:solidFill><a:schemeClr val="tx2"/></a:solidFill><a:latin typeface="+mj-lt"/></a:defRPr></a:lvl1pPr>
        </p:titleStyle><p:bodyStyle>{body}</p:bodyStyle><p:otherStyle><a:lvl1pPr><a:defRPr sz="1800"/></a:lvl1pPr>
        </p:otherStyle></p:txStyles>"""
    )


def _layout(layout: Any) -> None:
    holders = {holder.placeholder_format.idx: holder for holder in layout.placeholders}
    for holder in layout.placeholders:
        kind = holder.placeholder_format.type.name
        if kind == "DATE":
            holder._element.getparent().remove(holder._element)
        elif kind in ("FOOTER", "SLIDE_NUMBER"):
            _move(holder, FOOTER if kind == "FOOTER" else NUMBER)
            _frame(holder, "ctr")
        elif kind == "TITLE":
            _plain(holder)
            _move(holder, _TITLE)
    _ARRANGE.get(layout.name, lambda layout, holders: None)(layout, holders)


def _cover(layout: Any, holders: dict[int, Any]) -> None:
    """Dark, with a falling loss curve: the title slide and the break between the halves."""
    _background(layout, "tx2")
    _hide_master(layout)
    tree = layout.shapes._spTree
    tree.insert(2, _curve(3001, noisy=True))
    tree.insert(3, _curve(3002, noisy=False))
    left, top, width, height = CURVE
    size = 0.36
    ball = (left + width - size / 2, top + height * _fall(1) - size / 2, size, size)
    tree.insert(4, _box(3003, "Ball", ball, "accent2", shape="ellipse"))
    tree.insert(5, _box(3004, "Accent", (LEFT, 1.0, 0.9, 0.1), "accent2"))
    _move(holders[0], (LEFT, 1.3, 11.6, 1.4))
    _letters(holders[0], 54, "bg1", bold=True, anchor="t")
    _move(holders[1], (LEFT, 3.0, 5.0, 2.6))
    _letters(holders[1], 26, "bg2", anchor="t", space=10)
    for index in (11, 12):
        holders[index]._element.getparent().remove(holders[index]._element)


def _content(layout: Any, holders: dict[int, Any]) -> None:
    _move(holders[1], BODY)
    _plain(holders[1])


def _two(layout: Any, holders: dict[int, Any]) -> None:
    half = (ACROSS - 0.5) / 2
    for index, left in ((1, LEFT), (2, LEFT + half + 0.5)):
        _move(holders[index], (left, BODY[1], half, BODY[3]))
        _plain(holders[index])


def _caption(layout: Any, holders: dict[int, Any]) -> None:
    """Words on the left, a picture or a table on the right."""
    _move(holders[2], (LEFT, 1.75, 3.7, 4.95))
    _letters(holders[2], 22, "tx1", anchor="t", space=10, bullets=True)
    _move(holders[1], (LEFT + 4.0, 1.75, ACROSS - 4.0, 4.95))
    _plain(holders[1])


def _activity(layout: Any, holders: dict[int, Any]) -> None:
    """The opening of an activity: a dark panel with its name and question, its tasks beside it."""
    _hide_master(layout)
    tree = layout.shapes._spTree
    tree.insert(2, _box(4001, "Panel", (0, 0, PANEL, HEIGHT), "tx2"))
    tree.insert(3, _box(4002, "Accent", (0.6, 0.85, 0.75, 0.09), "accent2"))
    _move(holders[0], (0.6, 1.15, PANEL - 0.85, 2.35))
    _letters(holders[0], 34, "bg1", bold=True, anchor="t")
    _move(holders[1], (0.6, 3.6, PANEL - 0.95, 3.2))
    _letters(holders[1], 22, "bg2", anchor="t", space=14)
    right, wide = PANEL + 0.6, WIDTH - PANEL - 1.1
    _move(holders[3], (right, 0.8, wide, 0.75))
    _letters(holders[3], 26, "accent1", bold=True, anchor="ctr")
    # Nothing is ever put here: the panel holds words alone.
    _plain(holders[2])
    _move(holders[2], (0.6, 6.85, PANEL - 0.95, 0.3))
    _move(holders[4], (right, 1.7, wide, 5.0))
    _plain(holders[4])
    _move(holders[11], (right, 6.95, wide - 1.0, 0.4))


def _wide(layout: Any, holders: dict[int, Any]) -> None:
    """Room for a table of eight columns: the group results."""
    _hide_master(layout)
    layout.shapes._spTree.insert(2, _box(5001, "Accent", (0.3, 0.3, 0.75, 0.09), "accent1"))
    _move(holders[0], (0.3, 0.45, 12.73, 0.75))
    for index in (11, 12):
        holders[index]._element.getparent().remove(holders[index]._element)


_ARRANGE = {
    "Title Only": _wide,
    "Title Slide": _cover,
    "Section Header": _cover,
    "Title and Content": _content,
    "Two Content": _two,
    "Content with Caption": _caption,
    "Comparison": _activity,
}


def _element(xml: str) -> Any:
    from pptx.oxml import parse_xml

    return parse_xml(" ".join(xml.split()).replace("> <", "><"))


def _move(holder: Any, box: tuple[float, ...]) -> None:
    from pptx.util import Inches

    holder.left, holder.top, holder.width, holder.height = (Inches(value) for value in box)


def _frame(holder: Any, anchor: str) -> None:
    """Set where text stands in its box, with no margin at the sides: every text begins at the same edge."""
    frame = holder.text_frame._txBody.bodyPr
    for child in list(frame):
        frame.remove(child)
    for key, value in {"lIns": "0", "rIns": "0", "tIns": "0", "bIns": "0", "anchor": anchor, "wrap": "square"}.items():
        frame.set(key, value)


def _plain(holder: Any) -> None:
    """Take a layout's own letters away, so that those of the master count."""
    from pptx.oxml.ns import qn

    body = holder.text_frame._txBody
    style = body.find(qn("a:lstStyle"))
    if style is not None:
        style[:] = []
    _frame(holder, "ctr" if holder.placeholder_format.type.name == "TITLE" else "t")


def _letters(
    holder: Any,
    size: int,
    colour: str,
    bold: bool = False,
    align: str = "l",
    anchor: str = "t",
    space: int = 6,
    bullets: bool = False,
) -> None:
    from pptx.oxml.ns import qn

    _frame(holder, anchor)
    body = holder.text_frame._txBody
    old = body.find(qn("a:lstStyle"))
    left, mark = (round(INDENT * 914400), "") if bullets else (0, "<a:buNone/>")
    new = _element(
        f"""<a:lstStyle {_XML}><a:lvl1pPr marL="{left}" indent="-{left}" algn="{align}"><a:spcBef>
        <a:spcPts val="{space}00"/></a:spcBef>{mark}<a:defRPr sz="{size}00" b="{int(bold)}" cap="none">
        <a:solidFill><a:schemeClr val="{colour}"/></a:solidFill></a:defRPr></a:lvl1pPr></a:lstStyle>"""
    )
    body.replace(old, new)


def _background(layout: Any, colour: str) -> None:
    fill = f'<a:solidFill><a:schemeClr val="{colour}"/></a:solidFill>'
    layout._element.cSld.insert(0, _element(f"<p:bg {_XML}><p:bgPr>{fill}<a:effectLst/></p:bgPr></p:bg>"))


def _hide_master(layout: Any) -> None:
    layout._element.set("showMasterSp", "0")


def _box(number: int, name: str, box: tuple[float, ...], colour: str, alpha: int = 100, shape: str = "rect") -> Any:
    left, top, width, height = (round(914400 * value) for value in box)
    return _element(
        f"""<p:sp {_XML}><p:nvSpPr><p:cNvPr id="{number}" name="{name}"/><p:cNvSpPr/><p:nvPr userDrawn="1"/></p:nvSpPr>
        <p:spPr><a:xfrm><a:off x="{left}" y="{top}"/><a:ext cx="{width}" cy="{height}"/></a:xfrm>
        <a:prstGeom prst="{shape}"><a:avLst/></a:prstGeom><a:solidFill><a:schemeClr val="{colour}">
        <a:alpha val="{alpha}000"/></a:schemeClr></a:solidFill><a:ln><a:noFill/></a:ln></p:spPr></p:sp>"""
    )


def _fall(along: float) -> float:
    return 1 - math.exp(-3.6 * along)


def _curve(number: int, noisy: bool) -> Any:
    """A loss that falls to the ball: pale and noisy, or its average."""
    left, top, width, height = CURVE
    points = 110 if noisy else 60
    path = []
    for at in range(points + 1):
        along = at / points
        wave = 0.14 * math.exp(-1.4 * along) * math.sin(37 * along) * math.sin(91 * along + 1) if noisy else 0
        path.append((round(914400 * width * along), round(914400 * height * (_fall(along) + wave))))
    steps = "".join(f'<a:lnTo><a:pt x="{x}" y="{y}"/></a:lnTo>' for x, y in path[1:])
    wide, high = round(914400 * width), round(914400 * height)
    # The theme's blue is too dark for a dark ground.
    line, look = (1.5, '<a:alpha val="38000"/>') if noisy else (6, '<a:lumMod val="60000"/><a:lumOff val="40000"/>')
    colour = "bg1" if noisy else "accent1"
    return _element(
        f"""<p:sp {_XML}><p:nvSpPr><p:cNvPr id="{number}" name="Loss curve"/><p:cNvSpPr/>
        <p:nvPr userDrawn="1"/></p:nvSpPr><p:spPr><a:xfrm><a:off x="{round(914400 * left)}" y="{round(914400 * top)}"/>
        <a:ext cx="{wide}" cy="{high}"/></a:xfrm>
        <a:custGeom><a:avLst/><a:gdLst/><a:ahLst/><a:cxnLst/><a:rect l="0" t="0" r="r" b="b"/><a:pathLst>
        <a:path w="{wide}" h="{high}" fill="none"><a:moveTo><a:pt x="{path[0][0]}" y="{path[0][1]}"/></a:moveTo>{steps}
        </a:path></a:pathLst></a:custGeom><a:noFill/><a:ln w="{round(12700 * line)}" cap="rnd"><a:solidFill>
        <a:schemeClr val="{colour}">{look}</a:schemeClr></a:solidFill><a:round/></a:ln></p:spPr></p:sp>"""
    )
