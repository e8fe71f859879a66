"""What this machine is: the place, the Python, what can be installed on it, and whether the network answers."""

import http.client
import importlib.util
import os
import queue
import shutil
import ssl
import threading
import urllib.request
from collections.abc import Callable, Mapping, Sequence

from launcher.pythons import PYTHON_NEWEST, dotted, suitable_python
from launcher.settings import THIS, WorkshopError

# The macOS for which every pinned package has a ready-made build.
MACOS_OLDEST = 14

PROBE_SECONDS = 3


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


def check_python_has_builds(version: Sequence[int]) -> None:
    """Refuse a Python newer than the pinned packages.

    Parameters
    ----------
    version : sequence of int
        Such as ``sys.version_info``.

    Raises
    ------
    WorkshopError
        If it is above `PYTHON_NEWEST`.
    """
    if tuple(version[:2]) > PYTHON_NEWEST:
        raise WorkshopError(f"this is Python {dotted(version)}, too new for the packages: {suitable_python()}")


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
