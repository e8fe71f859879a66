"""Cells in any order: first, alone, twice, mixed up, and with dials turned in between.

Every cell gives a right result or one clear line. What was trained is held against the same dials trained from top to
bottom: whichever way a record came about, its numbers are those of its dials.

The cells run in a real IPython shell in this process, with real training of a tiny encoder on few sentences.
"""

import dataclasses
import json
import os
import random
import re
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import matplotlib.pyplot as plt
import nbformat
import pandas as pd
import pytest
from helpers.rooms import room_lines

from tuning import paths
from tuning.data import loading as sentences
from tuning.dials import SgdDials
from tuning.errors import WorkshopError
from tuning.further import variations
from tuning.notebook import session
from tuning.notebook.session import notebook_file, notebook_files, sections_of_names
from tuning.runs.record import BACKUP_NOTEBOOK, Run
from tuning.sgd import classifier
from tuning.training import fit

SIZES = {"train": 60, "validation": 45, "test": 12}
ORDERS_IN_FULL = 50
PARAMETERS = {"01": "speed-dials", "02": "speed-dials", "03": "shared", "04": "plan-dials"}
TURNS = {
    "01": [
        "LR_PRESET = 'TOO_LOW'",
        "GROUP = 3",
        "TRAIN_SUBSET = 30",
        "EPOCHS = 2",
        "MAX_LENGTH = 16",
        "DATA = OTHER",
        "MODEL = ANOTHER",
        "BATCH_SIZE = 4",
        "PRECISION = 'bf16'",
        "",
    ],
    "02": [
        "LR_PRESET = 0.5",
        "GROUP = 3",
        "TRAIN_SUBSET = 30",
        "EPOCHS = 3",
        "LABEL_NOISE = 0.25",
        "LABEL_NOISE = 0.25; NOISY_VALIDATION = True",
        "DATA = OTHER",
        "BATCH_SIZE = 4",
        "",
    ],
    "03": ["not a line of the chat", ""],
    "04": ["MINUTES = 10", "MINUTES = 10; TRAIN_PLAN = True", "RUN_1 = 'none'", ""],
}
TRAINS = {"01": "train", "02": "train", "03": "collect", "04": "plan-train"}
for _number in notebook_files():
    if _number not in PARAMETERS:
        PARAMETERS[_number], TRAINS[_number] = "dials", "run-one"
        TURNS[_number] = ["CHANGE = {'EPOCHS': 2}", "RUN_1 = 'none'", ""]


@dataclasses.dataclass
class Told:
    """What a cell did: its text, and its error where it had one."""

    text: str
    error: BaseException | None


class Desk:
    """A notebook opened in an IPython shell; `start` forgets everything but what lies on disk."""

    def __init__(self, number: str, opening: str) -> None:
        from IPython.core.interactiveshell import InteractiveShell
        from traitlets.config import Config

        config = Config()
        config.HistoryManager.enabled = False
        config.InteractiveShell.colors = "nocolor"
        self.shell = InteractiveShell.instance(config=config)
        self.number = number
        self.at_first = {*self.shell.user_ns}
        notebook = nbformat.read(notebook_file(number), as_version=4)
        self.sources = {cell["id"]: cell.source for cell in notebook.cells if cell.cell_type == "code"}
        self.names = set(sections_of_names(notebook))
        self.sources[PARAMETERS[number]] += opening

    def start(self) -> None:
        # What its own reset would do as well is to collect garbage, half a second each time.
        for name in self.shell.user_ns.keys() - self.at_first:
            del self.shell.user_ns[name]
        self.shell.set_custom_exc((), None)
        # In a new kernel the import of the package does this; here it is imported already.
        session.one_line_errors()

    def run(self, cell: str, more: str = "") -> Told:
        from IPython.utils.capture import capture_output

        with capture_output() as caught, warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            result = self.shell.run_cell(f"{self.sources[cell]}\n{more}")
        plt.close("all")
        shown = [output.data.get("text/plain", "") for output in caught.outputs]
        return Told("\n".join([caught.stdout, *shown]), result.error_before_exec or result.error_in_exec)

    def check(self, cell: str, told: Told) -> None:
        """A right result, or one line."""
        if told.error is None:
            return
        if isinstance(told.error, NameError):
            assert told.error.name in self.names, (cell, told.error)
        else:
            assert isinstance(told.error, WorkshopError), (cell, repr(told.error), told.text[-2000:])
            assert len(str(told.error).splitlines()) == 1, cell
            assert told.text.strip().splitlines()[-1] == str(told.error), (cell, told.text)


