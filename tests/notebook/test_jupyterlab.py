"""A real JupyterLab in a real browser: what a learner sees who runs all cells, loses the kernel, and runs all again."""

import contextlib
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

import nbformat
import psutil
import pytest
from helpers.machines import copy_of_the_workshop
from nbformat.v4 import new_code_cell, new_notebook

from tuning import paths
from tuning.notebook.session import notebook_file

pytestmark = pytest.mark.slow

TRAINING = "trainer.train("
# Three epochs, so that the kernel can be lost after the first checkpoint with most of the work still to do.
SMALL = {"MODEL": "embedded", "TRAIN_SUBSET": 80, "EPOCHS": 3}
SHORT = {"TRAIN_SUBSET": 100, "EPOCHS": 2}
WATCHED = {"MODEL": "embedded", "TRAIN_SUBSET": 160, "EPOCHS": 2}
PATIENCE = 300_000  # milliseconds: a busy machine is no failure
WIDTH, HEIGHT = 1600, 900


class Lab:
    """JupyterLab, as ``workshop.py lab`` starts it, on a copy of the workshop."""

    def __init__(self, root: Path, browser: Any, *more: str) -> None:
        self.root = root
        self.browser = browser
        self.more = more
        self.address = ""
        self.pages: list[str] = []

    def __enter__(self) -> "Lab":
        # The interpreter of the tests has everything already: the copy need not install it again.
        code = (
            "import sys; from launcher import commands, jupyterlab; jupyterlab.ensure = lambda kit: sys.executable; "
            "sys.exit(commands.main(sys.argv[1:]))"
        )
        options = ["lab", "--no-browser", "--port=0", "--allow-root", *self.more]
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
                "WORKSHOP_RUNS": str(self.root / "lab" / "runs"),
                "WORKSHOP_WORK": str(self.root / "my_work"),
            },
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            start_new_session=True,
        )
        for line in self.process.stderr:
            self.pages += re.findall(r"http://127\.0\.0\.1:\d+/\S*static/\w+\.html", line)
            # The address that a learner would copy from the terminal.
            if found := re.search(r"http://127\.0\.0\.1:\d+/\S*lab\S*token=\w+", line):
                self.address = found[0]
                return self
        raise AssertionError("JupyterLab did not start")

    def __exit__(self, *problem: object) -> None:
        os.killpg(self.process.pid, signal.SIGTERM)
        self.process.communicate()

    def hold_kernel(self) -> None:
        """Stop the kernel where it is, so that a fast machine cannot end the training before the restart reaches it."""
        kernels = [
            child
            for child in psutil.Process(self.process.pid).children(recursive=True)
            if any("ipykernel" in word for word in child.cmdline())
        ]
        assert kernels
        for kernel in kernels:
            kernel.suspend()

    def page(self, name: str | None = None, state: str = "Idle") -> Any:
        """Open what the terminal's address shows, or a notebook by its name, and wait for its kernel."""
        page = self.browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        page.set_default_timeout(PATIENCE)
        address = self.address if name is None else re.sub(r"/lab/tree/[^?]*", f"/lab/tree/lab/{name}", self.address)
        page.goto(address)
        # The kernel has been found by itself: nobody has to choose one.
        page.locator("#jp-main-statusbar").get_by_text(re.compile(rf"Python 3 \(ipykernel\) \| {state}")).wait_for()
        return page


@pytest.fixture(scope="module")
def lab(tmp_path_factory, browser) -> Iterator[Callable[[dict[str, dict]], Lab]]:
    """Start JupyterLab on a copy with these dials by the notebooks' numbers; each has windows of its own."""
    opened = []

    def start(dials: dict[str, dict[str, Any]], *more: str) -> Lab:
        root = copy_of_the_workshop(tmp_path_factory.mktemp("jupyter") / "AI6-W6")
        for number, changed in dials.items():
            set_dials(root / notebook_file(number).relative_to(paths.ROOT), changed)
        opened.append(Lab(root, browser, *more).__enter__())
        return opened[-1]

    yield start
    for started in opened:
        started.__exit__()


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


def menu(page: Any, name: str, command: str) -> None:
    """Choose an entry of the menu bar, as a person does."""
    page.get_by_role("menuitem", name=name, exact=True).click()
    page.locator(f".lm-Menu-item[data-command='{command}']:visible").click()


