"""The words after ``workshop.py``."""

import json
import os
import re
from pathlib import Path

import pytest
from helpers.projects import HEADLESS

from launcher.commands import COMMANDS, PARALLEL


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["rnu"], "did you mean 'run'?"),
        (["xyzzy"], "there are run, lab, setup, pack, audit, check, fetch-model"),
        (["run", "--notebook", "07"], "invalid choice: '07'"),
        (["test", "--fast", "--full"], "not allowed with"),
        (["run", "--out"], "expected one argument"),
    ],
)
def test_wrong_arguments_get_one_line_and_install_nothing(fresh, arguments, message):
    done = fresh.run(*arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (fresh.folder / ".venv").exists()


def test_help_lists_every_command(fresh):
    done = fresh.run("--help")
    assert done.returncode == 0
    for name, command in COMMANDS.items():
        assert re.search(rf"^  {name} +{re.escape(command.summary)}$", done.stdout, re.MULTILINE)
    assert fresh.run().stdout == done.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_command_shows_examples(fresh, name):
    done = fresh.run(name, "--help")
    assert done.returncode == 0
    assert f"workshop.py {name}" in done.stdout.partition("examples:")[2]
    assert not (fresh.folder / ".venv").exists()


def test_missing_file_is_one_line(fresh):
    (fresh.folder / "requirements.txt").unlink()
    done = fresh.run("run")
    assert done.returncode == 1
    assert done.stderr.startswith("workshop: No such file or directory: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("options", "marks"),
    [(["--fast"], ["-m", "not slow and not full"]), ([], ["-m", "not full"]), (["--full"], [])],
)
def test_test_command_installs_its_tools_and_chooses_the_tests(ready, options, marks):
    done = ready.run("test", *options, "-k", "a and b", "tests/x.py")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [str(ready.folder), *marks, "-k", "a and b", "tests/x.py"]
    done = ready.run("test", *options, "--durations=9")
    assert done.stderr == ""
    assert json.loads(done.stdout) == [str(ready.folder), *marks, *PARALLEL, "--durations=9"]


def test_lab_opens_the_first_notebook_for_this_machine_only(ready):
    stand_in = "import json, os, sys\nprint(json.dumps([os.getcwd(), *sys.argv[1:]]))\n"
    (ready.site_packages / "jupyterlab.py").write_text(stand_in, encoding="utf-8")
    ready.write("lab/01_first.ipynb", "{}")
    folder, *settings = json.loads(ready.run("lab", "--no-browser").stdout)
    assert Path(folder) == ready.folder
    assert {"--ip=127.0.0.1", "--LabApp.default_url=/lab/tree/lab/01_first.ipynb", "--no-browser"} <= {*settings}
    assert not any("token" in setting for setting in settings)
    # JupyterLab refuses root without it, and most containers have nobody else.
    assert ("--allow-root" in settings) == (os.name == "posix" and os.geteuid() == 0)


def test_backup_notebook_uses_the_main_environment_if_it_is_there(ready):
    done = ready.run("run", "--notebook", "02")
    assert Path(json.loads(done.stdout)["python"]) == ready.folder / ".venv"
    assert not (ready.folder / ".venv-backup").exists()


@pytest.mark.slow
def test_backup_notebook_and_audit_need_only_their_own_environment(fresh):
    fresh.write("requirements.txt", "tiny==99.0\n")
    fresh.write("lab/tuning/audit/audit.py", HEADLESS)
    for command in (("run", "--notebook", "02"), ("audit", "mine.csv")):
        done = fresh.run(*command)
        assert Path(json.loads(done.stdout)["python"]) == fresh.folder / ".venv-backup"
    # The second time nothing was left to install.
    assert done.stderr == ""
    assert not (fresh.folder / ".venv").exists()


def test_audit_looks_where_it_was_typed_in_the_environment_that_is_there(ready):
    ready.write("lab/tuning/audit/audit.py", HEADLESS)
    done = json.loads(ready.run("audit", "mine.csv", "--json").stdout)
    assert Path(done["python"]) == ready.folder / ".venv"
    assert done["arguments"] == ["mine.csv", "--json"]
    assert done["folder"] == json.loads(ready.run("run").stdout)["folder"]


def test_setup_makes_a_worksheet_once(ready):
    ready.write("handouts/Activity_Worksheet.md", "form\n")
    own = ready.folder / "my_work" / "Activity_Worksheet.md"
    assert ready.run("setup").returncode == 0
    assert own.read_text(encoding="utf-8") == "form\n"
    own.write_text("mine\n", encoding="utf-8")
    assert ready.run("setup").returncode == 0
    assert own.read_text(encoding="utf-8") == "mine\n"
