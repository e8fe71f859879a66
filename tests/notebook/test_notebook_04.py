"""Going Further executed for real with the embedded encoder: every option's notebook, on few sentences."""

import importlib.util
import os
import re
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from helpers.machines import Session
from IPython.core.inputtransformer2 import TransformerManager
from nbclient.exceptions import CellExecutionError

from tuning import paths
from tuning.dials import PlanDials
from tuning.encoder import adapters
from tuning.errors import DialError
from tuning.further.export import onnx_export
from tuning.further.options import OPTIONS
from tuning.notebook import notebook_settings
from tuning.notebook.session import notebook_file, notebook_files
from tuning.runs.record import Run
from tuning.runs.store import ADAPTER

NUMBERS = [number for number in notebook_files() if number.startswith("04")]


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
    """One kernel, in the options' folder, that forgets all names before a whole notebook is run in it."""

    def __init__(self, runs: Path) -> None:
        file = notebook_file("04B")
        own = {"WORKSHOP_RUNS": str(runs), "WORKSHOP_WORK": str(runs / "my_work")}
        super().__init__(file, file.parent, PYTHONPATH=str(paths.LAB), **own)

    def run_all(self, number: str, pasted: str = "", **settings: object) -> list:
        """Run all cells with some settings in place of the parameters cell's, and a pasted text; the executed cells."""
        forget = nbformat.v4.new_code_cell("%reset -f")
        self.notebook.cells = [forget, *nbformat.read(notebook_file(number), as_version=4).cells]
        for index, cell in enumerate(self.notebook.cells):
            if "parameters" in cell.metadata.get("tags", []):
                cell.source = "\n".join([cell.source, *(f"{name} = {value!r}" for name, value in settings.items())])
            if cell.source.startswith("%%pasted"):
                cell.source += pasted
            if cell.cell_type == "code":
                self.client.execute_cell(cell, index)
        return self.notebook.cells[1:]


def checked(option: str, cells: list) -> dict[str, str]:
    """What the cells put out: a written comparison at the end, and no warning."""
    text = shown(cells)
    (result,) = [words for cell, words in text.items() if cell.endswith("-result")]
    assert f"Option: {option}, {OPTIONS[option].title}" in result
    assert "What happened:" in result
    assert not any("Traceback" in words or "Warning" in words for words in text.values())
    return text


@pytest.mark.slow
def test_option_a_on_an_empty_log_makes_run_1_and_compares_three_schedules(runs):
    notebook = nbformat.read(runs / "out" / notebook_file("04A").name, as_version=4)
    text = checked("A", notebook.cells)
    assert "There is no" not in text["run-one"]
    assert "Run 1: completed, recorded as" in text["run-one"]
    assert "To do: 4 runs, about" in text["schedule-train"]
    assert "average, two of the 3 seeds" in text["schedule-seeds"]
    # One progress line for each training, however often it was updated.
    (train,) = [cell for cell in notebook.cells if cell["id"] == "schedule-train"]
    assert len([output for output in train.outputs if output.output_type == "display_data"]) == 2
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
    cells = kernel.run_all("04B")
    text = checked("B", cells)
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
    cells = kernel.run_all("04C")
    text = checked("C", cells)
    # Its witness is a seed that option A has trained already.
    assert "is in your log already" in text["errors-again"]
    assert len(folders_of(kernel)) == before
    assert len(pictures(cells)) == 3
    assert "Expected calibration error" in text["errors-calibration"]
    assert all(source in text["errors-again"] for source in ("model", "border", "data"))


@pytest.mark.slow
def test_option_d_changes_one_thing_and_says_how_to_get_a_tracker(kernel):
    cells = kernel.run_all("04D", CHANGE={"BATCH_SIZE": 16})
    text = checked("D", cells)
    assert "BATCH_SIZE = 16" in text["track-result"]
    for cell, name in (("track-local", "TensorBoard"), ("track-wandb", "Weights & Biases")):
        assert name in text[cell]
        assert len(text[cell].strip().splitlines()) in (1, 2, 3)
    assert "final/val_f1_macro" in text["track-both"]


@pytest.mark.slow
def test_option_e_puts_the_backup_lab_beside_run_1(kernel):
    cells = kernel.run_all("04E")
    text = checked("E", cells)
    assert "has no run of the backup lab" in text["sgd-run"]
    assert "seconds per point" in text["sgd-cost"].replace("\n", " ")
    again = kernel.run_all("04E")
    assert "From your log:" in shown(again)["sgd-run"]