def run_all(page: Any) -> None:
    """Run all cells; gives back once they wait for their turn."""
    menu(page, "Run", "runmenu:run-all")
    page.locator(".jp-InputPrompt", has_text="[*]").first.wait_for(state="attached")


def wait_until_idle(page: Any) -> None:
    """Wait until no cell runs or waits."""
    page.wait_for_function(
        "![...document.querySelectorAll('.jp-InputPrompt')].some(prompt => prompt.innerText.includes('*'))"
    )


def under(page: Any, code: str) -> Any:
    """The outputs of the cell that holds some code."""
    return page.locator(".jp-NotebookPanel:visible .jp-CodeCell", has_text=code).first.locator(".jp-OutputArea-output")


def text(outputs: Any) -> str:
    """What outputs say, also those that are scrolled out of sight."""
    return "\n".join(outputs.all_text_contents())


def everything(page: Any) -> Any:
    """The outputs of all cells."""
    return page.locator(".jp-NotebookPanel:visible .jp-OutputArea-output")


def pictures_while(page: Any, code: str, ended: Callable[[], bool]) -> list[str]:
    """The different pictures that a cell shows, in order, until something has happened."""
    seen: list[str] = []
    end = time.monotonic() + PATIENCE / 1000
    over = False
    while not over:
        assert time.monotonic() < end, "waited for too long"
        page.wait_for_timeout(200)
        over = ended()  # asked before the last look, so that nothing is missed between the two
        shown = under(page, code).locator("img").evaluate_all("images => images.map(image => image.src)")
        seen += [source for source in shown if source not in seen]
    return seen


# The whole picture between the edges of the notebook's pane; else scroll to it, for the next look.
IN_SIGHT = """
    (pictures) => pictures.some((picture) => {
        const { top, bottom } = picture.getBoundingClientRect();
        const pane = picture.closest(".jp-WindowedPanel-outer").getBoundingClientRect();
        if (picture.complete && pane.top <= top && bottom <= pane.bottom) return true;
        picture.scrollIntoView({ block: "center" });
        return false;
    })
"""


def look_at(page: Any, code: str, file: Path) -> None:
    """Bring a cell's last picture onto the screen and keep what a learner sees then."""
    picture = under(page, code).locator("img").last
    end = time.monotonic() + PATIENCE / 1000
    # More than once: what is drawn anew or grows above it moves it out of sight, and it may not be there yet.
    while not picture.evaluate_all(IN_SIGHT):
        assert time.monotonic() < end, "waited for too long"
        page.wait_for_timeout(500)
    page.screenshot(path=file)


def test_notebook_01_with_its_worksheet_a_live_curve_and_a_kernel_that_is_lost(lab, tmp_path):
    one = lab({"01": SMALL})
    runs = one.root / "lab" / "runs"
    page = one.page()
    worksheet = page.locator(".jp-FileEditor:visible")
    assert "Activity Worksheet" in worksheet.inner_text()
    notebook = page.locator(".jp-NotebookPanel:visible")
    assert worksheet.bounding_box()["x"] >= notebook.bounding_box()["x"] + notebook.bounding_box()["width"]
    assert page.locator(".jp-Dialog").count() == 0, "nobody is asked anything"

    run_all(page)

    def checkpoint_is_there() -> bool:
        if found := any(runs.glob("*/checkpoints/*/whole.json")):
            one.hold_kernel()
        return found

    first = pictures_while(page, TRAINING, checkpoint_is_there)
    look_at(page, TRAINING, tmp_path / "notebook-01-training.png")
    menu(page, "Kernel", "kernelmenu:restart")
    page.locator(".jp-Dialog .jp-mod-accept").click()
    page.locator("#jp-main-statusbar").get_by_text("Python 3 (ipykernel) | Idle").wait_for()
    page.locator(".jp-InputPrompt", has_text="[*]").first.wait_for(state="detached")
    assert not any(runs.glob("*/run.json"))
    (half,) = {path.parents[2] for path in runs.glob("*/checkpoints/*/whole.json")}

    run_all(page)
    second = pictures_while(page, TRAINING, lambda: (half / "run.json").exists())
    wait_until_idle(page)
    assert first, "the curve appears while the model trains"
    assert len({*second} - {*first}) >= 2, "and grows"
    assert [path.parent for path in runs.glob("*/run.json")] == [half], "the half-finished run was carried on"
    record = json.loads((half / "run.json").read_text(encoding="utf-8"))
    assert [row["epoch"] for row in record["epochs"]] == [1, 2, 3]
    assert f"Run {half.name}: completed" in text(under(page, TRAINING))
    assert "Verdict:" in text(under(page, "verdict_text(last_run())"))
    assert "Traceback" not in text(everything(page))
    assert half.name in (one.root / "my_work" / "Activity_Worksheet_filled.md").read_text(encoding="utf-8")
    look_at(page, TRAINING, tmp_path / "notebook-01.png")


