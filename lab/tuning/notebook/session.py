"""What the first cell of a notebook switches on: errors in one line, and pasted text that stays text.

Nothing here changes what the later cells compute; without it they work, but their errors read like a programmer's.
The first cell is to answer at once, so nothing large is imported here: pandas or nbformat would take most of its time.
"""

import ast
import contextlib
import itertools
import os
import re
import sys
import traceback
from collections.abc import Callable, Mapping
from importlib.machinery import PathFinder
from pathlib import Path
from types import TracebackType
from typing import Any

from tuning import paths
from tuning.errors import WorkshopError
from tuning.notebook import pasted_text
from tuning.notebook.notebooks import read_notebook
from tuning.notebook.wrap import wrap_prints

# A board of as many lines as a chat may hold is shown whole; of what is longer, the first and last rows are.
MOST_ROWS = 2_000
ROWS_IN_SIGHT = 30
# JupyterLab (the first) and Colab (the second) would set what stands between two dollar signs as a formula.
_LEFT = '<td style="text-align: left">'
# Letters of a word, not those of 1e-05 or of an interval's "to".
_WORD = r"[^\W\d_]{3,}"
NO_FORMULAS = ' class="mathjax_ignore tex2jax_ignore"'


def notebook_files() -> dict[str, Path]:
    """Every notebook by its number: ``"01"``, and ``"04B"`` for option B of Going Further."""
    options = {f"04{path.name[0].upper()}": path for path in (paths.LAB / "going_further").glob("[a-z]_*.ipynb")}
    files = {path.name[:2]: path for path in paths.LAB.glob("[0-9][0-9]_*.ipynb")} | options
    return dict(sorted(files.items()))


def notebook_file(number: str) -> Path:
    """Path of a notebook by its number, such as ``"01"``."""
    files = notebook_files()
    if number not in files:
        raise WorkshopError(f"There is no notebook {number} in lab/. Notebooks: {', '.join(files)}.")
    return files[number]


def start(number: str) -> None:
    """Make errors and tables readable, pasted text harmless and memory steady, for the rest of this kernel."""
    from IPython import get_ipython

    shell = get_ipython()
    if shell is None:
        return
    # Else IPython holds on to every picture and table that a cell has ever shown.
    shell.displayhook.do_full_cache = False
    while _told_in_the_first_cell:
        print(_told_in_the_first_cell.pop(0))
    _make_readable(shell)
    wrap_prints(shell)
    sections = sections_of_names(read_notebook(notebook_file(number)))
    shell.set_custom_exc((WorkshopError, NameError), _handler(sections))


def one_line_errors() -> None:
    """Errors in one line, whole tables and harmless pasted text, for a learner who begins in the middle of a notebook.

    It is called when the package is imported, which the kernel does by itself where ``workshop.py`` set it up.
    """
    from IPython import get_ipython

    shell = get_ipython()
    if shell is not None:
        _told_in_the_first_cell.extend(libraries_first())
        _make_readable(shell)
        shell.set_custom_exc((WorkshopError, NameError), _handler())


_told_in_the_first_cell: list[str] = []


def libraries_first() -> list[str]:
    """Have the libraries found before the files in the notebook's folder, and say which files have their names.

    IPython looks into that folder, and Python into those of PYTHONPATH, before the installed packages.
    """
    own = [place for place in sys.path if place in ("", os.getcwd(), *_python_path())]
    sys.path[:] = [place for place in sys.path if place not in own] + own
    lines = []
    for folder in {Path(place or os.getcwd()): None for place in own}:
        there = [*folder.glob("*.py"), *(file.parent for file in folder.glob("*/__init__.py"))]
        for path in sorted(there):
            library = PathFinder.find_spec(path.stem)
            if library is not None and library.origin and Path(library.origin).parent not in (folder, path):
                lines.append(f"{paths.short(path)} has the name of a library, so the library is used: rename it.")
    return lines


def _python_path() -> list[str]:
    return [place for place in os.environ.get("PYTHONPATH", "").split(os.pathsep) if place]


def _make_readable(shell: Any) -> None:
    """Tables to their end and pasted text as text."""
    formatters = shell.display_formatter.formatters
    # By name, so that pandas is not imported before a cell needs it.
    formatters["text/html"].for_type_by_name("pandas", "DataFrame", _whole_table)
    formatters["text/plain"].for_type_by_name("pandas", "DataFrame", _whole_text)
    pasted_text.switch_on(shell)


