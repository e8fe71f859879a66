"""A killed run goes on after its last whole epoch, to the same weights; a stopped one keeps its record."""

import contextlib
import hashlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from helpers.machines import Session

from tuning import paths
from tuning.notebook.session import notebook_file
from tuning.runs.record import Run
from tuning.training import resume

DIALS = {"MODEL": "embedded", "TRAIN_SUBSET": 56, "EPOCHS": 3, "PRECISION": "fp32", "GROUP": 5}
KILLS_BY_DEFAULT = 3
KILLS_IN_FULL = 50
BEFORE_TRAINING = ("preflight", "speed-dials", "check-dials", "load-data", "split", "encoder", "tokenise", "baseline")
BEGIN_TRAINING = ("preset", "training-arguments", "trainer")

pytestmark = pytest.mark.skipif(os.name == "nt", reason="SIGKILL is not a Windows signal")


def start(runs: Path, few: Path, module: str = "tuning.training.fit", **dials: object) -> subprocess.Popen:
    dials = DIALS | {"DATA": few} | dials
    settings = [part for name, value in dials.items() for part in ("--set", f"{name}={value}")]
    environment = os.environ | {"WORKSHOP_RUNS": str(runs), "PYTHONPATH": str(paths.LAB)}
    return subprocess.Popen(
        [sys.executable, "-m", module, *settings, *(["--mine"] if module == "tuning.notebook.headless" else [])],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def finish(process: subprocess.Popen) -> None:
    _, errors = process.communicate()
    assert process.returncode == 0, errors[-2000:]


def weights(runs: Path) -> list[str]:
    found = runs.glob("*/model/model.safetensors")
    return [hashlib.sha256(path.read_bytes()).hexdigest() for path in found]


def wait_for_its_folder(process: subprocess.Popen, runs: Path) -> None:
    while process.poll() is None and not list(runs.glob(f"*/{resume.CHECKPOINTS}")):
        time.sleep(0.02)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory, few) -> tuple[str, float]:
    """Hash of the weights of a run that nobody disturbed, and the seconds that it took from its folder to its end."""
    runs = tmp_path_factory.mktemp("whole")
    process = start(runs, few)
    wait_for_its_folder(process, runs)
    begin = time.monotonic()
    finish(process)
    return weights(runs)[0], time.monotonic() - begin


def kill_once_then_finish(runs: Path, few: Path, moment: random.Random, seconds: float) -> None:
    """Kill the process at a random moment between the making of its folder and its end, then run it again."""
    process = start(runs, few)
    wait_for_its_folder(process, runs)
    time.sleep(moment.uniform(0, seconds))
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    if not list(runs.glob("*/run.json")):
        finish(start(runs, few))


def check_whole(runs: Path, expected: str) -> None:
    """One run with the expected weights, once in the log, and no half file anywhere."""
    assert weights(runs) == [expected]
    assert len(pd.read_csv(runs / "experiment_log.csv")) == 1
    assert not list(runs.rglob("*.part"))
    assert not list(runs.rglob(f"{resume.CHECKPOINTS}/*"))
    assert len(list(runs.glob("*/run.json"))) == 1
    assert len(list(runs.glob("*/predictions.csv"))) == 1


@pytest.mark.slow
@pytest.mark.parametrize("number", range(KILLS_BY_DEFAULT))
def test_a_killed_run_is_continued_to_the_same_weights(tmp_path, few, uninterrupted, number):
    expected, seconds = uninterrupted
    kill_once_then_finish(tmp_path, few, random.Random(number), seconds)
    check_whole(tmp_path, expected)


@pytest.mark.full
@pytest.mark.parametrize("number", range(KILLS_BY_DEFAULT, KILLS_IN_FULL))
def test_many_killed_runs_are_continued_to_the_same_weights(tmp_path, few, uninterrupted, number):
    expected, seconds = uninterrupted
    kill_once_then_finish(tmp_path, few, random.Random(number), seconds)
    check_whole(tmp_path, expected)


@contextlib.contextmanager
def ready_to_train(monkeypatch, runs: Path, few: Path, **dials: object) -> Iterator[Session]:
    """A kernel in which everything before the training cell has run."""
    monkeypatch.setenv("WORKSHOP_RUNS", str(runs))
    monkeypatch.setenv("PYTHONPATH", str(paths.LAB))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with Session(notebook_file("01"), paths.LAB) as kernel:
        for cell in BEFORE_TRAINING:
            kernel.run(cell, **(DIALS | {"DATA": str(few)} | dials if cell == "speed-dials" else {}))
        for cell in BEGIN_TRAINING:
            kernel.run(cell)
        yield kernel


def once_trained(runs: Path, act) -> threading.Thread:
    """Do something as soon as the first epoch of a run is whole."""

    def watch() -> None:
        deadline = time.monotonic() + 300
        while time.monotonic() < deadline and not list(runs.glob(f"*/{resume.CHECKPOINTS}/*/{resume.MARK}")):
            time.sleep(0.02)
        act()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    return thread