@contextlib.contextmanager
def busy_processor() -> Iterator[None]:
    """Two processes that do nothing but use the processor."""
    spinning = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2)]
    try:
        yield
    finally:
        for process in spinning:
            process.kill()
            process.wait()


WATCH = """
    (code) => {
        window.seen = {};
        const look = () => {
            const cells = [...document.querySelectorAll(".jp-NotebookPanel .jp-CodeCell")];
            const cell = cells.find((cell) => cell.textContent.includes(code));
            const words = /Step (\\d+) of (\\d+)/.exec(cell?.querySelector(".jp-OutputArea-output p")?.textContent);
            const image = cell?.querySelector(".jp-OutputArea-output img");
            // The words are there before the figure: the step is never behind what the figure shows.
            if (words && image) window.seen[image.src] ??= Number(words[1]) / Number(words[2]);
            requestAnimationFrame(look);
        };
        look();
    }
"""


def test_on_a_busy_machine_the_curve_grows_and_after_a_closed_tab_the_next_cell_shows_it(lab, tmp_path):
    started = lab({"01": WATCHED})
    page = started.page()
    page.evaluate(WATCH, TRAINING)
    run_all(page)
    page.wait_for_function("Object.keys(window.seen).length > 0")
    with busy_processor():
        page.wait_for_function("Object.values(window.seen).some(share => share >= 0.5)")
        look_at(page, TRAINING, tmp_path / "growing.png")
    shares = page.evaluate("Object.values(window.seen)")
    assert len([share for share in shares if share < 0.5]) >= 4

    page.close()
    page = started.page(notebook_file("01").name, state="")
    cell = page.locator(".jp-NotebookPanel:visible .jp-CodeCell", has_text="resume.newest_run()")
    cell.locator(".jp-InputArea-editor").click()
    page.keyboard.press("Control+Enter")
    look_at(page, "resume.newest_run()", tmp_path / "after-a-closed-tab.png")
    assert [path.parent.name for path in (started.root / "lab" / "runs").glob("*/run.json")]
    page.close()


