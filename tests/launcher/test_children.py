"""The programs that the launcher starts: their variables, Ctrl-C and their end."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time

import pytest
from helpers.projects import POSIX_ONLY, WAITING

from launcher.children import (
    FIRST_LINE,
    FOLDER_VARIABLES,
    PIP_ELSEWHERE,
    child_environment,
    kernel_variables,
    pip_environment,
    set_kernel_variables,
)


def test_kernel_starts_with_sleeping_threads(tmp_path):
    kernel = tmp_path / "kernel.json"
    set_kernel_variables(kernel)
    assert not kernel.exists()
    kernel.write_text('{"argv": ["python"], "env": {"MINE": "1"}}', encoding="utf-8")
    set_kernel_variables(kernel)
    spec = json.loads(kernel.read_text(encoding="utf-8"))
    variables = {"MINE": "1", "OMP_WAIT_POLICY": "PASSIVE", "PYTHONSAFEPATH": "1", "PYTHONPATH": ""}
    assert spec == {"argv": ["python", FIRST_LINE], "env": variables}


def test_children_get_the_variables_but_not_against_a_persons_will(monkeypatch):
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    monkeypatch.setenv("HF_HUB_DISABLE_TELEMETRY", "0")
    environ = child_environment()
    assert environ["OMP_WAIT_POLICY"] == "PASSIVE"
    assert environ["HF_HUB_DISABLE_TELEMETRY"] == "0"


@pytest.mark.parametrize(
    "name", ["PYTHONPATH", "PYTHONHOME", "PYTHONOPTIMIZE", "PYTHONINSPECT", "PYTHONWARNINGS", "PYTHONSTARTUP"]
)
def test_children_get_no_variable_that_brings_other_code_or_takes_texts_out(monkeypatch, name):
    monkeypatch.setenv(name, "2")
    environ = child_environment()
    assert name not in environ
    assert environ["PYTHONSAFEPATH"] == "1"


def test_an_empty_home_is_none(monkeypatch):
    monkeypatch.setenv("HOME", "")
    assert "HOME" not in child_environment()
    monkeypatch.setenv("HOME", "/home/somebody")
    assert child_environment()["HOME"] == "/home/somebody"


@pytest.mark.parametrize("name", FOLDER_VARIABLES)
def test_a_variable_that_names_no_folder_is_left_out(monkeypatch, tmp_path, name):
    (tmp_path / "file").touch()
    for broken in (tmp_path / "file", tmp_path / "file" / "below", ""):
        monkeypatch.setenv(name, str(broken))
        assert name not in child_environment()
    monkeypatch.setenv(name, str(tmp_path / "new"))
    assert child_environment()[name] == str(tmp_path / "new")


@pytest.mark.parametrize("name", [*sorted(PIP_ELSEWHERE), "target"])
def test_pip_gets_no_setting_by_which_packages_go_elsewhere(monkeypatch, name):
    monkeypatch.setenv(f"PIP_{name}", "elsewhere")
    monkeypatch.setenv("PIP_INDEX_URL", "https://index.example.org/simple")
    environ = pip_environment()
    assert "elsewhere" not in environ.values()
    assert environ["PIP_INDEX_URL"] == "https://index.example.org/simple"


def test_another_kernel_of_the_same_name_is_not_taken(monkeypatch, tmp_path):
    for place, program in (("another", "theirs"), ("env/share/jupyter", "ours")):
        kernel = tmp_path / place / "kernels" / "python3" / "kernel.json"
        kernel.parent.mkdir(parents=True)
        kernel.write_text(json.dumps({"argv": [program], "display_name": program, "language": "python"}))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "another"))
    code = "from jupyter_client.kernelspec import get_kernel_spec; print(get_kernel_spec('python3').argv[0])"
    taken = [
        subprocess.run(
            [sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True
        ).stdout.strip()
        for environ in (None, {**os.environ, **kernel_variables(tmp_path / "env" / "bin" / "python")})
    ]
    assert taken == ["theirs", "ours"]


@POSIX_ONLY
def test_ctrl_c_is_one_line(ready):
    ready.write(
        "lab/tuning/notebook/headless.py", "import signal\nsignal.signal(signal.SIGINT, signal.SIG_DFL)\n" + WAITING
    )
    call = ready.start("run")
    call.stdout.readline()
    os.killpg(call.pid, signal.SIGINT)
    _, err = call.communicate(timeout=20)
    assert (call.returncode, err) == (130, "workshop: stopped by Ctrl-C\n")


@POSIX_ONLY
def test_ctrl_c_leaves_the_last_word_to_a_program_that_has_said_it(ready):
    polite = "import signal, sys\nsignal.signal(signal.SIGINT, lambda *_: sys.exit(print('saved') or 130))\n"
    ready.write("lab/tuning/notebook/headless.py", polite + WAITING)
    call = ready.start("run")
    call.stdout.readline()
    os.killpg(call.pid, signal.SIGINT)
    out, err = call.communicate(timeout=20)
    assert (call.returncode, out, err) == (130, "saved\n", "")


@POSIX_ONLY
@pytest.mark.parametrize("look_up", [None, 0.1], ids=["as on Linux", "as on Windows"])
def test_third_ctrl_c_ends_a_program_that_does_not_listen(ready, look_up):
    ready.write(
        "lab/tuning/notebook/headless.py", "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n" + WAITING
    )
    code = f"import sys; from launcher import children, commands; children.LOOK_UP = {look_up}"
    code += "; sys.exit(commands.main(['run']))"
    call = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ready.folder,
        env=ready.environment(PYTHONPATH=""),
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    call.stdout.readline()
    for _ in range(3):
        assert call.poll() is None
        os.killpg(call.pid, signal.SIGINT)
        time.sleep(0.3)
    call.communicate(timeout=20)
    assert call.returncode == 130


@POSIX_ONLY
def test_nothing_is_left_running_when_the_launcher_is_ended(ready):
    ready.write("lab/tuning/notebook/headless.py", WAITING)
    call = ready.start("run")
    child = int(call.stdout.readline())
    call.terminate()
    call.communicate(timeout=20)
    assert call.returncode == 128 + signal.SIGTERM
    for _ in range(50):
        with contextlib.suppress(ChildProcessError):
            os.waitpid(child, os.WNOHANG)
        try:
            os.kill(child, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    pytest.fail("the program is still running")


@POSIX_ONLY
def test_lack_of_memory_is_named(ready):
    ready.write("lab/tuning/notebook/headless.py", "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n")
    done = ready.run("run")
    assert done.returncode == 128 + signal.SIGKILL
    assert "lack of memory" in done.stderr
    assert done.stderr.count("\n") == 1