@pytest.fixture(scope="module")
def corner(tmp_path_factory) -> dict[str, Path]:
    """Few bundled sentences as a CSV of one's own, other ones, and two tiny encoders of different width."""
    import torch
    from transformers import DistilBertConfig, DistilBertModel

    from tuning.encoder import finding as encoders

    folder = tmp_path_factory.mktemp("corner")
    splits = sentences.split(sentences.load())
    for name, seed in (("few", 1), ("other", 2)):
        parts = [sentences.subset(getattr(splits, part), size, seed) for part, size in SIZES.items()]
        pd.concat(parts).to_csv(folder / f"{name}.csv", index=False)
    for name, width in (("tiny", 32), ("another", 48)):
        torch.manual_seed(0)
        DistilBertModel(DistilBertConfig(dim=width, hidden_dim=64, n_layers=1, n_heads=2)).save_pretrained(
            folder / name
        )
        encoders.tokenizer(encoders.find("embedded")).save_pretrained(folder / name)
    return {path.stem: path for path in folder.iterdir()}


def opening(number: str, corner: dict[str, Path], chat: Path) -> str:
    """What stands in the cell of the dials, so that everything is small."""
    names = f"\nOTHER, ANOTHER = {str(corner['other'])!r}, {str(corner['another'])!r}\n"
    small = {"DATA": str(corner["few"]), "MODEL": str(corner["tiny"]), "EPOCHS": 1, "MAX_LENGTH": 24}
    small |= {"TRAIN_SUBSET": 40, "PRECISION": "fp32", "LR_PRESET": 1e-3}
    if number == "01":
        return names + "\n".join(f"{name} = {value!r}" for name, value in small.items())
    if number == "02":
        return names + f"DATA, TRAIN_SUBSET, EPOCHS = {small['DATA']!r}, 40, 2"
    return str(chat) if number == "03" else f"\nDIALS = {small!r}"


@pytest.fixture
def desk(corner, make_run, workshop_folders, monkeypatch) -> Iterator[Callable[[str], Desk]]:
    """Open a notebook: nothing on disk yet, and nobody asked for over the network."""
    from IPython.core.interactiveshell import InteractiveShell

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("IPYTHONDIR", str(workshop_folders / "ipython"))
    monkeypatch.chdir(paths.LAB)
    chat = workshop_folders / "chat.txt"
    chat.write_text("\n".join(room_lines(make_run)), encoding="utf-8")
    yield lambda number: Desk(number, opening(number, corner, chat))
    InteractiveShell.clear_instance()


def fresh_disk(workshop_folders: Path, name: str) -> None:
    for variable, folder in (("RUNS", "runs"), ("WORK", "my_work"), ("SHARE", "share")):
        os.environ[f"WORKSHOP_{variable}"] = str(workshop_folders / name / folder)


def numbers(run: Run) -> str:
    """All that the dials decide."""
    final = {name: value for name, value in run.final.items() if name != "layer_movement"}
    rows = [{name: value for name, value in row.items() if name != "seconds"} for row in run.epochs]
    return json.dumps([run.learning_rate, run.seed, run.steps, rows, run.majority, run.baseline, final])