@pytest.mark.slow
def test_option_f_sweeps_tests_and_turns_each_dial(kernel):
    cells = kernel.run_all("04F")
    text = checked("F", cells)
    assert "Suggested range" in text["range-sweep"]
    assert text["range-test"].count("recorded as") == 3
    assert "trial 1 of" in text["effects"]
    assert "the seed alone" in text["effects"]
    assert len(pictures(cells)) == 3
    assert (Path(kernel.variables["WORKSHOP_RUNS"]) / "dial_effects.csv").is_file()


needs_onnx = pytest.mark.skipif(not onnx_export.is_here(), reason="ONNX is optional: requirements/further.txt")


@needs_onnx
@pytest.mark.slow
def test_option_i_makes_the_model_smaller_and_notes_it_at_run_1(kernel):
    text = checked("I", kernel.run_all("04I"))
    assert "a scale for each output" in text["ship-measure"]
    assert "changed; of all others" in text["ship-changed"]
    assert "in a batch" in text["ship-neighbours"]
    assert "of the labels stayed." in text["ship-result"]
    assert "pip" not in text["packages"]


@needs_onnx
@pytest.mark.slow
def test_option_j_writes_a_page(kernel):
    text = checked("J", kernel.run_all("04J"))
    assert "Written: " in text["page-write"]
    assert "my_model.html" in text["page-write"]
    assert "The page has " in text["page-result"]


@pytest.mark.slow
def test_option_g_reads_what_an_assistant_answered_and_leaves_no_row(kernel):
    before = len(folders_of(kernel))
    with pytest.raises(CellExecutionError, match="TEXT_MAY_LEAVE is False"):
        kernel.run_all("04G")
    answered = "\n".join(f"S{number:02}: neutral" for number in range(1, 31))
    cells = kernel.run_all("04G", answered, TEXT_MAY_LEAVE=True, SECONDS=60, PRICE=0)
    text = checked("G", cells)
    assert "S01 " in text["ask-page"] and "Nothing was sent" in text["ask-page"]
    assert "30 of 30 sentences have an answer" in text["answers-read"]
    assert "2000" in text["costs"] and "the assistant is" in text["scores"]
    assert len(folders_of(kernel)) - before in (0, 1)  # option E may have trained the backup lab's run already


@pytest.mark.slow
@pytest.mark.skipif(not adapters.is_here(), reason="peft is optional: requirements/further.txt")
def test_option_h_tries_rates_and_keeps_a_small_adapter(kernel):
    cells = kernel.run_all("04H", RATES=("JUST_RIGHT", 1e-2))
    text = checked("H", cells)
    assert len(re.findall(r"LoRA, \S+: completed, recorded as", text["lora-train"])) == 2
    assert "head only: " in text["lora-train"]
    assert "The best rate is " in text["lora-rates"]
    assert "0.33%" in text["lora-table"]
    assert re.search(r"same label to (\d+) of \1 sentences", text["lora-merge"])
    assert "LoRA, JUST_RIGHT" in text["lora-result"]
    kept = [folder for folder in folders_of(kernel) if (folder / ADAPTER / adapters.WEIGHTS).is_file()]
    assert [Run.load(folder).adapter["rank"] for folder in kept] == [8, 8]


@pytest.mark.slow
def test_a_plan_is_made_trained_and_held_against_what_happened(kernel):
    text = shown(kernel.run_all("04", MINUTES=10, TRAIN_PLAN=False))
    assert "10 minutes: TRAIN_SUBSET = " in text["plan"]
    assert "Learning curve: doubling the sentences" in text["plan"]
    assert text["plan-train"].strip() == "Nothing planned was trained."


@pytest.mark.slow
def test_without_a_limit_nothing_is_planned_and_no_run_is_needed(kernel):
    text = shown(kernel.run_all("04", RUN_1="none"))
    assert text["plan"].strip() == "No plan: MINUTES and BUDGET are None."


def parameters(settings: dict[str, str]) -> tuple[str, dict]:
    number, settings = notebook_settings.of_option("04", settings)
    return number, notebook_settings.parameters(number, settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"OPTOIN": "A"}, "Did you mean OPTION"),
        ({"OPTION": "Z"}, f"Allowed: {', '.join(OPTIONS)}"),
        ({"OPTION": "A", "EPOHCS": "2"}, "Did you mean EPOCHS"),
        ({"OPTION": "A", "EPOCHS": "0"}, "EPOCHS"),
        ({"OPTION": "A", "HEAD_RATE": "1e-3"}, "HEAD_RATE is no setting of notebook 04A"),
        ({"OPTION": "B", "HEAD_RATE": "11"}, "up to 10"),
        ({"MINUTES": "-1"}, "MINUTES"),
        ({"FRESH": "True"}, "no setting of notebook 04"),
    ],
)
def test_a_setting_that_cannot_be_used_is_refused_before_anything_runs(settings, message):
    with pytest.raises(DialError, match=message):
        parameters(settings)


