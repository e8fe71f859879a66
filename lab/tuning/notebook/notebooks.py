"""A notebook's file: found by its number, and refused in one line where it is damaged."""

import json
import re
from pathlib import Path
from typing import Any

from tuning import paths
from tuning.errors import WorkshopError

# Nothing large is imported here: the first cell of a notebook is to answer at once.
_CONFLICT = re.compile(r"^(?:<<<<<<<|>>>>>>>) ", re.MULTILINE)


def read_notebook(path: Path, tagged: bool = False) -> dict[str, Any]:
    """Read a notebook and make sure that it can be executed; `tagged` if `run` must find its cell of dials.

    A `WorkshopError` where it is empty, holds the marks of a Git conflict, is no notebook, or lacks the tag.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
        notebook = json.loads(text)
    except OSError as problem:
        raise WorkshopError(f"{paths.short(path)} cannot be opened ({problem.strerror}).") from None
    except UnicodeDecodeError:
        reason = "it is not UTF-8"
    except ValueError:
        conflict = "it holds the marks of a Git conflict" if _CONFLICT.search(text) else "it is not JSON"
        reason = conflict if text.strip() else "it is empty"
    except RecursionError:
        reason = "it is not JSON"
    else:
        reason = _damage(notebook) or (_tags(notebook) if tagged else "")
    if reason:
        name = paths.short(path)
        raise WorkshopError(
            f"{name} is damaged: {reason}. To restore it: git checkout HEAD -- {name}, or download the workshop again."
            " Your runs and your worksheet stay."
        )
    return notebook


def _damage(notebook: Any) -> str:
    """What keeps a notebook from being executed; empty if nothing does."""
    if not isinstance(notebook, dict) or notebook.get("nbformat") != 4 or not isinstance(notebook.get("cells"), list):
        return "it is no notebook of format 4"
    if not isinstance(notebook.get("metadata"), dict) or type(notebook.get("nbformat_minor")) is not int:
        return "its metadata are missing"
    for number, cell in enumerate(notebook["cells"], start=1):
        if not _is_cell(cell):
            return f"its cell {number} is no cell"
    return ""


def _tags(notebook: dict[str, Any]) -> str:
    """What is wrong with the tag that `run` needs; empty if nothing is."""
    tagged = [cell for cell in notebook["cells"] if "parameters" in cell["metadata"].get("tags", [])]
    if [cell["cell_type"] for cell in tagged] != ["code"]:
        return f"the tag parameters, by which the dials are found, is there {len(tagged)} times"
    return ""


def _is_cell(cell: Any) -> bool:
    """Whether a cell has all that executing needs; how its lines are stored is left to editors."""
    if not isinstance(cell, dict) or cell.get("cell_type") not in ("code", "markdown", "raw"):
        return False
    source, tags = cell.get("source"), isinstance(cell.get("metadata"), dict) and cell["metadata"].get("tags", [])
    lines = source if isinstance(source, list) else [source]
    outputs = cell.get("outputs") if cell["cell_type"] == "code" else []
    whole = all(isinstance(line, str) for line in lines) and isinstance(tags, list) and isinstance(outputs, list)
    return whole and isinstance(cell.get("id", ""), str) and all(isinstance(output, dict) for output in outputs)
