"""Where things lie, wherever a notebook or a command was started."""

import os
import tomllib
from pathlib import Path

LAB = Path(__file__).resolve().parent.parent
ROOT = LAB.parent
DATA = LAB / "data"
# Below the folder of runs: the runs that only check a machine.
CHECK = "check"


def runs() -> Path:
    """Folder of recorded runs: ``lab/runs``, or what ``WORKSHOP_RUNS`` names (tests and shared rooms use that)."""
    return Path(os.environ.get("WORKSHOP_RUNS") or LAB / "runs")


def models() -> Path:
    """Folder of downloaded encoders: ``lab/models``, or what ``WORKSHOP_MODELS`` names."""
    return Path(os.environ.get("WORKSHOP_MODELS") or LAB / "models")


def work() -> Path:
    """Folder of the learner's own papers: ``my_work``, or what ``WORKSHOP_WORK`` names."""
    return Path(os.environ.get("WORKSHOP_WORK") or ROOT / "my_work")


def share() -> Path:
    """Folder of runs written as files to hand round: ``share``, or what ``WORKSHOP_SHARE`` names."""
    return Path(os.environ.get("WORKSHOP_SHARE") or ROOT / "share")


def home() -> Path:
    """The home folder; ``~`` where there is none, as in some containers, and nothing lies inside that."""
    return Path(os.path.expanduser("~"))


def short(path: Path | str) -> str:
    """Write `path` relative to the repository where it lies inside, else to the home folder, with forward slashes."""
    path = Path(path)
    for base, prefix in ((ROOT, ""), (home(), "~/")):
        if path.is_relative_to(base):
            return prefix + path.relative_to(base).as_posix()
    return path.as_posix()


def version() -> str:
    """Version of the workshop, as ``pyproject.toml`` says; "unknown" where only the folder ``lab/`` was copied."""
    try:
        text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    except FileNotFoundError:
        return "unknown"
    return tomllib.loads(text)["project"]["version"]
