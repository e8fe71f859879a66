"""A killed run goes on where its last whole epoch ended, and ends with the same weights."""

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from tuning import folders

DIALS = ("MODEL=embedded", "TRAIN_SUBSET=64", "EPOCHS=3", "PRECISION=fp32", "GROUP=5")
KILLS_BY_DEFAULT = 5
KILLS_IN_FULL = 50


def start(runs: Path, *more: str) -> subprocess.Popen:
    settings = [part for dial in (*DIALS, *more) for part in ("--set", dial)]
    environment = os.environ | {"WORKSHOP_RUNS": str(runs), "PYTHONPATH": str(folders.LAB)}
    return subprocess.Popen(
        [sys.executable, "-m", "tuning.training", *settings],
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


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory) -> str:
    runs = tmp_path_factory.mktemp("whole")
    finish(start(runs))
    return weights(runs)[0]


def kill_once_then_finish(runs: Path, moment: random.Random) -> None:
    """Kill the process at a random moment between its first checkpoint's start and its end, then run it again."""
    process = start(runs)
    while process.poll() is None and not list(runs.glob("*/checkpoints/checkpoint-*")):
        time.sleep(0.02)
    time.sleep(moment.uniform(0, 6))
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if not list(runs.glob("*/run.json")):
        finish(start(runs))


def check_whole(runs: Path, expected: str) -> None:
    assert weights(runs) == [expected]
    assert len(pd.read_csv(runs / "experiment_log.csv")) == 1
    assert not list(runs.rglob("*.part"))
    assert not list(runs.glob("*/checkpoints"))


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="SIGKILL is not a Windows signal")
@pytest.mark.parametrize("number", range(KILLS_BY_DEFAULT))
def test_a_killed_run_is_continued_to_the_same_weights(tmp_path, uninterrupted, number):
    kill_once_then_finish(tmp_path, random.Random(number))
    check_whole(tmp_path, uninterrupted)


@pytest.mark.full
@pytest.mark.skipif(os.name == "nt", reason="SIGKILL is not a Windows signal")
@pytest.mark.parametrize("number", range(KILLS_BY_DEFAULT, KILLS_IN_FULL))
def test_many_killed_runs_are_continued_to_the_same_weights(tmp_path, uninterrupted, number):
    kill_once_then_finish(tmp_path, random.Random(number))
    check_whole(tmp_path, uninterrupted)