def fill_worksheet(root: Path) -> None:
    """What the cell "Fill your worksheet" does, in the lab's copy of the workshop."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WORKSHOP_")}
    code = "from tuning.evidence import fill_worksheet; print(fill_worksheet())"
    subprocess.run([sys.executable, "-c", code], env=kept | {"PYTHONPATH": str(root / "lab")}, check=True)


def test_documents_are_read_the_worksheet_is_written_and_pages_keep_what_they_store(lab):
    one = lab({})
    page = one.browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
    page.set_default_timeout(PATIENCE)

    def opened(path: str) -> None:
        page.goto(re.sub(r"/lab/tree/[^?]*", f"/lab/tree/{path}", one.address))

    # An open tab with unsaved typing, Fill, then save: nobody is asked whose version to lose, and both are there.
    opened("my_work/Activity_Worksheet.md")
    worksheet = page.locator(".jp-FileEditor:visible .cm-content")
    worksheet.click()
    page.keyboard.press("Control+End")
    page.keyboard.type("typed before Fill")
    fill_worksheet(one.root)
    page.keyboard.press("Control+s")
    own, filled = (one.root / "my_work" / f"Activity_Worksheet{end}.md" for end in ("", "_filled"))
    end = time.monotonic() + PATIENCE / 1000
    while "typed before Fill" not in own.read_text(encoding="utf-8"):
        assert page.locator(".jp-Dialog").count() == 0
        assert time.monotonic() < end
        page.wait_for_timeout(200)
    assert page.locator(".jp-Dialog").count() == 0
    fill_worksheet(one.root)
    assert "typed before Fill" in filled.read_text(encoding="utf-8")
    assert "#### Runs" in filled.read_text(encoding="utf-8")

    opened("my_work/Activity_Worksheet_filled.md")
    page.locator(".jp-MarkdownViewer:visible table").first.wait_for()
    opened("activities/activity-1.md")
    link = page.locator(".jp-MarkdownViewer:visible a", has_text="clinic").first
    with page.expect_popup() as popup:
        link.click()
    clinic = popup.value
    clinic.evaluate("localStorage.setItem('kept', 'yes')")
    clinic.reload()
    assert clinic.evaluate("localStorage.getItem('kept')") == "yes"
    page.close()


def test_playground_and_clinic_open_from_the_terminal_the_menu_and_the_launcher(lab, tmp_path):
    """Below a base address, as behind a hub or a proxy, and without the token that notebooks need."""
    one = lab({}, "--ServerApp.base_url=/room/7/")
    assert [address.rpartition("/")[2] for address in one.pages] == ["playground.html", "clinic.html"]
    for address in one.pages:
        stranger = one.browser.new_context().new_page()
        stranger.goto(address)
        assert stranger.locator("svg, canvas").first.is_visible()
        stranger.context.close()

    page = one.page()
    popups = []
    page.on("popup", lambda popup: popups.append(popup))
    menu(page, "Workshop", "workshop:clinic")
    menu(page, "File", "launcher:create")
    card = page.locator(".jp-LauncherCard", has_text="Playground")
    card.wait_for()
    page.screenshot(path=tmp_path / "launcher.png")
    with page.expect_popup():
        card.click()
    assert sorted(popup.url for popup in popups) == sorted(one.pages)
    assert page.locator(".jp-Dialog").count() == 0
    page.close()


@pytest.mark.full
def test_notebooks_02_and_03_run_from_their_first_cell_to_their_last(lab, tmp_path):
    one = lab({"02": SHORT})
    for number, code, told in (
        ("02", "convergence(one)", "TOO_HIGH: "),
        ("03", "boards.collect(SHARED)", "can be compared"),
    ):
        page = one.page(notebook_file(number).name)
        menu(page, "Run", "runmenu:run-all")
        # A quick notebook may be through before anybody has seen a cell that waits.
        page.locator(".jp-InputPrompt", has_text=re.compile(r"\[(\*|\d+)\]")).first.wait_for(state="attached")
        wait_until_idle(page)
        assert told in text(under(page, code))
        assert everything(page).locator("img").count() > 0
        assert "Traceback" not in text(everything(page))
        page.screenshot(path=tmp_path / f"notebook-{number}.png")
        page.close()


@pytest.mark.full
def test_an_option_runs_in_its_folder_and_leads_to_the_page_that_explains_it(lab, few, tmp_path):
    one = lab({"04E": {"DIALS": {"DATA": str(few), "MODEL": "embedded", "TRAIN_SUBSET": 60, "EPOCHS": 1}}})
    page = one.page(notebook_file("04E").relative_to(paths.LAB).as_posix())
    run_all(page)
    wait_until_idle(page)
    assert "Option: E, SGD comparison" in text(under(page, "further.for_worksheet("))
    assert "Traceback" not in text(everything(page))
    page.screenshot(path=tmp_path / "option.png")
    page.locator(".jp-NotebookPanel:visible .jp-MarkdownCell", has_text="How to read it").locator("a").last.click()
    page.locator(".jp-NotebookPanel:visible h2", has_text="How to read a comparison").wait_for()
    page.screenshot(path=tmp_path / "page.png")
    page.close()


def test_two_dollar_signs_in_a_table_are_no_formula(lab, tmp_path):
    """The same table as bare HTML, which JupyterLab sets as a formula, and as the kernel shows it from its start on."""
    one = lab({})
    sentence = "Profit rose from $4m to $5m in the quarter."
    bare = (
        "import pandas as pd\nfrom IPython.display import HTML\n"
        f"table = pd.DataFrame({{'sentence': [{sentence!r}]}})\nHTML(table.to_html())"
    )
    nbformat.write(new_notebook(cells=[new_code_cell(bare), new_code_cell("table")]), one.root / "lab/dollars.ipynb")
    page = one.page("dollars.ipynb")
    menu(page, "Run", "runmenu:run-all")
    as_html, as_shown = (page.locator(".jp-NotebookPanel:visible .jp-CodeCell").nth(cell) for cell in range(2))
    as_shown.locator(".jp-OutputArea").get_by_text("$4m to $5m").wait_for()
    as_html.locator(".jp-OutputArea mjx-container").first.wait_for(state="attached")
    assert as_shown.locator("mjx-container").count() == 0
    assert page.locator("mjx-container").count() == 1
    page.screenshot(path=tmp_path / "dollars.png")
