"""Is the evidence for Task 6 there? Only what the learner wrote counts.

The worksheet's own table "Task 6 mapping" says where each item stands. A part is ready when its text has enough words
that are not the template's; wrapping the template's lines anew, or copying its questions, adds none. Part B is ready
when a run was recorded (or its numbers and those of the model before training were typed), and a note is written on it.
"""

import re

import pandas as pd

from tuning import paths
from tuning.errors import WorksheetError
from tuning.evidence import worksheet
from tuning.evidence.markdown_tables import find_table
from tuning.evidence.worksheet_blocks import find_blocks, is_number, unclear_run_ids
from tuning.runs.store import readable_runs

FEWEST_WORDS = 8
FEWEST_NOTE_WORDS = 3
COPIED = 4
MAPPING_COLUMNS = ("Task 6 item", "Where in this worksheet", "KSBs")

_HEADING = re.compile(r"#{2,4}\s+(?:Part\s+)?([A-E]\d?)\b[.:]")
_ANY_HEADING = re.compile(r"#{1,4}\s")
_WORD = re.compile(r"[^\W\d_]{2,}")


def evidence() -> pd.DataFrame:
    """List the items of Task 6 with what is ready and what is missing.

    One row per item: ``state`` (``ready`` or ``missing``), ``where`` to find it, the ``KSBs``, and ``to do``. A
    `WorksheetError` where a form cannot be opened or has lost the table that names the items.
    """
    text, template = worksheet.read_worksheet(), worksheet.read_template()
    mapping = find_table(template, MAPPING_COLUMNS)
    if isinstance(mapping, str):
        raise WorksheetError(f'{paths.short(worksheet.TEMPLATE)}, table "Task 6 mapping": {mapping}.')
    rows = []
    for item, where, ksbs in ([cell.strip() for cell in row] for row in mapping.rows):
        needed = [place for place in re.split(r",\s*", where) if not place.startswith("(")]
        missing = [reason for place in needed if (reason := _missing(place, text, template))]
        rows.append(
            {
                "item": item,
                "state": "missing" if missing else "ready",
                "where": f"{where} in {paths.short(worksheet.worksheet_file())}",
                "KSBs": ksbs,
                "to do": "; ".join(missing),
            }
        )
    return pd.DataFrame(rows).set_index("item")


def own_words(answer: str, template: str) -> int:
    """Count the words of two letters or more that do not stand in four words running which the template has too."""
    words, known = _words(answer), _words(template)
    printed = {tuple(known[at : at + COPIED]) for at in range(len(known))}
    copied: set[int] = set()
    for at in range(len(words) - COPIED + 1):
        if tuple(words[at : at + COPIED]) in printed:
            copied.update(range(at, at + COPIED))
    return len(words) - len(copied)


def sections(text: str) -> dict[str, str]:
    """The text below each lettered heading (``A1``, ``C5``, ``D``), tables and comments left out."""
    parts: dict[str, list[str]] = {}
    code = None
    for line in re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL).splitlines():
        heading = _HEADING.match(line)
        if heading:
            code = heading[1]
            parts.setdefault(code, [])
        elif _ANY_HEADING.match(line):
            code = None
        elif code and not line.lstrip().startswith("|"):
            parts[code].append(line)
    return {code: "\n".join(lines) for code, lines in parts.items()}


def answer(place: str) -> str:
    """What the learner has written at a place of the worksheet, such as ``C3``; empty where that is nothing yet.

    Raises
    ------
    WorksheetError
        If the worksheet, or the empty form, cannot be opened.
    """
    template = worksheet.read_template()
    typed = sections(worksheet.read_worksheet()).get(place, "")
    printed = {line.strip() for line in template.splitlines()} - {""}
    lines = [line.strip() for line in typed.splitlines() if line.strip() not in printed]
    # The first line of an answer often stands right behind the form's own words.
    lines = [line.removeprefix("**Your answer:**").strip() for line in lines]
    text = "\n".join(lines).strip()
    return text if own_words(text, template) else ""


def _words(text: str) -> list[str]:
    return [word.casefold() for word in _WORD.findall(text)]


def _missing(place: str, text: str, template: str) -> str:
    """What is missing in one part, in words; empty if nothing is."""
    if place == "B":
        return _missing_in_log(text)
    section = sections(text).get(place)
    if section is None:
        return f'the heading of {place} is gone: put "{place}." back'
    words = own_words(section, template)
    return "" if words >= FEWEST_WORDS else f"write {place} ({words} words of your own so far)"


def _missing_in_log(text: str) -> str:
    blocks, runs = find_blocks(text), readable_runs()[0]
    # The numbers of a run stand in its record, or were typed.
    fitting = {block: block.belongs_to(runs) for block in blocks}
    measured = [block for block in blocks if len(fitting[block]) == 1 or is_number(block.typed["Accuracy"])]
    missing = []
    if not runs and not any(block.is_baseline for block in measured):
        missing.append("the baseline's numbers")
    if not runs and all(block.is_baseline for block in measured):
        missing.append("a run's numbers")
    notes = [block.typed["Notes"] for block in measured if not block.is_baseline]
    if not any(len(_words(note)) >= FEWEST_NOTE_WORDS for note in notes):
        missing.append("a note of your own on a run")
    return "; ".join([f"Part B needs {', '.join(missing)}", *unclear_run_ids(fitting)]) if missing else ""
