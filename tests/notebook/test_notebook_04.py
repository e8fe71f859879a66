"""Notebook 04 executed for real with the embedded encoder: every option, on few sentences."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from helpers.machines import Session

from tuning import paths
from tuning.dials import FurtherDials
from tuning.errors import DialError
from tuning.notebook.notebook_settings import parameters
from tuning.notebook.session import notebook_file
from tuning.runs.record import Run

NOTEBOOK = notebook_file("04")


def execute(runs: Path, *options: str, **settings: object) -> subprocess.CompletedProcess:
    """``workshop.py run --notebook 04`` as its launcher calls it."""
    given = [part for name, value in settings.items() for part in ("--set", f"{name}={value}")]
    environment = os.environ | {"WORKSHOP_RUNS": str(runs), "PYTHONPATH": str(paths.LAB)}
    command = [sys.executable, "-m", "tuning.notebook.headless", "--mine", "--notebook", "04", *options, *given]
    return subprocess.run(command, env=environment, capture_output=True, text=True, encoding="utf-8")


def shown(cells: list) -> dict[str, str]:
    """All text that each cell put out, by cell id, printed lines as they were before wrapping; pictures as words."""
    found = {}
    for cell in cells:
        texts = []
        for output in cell.get("outputs", []):
            texts.append(output.get("text", "").replace("\n", " ") or output.get("data", {}).get("text/plain", ""))
        found[cell["id"]] = "\n".join(texts)
    return found


def pictures(cells: list) -> list:
    return [output for cell in cells for output in cell.get("outputs", []) if "image/png" in output.get("data", {})]


@pytest.fixture(scope="module")
def runs(few, tmp_path_factory) -> Path:
    """Folder of runs after option A on an empty log: Run 1 and its variations."""
    runs = tmp_path_factory.mktemp("runs")
    small = {"DATA": few, "TRAIN_SUBSET": 40, "EPOCHS": 1, "MAX_LENGTH": 16, "MODEL": "embedded", "PRECISION": "fp32"}
    done = execute(runs, "--out", str(runs / "out"), OPTION="A", **small)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "What happened:" in done.stdout
    return runs


@pytest.fixture(scope="module")
def kernel(runs) -> Iterator["Live"]:
    with Live(runs) as live:
        yield live


class Live(Session):
    """A live kernel in which the whole notebook is run again and again, each time with another option."""

    def __init__(self, runs: Path) -> None:
        super().__init__(NOTEBOOK, paths.LAB, WORKSHOP_RUNS=str(runs), PYTHONPATH=str(paths.LAB))

    def run(self, **settings: object) -> list:
        """Run all cells with some settings in place of the parameters cell's; the executed cells."""
        cells = self.notebook.cells
        at = next(index for index, cell in enumerate(cells) if cell["id"] == "options")
        stored = cells[at].source
        cells[at].source = "\n".join([stored, *(f"{name} = {value!r}" for name, value in settings.items())])
        for index, cell in enumerate(cells):
            if cell.cell_type == "code":
                self.client.execute_cell(cell, index)
        cells[at].source = stored
        return cells


def check_only(option: str, cells: list) -> dict[str, str]:
    """Every other option said one line and computed nothing; this one ended with a written comparison."""
    text = shown(cells)
    starts = {
        "A": "schedule-train",
        "B": "freeze-train",
        "C": "errors-confusion",
        "D": "track-train",
        "E": "sgd-run",
        "F": "range-sweep",
    }
    for letter, start in starts.items():
        name = start.split("-")[0]
        told = "".join(text[one] for one in text if one.startswith((name, "effects") if name == "range" else name))
        if letter == option:
            assert f"Option: {option}, " in text[f"{name}-result"]
            assert "What happened:" in text[f"{name}-result"]
        else:
            assert told.strip().startswith(f"Option {letter}, ")
            assert len(told.strip().splitlines()) == 1
    assert not any("Traceback" in one or "Warning" in one for one in text.values())
    return text


@pytest.mark.slow
def test_option_a_on_an_empty_log_makes_run_1_and_compares_three_schedules(runs):
    notebook = nbformat.read(runs / "out" / NOTEBOOK.name, as_version=4)
    text = check_only("A", notebook.cells)
    assert "There is no" not in text["run-one"]
    assert "Run 1: completed, recorded as" in text["run-one"]
    assert "To do: 4 runs, about" in text["schedule-train"]
    assert "average, two of the 3 seeds" in text["schedule-seeds"]
    assert len(pictures(notebook.cells)) == 2
    assert all(picture["metadata"]["image/png"]["alt"] for picture in pictures(notebook.cells))
    made = [Run.load(path.parent) for path in sorted(runs.glob("2*/run.json"))]
    assert [run.notebook for run in made] == ["script"] + ["04"] * 4
    assert {run.dials["SCHEDULER"] for run in made} == {"constant", "linear", "cosine"}
    assert len({run.seed for run in made}) == 3
    assert Run.load(runs / "out").dials["SCHEDULER"] == "cosine"
    assert (runs / "out" / "predictions.csv").is_file()
    assert "cosine" in (runs / "out" / "comparison.md").read_text()
    with_weights = [run.run_id for run in made if (runs / run.run_id / "model").is_dir()]
    assert with_weights == [made[0].run_id]
    log = pd.read_csv(runs / "experiment_log.csv", dtype=str)
    assert len(log) == 5
    noted = log.set_index("Scheduler")["Notes"].dropna()
    assert [told.split(";")[0] for told in noted[["linear", "cosine"]]] == ["Run 2 of option A", "Run 3 of option A"]
    assert made[0].run_id in noted["linear"]


