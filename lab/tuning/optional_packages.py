"""Packages that only an option of Going Further needs: ``requirements/further.txt`` names them and their versions."""

import importlib
import importlib.util

from tuning import paths

REQUIREMENTS = paths.ROOT / "requirements" / "further.txt"


def are_here(names: tuple[str, ...]) -> bool:
    """Whether packages can be imported, one that a cell has just installed too."""
    importlib.invalidate_caches()
    return all(importlib.util.find_spec(name) is not None for name in names)
