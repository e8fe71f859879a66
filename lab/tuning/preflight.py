"""Is this machine ready? One line per thing: [OK], [WARN] or [FAIL], in plain words.

It imports neither torch nor transformers, so the first cell of a notebook stays quick.
"""

import argparse
import dataclasses
import importlib.metadata
import os
import re
import shutil
import sys

import psutil

from tuning import folders

NEEDED = ("torch", "transformers", "datasets", "evaluate", "accelerate", "scikit-learn", "pandas", "matplotlib")
LEAST_MEMORY_GB = 2.0
LEAST_DISK_GB = 1.0


@dataclasses.dataclass(frozen=True)
class Check:
    """One thing looked at: its status (``OK``, ``WARN`` or ``FAIL``) and a line about it."""

    status: str
    text: str

    def __str__(self) -> str:
        return f"[{self.status}]".ljust(7) + self.text


def checks() -> list[Check]:
    """Look at everything a training run needs.

    Returns
    -------
    list of Check
    """
    return [_python(), _packages(), _memory(), _disk(), _processor(), _encoder()]


def _python() -> Check:
    found = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < (3, 11):  # noqa: UP036 - this is the line that says so
        return Check("FAIL", f"Python {found} is too old: use 3.11 or newer.")
    return Check("OK", f"Python {found}")


def _packages() -> Check:
    pinned = _pins()
    missing, other = [], []
    for name in NEEDED:
        try:
            version = importlib.metadata.version(name).split("+")[0]
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
            continue
        if version != pinned.get(name, version):
            other.append(f"{name} {version} (tested: {pinned[name]})")
    if missing:
        return Check("FAIL", f"not installed: {', '.join(missing)}. Run: python3 workshop.py check")
    if other:
        return Check("WARN", f"other versions than the tested ones: {', '.join(other)}")
    return Check("OK", "all packages are there, in the tested versions")


def _pins() -> dict[str, str]:
    lines = (folders.ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    found = (re.match(r"([A-Za-z0-9_.-]+)==([^\s;]+)", line) for line in lines)
    return {match[1]: match[2] for match in found if match}


def _memory() -> Check:
    free = psutil.virtual_memory().available / 1e9
    if free < LEAST_MEMORY_GB:
        return Check(
            "WARN",
            f"{free:.1f} GB of memory is free and {LEAST_MEMORY_GB:g} GB is wanted: close other programs,"
            " or use the backup lab (notebook 02).",
        )
    return Check("OK", f"{free:.1f} GB of memory is free")


def _disk() -> Check:
    free = shutil.disk_usage(folders.LAB).free / 1e9
    if free < LEAST_DISK_GB:
        return Check("FAIL", f"{free:.1f} GB of disk is free and {LEAST_DISK_GB:g} GB is needed: delete something.")
    return Check("OK", f"{free:.1f} GB of disk is free")


def _processor() -> Check:
    cores = os.cpu_count() or 1
    return Check(
        "OK" if cores > 1 else "WARN", f"{cores} processor core{'s' if cores > 1 else ': training will be slow'}"
    )


def _encoder() -> Check:
    from tuning import encoder
    from tuning.errors import EncoderError

    folder = folders.models() / encoder.DISTILBERT.folder_name
    if (folder / "model.safetensors").is_file():
        return Check("OK", "DistilBERT is on this machine")
    try:
        embedded = encoder.find("embedded")
    except EncoderError as problem:
        return Check("FAIL", str(problem))
    return Check("OK", f"{embedded.name} is on this machine; DistilBERT will be asked for from the Hub")


def report() -> int:
    """Print all checks; returns 1 if one failed, else 0."""
    found = checks()
    print(*found, sep="\n")
    return int(any(check.status == "FAIL" for check in found))


def main(argv: list[str] | None = None) -> int:
    """Command line of ``workshop.py check``."""
    argparse.ArgumentParser(prog="workshop.py check", description=__doc__.splitlines()[0]).parse_args(argv)
    return report()


if __name__ == "__main__":
    sys.exit(main())
