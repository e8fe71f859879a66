"""Fill the marked blocks of the documents from their sources, so that no figure is typed by hand.

A block stands in a Markdown file, or on the page of notebook 04 where an option is chosen, between the marks
``<!-- figures: NAME begin -->`` and ``<!-- figures: NAME end -->``; `BLOCKS` says what each name is made from.
``python3 workshop.py documents`` writes them all; with ``--check`` it only says which are out of date.
"""

import argparse
import dataclasses
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

from maintain.documents import coach_blocks, day_blocks, house_blocks, run_blocks, time_blocks
from maintain.repository import move_to
from tuning import paths
from tuning.command import one_line_errors
from tuning.dials import PRESETS, Dials, SgdDials
from tuning.encoder.finding import EMBEDDED_NAME, RATES
from tuning.errors import DocumentError, nearest
from tuning.evidence.log_rows import WORKSHEET_COLUMNS
from tuning.evidence.markdown_tables import table
from tuning.files import write_whole
from tuning.notebook.notebooks import read_notebook
from tuning.notebook.session import notebook_file
from tuning.runs import symptoms
from tuning.runs.record import FURTHER_NOTEBOOK
from tuning.sgd import classifier

# Where documents are: what learners make, and what tools keep, is nobody's document.
PLACES = (
    "*.md", ".github/*.md", "activities/**/*.md", "assets/**/*.md", "coach/**/*.md", "handouts/**/*.md", "lab/*.md",
    "lab/data/*.md", "maintain/*.md", "slides/**/*.md",
)  # fmt: skip

_BLOCK = re.compile(
    r"(?P<begin><!-- figures: (?P<name>[\w-]+) begin -->\n)(?P<body>.*?)(?P<end><!-- figures: (?P=name) end -->)",
    re.DOTALL,
)
_MARK = re.compile(r"<!-- figures: ([\w-]+) (begin|end) -->")


def documents() -> list[Path]:
    """All Markdown documents of the project, in order."""
    return sorted({path for place in PLACES for path in paths.ROOT.glob(place)})


def filled(text: str, path: Path) -> str:
    """Write the blocks of one document anew.

    Parameters
    ----------
    text : str
        The document.
    path : pathlib.Path
        Where it lies; links are made relative to it.

    Returns
    -------
    str

    Raises
    ------
    DocumentError
        If a block has no such name, or a mark has no partner.
    """

    def block(match: re.Match) -> str:
        name = match["name"]
        if name not in BLOCKS:
            raise DocumentError(f"{paths.short(path)}: there is no block {name}.{nearest(name, BLOCKS)}")
        return f"{match['begin']}{BLOCKS[name](path).strip()}\n{match['end']}"

    matched = sum(2 for _ in _BLOCK.finditer(text))
    if matched != len(_MARK.findall(text)):
        raise DocumentError(f"{paths.short(path)}: a figures mark has no partner. Each block has a begin and an end.")
    return _BLOCK.sub(block, text)


def stale() -> dict[Path, str]:
    """Documents whose blocks are out of date, with their new text.

    Raises
    ------
    DocumentError
        See `filled`.
    """
    texts = {}
    for path in documents():
        text = path.read_text(encoding="utf-8")
        if (new := filled(text, path)) != text:
            texts[path] = new
    path = notebook_file(FURTHER_NOTEBOOK)
    notebook = read_notebook(path)
    for cell in notebook["cells"]:
        text = "".join(cell["source"])
        if (new := filled(text, path)) != text:
            cell["source"] = new.splitlines(keepends=True)
            texts[path] = json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"
    return texts


# Dials and rates


def _presets(path: Path) -> str:
    columns = ("preset", "DistilBERT", f"built-in encoder ({EMBEDDED_NAME})", "backup lab (SGD)")
    rates = (RATES["distilbert"], RATES["small"], classifier.RATES)
    return table(columns, [(f"`{preset}`", *(f"{rate[preset]:g}" for rate in rates)) for preset in PRESETS])


def _dials(kind: type[Dials] | type[SgdDials]) -> Callable[[Path], str]:
    def block(path: Path) -> str:
        rows = []
        for field in dataclasses.fields(kind):
            default = f"{field.default:g}" if isinstance(field.default, float) else str(field.default)
            default = default or '""'  # a code span of nothing is shown as two backticks
            rows.append((f"`{field.name}`", f"`{default}`", field.metadata["meaning"], field.metadata["allowed"]))
        return table(("dial", "default", "what it is", "what it may be"), rows)

    return block


def _worksheet_columns(path: Path) -> str:
    return ", ".join(f"*{column}*" for column in WORKSHEET_COLUMNS)


def _thresholds(path: Path) -> str:
    """Every limit on which a verdict stands."""
    rows = [threshold.row() for threshold in symptoms.THRESHOLDS]
    return table(("asked", "value, or band that is open", "unit", "a yes tells", "source"), rows)


def _outcomes(path: Path) -> str:
    """How verdict, the room's word and the state of convergence go together."""
    loss = {True: "came down", False: "did not come down", None: ""}
    rows = [
        (
            outcome.verdict,
            loss[outcome.came_down],
            outcome.word,
            ", ".join(dict.fromkeys((outcome.falling, outcome.flat, outcome.rising))),
        )
        for outcome in symptoms.OUTCOMES
    ]
    return table(("verdict", "training loss", "in one word", "convergence at two epochs or more"), rows)


def _take_home(path: Path) -> str:
    """What everybody takes along, before lunch and at the end."""
    from tuning.evidence.archive import TAKE_HOME

    return TAKE_HOME


BLOCKS: dict[str, Callable[[Path], str]] = {
    **coach_blocks.BLOCKS,
    **day_blocks.BLOCKS,
    **time_blocks.BLOCKS,
    **run_blocks.BLOCKS,
    "presets": _presets,
    "dials": _dials(Dials),
    "backup-dials": _dials(SgdDials),
    "worksheet-columns": _worksheet_columns,
    "thresholds": _thresholds,
    "outcomes": _outcomes,
    "take-home": _take_home,
    **house_blocks.BLOCKS,
}


@one_line_errors
def main(argv: list[str] | None = None) -> int:
    """Command line of ``workshop.py documents``."""
    parser = argparse.ArgumentParser(prog="workshop.py documents", description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 if a block is out of date")
    parser.add_argument("--repo", metavar="OWNER/NAME", help="first name another repository in every link and clone")
    options = parser.parse_args(argv)
    for path in move_to(options.repo) if options.repo else ():
        print(f"{paths.short(path)}: names {options.repo}")
    changed = stale()
    for path, text in changed.items():
        if not options.check:
            write_whole(path, text)
        print(f"{paths.short(path)}: {'out of date' if options.check else 'written'}")
    if not changed:
        print("Every block is up to date.")
    return int(options.check and bool(changed))


if __name__ == "__main__":
    sys.exit(main())
