"""The blocks of the worksheet's Part B: one list of fields for each run, as a learner types them.

A block begins with the line ``- Run ID: ...`` and ends before the next one or the next heading. What stands behind a
field's last colon, and on the lines below it, is that field's text.
"""

import dataclasses
import re
from collections.abc import Mapping, Sequence

from tuning.evidence.log_rows import WORKSHEET_COLUMNS
from tuning.evidence.markdown_tables import bare, lines_of
from tuning.runs.record import Run
from tuning.runs.store import likely_meant, matching_ids

DIFFERENCE, GO_ON = "What the difference tells us", "Go on or stop, and why"
FIELDS = (*WORKSHEET_COLUMNS, DIFFERENCE, GO_ON)
# What only the learner can write.
SENTENCES = ("Notes", DIFFERENCE, GO_ON)
BASELINE = "baseline"

_FIELD = re.compile(r"\s*[-*+]\s+(?P<name>[^:\r\n]{1,60}):(?P<value>[^\r\n]*)")
_HEADING = re.compile(r"#{1,6}\s")
# The form's: any other was written by the learner and stays.
_OWN_HEADING = re.compile(r"#### (Baseline|Run)")
_NUMBER = re.compile(r"[-+\u2212]?(?:\d+(?:[.,]\d*)?|[.,]\d+)\s?%?")
_NAMES = {field.casefold(): field for field in FIELDS}


@dataclasses.dataclass(frozen=True, eq=False)
class Block:
    """What was typed about one run, or about the model before training."""

    # Its first line, its own heading included, and the line after its last.
    first: int
    end: int
    typed: dict[str, str]  # A text for each of `FIELDS`; empty where nothing was typed.

    @property
    def is_baseline(self) -> bool:
        """Whether it is about the model before training."""
        return bare(self.typed["Run ID"]).casefold() == BASELINE

    def belongs_to(self, runs: Sequence[Run]) -> list[Run]:
        """The runs that its *Run ID* can mean."""
        ids = matching_ids(bare(self.typed["Run ID"]), [run.run_id for run in runs])
        return [] if self.is_baseline else likely_meant([run for run in runs if run.run_id in ids])


def unclear_run_ids(fitting: Mapping[Block, Sequence[Run]]) -> list[str]:
    """A line for each block whose *Run ID* fits several runs; `fitting` holds what each block can mean."""
    return [
        f'Run ID "{block.typed["Run ID"]}" of Part B fits several runs: {", ".join(run.run_id for run in candidates)}.'
        " Write the whole of it."
        for block, candidates in fitting.items()
        if len(candidates) > 1
    ]


def find_blocks(text: str) -> list[Block]:
    """Find the blocks of a worksheet, in their order."""
    blocks: list[Block] = []
    lines = lines_of(text)
    typed: dict[str, list[str]] = {}
    first = field = None
    for at, line in enumerate([*lines, "# end"]):
        name, value = _field(line)
        if first is not None and (name == "Run ID" or _HEADING.match(line)):
            blocks.append(Block(first, at, {name: " ".join(" ".join(typed.get(name, [])).split()) for name in FIELDS}))
            first = field = None
        if name == "Run ID":
            typed, first = {}, _with_heading(lines, at)
        if first is None:
            continue
        field = name or field
        typed.setdefault(field, []).append(value if name else line)
    return blocks


def is_number(text: str) -> bool:
    """Whether a text is one number: a note that slipped into a field of numbers is none."""
    return _NUMBER.fullmatch(text.strip()) is not None


def _field(line: str) -> tuple[str | None, str]:
    match = _FIELD.match(line)
    name = _NAMES.get(" ".join(bare(match["name"]).split()).casefold()) if match else None
    return name, match["value"] if match else ""


def _with_heading(lines: list[str], at: int) -> int:
    """The line at which a block begins: that of its own heading, where nothing but blank lines stands between."""
    above = at - 1
    while above >= 0 and not lines[above].strip():
        above -= 1
    return above if above >= 0 and _OWN_HEADING.fullmatch(lines[above].strip()) else at
