"""Machines other than this one: a copy of the workshop elsewhere, and a kernel in which single cells run."""

import contextlib
import os
import shutil
import subprocess
from pathlib import Path
from typing import Self

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from tuning import paths


def copy_of_the_workshop(target: Path) -> Path:
    """Copy what git would keep of the working tree, changes that are not committed yet included."""
    listed = ["git", "-C", paths.ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, capture_output=True, encoding="utf-8", check=True).stdout.split("\0")
    for name in filter(None, names):
        if (paths.ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(paths.ROOT / name, target / name)
    return target


class Session:
    """A kernel with a notebook open, whose cells run one by one; it sees this process's variables.

    Parameters
    ----------
    notebook : pathlib.Path
    folder : pathlib.Path
        The kernel's first current folder.
    **variables
        Of the kernel, beside those of this process.
    """

    def __init__(self, notebook: Path, folder: Path, **variables: str) -> None:
        self.notebook = nbformat.read(notebook, as_version=4)
        self.folder = folder
        self.variables = variables
        self.client = NotebookClient(self.notebook, kernel_name="python3", timeout=600)

    def __enter__(self) -> Self:
        self.client.create_kernel_manager()
        self.client.start_new_kernel(env=os.environ | self.variables, cwd=str(self.folder))
        self.client.start_new_kernel_client()
        return self

    def __exit__(self, *problem: object) -> None:
        self.client._cleanup_kernel()

    def run(self, cell_id: str, **changed: object) -> str:
        """Run a cell, with other values for the names that it sets; gives what it put out, or how it failed."""
        index = next(place for place, cell in enumerate(self.notebook.cells) if cell["id"] == cell_id)
        cell = self.notebook.cells[index]
        for name, value in changed.items():
            before = cell.source
            cell.source = "\n".join(
                f"{name} = {value!r}" if line.startswith(f"{name} = ") else line for line in before.splitlines()
            )
            assert cell.source != before, f"{cell_id} does not set {name}"
        with contextlib.suppress(CellExecutionError):  # its error is among the outputs
            self.client.execute_cell(cell, index)
        shown = [
            output.get("text") or output.get("data", {}).get("text/plain") or "\n".join(output.get("traceback", []))
            for output in cell.outputs
        ]
        return "".join(shown)
