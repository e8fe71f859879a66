"""An environment and what it holds: requirement lines, its stamp, packages that are missing or damaged."""

import base64
import contextlib
import csv
import hashlib
import importlib.metadata
import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from launcher.children import child_environment
from launcher.pythons import dotted, version_of
from launcher.settings import ALWAYS_PINNED, CONSTRAINTS, VERSIONS, Kit, WorkshopError

# Colab's own runtime is built on these: replacing them breaks its kernel or needs a restart.
COLAB_KEEPS = ("torch", "numpy", "ipykernel", "ipython", "jupyterlab")


def pins(file: Path) -> list[str]:
    """Read the requirement lines of a file, without comments and blank lines."""
    lines = (line.split("#")[0].strip() for line in file.read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line]


def name_of(pin: str) -> str:
    """Give the normalised name in a requirement line: ``huggingface_hub==2.4.0`` -> ``huggingface-hub``."""
    return re.sub(r"[-_.]+", "-", re.split(r"[=<>!~ \[;]", pin)[0]).lower()


def release_of(pin: str) -> tuple[int, ...]:
    """Give the release in a pin as numbers, to compare: ``torch==2.13.0+cpu`` -> ``(2, 13, 0)``; ``()`` without one."""
    found = re.match(r"\d+(\.\d+)*", pin.partition("==")[2])
    return tuple(map(int, found.group().split("."))) if found else ()


def installed_pins(names: Sequence[str]) -> list[str]:
    """Give ``name==version`` for those packages that the running interpreter has."""
    found = []
    for name in names:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found.append(f"{name}=={importlib.metadata.version(name)}")
    return found


def package_of(info: Path) -> str:
    """Give the normalised name of the package whose ``.dist-info`` folder this is."""
    return name_of(info.name.rpartition("-")[0].rpartition("-")[0])


def fault_in(site_packages: Path, info: Path, hashes: bool) -> str:
    """Compare a package's files with the list (RECORD) that came with it.

    Parameters
    ----------
    site_packages : Path
        Where the list's paths begin.
    info : Path
        The package's ``.dist-info`` folder.
    hashes : bool
        Read every file and compare its SHA-256, and not just its size.

    Returns
    -------
    str
        The first file that differs, and how; empty where all are as they came.
    """
    try:
        rows = list(csv.reader((info / "RECORD").read_text(encoding="utf-8").splitlines()))
    except (OSError, ValueError):
        rows = []
    if not rows:
        return "its list of files is missing"
    for name, digest, size in (row for row in rows if len(row) == 3 and row[1]):
        path = site_packages / name
        if name.startswith("..") and path.parent.name in ("bin", "Scripts"):
            continue  # commands, which hold the interpreter's path; nothing here calls them
        try:
            if path.name == "kernel.json":  # see `set_kernel_variables`
                path.stat()
            elif size and path.stat().st_size != int(size):
                return f"{name} has another size than it came with"
            elif hashes and digest.startswith("sha256="):
                content = hashlib.sha256(path.read_bytes()).digest()
                if base64.urlsafe_b64encode(content).decode().rstrip("=") != digest[len("sha256=") :]:
                    return f"{name} has another content than it came with"
        except OSError as error:
            return f"{name} cannot be read ({error.strerror})"
    return ""


def made_for(folder: Path) -> tuple[int, int] | None:
    """Read for which Python an environment was made; None if it is none."""
    try:
        settings = (folder / "pyvenv.cfg").read_text(encoding="utf-8")
    except OSError:
        return None
    found = re.search(r"^version(?:_info)?\s*=\s*(\d+)\.(\d+)", settings, re.MULTILINE)
    return (int(found.group(1)), int(found.group(2))) if found else None


class Layout(NamedTuple):
    """Where an interpreter keeps things.

    Attributes
    ----------
    site_packages : Path
        The folder that pip installs into.
    prefixes : list of Path
        The folders under which ``share/jupyter/kernels`` may lie.
    """

    site_packages: Path
    prefixes: list[Path]


