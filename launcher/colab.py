"""Google Colab, which starts with nothing but the notebook: `join` makes it part of the workshop."""

import importlib
import importlib.metadata
import os
import re
import sys
from collections.abc import Iterator

from launcher.installation import ensure
from launcher.settings import MAIN, ROOT, WorkshopError

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
    for package in importlib.metadata.distributions():
        for line in (package.read_text("RECORD") or "").splitlines():
            found = re.match(r"(\w+)(\.py|/__init__\.py),", line)
            if found:
                yield found.group(1), package.version