@pytest.mark.full
def test_the_stop_button_keeps_the_record_and_the_next_cells_work(monkeypatch, tmp_path, few):
    """The stop button of the notebook itself: an interrupt that the kernel gets in the middle of its training cell."""
    with ready_to_train(monkeypatch, tmp_path, few, EPOCHS=30) as kernel:
        stop = once_trained(tmp_path, lambda: os.kill(kernel.client.km.provisioner.pid, signal.SIGINT))
        told = kernel.run("train")
        stop.join()
        assert "Stopped by hand. What was recorded so far is kept." in told
        assert ": interrupted after" in told
        for cell in ("convergence", "before-after", "curve", "verdict", "weight-movement", "fill-worksheet"):
            assert "Error" not in kernel.run(cell), cell
    run = Run.load(next(tmp_path.glob("*/run.json")))
    assert (run.outcome, len(run.epochs) >= 1) == ("interrupted", True)
    assert run.final["val_loss"] is not None
    assert len(pd.read_csv(tmp_path / "experiment_log.csv")) == 1
    assert not list(tmp_path.rglob("*.part"))


@pytest.mark.slow
def test_ctrl_c_in_a_terminal_keeps_the_record_and_is_one_line(monkeypatch, tmp_path, few):
    """``workshop.py run``: the terminal interrupts the program, not the kernel, which has a session of its own."""
    growing = tmp_path / "growing"
    growing.mkdir()
    monkeypatch.setenv("TMPDIR", str(growing))
    process = start(tmp_path, few, "tuning.notebook.headless", EPOCHS=30)
    once_trained(tmp_path, lambda: os.killpg(process.pid, signal.SIGINT)).join()
    told = last_words(process)
    assert "Stopping. A run in training is measured and kept first" in told
    kept = next(tmp_path.glob("*.stopped.ipynb"))
    assert f"The cells that were run are in {kept.as_posix()}" in told
    cells = {cell.id: cell for cell in nbformat.read(kept, as_version=4).cells}
    assert cells["baseline"].outputs
    assert "Stopped by hand" in str(cells["train"].outputs)
    assert not cells["verdict"].outputs
    run = Run.load(next(tmp_path.glob("*/run.json")))
    assert (run.outcome, len(run.epochs) >= 1) == ("interrupted", True)
    assert len(pd.read_csv(tmp_path / "experiment_log.csv")) == 1
    assert not list(tmp_path.rglob("*.part*"))
    assert not list(growing.glob("notebook-*"))


def last_words(process: subprocess.Popen) -> str:
    """What a stopped program had told by its end; before its last line stands the bar, which draws over itself."""
    _, told = process.communicate()
    assert process.returncode == 130
    assert "Traceback" not in told
    assert told.splitlines()[-1].startswith("Stopped by hand.")
    return told


@pytest.mark.full
def test_a_second_ctrl_c_leaves_at_once_and_costs_no_work(tmp_path, few):
    process = start(tmp_path, few, "tuning.notebook.headless", EPOCHS=30)

    def press_twice() -> None:
        os.killpg(process.pid, signal.SIGINT)
        time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)

    once_trained(tmp_path, press_twice).join()
    last_words(process)
    # A small run may be written down in the moment that the kernel is given to end; a large one is continued.
    stopped = [Run.load(path).outcome for path in tmp_path.glob("*/run.json")]
    assert stopped in ([], ["interrupted"])
    finish(start(tmp_path, few, EPOCHS=30))
    outcomes = sorted(Run.load(path).outcome for path in tmp_path.glob("*/run.json"))
    assert outcomes == ["completed", *stopped]
    assert len(pd.read_csv(tmp_path / "experiment_log.csv")) == len(outcomes)
    assert not list(tmp_path.glob(f"*/{resume.CHECKPOINTS}/*"))


@pytest.mark.full
def test_a_killed_kernel_is_continued_in_a_new_one(monkeypatch, tmp_path, few):
    """The same as above with the notebook's own kernel: it is gone, and the cells are run again from the top."""
    with ready_to_train(monkeypatch, tmp_path, few) as kernel:
        kill = once_trained(tmp_path, lambda: os.kill(kernel.client.km.provisioner.pid, signal.SIGKILL))
        with pytest.raises(RuntimeError, match="Kernel died"):
            kernel.run("train")
        kill.join()
    with ready_to_train(monkeypatch, tmp_path, few) as kernel:
        assert ": completed after" in kernel.run("train")
    whole = tmp_path / "whole"
    finish(start(whole, few))
    assert weights(tmp_path)[0] == weights(whole)[0]
    assert len(pd.read_csv(tmp_path / "experiment_log.csv")) == 1
