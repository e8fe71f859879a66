"""What the first cell of a notebook switches on: one-line errors, and a hint in place of a `NameError`.

Nothing here changes what the later cells compute; without it they work, but their errors read like a programmer's.
"""

import ast
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

import nbformat
import pandas as pd

from tuning import folders
from tuning.errors import WorkshopError


def notebook_file(number: str) -> Path:
    """Path of a notebook by its number, such as ``"01"``.

    Raises
    ------
    WorkshopError
        If there is no such notebook.
    """
    found = next(folders.LAB.glob(f"{number}_*.ipynb"), None)
    if found is None:
        there = ", ".join(sorted(path.name[:2] for path in folders.LAB.glob("[0-9][0-9]_*.ipynb")))
        raise WorkshopError(f"There is no notebook {number} in lab/. Notebooks: {there}.")
    return found


def start(number: str) -> None:
    """Make errors readable for the rest of this kernel.

    Parameters
    ----------
    number : str
        The notebook's number.
    """
    from IPython import get_ipython

    # A sentence in a table is there to be read to its end.
    pd.set_option("display.max_colwidth", None, "display.width", 140)
    shell = get_ipython()
    if shell is None:
        return
    sections = sections_of_names(nbformat.read(notebook_file(number), as_version=4))
    shell.set_custom_exc((WorkshopError, NameError), _handler(sections))


def sections_of_names(notebook: nbformat.NotebookNode) -> dict[str, str]:
    """Say for every name that a notebook's cells define which section defines it first.

    Parameters
    ----------
    notebook : nbformat.NotebookNode

    Returns
    -------
    dict of str to str
        Name of a variable, function or import to the heading of its section.
    """
    sections: dict[str, str] = {}
    heading = "the first cell"
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            titles = [line.lstrip("# ").strip() for line in cell.source.splitlines() if line.startswith("#")]
            heading = titles[-1] if titles else heading
        elif cell.cell_type == "code":
            for name in _defined(cell.source):
                sections.setdefault(name, heading)
    return sections


# What these define inside is not there for the next cell.
_OWN_NAMES = (ast.FunctionDef, ast.ClassDef, ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


def _defined(source: str) -> set[str]:
    lines = [line for line in source.splitlines() if not line.lstrip().startswith(("%", "!"))]
    try:
        tree = ast.parse("\n".join(lines))
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


def _handler(sections: dict[str, str]) -> Callable[..., list[str] | None]:
    def show(
        shell: Any,
        kind: type[BaseException],
        problem: BaseException,
        trace: TracebackType,
        tb_offset: int | None = None,
    ) -> list[str] | None:
        if isinstance(problem, WorkshopError):
            line = str(problem)
        elif isinstance(problem, NameError) and getattr(problem, "name", None) in sections:
            line = f'{problem.name} is not there yet. Run the section "{sections[problem.name]}" first, then this cell.'
        else:
            shell.showtraceback((kind, problem, trace), tb_offset=tb_offset)
            return None
        # As the cell's error, not as printed text: whoever runs the notebook without a screen reads it there.
        shell._showtraceback(kind, problem, [line])
        return [line]

    return show