def test_an_option_names_its_notebook_and_dials_of_notebook_01_the_run_to_start_from():
    assert parameters({"OPTION": " b", "EPOCHS": "3", "LR_PRESET": "1e-4"}) == (
        "04B",
        {"DIALS": {"EPOCHS": 3, "LR_PRESET": 1e-4}},
    )
    assert parameters({"MINUTES": "10"}) == ("04", {"MINUTES": 10.0})


def cells_of(number: str) -> dict[str, nbformat.NotebookNode]:
    return {cell["id"]: cell for cell in nbformat.read(notebook_file(number), as_version=4).cells}


@pytest.mark.parametrize("number", NUMBERS)
def test_the_cell_of_dials_and_the_package_agree(number):
    (cell,) = [cell for cell in cells_of(number).values() if "parameters" in cell.metadata.get("tags", [])]
    kind = PlanDials if number == "04" else OPTIONS[number[2:]].dials
    values: dict = {}
    exec(cell.source, values)
    named = {name: value for name, value in values.items() if name.isupper()}
    assert kind(**named) == kind()
    assert list(named) == kind.names()
    used = [
        cell.source for cell in cells_of(number).values() if f"setup = {kind.__name__}.of(globals())" in cell.source
    ]
    assert len(used) == 1


@pytest.mark.parametrize("number", NUMBERS)
def test_the_cells_are_short_named_and_without_outputs(number):
    notebook = nbformat.read(notebook_file(number), as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    lengths = sorted(len([line for line in cell.source.splitlines() if line.strip()]) for cell in code)
    assert lengths[len(lengths) // 2] <= 8
    assert lengths[-1] <= 25
    assert not any(cell.outputs or cell.execution_count for cell in code)
    assert all(cell["id"].replace("-", "").isalpha() for cell in notebook.cells)


def test_every_option_has_a_notebook_a_module_and_its_row_on_the_page():
    assert [*OPTIONS] == [number[2:] for number in NUMBERS if number != "04"]
    # `documents --check` says whether this table is that of the package.
    page = cells_of("04")["options-intro"].source
    links = re.findall(r"^\| \*\*(\w)\*\* \[.*?\]\((.*?)\) \|", page, re.MULTILINE)
    assert links == [(letter, f"going_further/{option.notebook}.ipynb") for letter, option in OPTIONS.items()]


@pytest.mark.parametrize("letter", OPTIONS)
def test_an_option_s_notebook_says_what_its_row_says_and_asks_for_no_other(letter):
    option, cells = OPTIONS[letter], cells_of(f"04{letter}")
    assert notebook_file(f"04{letter}").stem == option.notebook
    module = f"tuning.further.{option.module}".replace("/", ".")
    assert importlib.util.find_spec(module)
    title = cells["title"].source
    assert title.startswith(f"# {letter}. {option.title[0].upper()}{option.title[1:]}\n")
    assert f"**{option.question}**" in title
    code = "\n".join(cell.source for cell in cells.values() if cell.cell_type == "code")
    assert f'session.start("04{letter}")' in code
    assert re.search(rf'\(\s*"{letter}", run_1', code)
    room, _, name = module.rpartition(".")
    assert re.search(rf"from {room}(\.{name}\b| import .*\b{name}\b)", code)
    assert "OPTION" not in code


def test_what_all_notebooks_of_options_have_is_the_same():
    for cell in ("place-intro", "place", "preflight-intro", "save-intro", "save", "come-back"):
        assert len({cells_of(number)[cell].source for number in NUMBERS if number != "04"}) == 1, cell
    # What Colab needs is the same in every notebook.
    assert cells_of("04")["place"].source in cells_of("04A")["place"].source


def test_the_first_cell_finds_the_package_in_a_kernel_that_nobody_has_set_up():
    place = TransformerManager().transform_cell(cells_of("04A")["place"].source)
    # Without what the launcher puts on the path of an environment.
    libraries = sysconfig.get_path("purelib")
    code = f"import sys\nsys.path.append({libraries!r})\n{place}\nimport tuning\nprint(tuning.__file__)"
    folder = notebook_file("04A").parent
    done = subprocess.run([sys.executable, "-S", "-c", code], cwd=folder, capture_output=True, text=True)
    assert done.stdout.strip() == str(paths.LAB / "tuning" / "__init__.py"), done.stderr
