"""Notebook 01 executed for real: whole, with a DistilBERT-shaped folder, out of order, and after a restart."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from helpers.machines import Session
from nbclient.exceptions import CellExecutionError

from tuning import paths
from tuning.dials import Dials
from tuning.notebook.session import notebook_file
from tuning.runs.record import Run

NOTEBOOK = notebook_file("01")
SMALL = {"MODEL": "embedded", "TRAIN_SUBSET": "48", "PRECISION": "fp32"}
FIRST_AFTER_TRAINING = "before-after"


def execute(runs: Path, *options: str, **dials: str) -> subprocess.CompletedProcess:
    """``workshop.py run`` as its launcher calls it."""
    settings = [part for name, value in dials.items() for part in ("--set", f"{name}={value}")]
    environment = os.environ | {"WORKSHOP_RUNS": str(runs), "PYTHONPATH": str(paths.LAB)}
    command = [sys.executable, "-m", "tuning.notebook.headless", "--mine", *options, *settings]
    return subprocess.run(command, env=environment, capture_output=True, text=True, encoding="utf-8")


def outputs(path: Path) -> dict[str, str]:
    """All text that each cell of an executed notebook put out, by cell id."""
    found = {}
    for cell in nbformat.read(path, as_version=4).cells:
        texts = []
        for output in cell.get("outputs", []):
            shown = output.get("text", "") or output.get("data", {}).get("text/plain", "")
            texts.append(shown or "\n".join(output.get("traceback", [])))
        found[cell["id"]] = "\n".join(texts)
    return found


@pytest.fixture(scope="module")
def finished(few, tmp_path_factory) -> Path:
    """Folder of runs that holds one whole run of the notebook on few sentences."""
    runs = tmp_path_factory.mktemp("runs")
    done = execute(runs, "--preset", "JUST_RIGHT", "--out", str(runs / "out"), DATA=str(few), **SMALL)
    assert done.returncode == 0, done.stderr[-2000:]
    return runs


@pytest.mark.slow
def test_the_notebook_runs_from_its_first_cell_to_its_last(finished):
    out = finished / "out"
    run = Run.load(out)
    assert (run.outcome, run.notebook, len(run.epochs)) == ("completed", "01", 2)
    assert (out / "predictions.csv").read_text().startswith("id,label,negative,neutral,positive\n")
    text = outputs(out / NOTEBOOK.name)
    assert "[OK]" in text["preflight"]
    assert "gradient by backpropagation" in text["microscope"]
    assert f"Run {run.run_id}: completed" in text["train"]
    assert "step 12/12" in text["train"]
    assert "Verdict:" in text["verdict"]
    assert "stays closed" in text["open-test"]
    assert f"| {run.run_id} |" in text["worksheet-rows"]
    assert not any("Warning" in shown for shown in text.values())


@pytest.mark.slow
def test_the_executed_notebook_carries_pictures_with_words_and_no_widgets(finished):
    notebook = nbformat.read(finished / "out" / NOTEBOOK.name, as_version=4)
    nbformat.validate(notebook)
    assert "widgets" not in notebook.metadata
    pictures = [
        output for cell in notebook.cells for output in cell.get("outputs", []) if "image/png" in output.get("data", {})
    ]
    assert len(pictures) == 6
    assert all(output["metadata"]["image/png"]["alt"] == output["data"]["text/plain"] for output in pictures)


@pytest.mark.slow
def test_notebook_and_script_end_with_the_same_numbers(finished, few, tmp_path):
    chosen = SMALL | {"DATA": str(few)}
    settings = [part for name, value in chosen.items() for part in ("--set", f"{name}={value}")]
    environment = os.environ | {"WORKSHOP_RUNS": str(tmp_path), "PYTHONPATH": str(paths.LAB)}
    command = [sys.executable, "-m", "tuning.training.fit", *settings]
    subprocess.run(command, env=environment, check=True, capture_output=True)
    script = Run.load(next(tmp_path.glob("*/run.json")))
    notebook = Run.load(finished / "out")
    assert script.steps == notebook.steps
    assert script.final == notebook.final
    weights = [next(folder.glob("*/model/model.safetensors")).read_bytes() for folder in (tmp_path, finished)]
    assert weights[0] == weights[1]


@pytest.mark.slow
def test_the_notebook_runs_on_a_distilbert_shaped_folder(tiny_distilbert, few, tmp_path):
    done = execute(tmp_path, **(SMALL | {"MODEL": str(tiny_distilbert), "DATA": str(few), "EPOCHS": "1"}))
    assert done.returncode == 0, done.stderr[-2000:]
    run = Run.load(next(tmp_path.glob("*/run.json")))
    assert run.encoder["source"] == "folder"
    assert run.learning_rate == 7e-5


@pytest.mark.slow
@pytest.mark.parametrize(
    ("dial", "told"),
    [
        ("LR_PRESET=JUST_RIHGT", "Did you mean JUST_RIGHT"),
        ("TRAIN_SUBSET=-5", "TRAIN_SUBSET"),
        ("EPOCHS=0", "EPOCHS"),
        ("MAX_LENGTH=long", "MAX_LENGTH"),
        ("EPOHCS=2", "Did you mean EPOCHS"),
    ],
)
def test_a_wrong_dial_is_refused_before_anything_runs(tmp_path, dial, told):
    done = execute(tmp_path, "--set", dial)
    assert done.returncode == 2
    assert told in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not list(tmp_path.rglob("*.ipynb"))


@pytest.mark.slow
def test_a_broken_csv_gives_one_line_in_the_notebook_and_from_the_command(tmp_path):
    broken = tmp_path / "broken.csv"
    broken.write_text("sentence,label\nProfit rose.,good\n", encoding="utf-8")
    done = execute(tmp_path / "runs", DATA=str(broken), MODEL="embedded")
    assert done.returncode == 2
    line = "broken.csv: row 2 has the label 'good'. Allowed: negative, neutral, positive."
    assert done.stderr.strip().splitlines()[-1].startswith(f"error: {line}")
    failed = next((tmp_path / "runs").glob("*.failed.ipynb"))
    assert outputs(failed)["load-data"].strip() == line


class Kernel(Session):
    """A live kernel that runs single cells of the notebook, in any order."""

    def __init__(self, runs: Path) -> None:
        super().__init__(NOTEBOOK, paths.LAB, WORKSHOP_RUNS=str(runs), PYTHONPATH=str(paths.LAB))
        self.cells = {cell["id"]: index for index, cell in enumerate(self.notebook.cells)}

    def run(self, cell_id: str) -> tuple[bool, str]:
        """Run one cell; whether it succeeded, and all the text it put out."""
        index = self.cells[cell_id]
        cell = self.notebook.cells[index]
        try:
            self.client.execute_cell(cell, index)
            good = True
        except CellExecutionError:
            good = False
        shown = [output.get("text", "") or "\n".join(output.get("traceback", [])) for output in cell.outputs]
        return good, "".join(shown)

    def code_cells(self) -> list[str]:
        return [cell["id"] for cell in self.notebook.cells if cell.cell_type == "code"]


@pytest.mark.slow
def test_after_a_restart_every_later_cell_works_alone_and_nothing_is_trained_again(finished):
    before = sorted(path.name for path in finished.glob("*/run.json"))
    with Kernel(finished) as kernel:
        cells = kernel.code_cells()
        later = cells[cells.index(FIRST_AFTER_TRAINING) :]
        needs_neighbour = {"brain-wipe-pairs", "try-probabilities"}
        for name in reversed([name for name in later if name not in needs_neighbour]):
            good, text = kernel.run(name)
            assert good, (name, text)
        for name in needs_neighbour:
            good, text = kernel.run(name)
            assert good, (name, text)
    assert sorted(path.name for path in finished.glob("*/run.json")) == before


def test_the_dials_cell_and_the_package_agree():
    cell = next(cell for cell in nbformat.read(NOTEBOOK, as_version=4).cells if cell["id"] == "speed-dials")
    assert cell.metadata["tags"] == ["parameters"]
    values: dict = {}
    exec(cell.source, values)
    named = {name: value for name, value in values.items() if name.isupper()}
    assert named == dataclasses.asdict(Dials())


def test_the_notebook_is_stored_clean_with_readable_ids():
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    for cell in notebook["cells"]:
        assert cell["id"].replace("-", "").isalpha(), cell["id"]
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []
            assert cell["execution_count"] is None
            assert len([line for line in "".join(cell["source"]).splitlines() if line.strip()]) <= 25
