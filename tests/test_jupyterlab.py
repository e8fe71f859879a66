"""A real JupyterLab in a real browser: what a learner sees who runs all cells, loses the kernel, and runs all again."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from machines import copy_of_the_workshop

import workshop
from tuning.session import notebook_file

pytestmark = pytest.mark.slow

TINY = {"01": {"TRAIN_SUBSET": 40, "EPOCHS": 1}, "02": {"TRAIN_SUBSET": 100, "EPOCHS": 2}, "03": {}}
# Long enough that the kernel can be lost in the middle, after the first checkpoint.
LONG = {"TRAIN_SUBSET": 240, "EPOCHS": 3}
PATIENCE = 300_000  # milliseconds: a busy machine is no failure
WIDTH, HEIGHT = 1600, 900


class Lab:
    """JupyterLab, as ``workshop.py lab`` starts it, on a copy of the workshop."""

    def __init__(self, root: Path, browser: Any) -> None:
        self.root = root
        self.browser = browser
        self.address = ""

    def __enter__(self) -> "Lab":
        # The interpreter of the tests has everything already: the copy need not install it again.
        code = "import sys, workshop; workshop.ensure = lambda kit: sys.executable; sys.exit(workshop.main(sys.argv[1:]))"
        options = ["lab", "--no-browser", "--port=0", "--allow-root"]
        kept = {name: value for name, value in os.environ.items() if not name.startswith("WORKSHOP_")}
        settings = self.root.parent / "jupyter"
        self.process = subprocess.Popen(
            [sys.executable, "-c", code, *options],
            cwd=self.root,
            env=kept
            | {
                "PYTHONPATH": os.pathsep.join([str(self.root), str(self.root / "lab")]),
                "HF_HUB_OFFLINE": "1",
                "JUPYTER_CONFIG_DIR": str(settings),
                "JUPYTER_RUNTIME_DIR": str(settings / "runtime"),
                "JUPYTERLAB_SETTINGS_DIR": str(settings / "settings"),
                "WORKSHOP_CACHE": str(settings / "cache"),
            },
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            start_new_session=True,
        )
        for line in self.process.stderr:
            # The address that a learner would copy from the terminal.
            if found := re.search(r"http://127\.0\.0\.1:\d+/lab\S*token=\w+", line):
                self.address = found[0]
                return self
        raise AssertionError("JupyterLab did not start")

    def __exit__(self, *problem: object) -> None:
        os.killpg(self.process.pid, signal.SIGTERM)
        self.process.communicate()

    def page(self, name: str | None = None) -> Any:
        """Open what the terminal's address shows, or a notebook by its name."""
        page = self.browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        page.set_default_timeout(PATIENCE)
        address = self.address if name is None else re.sub(r"/lab/tree/[^?]*", f"/lab/tree/lab/{name}", self.address)
        page.goto(address)
        # The kernel has been found by itself: nobody has to choose one.
        page.locator("#jp-main-statusbar").get_by_text("Python 3 (ipykernel) | Idle").wait_for()
        return page


@pytest.fixture(scope="module")
def lab(tmp_path_factory, browser) -> Iterator[Callable[[dict[str, dict]], Lab]]:
    opened = []

    def start(dials: dict[str, dict[str, Any]]) -> Lab:
        root = copy_of_the_workshop(tmp_path_factory.mktemp("jupyter") / "AI6-W6")
        for number, changed in dials.items():
            set_dials(root / "lab" / notebook_file(number).name, {"MODEL": "embedded", **changed} if number == "01" else changed)
        opened.append(Lab(root, browser).__enter__())
        return opened[-1]

    yield start
    for one in opened:
        one.__exit__()


def set_dials(notebook: Path, changed: dict[str, Any]) -> None:
    """Change the dials in a notebook, as a learner would before running it."""
    stored = json.loads(notebook.read_text(encoding="utf-8"))
    (cell,) = [cell for cell in stored["cells"] if "parameters" in cell["metadata"].get("tags", [])]
    lines = "".join(cell["source"]).splitlines()
    for name, value in changed.items():
        (place,) = [place for place, line in enumerate(lines) if line.startswith(f"{name} = ")]
        lines[place] = f"{name} = {value!r}"
    cell["source"] = "\n".join(lines)
    notebook.write_text(json.dumps(stored, indent=1), encoding="utf-8")


def run_all(page: Any) -> None:
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.locator(".lm-Menu-item[data-command='notebook:run-all-cells']:visible, .lm-Menu-item[data-command='runmenu:run-all']:visible").first.click()


def finish(page: Any) -> str:
    """Wait until no cell is waiting; gives all the text under the cells."""
    page.locator(".jp-NotebookPanel:visible .jp-Notebook-ExecutionIndicator[data-status=busy]").wait_for()
    page.locator(".jp-NotebookPanel:visible .jp-Notebook-ExecutionIndicator[data-status=idle]").wait_for()
    return outputs(page)


def outputs(page: Any) -> str:
    return "\n".join(page.locator(".jp-NotebookPanel:visible .jp-OutputArea-output").all_inner_texts())
