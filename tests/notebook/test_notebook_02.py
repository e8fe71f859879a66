"""Notebook 02 executed for real, and in an environment that holds nothing but its own requirements."""

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import nbformat
import pytest

from tuning import paths
from tuning.dials import SgdDials
from tuning.notebook.session import notebook_file
from tuning.runs.record import Run

NOTEBOOK = notebook_file("02")
# Where the system can do that, not even the machine's own address answers.
ALONE = ("unshare", "--map-root-user", "--net")
CAN_BE_ALONE = shutil.which("unshare") and subprocess.run([*ALONE, "true"], capture_output=True).returncode == 0
NO_NETWORK = ALONE if CAN_BE_ALONE else ()


def forbidden_modules(folder: Path) -> Path:
    """A folder for the Python path in which the large packages are traps: whoever imports one fails."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("torch", "transformers", "datasets", "evaluate"):
        (folder / f"{name}.py").write_text(f"raise SystemError('the backup lab imports {name}')\n")
    return folder


def execute(python: str, runs: Path, *options: str, before: tuple[str, ...] = ()) -> subprocess.CompletedProcess:
    path = os.pathsep.join([str(forbidden_modules(runs / "forbidden")), str(paths.LAB)])
    environment = os.environ | {"WORKSHOP_RUNS": str(runs), "PYTHONPATH": path}
    command = [*before, python, "-m", "tuning.notebook.headless", "--mine", "--notebook", "02", *options]
    return subprocess.run(command, env=environment, capture_output=True, text=True, encoding="utf-8")


@pytest.mark.slow
def test_the_notebook_runs_and_makes_three_runs(tmp_path):
    done = execute(sys.executable, tmp_path, "--preset", "TOO_HIGH", "--out", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr[-2000:]
    assert "encryption" not in done.stdout + done.stderr
    assert Run.load(tmp_path / "out").preset == "TOO_HIGH"
    assert sorted(Run.load(path.parent).preset for path in tmp_path.glob("2*/run.json")) == [
        "JUST_RIGHT",
        "TOO_HIGH",
        "TOO_LOW",
    ]
    notebook = nbformat.read(tmp_path / "out" / NOTEBOOK.name, as_version=4)
    pictures = [o for cell in notebook.cells for o in cell.get("outputs", []) if "image/png" in o.get("data", {})]
    assert len(pictures) == 5
    assert "Warning" not in str([cell.get("outputs") for cell in notebook.cells])


@pytest.mark.slow
def test_a_dial_of_the_other_lab_is_refused(tmp_path):
    done = execute(sys.executable, tmp_path, "--set", "WEIGHT_DECAY=0.1")
    assert done.returncode == 2
    assert "WEIGHT_DECAY is not a dial" in done.stderr


@pytest.mark.full
def test_it_runs_in_an_environment_of_its_own_without_torch(tmp_path):
    venv.create(tmp_path / "env", with_pip=True)
    python = str(tmp_path / "env" / ("Scripts" if os.name == "nt" else "bin") / "python")
    install = [python, "-m", "pip", "install", "-q", "-r", "requirements/backup.txt", "-c", "constraints.txt"]
    subprocess.run(install, cwd=paths.ROOT, check=True)
    lacks = "import importlib.util, sys; sys.exit(importlib.util.find_spec('torch') is not None)"
    assert subprocess.run([python, "-c", lacks]).returncode == 0
    done = execute(python, tmp_path / "runs", before=NO_NETWORK)
    assert done.returncode == 0, done.stderr[-2000:]


def test_the_dials_cell_and_the_package_agree():
    cell = next(cell for cell in nbformat.read(NOTEBOOK, as_version=4).cells if cell["id"] == "speed-dials")
    values: dict = {}
    exec(cell.source, values)
    assert {name: value for name, value in values.items() if name.isupper()} == SgdDials().as_dict()
