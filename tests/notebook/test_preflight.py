"""The preflight: what each line says on machines that this one is not, and what the whole is on this one."""

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import types
from pathlib import Path

import pytest
from helpers.hub_server import serving

from tuning import paths
from tuning.data import download
from tuning.dials import Dials
from tuning.encoder import finding
from tuning.notebook import machine_checks, preflight
from tuning.notebook.machine_checks import Check
from tuning.training import machine

SCREEN = 24
WIDTH = 120


def line(name: str) -> Check:
    """One line of the preflight; most read as ``(OK, ...)``."""
    return getattr(machine_checks, f"_{name}")()


def test_every_line_is_ok_warn_or_fail_and_one_screen_holds_them(capsys, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    code = preflight.report()
    lines = capsys.readouterr().out.splitlines()
    assert all(text[:7] in ("[OK]   ", "[WARN] ", "[FAIL] ") for text in lines)
    assert sum(-(-len(text) // WIDTH) for text in lines) <= SCREEN
    assert code == int(any(text.startswith("[FAIL]") for text in lines))
    said = "\n".join(lines)
    for part in ("Python", "torch", "memory", "disk", "processor", "GPU", "Hub", "folder", "how long"):
        assert part in said


def test_packages_that_are_missing_or_not_the_tested_ones_are_named(monkeypatch):
    real = importlib.metadata.version

    def version(name: str) -> str:
        if name == "evaluate":
            raise importlib.metadata.PackageNotFoundError(name)
        return "1.0" if name == "pandas" else real(name)

    installed = {name: real(name).split("+")[0] for name in machine_checks.NEEDED}
    monkeypatch.setattr(machine_checks, "_pins", lambda: installed)
    assert line("packages").status == "OK"
    monkeypatch.setattr(machine_checks, "NEEDED", ("torch", "pandas"))
    monkeypatch.setattr(importlib.metadata, "version", version)
    assert line("packages").status == "WARN"
    assert "pandas 1.0 (tested: " in line("packages").text
    monkeypatch.setattr(machine_checks, "NEEDED", ("torch", "pandas", "evaluate"))
    assert line("packages").status == "FAIL"
    assert "evaluate" in line("packages").text


@pytest.mark.parametrize(("free", "status"), [(5e9, "OK"), (1e9, "WARN")])
def test_memory(monkeypatch, free, status):
    monkeypatch.setattr(machine.psutil, "virtual_memory", lambda: types.SimpleNamespace(available=free))
    assert line("memory").status == status


@pytest.mark.parametrize(("free", "status"), [(5e9, "OK"), (0.5e9, "FAIL")])
def test_disk_and_the_exit_code_of_a_failure(monkeypatch, capsys, free, status):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: types.SimpleNamespace(free=free))
    assert line("disk").status == status
    assert preflight.report() == int(status == "FAIL")
    # What a failure may stand in the way of is not tried.
    assert ("how long" in capsys.readouterr().out) == (status == "OK")


def test_the_line_for_the_coach_comes_last_after_a_failure_too(monkeypatch, capsys):
    """It disappeared then, and it lacked what decides the room card."""
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: types.SimpleNamespace(free=0.5e9))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert preflight.report(probe=True) == 1
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("SEND THIS LINE: NOT READY, 1 [FAIL], ")
    assert "DistilBERT is" in last and "time not measured" in last and "version " in last


def test_a_single_core_and_a_number_of_threads_are_told(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    assert line("processor").status == "WARN"
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert line("processor").text.startswith("8 processor cores, training uses 2 (OMP_NUM_THREADS), ")


def test_the_fast_number_format_is_the_measured_one_or_what_the_processor_says(monkeypatch):
    monkeypatch.setattr(machine, "computes_bf16", lambda: None)
    assert "measured before the first run" in line("processor").text
    monkeypatch.setattr(machine, "computes_bf16", lambda: True)
    assert "bf16 is built in" in line("processor").text
    machine.write_whole(machine._memory_file(), f'{{"{machine.processor()} | 2 threads": "bf16"}}')
    assert "fastest in bf16 (measured)" in line("processor").text


@pytest.fixture
def nvidia(tmp_path, monkeypatch) -> Path:
    """An ``nvidia-smi`` that names a GPU."""
    if os.name == "nt":
        pytest.skip("a shell script stands for the program")
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 'A GPU of 16 GB'\n", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    return program


@pytest.mark.parametrize(("build", "status"), [("2.13.0+cpu", "WARN"), ("2.13.0", "OK"), ("2.13.0+cu128", "OK")])
def test_a_gpu_and_a_pytorch_that_cannot_use_it(nvidia, monkeypatch, build, status):
    monkeypatch.setattr(importlib.metadata, "version", lambda name: build)
    assert line("gpu").status == status
    assert "A GPU of 16 GB" in line("gpu").text


def test_no_gpu_or_a_driver_that_does_not_answer(nvidia):
    nvidia.write_text("#!/bin/sh\necho failed; exit 9\n", encoding="utf-8")
    assert line("gpu") == Check("OK", "no GPU: training uses the processor")


def test_where_the_encoder_comes_from(tmp_path, monkeypatch):
    monkeypatch.setenv("WORKSHOP_MODELS", str(tmp_path))
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    assert "comes from the Hub where MODEL asks for it" in line("encoder").text
    weights = tmp_path / finding.DISTILBERT.folder_name / "model.safetensors"
    weights.parent.mkdir()
    weights.touch()
    assert line("encoder") == Check("OK", "DistilBERT is on this machine: no Hub is needed")


@pytest.fixture
def hub_room(tmp_path, monkeypatch):
    """A Hub of our own, and a machine without DistilBERT."""
    for name in ("WORKSHOP_MODELS", "HF_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    for name in ("HF_HUB_OFFLINE", "HF_HUB_CACHE"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "tokenizer.json").write_text("{}", encoding="utf-8")
    with serving(tmp_path) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        yield server


@pytest.mark.parametrize(
    ("mood", "told"),
    [
        ("well", None),
        ("429", "too many requests (429)"),
        ("503", "error 503"),
        ("hangs", "has not answered within 0.3 s"),
    ],
)
def test_the_hub_is_asked_and_not_waited_for(hub_room, mood, told):
    hub_room.mood = mood
    reason = download.ask(finding.DISTILBERT)(0.3 if mood == "hangs" else 30)
    assert reason is None if told is None else told in reason


def test_the_hub_may_be_switched_off_or_out_of_reach(hub_room, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert download.ask(finding.DISTILBERT)(30) == "The Hugging Face Hub cannot be reached."
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert "switched off" in download.ask(finding.DISTILBERT)(0)


def test_the_whole_says_what_the_hub_says(hub_room, capsys):
    preflight.report(Dials())
    assert "[OK]   the Hugging Face Hub answers" in capsys.readouterr().out
    hub_room.mood = "429"
    assert preflight.report(Dials()) == 0
    assert "the Hub turns this address away for now: too many requests (429). Without DistilBERT this run uses the" in (
        capsys.readouterr().out
    )


def test_the_hub_is_asked_only_where_a_dial_wants_it(hub_room, capsys, monkeypatch):
    asked = []
    monkeypatch.setattr(
        download, "ask", lambda repository: asked.append(repository.name) or (lambda seconds: "No answer.")
    )
    preflight.report()
    preflight.of_dials(Dials(MODEL="embedded"))
    assert asked == []
    assert "Hub answers" not in capsys.readouterr().out
    assert "Without DistilBERT" in str(preflight.of_dials(Dials())[-1])
    assert "Without PhraseBank" in str(preflight.of_dials(Dials(MODEL="embedded", DATA="phrasebank"))[-1])
    assert asked == ["distilbert/distilbert-base-uncased", "takala/financial_phrasebank"]


def test_a_large_validation_part_is_said_beside_the_dials(tmp_path):
    path = tmp_path / "large.csv"
    words = {"negative": "fell", "neutral": "met", "positive": "rose"}
    rows = [f"Sales number {row} {word},{label}" for row in range(4_600) for label, word in words.items()]
    path.write_text("sentence,label\n" + "\n".join(rows) + "\n", encoding="utf-8")
    told = preflight.of_dials(Dials(MODEL="embedded", DATA=str(path)))[-1].text
    assert told.startswith("2,070 validation sentences: 2,000 of them are scored after each epoch and 2,070 before and")


@pytest.mark.parametrize("dial", ["DATA", "MODEL"])
def test_a_path_that_leads_nowhere_is_said_beside_the_dials(dial):
    told = preflight.of_dials(Dials(**{"MODEL": "embedded", dial: "no_such_place"}))[-1]
    assert told.status == "FAIL"
    assert "no_such_place" in told.text


def test_another_copy_of_the_workshop_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(paths.LAB)
    assert line("folder") == Check("OK", f"the workshop's folder is {paths.ROOT.name}")
    (tmp_path / "lab" / "tuning").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "lab")
    assert line("folder").status == "WARN"
    assert tmp_path.name in line("folder").text


def test_a_synchronised_folder_and_one_without_rights_are_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(paths, "ROOT", tmp_path / "OneDrive - Company" / "workshop")
    assert line("folder").status == "WARN"
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert line("folder").status == "FAIL"


def test_changed_files_are_named_but_not_notebooks(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    for name in ("lab/tuning/runs/record.py", "lab/data/a.csv", "lab/01_a.ipynb", "workshop.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("1\n", encoding="utf-8")
    assert "not known" in line("files").text
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@example.org"]
    for arguments in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "a"]):
        subprocess.run([*git, *arguments], check=True)
    (tmp_path / "lab/01_a.ipynb").write_text("2\n", encoding="utf-8")
    (tmp_path / "lab/data/own.csv").write_text("mine\n", encoding="utf-8")
    assert line("files") == Check("OK", "package and data are as published")
    for name in ("lab/tuning/runs/record.py", "lab/data/a.csv", "workshop.py"):
        (tmp_path / name).write_text("2\n", encoding="utf-8")
    assert line("files").status == "WARN"
    assert "lab/data/a.csv, lab/tuning/runs/record.py and 1 more" in line("files").text


@pytest.mark.slow
def test_the_command_measures_this_machine_though_the_home_folder_is_locked():
    locked = dict.fromkeys(("HOME", "USERPROFILE"), str(Path(os.devnull, "home")))
    environment = os.environ | locked | {"PYTHONPATH": str(paths.LAB), "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-m", "tuning.notebook.preflight", "--set", "MODEL=embedded", "--minutes", "3"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 0, done.stdout + done.stderr
    timed, last = done.stdout.splitlines()[-2:]
    assert "dials take about" in timed
    assert "In 3 minutes fit TRAIN_SUBSET = " in timed
    parts = (
        r"SEND THIS LINE: READY, \d \[WARN\]; DistilBERT is (not )?here.*; a run takes .+; version \w+; Python 3\.\d+"
    )
    assert re.fullmatch(parts, last)


def test_the_first_cell_waits_for_no_large_library():
    code = "import sys; from tuning.notebook import preflight, session; print(*sys.modules)"
    environment = os.environ | {"PYTHONPATH": str(paths.LAB)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert not {"pandas", "matplotlib", "sklearn", "torch", "transformers", "datasets"} & set(done.stdout.split())
