"""A damaged notebook gets one line from ``run``, whatever was done to it."""

import copy
import json
from pathlib import Path
from typing import Any

import papermill
import pytest

from tuning import paths
from tuning.errors import WorkshopError
from tuning.notebook import headless
from tuning.notebook.notebooks import read_notebook
from tuning.notebook.session import notebook_file, notebook_files

BACKUP = notebook_file("02").read_text(encoding="utf-8")
MARKS = '<<<<<<< HEAD\n    "a"\n=======\n    "b"\n>>>>>>> theirs\n'
DAMAGED = {
    "empty": (b"", "it is empty"),
    "blanks": (b" \n\n", "it is empty"),
    "conflict": (BACKUP.replace('   "source": [\n', f'   "source": [\n{MARKS}', 1).encode(), "marks of a Git conflict"),
    "cut off": (BACKUP[:2_000].encode(), "it is not JSON"),
    "other text": (b"<!DOCTYPE html>", "it is not JSON"),
    "deep": (b"[" * 100_000, "it is not JSON"),
    "not UTF-8": (BACKUP.replace("lab", "l\u00e4b").encode("latin-1", "replace"), "it is not UTF-8"),
    "UTF-16": (BACKUP.encode("utf-16"), "it is not UTF-8"),
    "a list": (b"[]", "it is no notebook of format 4"),
    "an old format": (b'{"nbformat": 3, "worksheets": []}', "it is no notebook of format 4"),
    "a cell that is none": (
        b'{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [3]}',
        "its cell 1 is no cell",
    ),
    "no tag": (BACKUP.replace('"parameters"', '"other"').encode(), "is there 0 times"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_notebook_is_named_with_a_way_to_restore_it(tmp_path, monkeypatch, capsys, name):
    content, reason = DAMAGED[name]
    (tmp_path / "02_backup.ipynb").write_bytes(content)
    monkeypatch.setattr(paths, "LAB", tmp_path)
    assert headless.main(["--notebook", "02"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert "02_backup.ipynb is damaged: " in line
    assert reason in line
    assert "git checkout HEAD -- " in line


@pytest.mark.parametrize("number", notebook_files())
def test_the_notebooks_themselves_are_whole(number):
    assert read_notebook(notebook_file(number), tagged=True)["cells"]


def small() -> dict[str, Any]:
    notebook = json.loads(BACKUP)
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    tagged = next(cell for cell in code if cell["metadata"].get("tags"))
    return notebook | {"cells": [notebook["cells"][0], code[0], tagged]}


def places(value: Any, above: tuple = ()) -> list[tuple]:
    inside = value.items() if isinstance(value, dict) else enumerate(value[:2]) if isinstance(value, list) else ()
    return [above] * bool(above) + [place for key, part in inside for place in places(part, (*above, key))]


@pytest.mark.parametrize("changed", [None, "", [], {}, 7, [None], {"a": 1}, KeyError], ids=repr)
def test_what_is_not_refused_can_be_prepared(tmp_path: Path, changed: Any):
    """Each part of a notebook in turn is removed or replaced by something else."""
    path = tmp_path / "02_backup.ipynb"
    for place in places(small()):
        notebook = small()
        holder = notebook
        for key in place[:-1]:
            holder = holder[key]
        if changed is KeyError:
            del holder[place[-1]]
        else:
            holder[place[-1]] = copy.deepcopy(changed)
        path.write_text(json.dumps(notebook), encoding="utf-8")
        try:
            read_notebook(path, tagged=True)
        except WorkshopError as problem:
            assert len(str(problem).splitlines()) == 1
            continue
        settings = {"kernel_name": "python3", "language": "python", "progress_bar": False}
        papermill.execute_notebook(path, tmp_path / "out.ipynb", {"EPOCHS": 1}, prepare_only=True, **settings)
