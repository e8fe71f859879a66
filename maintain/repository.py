"""Where this repository lives on GitHub: one name, written into every file that links to it.

``python3 workshop.py documents --repo OWNER/NAME`` changes it everywhere.
"""

import re
import tomllib
from pathlib import Path

from tuning import paths
from tuning.errors import WorkshopError
from tuning.files import write_whole

HOST = "https://github.com/"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*/[A-Za-z0-9._-]+")
# Files that name the repository; the tests read it from pyproject.toml.
FILES = ("pyproject.toml", "CITATION.cff", "README.md", "CONTRIBUTING.md", "lab/*.ipynb", "lab/going_further/*.ipynb")


class RepositoryError(WorkshopError):
    """A name that GitHub would not take, or none where one is needed."""


def repository() -> str:
    """Owner and name, as ``[project.urls]`` in ``pyproject.toml`` says."""
    project = tomllib.loads((paths.ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return project["urls"]["Repository"].removeprefix(HOST)


def move_to(name: str) -> list[Path]:
    """Write another owner and name into every file that links to this repository.

    Parameters
    ----------
    name : str
        ``OWNER/NAME``.

    Returns
    -------
    list of pathlib.Path
        The files that changed.

    Raises
    ------
    RepositoryError
        If GitHub would not take the name.
    """
    if not NAME.fullmatch(name):
        raise RepositoryError(f"--repo {name}: not the name of a repository. Write OWNER/NAME, such as {repository()}.")
    old = repository()
    folder = re.compile(rf"(?<![\w/-]){re.escape(old.split('/')[1])}(?![\w.-])")
    changed = []
    for path in sorted(path for pattern in FILES for path in paths.ROOT.glob(pattern)):
        text = path.read_text(encoding="utf-8")
        # The last is the folder that a clone makes.
        new = folder.sub(name.split("/")[1], text.replace(old, name))
        if new != text:
            write_whole(path, new)
            changed.append(path)
    return changed
