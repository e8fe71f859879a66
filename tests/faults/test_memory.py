"""Little memory: said before, and no kernel that dies without a word. And memory that stays the same over many runs."""

import os
import resource
import subprocess
import sys
import types
from pathlib import Path

import pytest
from helpers.machines import Session

from tuning import paths
from tuning.dials import Dials
from tuning.errors import RunError, WorkshopError
from tuning.notebook import headless, machine_checks
from tuning.notebook.session import notebook_file
from tuning.training import fit, machine
from tuning.training.speed.fast_trainer import FastTrainer

GB = 10**9
LIMIT = 2 * GB
GROUPS = Path("/sys/fs/cgroup")
RUNS = 20
MOST_GROWTH = 1.05
WARM_UP = 3

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits of memory are set as Linux sets them")


class Container:
    """A control group with a limit of memory, as a container has it: whoever goes over it is killed."""

    def __init__(self, name: str, limit: int) -> None:
        self.second = (GROUPS / "cgroup.controllers").exists()
        base = GROUPS if self.second else GROUPS / "memory"
        self.folder = base / name
        try:
            self.folder.mkdir()
            (self.folder / ("memory.max" if self.second else "memory.limit_in_bytes")).write_text(str(limit))
        except OSError as problem:
            self.remove()
            pytest.skip(f"no control group with a limit of memory can be made here ({problem.strerror})")

    def join(self) -> None:
        """In the child, before its program starts."""
        (self.folder / "cgroup.procs").write_text(str(os.getpid()))

    def remove(self) -> None:
        if self.folder.exists():
            self.folder.rmdir()


@pytest.fixture
def container():
    made = Container(f"workshop-{os.getpid()}", LIMIT)
    yield made
    made.remove()


def python(program: str, join=None, **environment: str) -> subprocess.CompletedProcess:
    everything = os.environ | {"PYTHONPATH": str(paths.LAB), "HF_HUB_OFFLINE": "1"} | environment
    command = [sys.executable, "-c", program]
    return subprocess.run(command, env=everything, preexec_fn=join, capture_output=True, text=True)


LOOK = "from tuning.notebook import machine_checks; print(*machine_checks.checks(), sep='\\n')"


def test_the_preflight_warns_in_a_container_of_two_gigabytes(container):
    """What the system has free is no help there: the machine outside may have much more."""
    told = python(LOOK, container.join).stdout
    (line,) = [line for line in told.splitlines() if "of memory is free" in line]
    assert line.startswith("[WARN]")
    assert "the backup lab (notebook 02)" in line
    assert 'MODEL = "embedded"' in line
    assert 1.5 <= float(line.split()[1]) <= 2.2


def test_the_preflight_warns_under_a_limit_of_the_shell():
    told = python(LOOK, lambda: resource.setrlimit(resource.RLIMIT_DATA, (LIMIT, LIMIT))).stdout
    (line,) = [line for line in told.splitlines() if "of memory is free" in line]
    assert line.startswith("[WARN]")


@pytest.mark.parametrize("version", [1, 2])
def test_a_containers_limit_is_read_in_both_forms(tmp_path, monkeypatch, version):
    """Page cache is given back when it is needed, so it does not count as used."""
    monkeypatch.setattr(machine, "CONTROL_GROUPS", tmp_path)
    monkeypatch.setattr(machine.psutil, "virtual_memory", lambda: types.SimpleNamespace(available=60 * GB))
    kind, limit, used, cache = {
        1: ("memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_cache"),
        2: ("", "memory.max", "memory.current", "file"),
    }[version]
    folder = tmp_path / kind
    folder.mkdir(exist_ok=True)
    for name, value in ((limit, 2 * GB), (used, GB), ("memory.stat", f"anon 1\n{cache} {GB // 2}\n")):
        (folder / name).write_text(str(value))
    lines = {1: "5:cpu:/\n4:memory:/somewhere/else\n", 2: "0::/docker/abc\n"}[version]
    real = Path.read_text
    monkeypatch.setattr(
        Path, "read_text", lambda path, **more: lines if str(path) == "/proc/self/cgroup" else real(path, **more)
    )
    assert machine.free_memory() == 1.5 * GB
    (folder / limit).write_text("max")
    assert machine.free_memory() == 60 * GB


def test_training_says_before_its_first_step_that_it_may_not_fit(tiny_distilbert, monkeypatch, capsys):
    monkeypatch.setattr(machine, "free_memory", lambda: 1_000_000.0)
    small = {"TRAIN_SUBSET": 24, "EPOCHS": 1, "MAX_LENGTH": 16, "PRECISION": "fp32"}
    fit.fit(Dials(MODEL=str(tiny_distilbert), **small), quiet=True)
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "too little memory" in line]
    for way_out in ("BATCH_SIZE", "MAX_LENGTH", 'MODEL = "embedded"', "backup lab"):
        assert way_out in line


@pytest.mark.parametrize(
    "problem",
    [
        MemoryError(),
        RuntimeError("[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory"),
    ],
)
def test_memory_that_runs_out_while_training_is_one_line(tiny_distilbert, monkeypatch, problem):
    def fail(*args, **more):
        raise problem

    monkeypatch.setattr(FastTrainer, "training_step", fail)
    small = {"TRAIN_SUBSET": 24, "EPOCHS": 1, "MAX_LENGTH": 16, "PRECISION": "fp32"}
    with pytest.raises(RunError, match="memory of this machine is full, so training stopped") as caught:
        fit.fit(Dials(MODEL=str(tiny_distilbert), **small), quiet=True)
    assert len(str(caught.value).splitlines()) == 1


