"""What is looked at on this machine before a run: Python, packages, memory, disk, processor, encoder and files.

It imports neither torch nor transformers, so that the first cell of a notebook stays quick.
"""

import dataclasses
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tuning import paths
from tuning.errors import EncoderError
from tuning.training import machine

NEEDED = ("torch", "transformers", "datasets", "evaluate", "accelerate", "scikit-learn", "pandas", "matplotlib")
LEAST_MEMORY_GB = 2.5
LEAST_DISK_GB = 1.0
PROGRAM_SECONDS = 3.0
# A run depends on these; notebooks are there to be changed.
PARTS = ("lab/tuning", "lab/data", "requirements.txt", "constraints.txt", "workshop.py", "launcher")


@dataclasses.dataclass(frozen=True)
class Check:
    """One thing looked at: its status (``OK``, ``WARN`` or ``FAIL``) and a line about it."""

    status: str
    text: str

    def __str__(self) -> str:
        return f"[{self.status}]".ljust(7) + self.text


def checks() -> list[Check]:
    """Look at everything on this machine that a training run needs."""
    return [_python(), _packages(), _memory(), _disk(), _processor(), _gpu(), _encoder(), _folder(), _files()]


def _python() -> Check:
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < (3, 11):  # noqa: UP036 - this is the line that says so
        return Check("FAIL", f"Python {version} is too old: use 3.11 or newer.")
    return Check("OK", f"Python {version}")


def _packages() -> Check:
    pinned = _pins()
    tested, missing, other = [], [], []
    for name in NEEDED:
        version = _version(name).split("+")[0]
        if not version:
            missing.append(name)
            continue
        tested.append(f"{name} {version}")
        if version != pinned.get(name, version):
            other.append(f"{name} {version} (tested: {pinned[name]})")
    if missing:
        return Check(
            "FAIL",
            f"not in this Python: {', '.join(missing)}. Choose the workshop's kernel (.venv); if there is none, run:"
            " python3 workshop.py check",
        )
    if other:
        return Check("WARN", f"other versions than the tested ones: {', '.join(other)}")
    return Check("OK", f"all packages are there, in the tested versions: {', '.join(tested)}")


def _version(name: str) -> str:
    """Version of an installed package; empty where it is missing."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _pins() -> dict[str, str]:
    lines = (paths.ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    matches = (re.match(r"([A-Za-z0-9_.-]+)==([^\s;]+)", line) for line in lines)
    return {match[1]: match[2] for match in matches if match}


def _memory() -> Check:
    free = machine.free_memory() / 1e9
    if free < LEAST_MEMORY_GB:
        wanted = f"{free:.1f} GB of memory is free and {LEAST_MEMORY_GB:g} GB is wanted: close other programs,"
        return Check("WARN", f'{wanted} set MODEL = "embedded" in Dials, or use the backup lab (notebook 02).')
    return Check("OK", f"{free:.1f} GB of memory is free")


def _disk() -> Check:
    free = shutil.disk_usage(paths.LAB).free / 1e9
    if free < LEAST_DISK_GB:
        return Check("FAIL", f"{free:.1f} GB of disk is free and {LEAST_DISK_GB:g} GB is needed: delete something.")
    return Check("OK", f"{free:.1f} GB of disk is free")


def _processor() -> Check:
    cores, threads = os.cpu_count() or 1, os.environ.get("OMP_NUM_THREADS")
    cores_and_threads = f"{cores} processor core{'s' if cores > 1 else ''}"
    if threads and threads != str(cores):
        cores_and_threads += f", training uses {threads} (OMP_NUM_THREADS)"
    if cores == 1:
        return Check("WARN", f"{cores_and_threads}: training will be slow. Take a smaller TRAIN_SUBSET.")
    return Check("OK", f"{cores_and_threads}, {_precision()}")


def _precision() -> str:
    measured = machine.measured_precision()
    if measured:
        return f"fastest in {measured} (measured)"
    native = machine.computes_bf16()
    if native is None:
        return "the fastest number format is measured before the first run"
    return "bf16 is built in" if native else "no bf16 built in: fp32 will be the fastest"


def _gpu() -> Check:
    name = _nvidia()
    if name is None:
        apple = sys.platform == "darwin" and machine.processor_kind() == "arm64"
        return Check("OK", "Apple GPU (MPS): training uses it" if apple else "no GPU: training uses the processor")
    if _version("torch").endswith("+cpu"):
        return Check("WARN", f"GPU: {name}, but this PyTorch is a build without GPU: training uses the processor")
    return Check("OK", f"GPU: {name}, training uses it")


def _nvidia() -> str | None:
    """Name of the first NVIDIA GPU, without loading PyTorch; None where there is none or no driver answers."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    answer = program_output([program, "--query-gpu=name", "--format=csv,noheader"])
    return answer.splitlines()[0] if answer else None


def program_output(command: list[str]) -> str | None:
    """What a program prints; None if it fails or takes too long."""
    try:
        done = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", timeout=PROGRAM_SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _encoder() -> Check:
    from tuning.encoder import finding

    if finding.distilbert_is_here():
        return Check("OK", "DistilBERT is on this machine: no Hub is needed")
    try:
        embedded = finding.find("embedded")
    except EncoderError as problem:
        return Check("FAIL", str(problem))
    return Check("OK", f"{embedded.name} is on this machine; DistilBERT comes from the Hub where MODEL asks for it")


def _folder() -> Check:
    here = Path.cwd()
    above = next((folder for folder in (here, *here.parents) if (folder / "lab" / "tuning").is_dir()), None)
    if above is not None and above.resolve() != paths.ROOT:
        return Check(
            "WARN",
            f"there are two copies of the workshop: you are in {_from_home(above)}, and Python uses"
            f" {_from_home(paths.ROOT)}. Choose the kernel of the copy that you want, or delete the other.",
        )
    if not os.access(paths.LAB, os.W_OK):
        return Check("FAIL", f"nothing can be written into {_from_home(paths.ROOT)}: move it to a folder of your own.")
    if "onedrive" in str(paths.ROOT).casefold():
        return Check(
            "WARN",
            "this folder is in OneDrive, which copies every file that training writes: move it to a short path"
            " outside.",
        )
    return Check("OK", f"the workshop's folder is {paths.ROOT.name}")


def _from_home(path: Path) -> str:
    home = paths.home()
    return f"~/{path.relative_to(home).as_posix()}" if path.is_relative_to(home) else path.as_posix()


def _files() -> Check:
    """Whether somebody changed what the notebooks are made of, as far as git can tell."""
    changed = program_output(
        ["git", "-C", str(paths.ROOT), "status", "--porcelain", "--untracked-files=no", "--", *PARTS]
    )
    if changed is None:
        return Check("OK", "whether files were changed is not known: this is no git checkout, or there is no git")
    names = [line[2:].strip() for line in changed.splitlines()]
    if not names:
        return Check("OK", "package and data are as published")
    more = f" and {len(names) - 2} more" if len(names) > 2 else ""
    listed = f"changed since they were published: {', '.join(names[:2])}{more}."
    return Check("WARN", f"{listed} If that was not you, download the workshop again.")
