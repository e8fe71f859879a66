"""The whole thing, minutes long: the real packages."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.machines import copy_of_the_workshop
from helpers.projects import (
    POSIX_ONLY,
    copy_the_launcher,
    installed_versions,
    pinned,
    run_the_containers_commands,
    without_network,
)

from launcher.environment import Environment
from launcher.files import folder_mb
from launcher.settings import BACKUP, MAIN, ROOT


def copy_parts(folder: Path) -> None:
    """Copy what an installation reads."""
    copy_the_launcher(folder)
    for name in ("constraints.txt", "requirements.txt"):
        shutil.copy(ROOT / name, folder)
    shutil.copytree(ROOT / "requirements", folder / "requirements")


@pytest.mark.full
def test_real_installation(tmp_path):
    copy_parts(tmp_path)
    (tmp_path / "lab" / "tuning" / "notebook").mkdir(parents=True)
    headless = tmp_path / "lab" / "tuning" / "notebook" / "headless.py"
    headless.write_text("import torch, transformers\n", encoding="utf-8")
    for arguments in ([], ["--notebook", "02"]):
        subprocess.run([sys.executable, tmp_path / "workshop.py", "run", *arguments], check=True)
    environment = Environment(tmp_path, MAIN, "own")
    assert pinned("requirements.txt").items() <= installed_versions(environment.python).items()
    subprocess.run([environment.python, "-m", "pip", "check"], check=True)
    kernel = environment.home / "share" / "jupyter" / "kernels" / "python3" / "kernel.json"
    assert json.loads(kernel.read_text(encoding="utf-8"))["env"]["OMP_WAIT_POLICY"] == "PASSIVE"
    assert folder_mb(environment.home) < MAIN.disk_mb


@pytest.mark.full
def test_real_installation_of_the_backup_environment(tmp_path):
    copy_parts(tmp_path)
    (tmp_path / "lab" / "tuning" / "notebook").mkdir(parents=True)
    headless = tmp_path / "lab" / "tuning" / "notebook" / "headless.py"
    headless.write_text("import sklearn, pandas, papermill\n", encoding="utf-8")
    subprocess.run([sys.executable, tmp_path / "workshop.py", "run", "--notebook", "02"], check=True)
    environment = Environment(tmp_path, BACKUP, "own")
    assert "torch" not in installed_versions(environment.python)
    assert folder_mb(environment.home) < BACKUP.disk_mb


@pytest.mark.full
@POSIX_ONLY
def test_real_pack(tmp_path):
    here = copy_of_the_workshop(tmp_path / "here")
    subprocess.run([sys.executable, here / "workshop.py", "pack", tmp_path / "pack"], check=True)
    shutil.copytree(tmp_path / "pack" / "repository", tmp_path / "there")
    command = [sys.executable, tmp_path / "there" / "workshop.py", "run", "--from-pack", tmp_path / "pack"]
    environ = {
        name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "PYTHONPATH", "WORKSHOP_"))
    }
    dials = ["--set", "TRAIN_SUBSET=48", "--set", "EPOCHS=1", "--set", "MODEL=embedded"]
    subprocess.run(without_network(*command, *dials), env=environ | {"PIP_CONFIG_FILE": os.devnull}, check=True)
    assert list((tmp_path / "there" / "lab" / "runs").glob("*/run.json"))


@pytest.mark.full
@POSIX_ONLY
def test_real_container_commands(tmp_path):
    copy_of_the_workshop(tmp_path / "repository")
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "image"], check=True)
    python = tmp_path / "image" / "bin" / "python"
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    run_the_containers_commands(tmp_path / "repository", python, **environ)
    assert pinned("requirements.txt").items() <= installed_versions(python).items()
    assert folder_mb(tmp_path) < MAIN.disk_mb


@pytest.mark.full
def test_manual_route(tmp_path):
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "env"], check=True)
    python = tmp_path / "env" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    subprocess.run([python, "-m", "pip", "install", "-q", "-r", ROOT / "requirements.txt"], check=True)
    subprocess.run([python, "-m", "jupyterlab", "--version"], check=True)
    subprocess.run([python, "-c", "import torch, transformers, datasets, evaluate, accelerate"], check=True)
