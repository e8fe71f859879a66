"""Small projects with a copy of the launcher, and what its tests share."""

import contextlib
import functools
import http.server
import json
import os
import re
import shutil
import ssl
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from launcher.children import (
    CHILD_VARIABLES,
)
from launcher.environment import Environment, name_of, pins
from launcher.settings import MAIN, ROOT

POSIX_ONLY = pytest.mark.skipif(os.name == "nt", reason="signals as on Linux and macOS")
# Stands in for lab/tuning/notebook/headless.py: tells how it was started.
HEADLESS = """\
import json, os, sys
import tiny
print(json.dumps({"arguments": sys.argv[1:], "folder": os.getcwd(), "python": sys.prefix,
                  "tiny": tiny.VERSION, "variables": dict(os.environ)}))
sys.exit(int(os.environ.get("TEST_EXIT", 0)))
"""
WAITING = """\
import os, sys, time
print(os.getpid(), flush=True)
time.sleep(60)
"""


def copy_the_launcher(folder: Path) -> None:
    """Copy the door and the package behind it."""
    shutil.copy(ROOT / "workshop.py", folder)
    shutil.copytree(ROOT / "launcher", folder / "launcher", ignore=shutil.ignore_patterns("__pycache__"))


# A cloud's marks, and what the launcher sets for its children, these tests among them.
NOT_OF_THE_SHELL = {"CODESPACES", "COLAB_RELEASE_TAG", "PYTHONSAFEPATH", *CHILD_VARIABLES}


class Project:
    """A copy of the launcher with tiny requirement files, in a folder with a difficult name."""

    def __init__(self, folder: Path, wheels: Path) -> None:
        self.folder = folder
        self.wheels = wheels

    @classmethod
    def make(cls, parent: Path, wheels: Path) -> "Project":
        project = cls(parent / "Übung mit Leerzeichen", wheels)
        project.folder.mkdir(parents=True)
        copy_the_launcher(project.folder)
        project.write("requirements.txt", "tiny==1.0\n")
        project.write("requirements/backup.txt", "tiny==1.0\n")
        project.write("requirements/test.txt", "pytest==99.0\n")
        project.write("requirements/further.txt", "")
        project.write("constraints.txt", "tiny==1.0\n")
        project.write("lab/tuning/__init__.py", "")
        project.write("lab/tuning/notebook/headless.py", HEADLESS)
        return project

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def environment(self, **variables: str) -> dict[str, str]:
        """Give the machine's variables without its pip settings, a cloud's marks, and what this launcher has set."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("PIP_") and name not in NOT_OF_THE_SHELL
        }
        pip = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(self.wheels), "PIP_CONFIG_FILE": os.devnull}
        return {**kept, **pip, **variables}

    def start(self, *arguments: str, python: Path | str = sys.executable, **variables: str) -> subprocess.Popen:
        return subprocess.Popen(
            [str(python), str(self.folder / "workshop.py"), *arguments],
            cwd=self.folder.parent,
            env=self.environment(**variables),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            encoding="utf-8",
            start_new_session=True,
        )

    def run(self, *arguments: str, python: Path | str = sys.executable, **variables: str):
        process = self.start(*arguments, python=python, **variables)
        out, err = process.communicate(timeout=240)
        assert "Traceback" not in err
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    @property
    def python(self) -> Path:
        return Environment(self.folder, MAIN, "own").python

    @property
    def site_packages(self) -> Path:
        return next((self.folder / ".venv").rglob("tiny.py")).parent


class QuietHandler(http.server.BaseHTTPRequestHandler):
    def do_HEAD(self):
        self.send_response(200)
        self.end_headers()

    def do_GET(self):
        self.do_HEAD()

    def log_message(self, *arguments):
        """Keep the tests' output clean."""


@contextlib.contextmanager
def local_server(tls: ssl.SSLContext | None = None):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), QuietHandler)
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@functools.cache
def pinned(name: str) -> dict[str, str]:
    """Read a requirement file as ``{name: version}``; every line must be an exact pin."""
    found = {}
    for pin in pins(ROOT / name):
        match = re.fullmatch(r"([\w.-]+)==([\w.]+)(?: ;.*)?", pin)
        assert match, f"{name}: not an exact pin: {pin}"
        found.setdefault(name_of(pin), set()).add(match.group(2))
    return {package: " ".join(sorted(versions)) for package, versions in found.items()}


def without_network(*command: object) -> list[str]:
    """Give the command so that it runs on a machine without any network, where this system can do that."""
    # A notebook and its kernel talk through this machine's own loopback, which every machine has.
    alone = ["unshare", "--map-root-user", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
    if shutil.which("unshare") and subprocess.run([*alone, "true"], capture_output=True).returncode == 0:
        return [*alone, *map(str, command)]
    return [str(part) for part in command]


def commented_json(name: str) -> dict:
    """Read one of the editor's files, in which a whole line may be a comment."""
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    return json.loads("\n".join(line for line in lines if not line.lstrip().startswith("//")))


def run_the_containers_commands(folder: Path, python: Path, **variables: str) -> dict:
    """Carry out what a Codespace does, in its order, with a Python that stands for the image's."""
    container = commented_json(".devcontainer/devcontainer.json")
    path = os.pathsep.join([str(python.parent), os.environ["PATH"]])
    for name in ("updateContentCommand", "postCreateCommand"):
        done = subprocess.run(
            container[name],
            shell=True,
            cwd=folder,
            env={**variables, **container["containerEnv"], "PATH": path},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, (name, done.stderr)
        if name == "postCreateCommand":
            assert done.stderr == "", "everything was installed by the command before"
    return container


def installed_versions(python: Path) -> dict[str, str]:
    listed = subprocess.run([python, "-m", "pip", "freeze"], capture_output=True, text=True, check=True).stdout
    return {name_of(line): line.split("==")[1].split("+")[0] for line in listed.splitlines() if "==" in line}
