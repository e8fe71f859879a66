"""Where the interpreter that is there is used: Colab, Codespaces and the same container elsewhere."""

import json
import subprocess
from pathlib import Path

import pytest
from helpers.projects import POSIX_ONLY, commented_json, run_the_containers_commands

from launcher.children import (
    CHILD_VARIABLES,
)
from launcher.settings import MAIN, ROOT


@pytest.mark.parametrize(("variables", "numpy"), [({"COLAB_RELEASE_TAG": "x"}, "1.0"), ({"CODESPACES": "true"}, "2.0")])
def test_cloud_uses_its_own_python(ready, interpreter, variables, numpy):
    done = ready.run("run", python=interpreter, **variables)
    assert done.returncode == 0, done.stderr
    assert Path(json.loads(done.stdout)["python"]) == interpreter.parent.parent
    assert not (ready.folder / ".venv").exists()
    assert (ready.folder / ".workshop" / "workshop-main.json").exists()
    has = subprocess.run([interpreter, "-c", "import numpy; print(numpy.VERSION)"], capture_output=True, text=True)
    assert has.stdout.strip() == numpy
    assert ready.run("run", python=interpreter, **variables).stderr == ""


@POSIX_ONLY
def test_container_is_ready_after_its_commands_though_the_hub_is_out_of_reach(ready, interpreter):
    ready.write(
        "lab/tuning/encoder/fetch.py",
        "import sys\nprint('error: the Hub cannot be reached', file=sys.stderr)\nsys.exit(2)\n",
    )
    ready.write("handouts/Activity_Worksheet.md", "# Worksheet: Übung\n")
    container = run_the_containers_commands(ready.folder, interpreter, **ready.environment())
    assert (ready.folder / ".workshop" / "workshop-main.json").is_file()
    assert not (ready.folder / ".venv").exists()
    assert (ready.folder / "my_work" / "Activity_Worksheet.md").read_text(encoding="utf-8") == "# Worksheet: Übung\n"
    for name in container["customizations"]["codespaces"]["openFiles"]:
        assert (ready.folder / name).is_file() or (ROOT / name).is_file()


@POSIX_ONLY
def test_container_is_not_ready_where_the_packages_cannot_be_installed(ready, interpreter):
    ready.write("requirements.txt", "tiny==99.0\n")
    with pytest.raises(AssertionError, match="updateContentCommand"):
        run_the_containers_commands(ready.folder, interpreter, **ready.environment())


def test_container_asks_for_the_smallest_machine_and_its_packages_fit():
    container = commented_json(".devcontainer/devcontainer.json")
    assert container["hostRequirements"] == {"cpus": 2, "memory": "8gb", "storage": "32gb"}
    assert container["containerEnv"].items() >= CHILD_VARIABLES.items()
    assert MAIN.disk_mb <= 3000, "what a comment there says"
    wanted = commented_json(".vscode/extensions.json")["recommendations"]
    assert container["customizations"]["vscode"]["extensions"] == wanted
    assert commented_json(".vscode/settings.json")["jupyter.notebookFileRoot"] == "${fileDirname}"


def test_colab_needs_no_jupyterlab(ready, interpreter):
    done = ready.run("lab", python=interpreter, COLAB_RELEASE_TAG="x")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
