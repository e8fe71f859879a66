"""Notebook 03 executed for real on a room of runs, and what its cells look like."""

import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from helpers.rooms import room_lines

from tuning import paths
from tuning.errors import DialError
from tuning.notebook.notebook_settings import parameters
from tuning.notebook.session import notebook_file
from tuning.room import clinic
from tuning.room.budget_round import BUDGET

NOTEBOOK = notebook_file("03")


def execute(folder: Path, *options: str) -> subprocess.CompletedProcess:
    environment = os.environ | {"PYTHONPATH": str(paths.LAB)}
    command = [sys.executable, "-m", "tuning.notebook.headless", "--notebook", "03", "--out", str(folder), *options]
    return subprocess.run(command, env=environment, capture_output=True, text=True, encoding="utf-8")


@pytest.mark.slow
def test_the_board_executes_on_thirty_runs(make_run, tmp_path):
    chat = tmp_path / "chat.txt"
    lines = room_lines(make_run)
    answer = clinic.Answer(1, "wrap", "just right", "change nothing", 90, "overfitting", False)
    score = clinic.line(clinic.Score("00000001", "", (answer,)))
    chat.write_text("\n".join([*lines, lines[0][:500], score]), encoding="utf-8")
    done = execute(tmp_path / "out", "--set", f"SHARED={chat}")
    assert done.returncode == 0, done.stderr[-2000:]
    notebook = nbformat.read(tmp_path / "out" / NOTEBOOK.name, as_version=4)
    outputs = {cell["id"]: cell.get("outputs", []) for cell in notebook.cells}
    assert "30 runs can be compared" in outputs["collect"][0]["text"]
    assert "cut off" in outputs["refused"][0]["data"]["text/plain"]
    assert "Still misread: overfitting (0 of 1 right" in outputs["clinic-causes"][0]["text"]
    pictures = [one for cell in outputs.values() for one in cell if "image/png" in one.get("data", {})]
    assert len(pictures) == 4
    assert all(picture["metadata"]["image/png"]["alt"] for picture in pictures)
    assert (paths.work() / "Group_Results.pptx").is_file()


@pytest.mark.slow
def test_the_board_executes_without_any_run_and_keeps_a_notebook_that_somebody_changed(tmp_path):
    kept = tmp_path / "out" / NOTEBOOK.name
    kept.parent.mkdir()
    kept.write_text("with notes of the coach", encoding="utf-8")
    assert execute(kept.parent).returncode == 0
    assert kept.read_text(encoding="utf-8") == "with notes of the coach"
    assert kept.with_name(f"{NOTEBOOK.stem}-2.ipynb").is_file()


def test_a_setting_that_is_none_is_refused_with_the_nearest_name(tmp_path):
    with pytest.raises(DialError, match="Did you mean SHARED"):
        parameters("03", {"SHARE": "x"})
    with pytest.raises(DialError, match="no such file or folder"):
        parameters("03", {"SHARED": str(tmp_path / "none")})
    assert parameters("03", {"SHARED": str(tmp_path)}) == {"SHARED": str(tmp_path.resolve())}


def test_the_budget_in_the_text_is_the_one_that_is_counted():
    (text,) = [cell.source for cell in nbformat.read(NOTEBOOK, as_version=4).cells if cell["id"] == "budget-intro"]
    assert f"{BUDGET:,} *sentence-passes*" in text


def test_the_cells_are_short_named_and_without_outputs():
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert max(len(cell.source.splitlines()) for cell in code) <= 12
    assert not any(cell.outputs or cell.execution_count for cell in code)
    assert all(cell["id"].replace("-", "").isalpha() for cell in notebook.cells)
    assert [cell["id"] for cell in code if "parameters" in cell.metadata.get("tags", [])] == ["shared"]
    assert notebook.cells[0].cell_type == "markdown"