class Truth:
    """The numbers of a record's dials, trained from top to bottom; each once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.known: dict[str, str] = {}

    def of(self, run: Run) -> str:
        backup = run.is_backup
        key = json.dumps([backup, run.dials])
        if key not in self.known:
            elsewhere = pytest.MonkeyPatch()
            elsewhere.setenv("WORKSHOP_RUNS", str(self.folder))
            dials = SgdDials(**run.dials) if backup else variations.dials_from(run.dials)
            if backup:
                data = sentences.load(dials.DATA)
                splits = sentences.split(data)
                again = classifier.train(classifier.features(splits, dials), data, splits)
            else:
                again = fit.fit(dials, quiet=True)
            self.known[key] = numbers(again)
            elsewhere.undo()
        return self.known[key]


@pytest.fixture(scope="module")
def truth(tmp_path_factory) -> Truth:
    return Truth(tmp_path_factory.mktemp("truth"))


def check_records(truth: Truth) -> int:
    """Every record on disk has the numbers of its dials."""
    found = [Run.load(path) for path in paths.runs().glob("2*/run.json")]
    for run in found:
        assert numbers(run) == truth.of(run), (run.run_id, run.dials)
    return len(found)


def top_to_bottom(desk: Desk) -> dict[str, Told]:
    told = {}
    for cell in desk.sources:
        told[cell] = desk.run(cell)
        assert told[cell].error is None, (cell, told[cell].text)
    return told


def test_the_first_import_makes_errors_readable(tmp_path):
    """A learner who begins in the middle: nothing but this cell was run."""
    cell = "from tuning.runs.store import last_run\n\nlast_run()"
    program = f"from IPython.core.interactiveshell import InteractiveShell as S; S.instance().run_cell({cell!r})"
    environment = os.environ | {"PYTHONPATH": str(paths.LAB), "IPYTHONDIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert done.stdout == 'There is no recorded run yet. Run the section "Train" first.\n', done.stderr


# What changes from one run of a cell to the next and is right to: times, names of runs, what is done already.
CHANGING = re.compile(r"\d{8}-\d{6}[\w.-]*|\d+:\d\d|[\d.,]+ (?:s|seconds|MB|GB)\b|\d+ gone|about [\d.]+")


def still(text: str) -> str:
    return re.sub(r"\s+", " ", CHANGING.sub("*", text))


@pytest.mark.parametrize("number", PARAMETERS)
def test_every_cell_may_be_the_first_one(desk, number):
    """In a kernel where nothing was run: not even the cell that makes errors readable."""
    opened = desk(number)
    for cell in opened.sources:
        opened.start()
        told = opened.run(cell)
        opened.check(cell, told)


@pytest.mark.parametrize("number", PARAMETERS)
def test_every_cell_alone_after_the_first_says_what_is_missing(desk, number):
    opened = desk(number)
    for cell in opened.sources:
        opened.start()
        opened.run("preflight")
        told = opened.run(cell)
        opened.check(cell, told)
        if told.error is not None:
            (line,) = told.text.strip().splitlines()
            assert "Run the section" in line or "first" in line, (cell, line)


# What has been done by the first time is not done again.
DIFFERENT = {
    "train",
    "own-rate",
    "fill-worksheet",
    "save",
    "beside",
    "schedule-train",
    "track-train",
    "preflight",
}
ONCE = {
    "train",
    "trainer",
    "own-rate",
    "checkpoint-setup",
    "checkpoint-experiment",
    "checkpoint-reflection",
    "evidence",
}
GROWING = {"worksheet-rows", "fill-worksheet", "save", "beside", "training-arguments", "preflight", "schedule-train"}


@pytest.mark.full
@pytest.mark.parametrize("number", PARAMETERS)
def test_every_cell_twice_says_the_same_twice(desk, number, truth):
    opened = desk(number)
    opened.start()
    for cell in opened.sources:
        first, second = opened.run(cell), opened.run(cell)
        assert first.error is None, (cell, first.text)
        opened.check(cell, second)
        trained = "recorded as" in first.text  # and what is in the log is not trained again
        if second.error is None and cell not in DIFFERENT and not trained:
            assert still(first.text) == still(second.text), cell
    assert check_records(truth) or number == "03"


def mixed_up(cells: list[str], rng: random.Random) -> list[str]:
    """All cells in an order that has nothing to do with the notebook's."""
    return rng.sample(cells, len(cells))


def wandering(cells: list[str], rng: random.Random) -> list[str]:
    """Down the notebook as a learner goes: cells left out, run twice, and now and then back to an earlier one."""
    order, at = [], 0
    while at < len(cells) and len(order) < 3 * len(cells):
        step = rng.random()
        if step < 0.06:
            at = rng.randrange(at + 1)
        elif step < 0.12:
            at += 1
            continue
        order.append(cells[at])
        if step < 0.2:
            order.append(rng.choice(cells))
        at += 1
    return order


def hurried(number: str, cells: list[str], rng: random.Random) -> list[str]:
    """To the cell that trains, and then again with a dial turned: some of the cells between are forgotten."""
    first, last = cells.index(PARAMETERS[number]), cells.index(TRAINS[number])
    order = cells[:last]
    for _ in range(3):
        between = [cell for cell in cells[first + 2 : last] if rng.random() < 0.75]
        order += [*cells[first : first + 2], *between, cells[last]]
        if number == "02":
            order.append("own-rate")
    return order + cells[last + 1 :]


