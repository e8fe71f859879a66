"""Google Colab, simulated: an empty folder, one notebook, a Python full of packages, the workshop in a git remote.

Real are the notebook's cells, the kernel, git, pip and the workshop's package. Colab's own packages are this
environment's, seen through a path file, with a few small ones that are too old, newer, or missing.
"""

import json
import os
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.machines import Session, copy_of_the_workshop
from helpers.wheels import make_wheel

from maintain.repository import HOST, repository
from tuning.notebook.session import notebook_file

ADDRESS = f"{HOST}{repository()}.git"
PRESENT = {"tiny_old": "1.0", "tiny_new": "3.0", "tiny_busy": "1.0"}
WANTED = {"tiny_old": "2.0", "tiny_new": "2.0", "tiny_busy": "2.0", "tiny_missing": "2.0"}

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.name == "nt", reason="Colab is a Linux machine")]


class Colab:
    """A machine as Colab lends it."""

    def __init__(self, folder: Path) -> None:
        self.content = folder / "content"
        self.content.mkdir()
        self.python = folder / "python" / "bin" / "python"
        self.site_packages = Path(
            sysconfig.get_path("purelib", "venv", {"base": str(folder / "python"), "platbase": str(folder / "python")})
        )
        self.kernels = folder / "jupyter"
        self.wheels = folder / "wheels"
        self.remote = folder / "remote"

    def variables(self) -> dict[str, str]:
        return os.environ | {
            "COLAB_RELEASE_TAG": "release-colab",
            "JUPYTER_PATH": str(self.kernels),
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(self.wheels),
            "PIP_CONFIG_FILE": os.devnull,
            # What the real address stands for here.
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": f"url.{self.remote.as_uri()}.insteadOf",
            "GIT_CONFIG_VALUE_0": ADDRESS,
        }

    def version(self, module: str) -> str:
        code = f"import importlib.metadata as m; print(m.version({module!r}))"
        return subprocess.run([self.python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def colab(tmp_path, monkeypatch) -> Colab:
    machine = Colab(tmp_path)
    venv.create(tmp_path / "python", with_pip=False)
    stub = machine.site_packages / "google" / "colab"
    stub.mkdir(parents=True)
    (stub / "__init__.py").write_text("", encoding="utf-8")
    machine.wheels.mkdir()
    for name, version in [*WANTED.items(), *PRESENT.items()]:
        make_wheel(machine.wheels, name, version, f"VERSION = {version!r}\n")
    pip = [sys.executable, "-m", "pip", "--python", str(machine.python), "install", "-q", "--no-index", "--no-deps"]
    preinstalled = [machine.wheels / f"{name}-{version}-py3-none-any.whl" for name, version in PRESENT.items()]
    subprocess.run([*pip, *preinstalled], check=True)
    here = sysconfig.get_path("purelib")
    (machine.site_packages / "preinstalled.pth").write_text(f"{here}\nimport google.colab, tiny_busy\n")

    kernel = machine.kernels / "kernels" / "python3"
    kernel.mkdir(parents=True)
    argv = [str(machine.python), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (kernel / "kernel.json").write_text(json.dumps({"argv": argv, "display_name": "Python 3", "language": "python"}))

    copy_of_the_workshop(machine.remote)
    requirements = machine.remote / "requirements.txt"
    # Colab's torch and numpy stay, whatever the workshop was tested with.
    asked = [
        line.partition("==")[0] + "==99.0" if line.startswith(("torch==", "numpy==")) else line
        for line in requirements.read_text(encoding="utf-8").splitlines()
    ]
    requirements.write_text("\n".join([*asked, *map("==".join, WANTED.items())]) + "\n", encoding="utf-8")
    git = ["git", "-C", machine.remote, "-c", "user.name=a", "-c", "user.email=a@example.org"]
    for arguments in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-q", "-m", "a"]):
        subprocess.run([*git, *arguments], check=True)
    for name, value in machine.variables().items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    return machine


def opened(machine: Colab) -> Session:
    return Session(notebook_file("01"), machine.content)


@pytest.fixture
def session(colab) -> Iterator[Session]:
    with opened(colab) as first:
        yield first


def test_a_lone_notebook_brings_what_is_missing_and_keeps_what_is_there(colab, session):
    torch, numpy = colab.version("torch"), colab.version("numpy")
    said = session.run("place")
    assert said.splitlines()[-1] == (
        "Restart needed: tiny_busy was in use while another version was installed. Choose 'Restart session' in Colab's"
        " menu 'Runtime', then run all cells again: what is installed stays."
    )
    assert "Traceback" not in said
    # Without the restart it stays at that, and installs nothing again.
    assert session.run("place").startswith("Restart needed: tiny_busy")
    assert {name: colab.version(name) for name in WANTED} == WANTED | {"tiny_new": PRESENT["tiny_new"]}
    assert (colab.version("torch"), colab.version("numpy")) == (torch, numpy)
    with opened(colab) as after:
        assert after.run("place") == ""
        assert "[OK]   Python" in after.run("preflight")
        after.run("speed-dials")
        assert "800 sentences" in after.run("check-dials")
    assert [path.name for path in colab.content.iterdir()] == ["AI6-W6"]


def test_where_the_files_do_not_come_git_says_why(colab, session):
    colab.remote.rename(colab.remote.with_name("gone"))
    said = session.run("place")
    assert said.startswith("fatal: ")
    assert "No module named 'workshop'" in said


def test_another_repository_is_named_in_one_line(colab, session):
    """The address leads somewhere, and the notebooks' files are not there."""
    empty = colab.remote.with_name("another")
    subprocess.run(["git", "init", "--quiet", "--initial-branch=main", str(empty)], check=True)
    (empty / "README.md").write_text("Another repository\n", encoding="utf-8")
    author = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
    subprocess.run(["git", "-C", str(empty), "add", "."], check=True)
    subprocess.run(["git", "-C", str(empty), *author, "commit", "--quiet", "-m", "First"], check=True)
    colab.remote.rename(colab.remote.with_name("gone"))
    empty.rename(colab.remote)
    said = session.run("place")
    assert said.startswith("AI6-W6 has no workshop.py")
    assert "No module named 'workshop'" in said
