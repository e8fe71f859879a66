"""Version and licences: written once, and the same wherever they are named."""

import re
import tomllib

import pytest
import yaml

from launcher import commands, settings
from launcher.pythons import PYTHON_NEWEST, PYTHON_OLDEST
from tuning.runs.record import SCHEMA_VERSION

ROOT = settings.ROOT
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))


def test_the_launcher_says_the_version_of_the_project(capsys):
    assert commands.main(["--version"]) == 0
    assert capsys.readouterr().out == f"{PROJECT['version']}\n"


def test_the_version_of_another_table_is_not_the_projects(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(commands, "ROOT", tmp_path)
    other, own = '[tool.other]\nversion = "1.2.3"\n', '[project]\nname = "a"\nkeywords = ["b"]\nversion = "4.5.6"\n'
    (tmp_path / "pyproject.toml").write_text(f"{other}\n{own}", encoding="utf-8")
    assert commands.release() == "4.5.6"
    (tmp_path / "pyproject.toml").write_text(f'[project]\nname = "a"\n{other}', encoding="utf-8")
    assert commands.release() == "unknown"
    (tmp_path / "pyproject.toml").unlink()
    assert commands.main(["--version"]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_the_first_number_is_the_records_version():
    assert PROJECT["version"].split(".")[0] == str(SCHEMA_VERSION)


def test_the_pythons_are_those_of_the_launcher():
    (oldest, newest) = PYTHON_OLDEST, PYTHON_NEWEST
    assert PROJECT["requires-python"] == f">={oldest[0]}.{oldest[1]},<{newest[0]}.{newest[1] + 1}"
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"Python {oldest[0]}.{oldest[1]} to {newest[0]}.{newest[1]}" in readme


@pytest.mark.parametrize("name", PROJECT["license-files"])
def test_every_licence_file_is_named_where_people_look(name):
    assert (ROOT / name).is_file()
    assert f"]({name})" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert name == "LICENSE" or name in (ROOT / "lab/data/README.md").read_text(encoding="utf-8")


def test_the_citation_and_the_history_agree_with_the_project():
    assert CITATION["version"] == PROJECT["version"]
    assert " AND ".join(CITATION["license"]) == PROJECT["license"]
    assert [author["name"] for author in CITATION["authors"]] == [author["name"] for author in PROJECT["authors"]]
    history = (ROOT / "maintain/CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(r"^## `?([\d.]+)", history, re.MULTILINE)[1] == PROJECT["version"]


def test_every_push_is_checked_on_three_systems():
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "checks.yml").read_text(encoding="utf-8"))
    # YAML 1.1 reads the word "on" as true.
    assert set(workflow[True]) == {"push", "pull_request"}
    linux, elsewhere = workflow["jobs"]["linux"], workflow["jobs"]["elsewhere"]
    assert linux["steps"][-1]["run"] == "bash .ci/run"
    assert elsewhere["strategy"]["matrix"]["system"] == ["macos-latest", "windows-latest"]
    assert elsewhere["steps"][-1]["run"] == "python workshop.py test --fast"


def test_hooks_use_the_tools_that_the_tests_use():
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"][0]["hooks"]
    pinned = (ROOT / "requirements/test.txt").read_text(encoding="utf-8").splitlines()
    for hook in hooks:
        (package,) = hook["additional_dependencies"]
        assert package in pinned or package.startswith("nbstripout=="), package