def in_any_order(opened: Desk, seed: int, truth: Truth) -> int:
    rng = random.Random(f"{opened.number} {seed}")
    cells = list(opened.sources)
    ways = [mixed_up(cells, rng), wandering(cells, rng), hurried(opened.number, cells, rng)]
    order = ways[seed % 3]
    opened.start()
    opened.run("preflight")
    for place, cell in enumerate(order):
        turned = rng.choice(TURNS[opened.number]) if cell == PARAMETERS[opened.number] else ""
        told = opened.run(cell, turned)
        try:
            opened.check(cell, told)
        except AssertionError as wrong:
            raise AssertionError(f"order {seed}: {' '.join(order[: place + 1])}") from wrong
    return check_records(truth)


@pytest.mark.slow
@pytest.mark.parametrize("number", ["01", pytest.param("02", marks=pytest.mark.full)])
def test_cells_in_a_few_orders(desk, workshop_folders, number, truth):
    opened, trained = desk(number), 0
    for seed in (2, 4):
        fresh_disk(workshop_folders, f"order-{seed}")
        trained += in_any_order(opened, seed, truth)
    assert trained


@pytest.mark.full
@pytest.mark.parametrize("number", PARAMETERS)
def test_cells_in_fifty_orders_of_each_notebook(desk, workshop_folders, number, truth):
    opened, trained = desk(number), 0
    for seed in range(ORDERS_IN_FULL):
        fresh_disk(workshop_folders, f"order-{seed}")
        trained += in_any_order(opened, seed, truth)
    assert trained or number == "03"
    print(f"notebook {number}: {ORDERS_IN_FULL} orders, {trained} records, all with the numbers of their dials")


RUN_NAMES = re.compile(r"\b\d{8}-\d{6}-[a-z-]*[a-z](?:-\d+)?\b")


@pytest.mark.full
@pytest.mark.parametrize("second", ["TOO_LOW", "TOO_HIGH"])
def test_three_notebooks_at_once_keep_all_their_runs_and_show_their_own(few, tmp_path, second):
    """Notebook 01 twice with the same or with other dials, and notebook 02, all of them in one folder of runs."""
    runs = tmp_path / "runs"
    environment = os.environ | {"WORKSHOP_RUNS": str(runs), "PYTHONPATH": str(paths.LAB)}
    small = ["--set", "MODEL=embedded", "--set", f"DATA={few}", "--set", "TRAIN_SUBSET=48", "--set", "PRECISION=fp32"]
    notebooks = {
        "one": ("01", ["--preset", "TOO_HIGH", *small]),
        "two": ("01", ["--preset", second, *small]),
        "backup": (BACKUP_NOTEBOOK, []),
    }
    started = [
        subprocess.Popen(
            [
                sys.executable,
                "-m",
                "tuning.notebook.headless",
                "--mine",
                "--notebook",
                number,
                "--out",
                str(tmp_path / name),
                *settings,
            ],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name, (number, settings) in notebooks.items()
    ]
    for process in started:
        _, errors = process.communicate()
        assert process.returncode == 0, errors[-2000:]
    kept = {run.run_id: run for run in map(Run.load, runs.glob("2*/run.json"))}
    assert sorted(run.notebook for run in kept.values()) == ["01", "01", *[BACKUP_NOTEBOOK] * 3]
    log = pd.read_csv(runs / "experiment_log.csv")
    assert sorted(log["Run ID"]) == sorted(kept)
    assert not list(tmp_path.rglob("*.part*"))

    out = {name: Run.load(tmp_path / name) for name in notebooks}
    assert len({run.run_id for run in out.values()}) == 3
    assert (out["one"].preset, out["two"].preset, out["backup"].notebook) == ("TOO_HIGH", second, BACKUP_NOTEBOOK)
    if second == "TOO_HIGH":
        assert (out["one"].steps, out["one"].final) == (out["two"].steps, out["two"].final)
    for name, (number, _) in notebooks.items():
        assert out[name] == kept[out[name].run_id]
        cells = nbformat.read(tmp_path / name / notebook_file(number).name, as_version=4).cells
        after = [cell for cell in cells if "last_run(" in cell.source]
        named = {cell["id"]: {*RUN_NAMES.findall(json.dumps(cell.get("outputs", [])))} for cell in after}
        assert set().union(*named.values()) == {out[name].run_id}, (name, named)
