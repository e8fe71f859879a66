"""A disk that is full: one clear line, and what existed is as it was."""

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest
from helpers.machines import copy_of_the_workshop

from tuning import paths
from tuning.data import loading as sentences
from tuning.dials import Dials, SgdDials
from tuning.errors import WorksheetError, WorkshopError
from tuning.evidence import experiment_log, worksheet
from tuning.runs.record import Run
from tuning.runs.store import readable_runs
from tuning.sgd import classifier
from tuning.training import fit, resume

SMALL = {"TRAIN_SUBSET": 32, "EPOCHS": 3, "MAX_LENGTH": 16, "PRECISION": "fp32", "LR_PRESET": 1e-3}


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Callable[[float], Path]]:
    """Make a disk of so many megabytes: a real one, so that the system itself refuses to write."""
    with contextlib.ExitStack() as stack:

        def make(megabytes: float) -> Path:
            if not hasattr(os, "geteuid") or os.geteuid() != 0 or shutil.which("mount") is None:
                pytest.skip("a small tmpfs needs root and mount")
            folder = tmp_path / f"disk-{megabytes}"
            folder.mkdir()
            size = f"size={int(megabytes * 1e6)}"
            done = subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", folder], capture_output=True, text=True)
            if done.returncode:
                pytest.skip(f"a tmpfs cannot be mounted here: {done.stderr.strip()}")
            stack.callback(subprocess.run, ["umount", "--lazy", folder], check=True)
            return folder

        yield make


def fill(folder: Path, leave: int = 0) -> Path:
    """Use up a disk, but for so many bytes."""
    filler = folder / "filler"
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(100_000))
    with filler.open("r+b") as file:
        file.truncate(max(filler.stat().st_size - leave, 0))
    return filler


def line_of(act, *args) -> str:
    with pytest.raises(WorkshopError) as caught:
        act(*args)
    (line,) = str(caught.value).splitlines()
    return line


def content(folder: Path) -> dict[Path, bytes]:
    """Everything on a disk, but the locks and what fills it."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock" and path.name != "filler")
    return {path: path.read_bytes() for path in files}


def test_installing_is_refused_before_anything_is_written(small_disk):
    folder = copy_of_the_workshop(small_disk(60))
    before = content(folder)
    command = [sys.executable, "workshop.py", "check"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("WORKSHOP")}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 1
    assert "too little disk space" in done.stderr
    assert done.stderr.count("\n") == 1
    own = {".workshop", "__pycache__"}  # the launcher's notes, and the bytecode that Python keeps
    assert {path: raw for path, raw in content(folder).items() if not own & set(path.parts)} == before


def test_the_log_stays_whole(small_disk, make_run, monkeypatch):
    monkeypatch.setenv("WORKSHOP_RUNS", str(small_disk(1)))
    experiment_log.append(make_run(run_id="run-1"))
    before = content(paths.runs())
    filler = fill(paths.runs())
    told = line_of(experiment_log.append, make_run(run_id="run-2"))
    assert "No space left on device" in told
    assert content(paths.runs()) == before
    filler.unlink()
    experiment_log.append(make_run(run_id="run-2"))
    assert experiment_log.read_log()["Run ID"].tolist() == ["run-1", "run-2"]


def test_the_worksheet_stays_whole(small_disk, make_run, keep_run, monkeypatch):
    monkeypatch.setenv("WORKSHOP_WORK", str(small_disk(1)))
    keep_run(make_run(run_id="run-1"))
    worksheet.fill_worksheet()
    before = content(paths.work())
    keep_run(make_run(run_id="run-2"))
    filler = fill(paths.work())
    with pytest.raises(WorksheetError, match="No space left on device"):
        worksheet.fill_worksheet()
    assert content(paths.work()) == before
    filler.unlink()
    assert "run-2" in worksheet.fill_worksheet()
    assert "| run-2 |" in worksheet.filled_file().read_text(encoding="utf-8")


def test_a_run_of_the_backup_lab_that_cannot_be_written_is_one_line(small_disk, monkeypatch):
    monkeypatch.setenv("WORKSHOP_RUNS", str(small_disk(1)))
    data = sentences.load()
    splits = sentences.split(data)
    features = classifier.features(splits, SgdDials(TRAIN_SUBSET=60, EPOCHS=1))
    classifier.train(features, data, splits)
    before = content(paths.runs())
    filler = fill(paths.runs())
    told = line_of(classifier.train, features, data, splits)
    assert "cannot be written (No space left on device). Free some space" in told
    assert content(paths.runs()) == before
    filler.unlink()
    classifier.train(features, data, splits)
    assert len(readable_runs()[0]) == len(experiment_log.read_log()) == 2


def test_a_disk_without_room_for_a_run_refuses_it_before_training(small_disk, tiny_distilbert, monkeypatch):
    monkeypatch.setenv("WORKSHOP_RUNS", str(small_disk(20)))
    told = line_of(fit.fit, Dials(MODEL=str(tiny_distilbert), **SMALL), "script", True)
    assert told.startswith("There is no room for this run: it needs 54 MB of disk, ")


@pytest.mark.slow
@pytest.mark.parametrize(
    "left", [1_000_000, *(pytest.param(left, marks=pytest.mark.full) for left in (50_000, 300_000, 1_500_000))]
)
def test_a_disk_that_fills_while_a_checkpoint_is_written(small_disk, tiny_distilbert, monkeypatch, left):
    """Something else takes the room between the look at the disk and the writing."""
    monkeypatch.setenv("WORKSHOP_RUNS", str(small_disk(120)))
    dials = Dials(MODEL=str(tiny_distilbert), **SMALL)
    earlier = fit.fit(dials, quiet=True)
    before = content(earlier.folder)
    rows = experiment_log.read_log()["Run ID"].tolist()
    whole = resume.mark_whole
    with monkeypatch.context() as patch:
        patch.setattr(resume, "check_room", lambda *args: "")
        patch.setattr(resume, "room_for", lambda *args, **more: True)
        patch.setattr(resume, "mark_whole", lambda *args: (whole(*args), fill(paths.runs(), left)))
        told = line_of(fit.fit, dials, "script", True)
    assert told.startswith("The disk became full while this run was written.")
    assert content(earlier.folder) == before
    assert experiment_log.read_log()["Run ID"].tolist() == rows
    (paths.runs() / "filler").unlink()
    # The first checkpoint was whole, so nothing before it is lost.
    again = fit.fit(dials, quiet=True)
    assert (again.steps, again.final) == (earlier.steps, earlier.final)
    assert len(pd.read_csv(experiment_log.log_file())) == 2
    assert not list(paths.runs().rglob("*.part"))
    assert Run.load(again.folder).outcome == "completed"