def _whole_table(frame: Any) -> str | None:
    """A table in HTML: a sentence in it is there to be read to its end, and a long table scrolls."""
    import pandas as pd

    if not pd.get_option("display.notebook_repr_html"):
        return None
    frame = _without_none(frame)
    with pd.option_context("display.max_colwidth", None, "display.min_rows", MOST_ROWS):
        columns = pd.get_option("display.max_columns")
        table = frame.to_html(notebook=True, na_rep="", max_rows=MOST_ROWS, max_cols=columns)
    table = _sentences_to_the_left(frame, table)
    style = ' style="max-height: 36em; overflow-y: auto"' if len(frame) > ROWS_IN_SIGHT else ""
    return f"<div{NO_FORMULAS}{style}>{table}</div>"


def _whole_text(frame: Any, printer: Any, in_a_cycle: bool) -> None:
    """The same in plain text."""
    import pandas as pd

    rows = ("display.max_rows", MOST_ROWS, "display.min_rows", MOST_ROWS)
    with pd.option_context("display.max_colwidth", None, "display.width", 140, *rows):
        frame = _without_none(frame)
        printer.text(frame.to_string(na_rep="", max_rows=MOST_ROWS, line_width=140) if len(frame) else repr(frame))


def _without_none(frame: Any) -> Any:
    """The table with empty cells where columns of objects hold None: what is not there is not a word."""
    cleared = frame.copy(deep=False)
    for at, kind in enumerate(frame.dtypes):
        if kind == object:  # noqa: E721 - a dtype, which compares with its name or class
            column = frame.iloc[:, at]
            cleared.isetitem(at, column.where(column.notna(), ""))
    return cleared


def _sentences_to_the_left(frame: Any, table: str) -> str:
    """Columns of words begin at the left; numbers keep their places below each other."""
    beginning = frame.head(ROWS_IN_SIGHT).astype(str)
    words = {at for at in range(frame.shape[1]) if beginning.iloc[:, at].str.contains(_WORD).any()}

    def row(match: re.Match) -> str:
        column = itertools.count()
        return re.sub("<td>", lambda _: _LEFT if next(column) in words else "<td>", match[0])

    return re.sub(r"<tr>.*?</tr>", row, table, flags=re.DOTALL)


def sections_of_names(notebook: Mapping[str, Any]) -> dict[str, str]:
    """The heading of the section in which each variable, function or import of a notebook is first defined."""
    sections: dict[str, str] = {}
    heading = "the first cell"
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            titles = [line.lstrip("# ").strip() for line in source.splitlines() if line.startswith("#")]
            heading = titles[-1] if titles else heading
        elif cell["cell_type"] == "code":
            for name in _defined(source):
                sections.setdefault(name, heading)
    return sections


# What these define inside is not there for the next cell.
_OWN_NAMES = (ast.FunctionDef, ast.ClassDef, ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


def _defined(source: str) -> set[str]:
    if (name := pasted_text.name_in(source)) is not None:
        return {name}
    # A block that holds nothing but a command of IPython's stays a block.
    python = re.sub(r"^([ \t]*)[%!].*", r"\1pass", source, flags=re.MULTILINE)
    try:
        tree = ast.parse(python)
    except SyntaxError:
        return set()
    names = set()
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names.update((alias.asname or alias.name).split(".")[0] for alias in node.names)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        if not isinstance(node, _OWN_NAMES):
            waiting.extend(ast.iter_child_nodes(node))
    return names


def _hint(problem: NameError, trace: TracebackType, sections: Mapping[str, str] | None) -> str | None:
    """What a missing name means: a text without its quotation marks, or a section that was skipped."""
    name = getattr(problem, "name", None)
    *_, last = traceback.extract_tb(trace)
    bare = re.match(rf"\s*([A-Z][A-Z0-9_]*)\s*=\s*{name}\b", last.line or "")
    if bare:
        return f'{name} is a text and needs quotation marks: {bare[1]} = "{name}"'
    known = _all_sections() if sections is None else sections
    return f'{name} is not there yet. Run the section "{known[name]}" first, then this cell.' if name in known else None


def _all_sections() -> dict[str, str]:
    """The names of all notebooks, for a kernel in which no first cell has said which it is."""
    names: dict[str, str] = {}
    for path in reversed(notebook_files().values()):
        with contextlib.suppress(WorkshopError):
            names |= sections_of_names(read_notebook(path))
    return names


def _handler(sections: Mapping[str, str] | None = None) -> Callable[..., list[str] | None]:
    def show(
        shell: Any,
        kind: type[BaseException],
        problem: BaseException,
        trace: TracebackType,
        tb_offset: int | None = None,
    ) -> list[str] | None:
        if isinstance(problem, WorkshopError):
            line = str(problem)
        elif hint := _hint(problem, trace, sections):
            line = hint
        else:
            shell.showtraceback((kind, problem, trace), tb_offset=tb_offset)
            return None
        # As the cell's error, not as printed text: whoever runs the notebook without a screen reads it there.
        shell._showtraceback(kind, problem, [line])
        return [line]

    return show
