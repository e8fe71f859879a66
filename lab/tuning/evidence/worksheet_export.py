"""The worksheet as a Word file and as a page to print, made by pandoc, with nothing in it that runs or calls home."""

import itertools
import json
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tuning import paths
from tuning.errors import WorksheetError
from tuning.evidence.markdown_tables import BORDER, cells, even, line_end, lines_of
from tuning.evidence.worksheet import filled, filled_file, read_worksheet, worksheet_file
from tuning.files import free_name, sign, write_whole
from tuning.runs.store import readable_runs

# Page, letters and lines of the Word file: pandoc takes them from here, and Word can change them here.
STYLE = Path(__file__).with_name("worksheet_style.docx")
# Letters: no column takes more room than the first, and the last one never has less than the second.
WIDEST, WRITING_ROOM = 24, 16
MARGINS = 3
# Pandoc's Markdown without any way to bring in HTML, TeX, or attributes of HTML elements.
PANDOC_FORMAT = (
    "markdown-raw_html-raw_tex-raw_attribute-native_divs-native_spans-markdown_in_html_blocks-tex_math_dollars-citations"
    "-yaml_metadata_block-header_attributes-link_attributes-fenced_divs-bracketed_spans-fenced_code_attributes"
    "-inline_code_attributes-smart"
)
NO_SCRIPTS = (
    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
    "<style>@page{size:A4 landscape;margin:15mm}body{max-width:60em;font-family:sans-serif}"
    "table{border-collapse:collapse;width:100%;font-size:.85em}"
    "td,th{border:1px solid #999;padding:3px 6px;text-align:left}td{height:1.3em}"
    "tr{break-inside:avoid}h1,h2,h3{break-after:avoid}</style>"
)
# In Markdown a cell has no line break of its own: this letter, which no font has, becomes one on the way out.
BREAK, BREAKS = "\ue000", Path(__file__).with_name("worksheet_breaks.lua")
CODE = re.compile(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", re.DOTALL)
# A link may lead to a page or a place in this one; of any other, such as "javascript:" or "file:", only its words stay.
LINK = re.compile(r"https?://|mailto:|#", re.IGNORECASE)


def export_worksheet() -> list[Path]:
    """Write the filled worksheet as ``.docx`` and as ``.html`` (print it to PDF from a browser), to be handed in.

    They are named as the filled copy is, ``Activity_Worksheet_filled``: nobody hands in the empty one by mistake.

    A file that somebody has typed into since its last export stays; the new one gets a number.

    Raises
    ------
    WorksheetError
        If there is no worksheet yet, or pandoc is not installed, or a file cannot be written.
    """
    path = filled_file()
    if not worksheet_file().exists():
        raise WorksheetError('There is no worksheet of yours yet. Run the section "Fill your worksheet" first.')
    try:
        import pypandoc

        pypandoc.get_pandoc_version()
    except (ImportError, OSError):
        raise WorksheetError(
            f"Pandoc is not installed here: hand in {paths.short(path)}, or run: pip install pypandoc-binary"
        ) from None
    text, _ = filled(read_worksheet(), readable_runs()[0])
    # An image could be a file of this machine, or an address that a reader's browser would call.
    text = re.sub(r"!\[", r"\\![", text)
    text = _with_widths(_with_breaks(text))
    target = path.with_suffix(".docx")
    page = ["--standalone", "--metadata=pagetitle:Activity Worksheet", f"--variable=header-includes:{NO_SCRIPTS}"]
    written = []
    try:
        with tempfile.TemporaryDirectory(prefix="worksheet-") as folder:
            breaks = [f"--lua-filter={BREAKS}"]
            parts = pypandoc.convert_text(text, "json", format=PANDOC_FORMAT, extra_args=breaks, sandbox=True)
            harmless = json.dumps(_harmless(json.loads(parts)))
            for kind, options in {"docx": [f"--reference-doc={STYLE}"], "html": page}.items():
                target, made = free_name(path.with_suffix(f".{kind}")), Path(folder) / kind
                options = [*options, "--metadata=lang:en-GB"]
                pypandoc.convert_text(
                    harmless, kind, format="json", outputfile=str(made), extra_args=options, sandbox=True
                )
                write_whole(target, made.read_bytes())
                sign(target)
                written.append(target)
    except (RuntimeError, OSError) as problem:
        reason = getattr(problem, "strerror", None) or str(problem).strip().splitlines()[-1]
        raise WorksheetError(
            f"{paths.short(target)} cannot be written ({reason}). If Word has it open, close it there."
        ) from None
    return written


def _harmless(part: Any) -> Any:
    """A part of a document as pandoc has read it, without links and images that may do something."""
    if isinstance(part, dict):
        return {key: _harmless(value) for key, value in part.items()}
    if not isinstance(part, list):
        return part
    kept = []
    for element in part:
        kind = element.get("t") if isinstance(element, dict) else None
        if kind == "Image" or (kind == "Link" and not LINK.match(element["c"][2][0])):
            kept += _harmless(element["c"][1])
        else:
            kept.append(_harmless(element))
    return kept


def _with_breaks(text: str) -> str:
    """Put `BREAK` in the place of ``<br>``, outside code and outside tables, whose cells follow one by one."""
    lines, fenced = lines_of(text.replace(BREAK, "")), False
    for at, line in enumerate(lines):
        fenced ^= line.lstrip().startswith(("```", "~~~"))
        if not fenced and not cells(line):
            lines[at] = _outside_code(line, _broken)
    return "".join(lines)


def _broken(text: str) -> str:
    return re.sub(r"<br\s*/?>", BREAK, text, flags=re.IGNORECASE)


def _outside_code(text: str, change: Callable[[str], str], code: Callable[[str], str] = str) -> str:
    """Change a text between its pieces of code by one function, and the code by another."""
    pieces, end = [], 0
    for match in CODE.finditer(text):
        pieces += [change(text[end : match.start()]), code(match[0])]
        end = match.end()
    return "".join([*pieces, change(text[end:])])


def _row(line: str, count: int) -> list[str]:
    """The cells of a row as pandoc is to read them: a bar inside code ends none where that fits the table."""
    row = cells(line)
    if len(row) > count:
        inside = _outside_code(line, str, lambda code: re.sub(r"(?<!\\)\|", r"\|", code))
        row = fewer if len(fewer := cells(inside)) == count else row
    # Pandoc would show the backslash of a bar inside code. A backtick without its fellow would make code of what
    # follows, over the border of the cell.
    alone = (lambda part: _broken(part.replace("`", r"\`")), lambda code: code.replace(BORDER, "|"))
    return even([_outside_code(cell, *alone) for cell in row], count, BORDER)


def _with_widths(text: str) -> str:
    """Give the columns of every table the room that they need: pandoc reads it from the dashes below the heading."""
    lines = lines_of(text)
    for at in range(1, len(lines)):
        head = cells(lines[at - 1])
        # Inside a table a row of dashes is what somebody typed.
        inside = at > 1 and cells(lines[at - 2])
        dashes = re.fullmatch(r"[|\s:-]*-[|\s:-]*", lines[at])
        if not head or inside or not dashes or len(cells(lines[at])) != len(head):
            continue
        rows = list(itertools.takewhile(bool, map(cells, lines[at + 1 :])))
        for place in range(at + 1, at + 1 + len(rows)):
            rows[place - at - 1] = _row(lines[place], len(head))
            lines[place] = f"|{'|'.join(rows[place - at - 1])}|{line_end(lines[place])}"
        columns = itertools.zip_longest(head, *rows, fillvalue="")
        widths = [min(max(map(_room, column)), WIDEST) for column in columns][: len(head)]
        # The last column is the one to write in.
        widths[-1] = max(widths[-1], WRITING_ROOM)
        lines[at] = "|" + "|".join("-" * width for width in widths) + "|" + line_end(lines[at])
    return "".join(lines)


def _room(cell: str) -> int:
    """Letters that a cell should have room for in one line, with its margins: its longest word, or half its text."""
    # Pandoc keeps the words around an abbreviation's full stop together.
    words = re.split(r"(?<!\.)\s+|[/-]", cell.strip())
    return MARGINS + max(len(cell.strip()) // 2, *map(len, words))
