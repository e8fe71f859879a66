"""Installing for real: real pip, real environments, tiny packages."""

import ast
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers.projects import (
    POSIX_ONLY,
    Project,
    local_server,
)


def test_first_use_shows_its_progress_and_leaves_a_log(template):
    project, first = template
    assert first.returncode == 0, first.stderr
    said = first.stderr.splitlines()
    assert (
        said[0] == "workshop: installing requirements.txt into .venv/, once; all output goes to .workshop/install.log"
    )
    assert "  [1/2] Python environment .venv/..." in said
    assert any(re.fullmatch(r"  \[2/2\] packages: done \(\d+ s\)", line) for line in said)
    assert re.fullmatch(r"workshop: ready after \d+ s", said[-1])
    assert "Installing collected packages: tiny" in (project.folder / ".workshop/install.log").read_text(
        encoding="utf-8"
    )


def test_later_uses_are_silent_and_quick(ready):
    """Quick: the launcher and its child together take no longer than Python needs to start a few times."""
    seconds, of_python = [], []
    for _ in range(5):
        started = time.monotonic()
        subprocess.run([sys.executable, "-c", "import json, subprocess, urllib.request"], check=True)
        of_python.append(time.monotonic() - started)
        started = time.monotonic()
        done = ready.run("run")
        seconds.append(time.monotonic() - started)
        assert (done.returncode, done.stderr) == (0, "")
    assert min(seconds) < 10 * min(of_python)


def test_arguments_folder_variables_and_exit_code_are_passed_on(ready):
    typed = [
        "--preset",
        "TOO_HIGH",
        "--set",
        "DATA=my Büro.csv",
        "--set",
        "EPOCHS=1",
        "--out",
        "a b",
        "--fresh",
    ]
    done = ready.run("run", *typed, TEST_EXIT="3", CI="true", PYTHONDONTWRITEBYTECODE="1")
    assert done.returncode == 3
    child = json.loads(done.stdout)
    assert child["arguments"] == typed
    assert Path(child["folder"]) == ready.folder.parent.resolve()
    assert Path(child["python"]) == ready.folder / ".venv"
    wanted = {"OMP_WAIT_POLICY": "PASSIVE", "HF_HUB_DISABLE_TELEMETRY": "1", "CI": "true"}
    assert wanted.items() <= child["variables"].items()
    assert "PYTHONDONTWRITEBYTECODE" not in child["variables"]


def test_package_is_found_from_any_folder_and_after_a_move(ready, tmp_path):
    command = ["-c", "import tuning, sys; print(ascii(tuning.__file__))"]
    assert (ready.site_packages / "workshop.pth").read_text(encoding="utf-8").isascii()
    moved = Project(tmp_path / "anderswo ß" / "kurs", ready.wheels)
    moved.folder.parent.mkdir()
    ready.folder.rename(moved.folder)
    found = subprocess.run([moved.python, *command], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert Path(ast.literal_eval(found.stdout)) == moved.folder / "lab" / "tuning" / "__init__.py"
    assert moved.run("run").stderr == ""


def test_changed_requirements_are_installed(ready):
    ready.write("requirements.txt", "tiny==2.0\n")
    ready.write("constraints.txt", "")
    done = ready.run("run")
    assert json.loads(done.stdout)["tiny"] == "2.0"
    assert ready.run("run").stderr == ""


def test_half_finished_installation_is_carried_on(ready):
    stamp = ready.folder / ".venv" / "workshop-main.json"
    stamp.unlink()
    # pip was killed between the package's metadata and its list of files, and the code is torn.
    (ready.site_packages / "tiny-1.0.dist-info" / "RECORD").unlink()
    (ready.site_packages / "tiny.py").write_text("VERS", encoding="utf-8")
    done = ready.run("run")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["tiny"] == "1.0"
    assert stamp.exists()


@pytest.mark.slow
def test_environment_without_pip_gets_it_back(ready):
    (ready.folder / ".venv" / "workshop-main.json").unlink()
    shutil.rmtree(ready.site_packages / "pip")
    assert ready.run("run").returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["interpreter", "version"])
def test_environment_whose_python_is_gone_is_made_anew(ready, damage):
    leftover = ready.site_packages / "leftover.py"
    leftover.touch()
    if damage == "interpreter":
        ready.python.unlink()
    else:
        (ready.folder / ".venv" / "pyvenv.cfg").write_text("version = 3.9.1\n", encoding="utf-8")
        (ready.folder / ".venv" / "workshop-main.json").unlink()
    assert ready.run("run").returncode == 0
    assert not leftover.exists()
    log = (ready.folder / ".workshop" / "install.log").read_text(encoding="utf-8")
    assert log.count("-m venv") == 2, "what was said about the first environment is still there"


def test_failed_installation_is_one_line_and_leaves_no_stamp(ready):
    ready.write("requirements.txt", "tiny==3.0\n")
    ready.write("constraints.txt", "")
    done = ready.run("run")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[-1] == (
        "workshop: installing the packages failed: the package index has no tiny==3.0 for this Python and "
        "this system. Details: .workshop/install.log"
    )
    assert not (ready.folder / ".venv" / "workshop-main.json").exists()
    ready.write("requirements.txt", "tiny==1.0\n")
    assert ready.run("run").returncode == 0


