"""The door: every Python gets an answer, and nothing that lies around is taken for a library."""

import ast
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.projects import (
    POSIX_ONLY,
)

from launcher.settings import ROOT

READ_BY_EVERY_PYTHON = ("workshop.py", "launcher/__init__.py", "launcher/pythons.py")


@pytest.mark.parametrize("name", READ_BY_EVERY_PYTHON)
def test_every_python_can_read_what_says_that_it_is_too_old(name):
    """Where no Python 2.7 or 3.6 is: Python 3.4's grammar, without what 2.7 does not have either."""
    source = (ROOT / name).read_text(encoding="ascii")
    for node in ast.walk(ast.parse(source, feature_version=(3, 4))):
        assert not isinstance(node, (ast.JoinedStr, ast.AnnAssign, ast.NamedExpr, ast.Starred, ast.Nonlocal)), (
            node.lineno
        )
        assert not isinstance(node, (ast.AsyncFunctionDef, ast.YieldFrom, ast.MatMult)), node
        if isinstance(node, ast.arguments):
            assert not node.kwonlyargs and not node.posonlyargs
            assert not any(argument.annotation for argument in node.args)
        if isinstance(node, ast.FunctionDef):
            assert node.returns is None
        if isinstance(node, ast.ImportFrom):
            assert node.module != "__future__"
        if isinstance(node, ast.Raise):
            assert node.cause is None
        if isinstance(node, ast.Call):
            assert getattr(node.func, "id", "") != "print", "a statement in Python 2.7"


OLD_PYTHONS = ["2.7", "3.6", "3.7", "3.8", "3.9", "3.10"]


@pytest.mark.parametrize("version", OLD_PYTHONS)
def test_an_old_python_gets_one_line(version):
    python = shutil.which(f"python{version}")
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    if python is None or subprocess.run([python, "-c", code], capture_output=True, text=True).stdout.strip() != version:
        pytest.skip(f"there is no Python {version} here")
    done = subprocess.run([python, str(ROOT / "workshop.py"), "run"], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert f"Python {version}" in done.stderr


def test_the_door_alone_says_what_is_missing(tmp_path):
    shutil.copy(ROOT / "workshop.py", tmp_path)
    done = subprocess.run([sys.executable, tmp_path / "workshop.py", "run"], capture_output=True, text=True)
    assert done.returncode == 1
    assert re.fullmatch(r"workshop: the folder launcher/ is missing beside workshop\.py: .*\n", done.stderr)


@POSIX_ONLY
def test_a_link_to_the_door_opens_the_workshop_that_it_leads_to(ready, tmp_path):
    link = tmp_path / "elsewhere" / "workshop.py"
    link.parent.mkdir()
    link.symlink_to(ready.folder / "workshop.py")
    done = subprocess.run([sys.executable, link, "run"], env=ready.environment(), capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert Path(json.loads(done.stdout)["python"]) == ready.folder.resolve() / ".venv"


def test_a_package_of_the_same_name_elsewhere_is_not_taken_for_the_launcher(ready):
    (ready.site_packages / "launcher.py").write_text("raise SystemExit('not this one')\n", encoding="utf-8")
    assert ready.run("run", python=ready.python).returncode == 0


NOT_LIBRARIES = ("random", "queue", "yaml", "tuning", "tiny", "json", "pip", "csv", "urllib", "sitecustomize")


@pytest.mark.parametrize("place", ["folder", "root", "PYTHONPATH"])
def test_files_beside_the_command_are_not_taken_for_libraries(ready, tmp_path, place):
    folder = {"folder": ready.folder.parent, "root": ready.folder, "PYTHONPATH": tmp_path / "mine"}[place]
    folder.mkdir(exist_ok=True)
    # Python itself imports this one before the launcher can do anything.
    names = [name for name in NOT_LIBRARIES if (place, name) != ("PYTHONPATH", "sitecustomize")]
    for name in names:
        (folder / f"{name}.py").write_text(f"raise SystemExit('{name}.py was run')\n", encoding="utf-8")
    # What is installed now takes pip, a child of its own, too.
    ready.write("requirements.txt", "tiny==2.0\n")
    ready.write("constraints.txt", "")
    done = ready.run("run", **({"PYTHONPATH": str(folder)} if place == "PYTHONPATH" else {}))
    assert done.returncode == 0, done.stderr
    assert "was run" not in done.stderr
    assert json.loads(done.stdout)["tiny"] == "2.0"