@pytest.mark.slow
def test_option_b_freezes_more_and_more(kernel):
    cells = kernel.run(OPTION="B")
    text = check_only("B", cells)
    assert "script" in {run.notebook for run in map(Run.load, folders_of(kernel))}
    learning = [int(number.replace(",", "")) for number in re.findall(r"\s([\d,]{4,})\s", text["freeze-table"])][:4]
    assert learning == sorted(learning)
    assert learning[0] < learning[1] < learning[2] < learning[3]
    assert "Features of all sentences" in text["freeze-once"]
    names = {run.encoder["name"] for run in map(Run.load, folders_of(kernel))}
    assert "all-MiniLM-L6-v2 (head only)" in names


def folders_of(kernel: Live) -> list[Path]:
    return [path.parent for path in sorted(Path(kernel.variables["WORKSHOP_RUNS"]).glob("2*/run.json"))]


@pytest.mark.slow
def test_option_c_reads_the_predictions_and_trains_one_witness(kernel):
    before = len(folders_of(kernel))
    cells = kernel.run(OPTION="C")
    text = check_only("C", cells)
    # Its witness is a seed that option A has trained already.
    assert "is in your log already" in text["errors-again"]
    assert len(folders_of(kernel)) == before
    assert len(pictures(cells)) == 3
    assert "Expected calibration error" in text["errors-calibration"]
    assert all(source in text["errors-again"] for source in ("model", "border", "data"))


@pytest.mark.slow
def test_option_d_changes_one_thing_and_says_how_to_get_a_tracker(kernel):
    cells = kernel.run(OPTION="D", CHANGE={"BATCH_SIZE": 16})
    text = check_only("D", cells)
    assert "BATCH_SIZE = 16" in text["track-result"]
    for cell, name in (("track-local", "TensorBoard"), ("track-wandb", "Weights & Biases")):
        assert name in text[cell]
        assert len(text[cell].strip().splitlines()) in (1, 2, 3)
    assert "final/val_f1_macro" in text["track-both"]


@pytest.mark.slow
def test_option_e_puts_the_backup_lab_beside_run_1(kernel):
    cells = kernel.run(OPTION="E")
    text = check_only("E", cells)
    assert "has no run of the backup lab" in text["sgd-run"]
    assert "seconds per point" in text["sgd-cost"].replace("\n", " ")
    again = kernel.run(OPTION="E")
    assert "From your log:" in shown(again)["sgd-run"]


@pytest.mark.slow
def test_option_f_sweeps_tests_and_turns_each_dial(kernel):
    cells = kernel.run(OPTION="F")
    text = check_only("F", cells)
    assert "Suggested range" in text["range-sweep"]
    assert text["range-test"].count("recorded as") == 3
    assert "trial 1 of" in text["effects"]
    assert "the seed alone" in text["effects"]
    assert len(pictures(cells)) == 3
    assert (Path(kernel.variables["WORKSHOP_RUNS"]) / "dial_effects.csv").is_file()


@pytest.mark.slow
def test_a_plan_is_made_trained_and_held_against_what_happened(kernel):
    text = shown(kernel.run(OPTION="E", MINUTES=10, TRAIN_PLAN=False))
    assert "10 minutes: TRAIN_SUBSET = " in text["plan"]
    assert "Learning curve: doubling the sentences" in text["plan"]
    assert text["plan-train"].strip() == "Nothing planned was trained."


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"OPTOIN": "A"}, "Did you mean OPTION"),
        ({"OPTION": "G"}, "Allowed: A, B, C, D, E or F"),
        ({"OPTION": "A", "EPOHCS": "2"}, "Did you mean EPOCHS"),
        ({"OPTION": "A", "EPOCHS": "0"}, "EPOCHS"),
        ({"MINUTES": "-1"}, "MINUTES"),
        ({"FRESH": "True"}, "no setting of notebook 04"),
    ],
)
def test_a_setting_that_cannot_be_used_is_refused_before_anything_runs(settings, told):
    with pytest.raises(DialError, match=told):
        parameters("04", settings)


def test_dials_of_notebook_01_say_which_run_to_start_from():
    given = parameters("04", {"OPTION": "b", "EPOCHS": "3", "LR_PRESET": "1e-4"})
    assert given == {"OPTION": "B", "DIALS": {"EPOCHS": 3, "LR_PRESET": 1e-4}}


def test_the_options_cell_and_the_package_agree():
    cell = next(cell for cell in nbformat.read(NOTEBOOK, as_version=4).cells if cell["id"] == "options")
    assert cell.metadata["tags"] == ["parameters"]
    values: dict = {}
    exec(cell.source, values)
    named = {name: value for name, value in values.items() if name.isupper()}
    assert FurtherDials(**named) == FurtherDials()
    assert list(named) == FurtherDials.names()


def test_the_cells_are_short_named_and_without_outputs():
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    lengths = sorted(len([line for line in cell.source.splitlines() if line.strip()]) for cell in code)
    assert lengths[len(lengths) // 2] <= 8
    assert lengths[-1] <= 25
    assert not any(cell.outputs or cell.execution_count for cell in code)
    assert all(cell["id"].replace("-", "").isalpha() for cell in notebook.cells)
    assert [cell["id"] for cell in code if "parameters" in cell.metadata.get("tags", [])] == ["options"]


def test_the_questions_of_the_table_are_those_of_the_package():
    from tuning.further.options import TITLES

    table = next(cell for cell in nbformat.read(NOTEBOOK, as_version=4).cells if cell["id"] == "options-intro").source
    assert all(f"| {letter}, {title} |" in table for letter, title in TITLES.items())
