"""The same machine and the same dials give the same numbers, to the last bit; other thread counts nearly the same."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tuning import paths
from tuning.runs.record import Run

MAIN = ("MODEL=embedded", "TRAIN_SUBSET=64", "EPOCHS=2", "PRECISION=fp32")
# Another number of threads adds in another order. Over the few steps here the losses stay this close, in nats; over a
# long run the differences grow as every small difference does, so two machines agree in what they show, not in bits.
TOLERANCE_LOSS = 5e-3
BACKUP = (
    "from tuning.data import loading as data; from tuning.sgd import classifier as sgd; "
    "from tuning.dials import SgdDials; d = data.load(); s = data.split(d);"
    "sgd.train(sgd.features(s, SgdDials()), d, s)"
)
CHANGING = {"run_id", "started", "timing", "machine"}


def trained(lab: str, runs: Path, threads: int = 1) -> Run:
    """One run in a process of its own."""
    settings = [part for dial in MAIN for part in ("--set", dial)]
    command = ["-m", "tuning.training.fit", *settings] if lab == "main" else ["-c", BACKUP]
    environment = os.environ | {"WORKSHOP_RUNS": str(runs), "PYTHONPATH": str(paths.LAB)}
    environment |= {"OMP_NUM_THREADS": str(threads), "PYTHONHASHSEED": str(threads)}
    done = subprocess.run([sys.executable, *command], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return Run.load(next(runs.glob("*/run.json")))


def metrics(run: Run) -> str:
    """Everything in the record but its times and its name."""
    kept = {name: value for name, value in vars(run).items() if name not in CHANGING}
    kept["epochs"] = [{key: value for key, value in row.items() if key != "seconds"} for row in run.epochs]
    return json.dumps(kept, sort_keys=True)


@pytest.mark.parametrize("lab", [pytest.param("main", marks=pytest.mark.full), "backup"])
def test_two_fresh_processes_give_the_same_bits(tmp_path, lab):
    first, second = (trained(lab, tmp_path / name) for name in ("first", "second"))
    assert metrics(first) == metrics(second)
    files = [next((tmp_path / name).glob("*/predictions.csv")).read_bytes() for name in ("first", "second")]
    assert files[0] == files[1]


@pytest.mark.full
def test_another_number_of_threads_gives_nearly_the_same(tmp_path):
    first, second = (trained("main", tmp_path / str(threads), threads) for threads in (1, 2))
    assert (first.machine["threads"], second.machine["threads"]) == (1, 2)
    apart = [abs(one["loss"] - other["loss"]) for one, other in zip(first.steps, second.steps, strict=True)]
    ends = abs(first.final["val_loss"] - second.final["val_loss"])
    print(f"one thread and two: steps at most {max(apart):.2e} nats apart, validation loss {ends:.2e}")
    assert max(*apart, ends) < TOLERANCE_LOSS


@pytest.mark.full
def test_the_backup_lab_does_not_depend_on_threads(tmp_path):
    first, second = (trained("backup", tmp_path / str(threads), threads) for threads in (1, 2))
    assert metrics(first) == metrics(second)