class Environment:
    """A Python that has, or will have, one kit installed.

    Parameters
    ----------
    root : Path
        The repository.
    kit : Kit
        What it holds.
    host : str
        As from `host_of`; decides between an environment of our own and the interpreter that is there.

    Attributes
    ----------
    python : Path
        The interpreter.
    stamp : Path
        The file that says that the installation is whole.
    log : Path
        Everything that pip printed.
    """

    def __init__(self, root: Path, kit: Kit, host: str) -> None:
        self.root = root
        self.kit = kit
        self.host = host
        self.in_place = host != "own"
        self.home = root / (".workshop" if self.in_place else kit.folder)
        self.stamp = self.home / f"workshop-{kit.name}.json"
        self.log = root / ".workshop" / "install.log"  # not in the environment, which may be made anew
        if self.in_place:
            self.python = Path(sys.executable)
        elif os.name == "nt":
            self.python = self.home / "Scripts" / "python.exe"
        else:
            self.python = self.home / "bin" / "python"

    def is_complete(self) -> bool:
        """Tell whether everything is installed as the requirement files say now."""
        try:
            stamp = json.loads(self.stamp.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return False
        return stamp == self.expected_stamp()

    def missing(self) -> list[str]:
        """Ask the interpreter which of the pinned packages it does not have, in their pinned versions.

        Returns
        -------
        list of str
            Requirement lines; one for other systems only (behind a semicolon) does not count.
        """
        code = (
            "import importlib.metadata as m, json\n"
            "there = (d for d in m.distributions() if d.read_text('METADATA') or d.read_text('PKG-INFO'))\n"
            "print(json.dumps([[d.metadata['Name'], d.version] for d in there]))"
        )
        asked = subprocess.run([str(self.python), "-c", code], env=child_environment(), capture_output=True, text=True)
        present = {name_of(name): version for name, version in json.loads(asked.stdout or "[]") if name}

        def suits(pin: str) -> bool:
            version = present.get(name_of(pin))
            if version is None or os.environ.get(VERSIONS) == "newest":
                return version is not None
            if self.host == "colab":
                return name_of(pin) in COLAB_KEEPS or release_of(f"=={version}") >= release_of(pin)
            return version.split("+")[0] == pin.partition("==")[2].strip()

        return [pin for pin in self.requirements() if ";" not in pin and not suits(pin)]

    def damage(self, hashes: bool = False) -> dict[str, str]:
        """Compare the installed files with the lists that came with them.

        Parameters
        ----------
        hashes : bool
            Compare the content too, and not just presence and size: reading everything takes a while.

        Returns
        -------
        dict of str to str
            Package to what is wrong with it.
        """
        site_packages = self.layout().site_packages
        found = {name_of(pin): "it is not installed" for pin in self.missing()}
        ours = {name_of(pin) for pin in [*self.requirements(), *pins(self.root / CONSTRAINTS)]}
        for info in sorted(site_packages.glob("*.dist-info")):
            if self.in_place and package_of(info) not in ours:
                continue  # the machine's own
            fault = fault_in(site_packages, info, hashes)
            if fault:
                found[package_of(info)] = fault
        return found

    def log_name(self) -> str:
        """Give the log's path as a person in the repository's folder would write it."""
        return self.log.relative_to(self.root).as_posix()

    def requirements(self) -> list[str]:
        """Give what pip is asked for: the pins of the kit, or the names alone where the newest are to be tested."""
        asked = pins(self.root / self.kit.requirements)
        if os.environ.get(VERSIONS) != "newest":
            return asked
        return [pin if name_of(pin) in ALWAYS_PINNED else name_of(pin) for pin in asked]

    def asked_for(self) -> str:
        """Give a hash of everything that is asked for."""
        wanted = [*self.requirements(), "", *pins(self.root / CONSTRAINTS)]
        return hashlib.sha256("\n".join(wanted).encode()).hexdigest()

    def expected_stamp(self) -> dict[str, object]:
        """Give what the stamp says where everything is installed as the requirement files say now."""
        version = sys.version_info[:2] if self.in_place else version_of(self.python)
        return {
            "complete": True,
            "requirements": self.asked_for(),
            "python": dotted(version) if version else "",
            # Our own folder moves with the repository; any other interpreter may be a different one today.
            "interpreter": str(self.python) if self.in_place else self.kit.folder,
        }

    def layout(self) -> Layout:
        """Ask the interpreter where its packages go and under which folders Jupyter looks for kernels."""
        code = (
            "import json, site, sys, sysconfig; print(json.dumps([sysconfig.get_path('purelib'), "
            "site.getusersitepackages(), sys.prefix, site.getuserbase()]))"
        )
        asked = subprocess.run([str(self.python), "-I", "-c", code], capture_output=True, text=True)
        if asked.returncode:
            raise WorkshopError(f"{self.python} does not work; delete its environment and run this again")
        site_packages, user_packages, prefix, user_base = (Path(part) for part in json.loads(asked.stdout))
        if not self.in_place:
            return Layout(site_packages, [prefix])
        # Where the interpreter belongs to the system, pip installs into the user's folder by itself.
        writable = os.access(site_packages, os.W_OK)
        return Layout(site_packages if writable else user_packages, [prefix, user_base])
