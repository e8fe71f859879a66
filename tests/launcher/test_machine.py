"""What the launcher sees of this machine and its network."""

import os
import re
import socket
import sys
import time

import pytest
from helpers.projects import local_server

from launcher.files import check_disk, folder_mb
from launcher.machine import answers, check_builds_exist, check_python_has_builds, check_venv, host_of, module_exists
from launcher.pythons import PYTHON_NEWEST, PYTHON_OLDEST, suitable_python, too_old
from launcher.settings import WorkshopError


def test_python_versions():
    assert re.search(r"Python 3\.10, which is too old: .*3\.11 to 3\.14", too_old((3, 10, 13)))
    with pytest.raises(WorkshopError, match=r"Python 3\.15, too new .*3\.11 to 3\.14"):
        check_python_has_builds((3, 15, 0))
    for version in (PYTHON_OLDEST, PYTHON_NEWEST):
        assert too_old(version) == ""
        check_python_has_builds(version)


def test_another_python_on_this_machine_is_named(tmp_path, monkeypatch):
    name = f"python3.{sys.version_info[1]}"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "python.org" in suitable_python()
    if os.name == "posix":
        (tmp_path / name).symlink_to(sys.executable)
        assert f"run: {name} " in suitable_python()


@pytest.mark.parametrize("missing", ["venv", "ensurepip"])
def test_missing_venv_module_names_the_package(missing):
    with pytest.raises(WorkshopError, match=rf"no '{missing}' module; .*apt install python3\.12-venv"):
        check_venv((3, 12, 1), exists=lambda name: name != missing)
    check_venv(sys.version_info)


def test_full_disk_is_refused(tmp_path):
    with pytest.raises(WorkshopError, match=r"needs 3\.0 GB, and 1\.2 GB are free") as caught:
        check_disk(tmp_path, 3000, free_mb=1234)
    assert "\n" not in str(caught.value)
    check_disk(tmp_path, 3000, free_mb=3001)
    check_disk(tmp_path, 0.001)


def test_folder_size(tmp_path):
    assert folder_mb(tmp_path / "missing") == 0
    (tmp_path / "a").write_bytes(b"x" * 2_000_000)
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "b").write_bytes(b"x" * 500_000)
    assert folder_mb(tmp_path) == 2.5


@pytest.mark.parametrize(
    ("machine", "message"),
    [
        (("Darwin", "x86_64", 64, "15.1"), "Intel Macs.*--notebook 02.*Codespaces"),
        (("Darwin", "arm64", 64, "13.6.1"), "macOS 14 or newer and this is 13.6.1.*--notebook 02"),
        (("Windows", "AMD64", 32, ""), "64-bit"),
    ],
)
def test_machines_without_pytorch_hear_what_to_do(machine, message):
    with pytest.raises(WorkshopError, match=message):
        check_builds_exist(*machine)


@pytest.mark.parametrize(
    "machine",
    [("Darwin", "arm64", 64, "14.0"), ("Linux", "x86_64", 64, ""), ("Windows", "AMD64", 64, "")],
)
def test_machines_with_pytorch(machine):
    check_builds_exist(*machine)


@pytest.mark.parametrize(
    ("environ", "modules", "host"),
    [
        ({}, (), "own"),
        ({"CODESPACES": "true"}, (), "codespaces"),
        ({"CODESPACES": "false"}, (), "own"),
        ({"WORKSHOP_DEVCONTAINER": "true"}, (), "codespaces"),
        ({"COLAB_RELEASE_TAG": "release-colab"}, (), "colab"),
        ({}, ("google.colab",), "colab"),
        ({"CODESPACES": "true"}, ("google.colab",), "colab"),
    ],
)
def test_host(environ, modules, host):
    assert host_of(environ, exists=lambda name: name in modules) == host


def test_module_exists_without_its_parent():
    assert module_exists("json.decoder")
    assert not module_exists("no_such_parent.child")


def test_probe_of_an_index_that_answers():
    with local_server() as address:
        assert answers(f"http://{address}/torch/")
    assert not answers(f"http://{address}/torch/")


def test_probe_gives_up_in_time():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        started = time.monotonic()
        assert not answers(f"http://127.0.0.1:{silent.getsockname()[1]}/", seconds=0.5)
        assert time.monotonic() - started < 2


def test_probe_goes_through_the_proxy(monkeypatch):
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with local_server() as address:
        monkeypatch.setenv("http_proxy", f"http://{address}")
        assert answers("http://nowhere.invalid/torch/")