@pytest.mark.parametrize(
    "setting", [{"PIP_TARGET": "{0}"}, {"PIP_PREFIX": "{0}"}, {"PIP_USER": "1"}, {"PIP_DRY_RUN": "1"}]
)
def test_settings_of_pip_do_not_send_the_packages_elsewhere(ready, tmp_path, setting):
    ready.write("requirements.txt", "tiny==2.0\n")
    ready.write("constraints.txt", "")
    done = ready.run("run", **{name: value.format(tmp_path / "elsewhere") for name, value in setting.items()})
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["tiny"] == "2.0"


def test_a_file_of_pips_settings_that_sends_packages_elsewhere_is_said_and_nothing_is_stamped(ready, tmp_path):
    ready.write("requirements.txt", "tiny==2.0\n")
    ready.write("constraints.txt", "")
    (tmp_path / "pip.conf").write_text(
        f"[install]\ntarget = {tmp_path / 'elsewhere'}\ndry-run = true\n", encoding="utf-8"
    )
    done = ready.run("run", PIP_CONFIG_FILE=str(tmp_path / "pip.conf"))
    assert done.returncode == 1
    assert "pip reported success, and tiny==2.0 is not in .venv/" in done.stderr.splitlines()[-1]
    assert not (ready.folder / ".venv" / "workshop-main.json").exists()


@POSIX_ONLY
@pytest.mark.parametrize(("name", "told"), [("a:b", "has a ':' in it"), (os.fsdecode(b"caf\xe9"), "is not UTF-8")])
def test_a_path_in_which_no_environment_can_be_made_is_refused_at_once(fresh, tmp_path, name, told):
    try:
        moved = fresh.folder.rename(tmp_path / name)
    except OSError:
        pytest.skip("this disk has no such names")
    done = Project(moved, fresh.wheels).run("run")
    assert done.returncode == 1
    assert told in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (moved / ".venv").exists()


@POSIX_ONLY
@pytest.mark.slow
def test_a_disk_without_links_gets_copies(interpreter, tmp_path, wheels):
    """An interpreter that cannot make links stands for the disk."""
    (tmp_path / "fresh").mkdir()
    fresh = Project.make(tmp_path / "fresh", wheels)
    (site_packages,) = interpreter.parent.parent.glob("lib/*/site-packages")
    forbid = (
        "import os\ndef symlink(*names, **options): raise PermissionError(1, 'no links here')\nos.symlink = symlink\n"
    )
    (site_packages / "sitecustomize.py").write_text(forbid, encoding="utf-8")
    done = fresh.run("run", python=interpreter)
    assert done.returncode == 0, done.stderr
    assert not any(path.is_symlink() for path in (fresh.folder / ".venv").rglob("*"))
    assert json.loads(done.stdout)["tiny"] == "1.0"


def test_no_network_is_named(ready):
    ready.write("requirements.txt", "tiny==2.0\n")
    ready.write("constraints.txt", "")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    index = {"PIP_NO_INDEX": "0", "PIP_FIND_LINKS": "", "PIP_INDEX_URL": f"http://127.0.0.1:{port}/simple"}
    done = ready.run("run", **index, PIP_RETRIES="1")
    assert done.returncode == 1
    assert "the package index cannot be reached" in done.stderr.splitlines()[-1]


def test_inspected_network_is_named(ready, tmp_path):
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl to make a certificate with")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=127.0.0.1",
         "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate],
        check=True,
        capture_output=True,
    )  # fmt: skip
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    ready.write("requirements.txt", "tiny==2.0\n")
    with local_server(tls) as address:
        index = {"PIP_NO_INDEX": "0", "PIP_FIND_LINKS": "", "PIP_INDEX_URL": f"https://{address}/simple"}
        done = ready.run("run", **index, PIP_RETRIES="1")
    assert done.returncode == 1
    assert "certificate is not trusted" in done.stderr.splitlines()[-1]


@pytest.mark.slow
def test_two_calls_at_once_install_once(fresh):
    calls = [fresh.start("run"), fresh.start("run")]
    errors = [call.communicate(timeout=240)[1] for call in calls]
    assert [call.returncode for call in calls] == [0, 0]
    assert sorted("installing requirements.txt" in error for error in errors) == [False, True]
    assert any("another call is installing; waiting for it" in error for error in errors)


@pytest.mark.slow
def test_killed_installation_is_carried_on(fresh):
    call = fresh.start("run")
    marker = fresh.folder / ".venv" / "pyvenv.cfg"
    while not marker.exists():
        time.sleep(0.01)
    os.killpg(call.pid, signal.SIGKILL) if os.name == "posix" else call.kill()
    call.communicate()
    assert not (fresh.folder / ".venv" / "workshop-main.json").exists()
    assert fresh.run("run").returncode == 0
