"""Projects that the launcher's tests use: a fresh one, one that is installed, and a cloud's Python."""

import shutil
import subprocess
from pathlib import Path

import pytest
from helpers.projects import Project
from helpers.wheels import make_wheel


@pytest.fixture(scope="session")
def wheels(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheels")
    for version in ("1.0", "2.0"):
        make_wheel(folder, "tiny", version, f"VERSION = {version!r}\n")
        make_wheel(folder, "numpy", version, f"VERSION = {version!r}\n")
    make_wheel(folder, "pytest", "99.0", "import json, os, sys\nprint(json.dumps([os.getcwd(), *sys.argv[1:]]))\n")
    return folder


@pytest.fixture
def fresh(tmp_path, wheels) -> Project:
    """Give a project in which nothing is installed."""
    return Project.make(tmp_path, wheels)


@pytest.fixture(scope="session")
def template(tmp_path_factory, wheels) -> tuple[Project, subprocess.CompletedProcess]:
    project = Project.make(tmp_path_factory.mktemp("template"), wheels)
    return project, project.run("run")


@pytest.fixture
def ready(template, tmp_path) -> Project:
    """Give a project of its own, as it is after the first use."""
    original, first = template
    assert first.returncode == 0, first.stderr
    copy = tmp_path / original.folder.name
    shutil.copytree(original.folder, copy, symlinks=True)
    return Project(copy, original.wheels)


@pytest.fixture
def interpreter(ready, tmp_path) -> Path:
    """Give a Python that stands for a cloud's own: with pip, and an older numpy than is asked for."""
    folder = tmp_path / "cloud"
    shutil.copytree(ready.folder / ".venv", folder, symlinks=True)
    python = folder / ready.python.relative_to(ready.folder / ".venv")
    pip = [python, "-m", "pip", "-q"]
    subprocess.run([*pip, "uninstall", "-y", "tiny"], env=ready.environment(), check=True)
    subprocess.run([*pip, "install", "numpy==1.0"], env=ready.environment(), check=True)
    for file in folder.rglob("workshop.pth"):
        file.unlink()
    shutil.rmtree(ready.folder / ".venv")
    ready.write("requirements.txt", "tiny==1.0\nnumpy==2.0\n")
    return python