def test_another_error_of_the_trainer_stays_what_it_is(tiny_distilbert, monkeypatch):
    def fail(*args, **more):
        raise RuntimeError("a bug")

    monkeypatch.setattr(FastTrainer, "training_step", fail)
    with pytest.raises(RuntimeError, match="a bug"):
        fit.fit(Dials(MODEL=str(tiny_distilbert), TRAIN_SUBSET=24, EPOCHS=1, PRECISION="fp32"), quiet=True)


def test_a_kernel_that_the_system_ends_is_one_line_of_the_command(monkeypatch, tmp_path):
    from nbclient.exceptions import DeadKernelError

    def die(*args, **more):
        raise DeadKernelError("Kernel died")

    monkeypatch.setattr(headless.papermill, "execute_notebook", die)
    with pytest.raises(WorkshopError, match="ended by the system, most likely for lack of memory"):
        headless.run_notebook("02", {}, tmp_path)


@pytest.mark.full
def test_notebook_01_in_a_container_of_two_gigabytes(container, monkeypatch, tmp_path):
    """The embedded encoder's default dials fit; what does not fit is announced before the kernel is gone."""
    environment = os.environ | {"WORKSHOP_RUNS": str(tmp_path), "PYTHONPATH": str(paths.LAB), "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-m", "tuning.notebook.headless", "--set", "MODEL=embedded", "--set", "EPOCHS=1"]
    more = ["--set", "TRAIN_SUBSET=120", "--out", str(tmp_path / "out")]
    done = subprocess.run(
        [*command, *more], env=environment, preexec_fn=container.join, capture_output=True, text=True, encoding="utf-8"
    )
    text = (tmp_path / "out" / notebook_file("01").name).read_text(encoding="utf-8") if done.returncode == 0 else ""
    assert "of memory is free" in text or "lack of memory" in done.stderr, done.stderr[-2000:]
    print("default encoder, two gigabytes:", "whole run" if done.returncode == 0 else done.stderr.strip()[-200:])


@pytest.mark.full
def test_a_run_too_large_for_its_container_says_so_before_it_is_killed(container):
    """600 MB are too little for the embedded encoder: the word comes first, whatever happens then."""
    limit = container.folder / ("memory.max" if container.second else "memory.limit_in_bytes")
    limit.write_text(str(650_000_000))
    options = [part for dial in ("MODEL=embedded", "BATCH_SIZE=64", "EPOCHS=1") for part in ("--set", dial)]
    program = f"from tuning.training import fit; sys.exit(fit.main({options}))"
    done = python(f"import sys; sys.stdout.reconfigure(line_buffering=True); {program}", container.join)
    print("650 MB:", done.returncode, done.stdout.strip()[:300])
    assert (
        done.returncode == 0
        or "too little memory" in done.stdout + done.stderr
        or "memory of this machine" in done.stderr
    )


LEAK = """
import gc, sys
import psutil
from tuning.training import machine
from {module} import {names}

def resident():
    gc.collect()
    machine.give_memory_back()
    return psutil.Process().memory_info().rss / 1e6

found = []
for number in range({runs}):
    {train}
    found.append(resident())
print(*(f"{{value:.0f}}" for value in found))
"""
LABS = {
    "main": {
        "module": "tuning",
        "names": "training; from tuning.dials import Dials",
        "train": "training.fit(Dials(MODEL='embedded', TRAIN_SUBSET=40, EPOCHS=1, GROUP=number % 12 + 1), quiet=True)",
    },
    "backup": {
        "module": "tuning",
        "names": "data, sgd; from tuning.dials import SgdDials; d = data.load(); s = data.split(d)",
        "train": "sgd.train(sgd.features(s, SgdDials(EPOCHS=2, GROUP=number % 12 + 1)), d, s)",
    },
}


@pytest.mark.full
@pytest.mark.parametrize("lab", LABS)
def test_memory_does_not_grow_over_twenty_runs(lab):
    """The first runs fill caches and buffers; after them the memory in use stays within 5%."""
    done = python(LEAK.format(runs=RUNS, **LABS[lab]))
    assert done.returncode == 0, done.stderr[-2000:]
    found = [float(word) for word in done.stdout.splitlines()[-1].split()]
    assert len(found) == RUNS
    print(f"{lab}: MB after each run: {done.stdout.splitlines()[-1]}")
    assert max(found[WARM_UP:]) <= MOST_GROWTH * found[WARM_UP - 1]


@pytest.mark.full
def test_memory_does_not_grow_over_twenty_runs_of_a_notebooks_cells(monkeypatch, tmp_path, tiny_distilbert):
    """One kernel, the cells from the dials to the curve again and again, figures included."""
    monkeypatch.setenv("WORKSHOP_RUNS", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(paths.LAB))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    dials = {"MODEL": str(tiny_distilbert), "TRAIN_SUBSET": 40, "EPOCHS": 1, "PRECISION": "fp32"}
    cells = ["check-dials", "load-data", "split", "encoder", "tokenise", "baseline", "preset"]
    cells += ["training-arguments", "trainer", "train", "before-after-picture", "confusion", "curve"]
    found = []
    import psutil

    with Session(notebook_file("01"), paths.LAB) as kernel:
        kernel.run("preflight")
        kernel.run("speed-dials", **dials)
        for _ in range(RUNS):
            told = {cell: kernel.run(cell) for cell in cells}
            assert "completed" in told["train"], told["train"]
            found.append(psutil.Process(kernel.client.km.provisioner.pid).memory_info().rss / 1e6)
    print("MB after each round:", *(f"{value:.0f}" for value in found))
    assert max(found[WARM_UP:]) <= MOST_GROWTH * found[WARM_UP - 1]


def test_the_preflight_and_the_document_want_the_same_memory():
    text = (paths.ROOT / "TROUBLESHOOTING.md").read_text(encoding="utf-8")
    assert f"less than {machine_checks.LEAST_MEMORY_GB:g} GB free" in text
