"""Execute a notebook without a screen: ``python3 workshop.py run`` ends here.

The dials are checked before anything runs; a progress bar shows the cell under way and, while it trains, its progress
line.

A run checks the machine: the whole notebook at its default dials, whatever a learner has typed into it, with records in
a folder that no log, worksheet, checkpoint or last run of a learner counts. With ``--mine`` it is the learner's own.
"""
# ruff: noqa: E402 - one import is made cheaper before the others

import argparse
import ast
import asyncio
import contextlib
import errno
import logging
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# jsonschema, which nbformat imports, would compile 39 grammars of web addresses in a second; see findings.
sys.modules.setdefault("rfc3987_syntax", None)

import nbformat
import papermill
from nbclient.exceptions import CellExecutionError, DeadKernelError
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NBClientEngine, papermill_engines
from papermill.exceptions import PapermillExecutionError
from tqdm import tqdm

from tuning import paths
from tuning.command import one_line_errors
from tuning.dials import parse_settings
from tuning.errors import WorkshopError
from tuning.evidence.predictions import prediction_of
from tuning.files import free_name, sign, write_whole
from tuning.notebook.notebook_settings import (
    BOARD_NOTEBOOK,
    PREDICTIONS,
    PUBLISHED,
    checked_prediction,
    defaults,
    of_option,
    parameters,
    retyped,
)
from tuning.notebook.notebooks import read_notebook
from tuning.notebook.session import notebook_file
from tuning.runs.record import Run
from tuning.runs.store import COMPARISON_FILE, copy_results, make_room_in

NOTEBOOKS = ("01", "02", "03", "04")
LAST_RESULT = '[folder.name for folder in __import__("tuning.runs.store", fromlist=["store"]).results_here()[-1:]]'


class _Client(PapermillNotebookClient):
    """Papermill's client, with the text of display updates beside the progress bar, and Ctrl-C as the stop button."""

    stopped = False

    def create_kernel_manager(self) -> Any:
        """Make the kernel's manager; where even this machine's own address is switched off, they talk through files."""
        manager = super().create_kernel_manager()
        if hasattr(socket, "AF_UNIX") and not _own_address_works():
            # A short path: the system allows about a hundred characters.
            self._meeting_place = tempfile.TemporaryDirectory(prefix="kernel-", ignore_cleanup_errors=True)
            manager.transport, manager.ip = "ipc", str(Path(self._meeting_place.name) / "ipc")
        return manager

    def process_message(self, message: dict, *args: Any, **kwargs: Any) -> Any:
        """Handle a kernel's message; a changing line of text goes to the bar."""
        bar = self.nb_man.pbar
        if bar is not None and message["msg_type"] == "update_display_data":
            lines = message["content"]["data"].get("text/plain", "").splitlines()
            if lines and "image/png" not in message["content"]["data"]:
                bar.set_postfix_str(lines[0], refresh=True)
        return super().process_message(message, *args, **kwargs)

    def execute_cell(self, cell: nbformat.NotebookNode, cell_index: int, *args: Any, **kwargs: Any) -> Any:
        """Execute a cell; the bar carries its id."""
        bar = self.nb_man.pbar
        if bar is not None and cell.cell_type == "code":
            bar.set_description_str(f"{_shown_name(cell):22s}")
            bar.set_postfix_str("")
        executed = cell
        try:
            if not self.stopped:
                executed = super().execute_cell(cell, cell_index, *args, **kwargs)
        except CellExecutionError:
            if not self.stopped:
                raise
        if self.stopped:
            raise KeyboardInterrupt
        return executed

    @contextlib.contextmanager
    def ctrl_c_as_stop_button(self) -> Iterator[None]:
        """Let the first Ctrl-C interrupt the cell under way, so that it can keep its work; a second one is as usual."""

        def press(number: int, frame: object) -> None:
            signal.signal(signal.SIGINT, usual)
            self.stopped = True
            tqdm.write(
                "Stopping. A run in training is measured and kept first; Ctrl-C again leaves at once.", file=sys.stderr
            )
            # Without a loop no cell is under way, and the next one does not start.
            with contextlib.suppress(RuntimeError):
                loop = asyncio.get_running_loop()
                loop.call_soon_threadsafe(lambda: asyncio.ensure_future(self.km.interrupt_kernel()))

        usual = signal.signal(signal.SIGINT, press)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, usual)

    def papermill_execute_cells(self) -> None:
        """Execute all cells; then ask the kernel for its last result: another kernel may fill the same folder."""
        with self.ctrl_c_as_stop_button():
            super().papermill_execute_cells()
        question = self.kc.execute("", silent=True, user_expressions={"last": LAST_RESULT})
        answer = self.wait_for_reply(question)["content"]["user_expressions"]["last"]
        # A kernel that cannot import the package has no result, and its first cell has said why.
        folders = answer["data"]["text/plain"] if answer["status"] == "ok" else "[]"
        self.nb.metadata["results"] = ast.literal_eval(folders)


def _shown_name(cell: nbformat.NotebookNode) -> str:
    """A cell's id; papermill's own cell, which holds what was set from outside, has none that can be read."""
    return "settings" if "injected-parameters" in cell.metadata.get("tags", []) else cell.get("id", "")


def _own_address_works() -> bool:
    try:
        with socket.create_server(("127.0.0.1", 0)) as server:
            socket.create_connection(server.getsockname(), timeout=2).close()
    except OSError:
        return False
    return True


class _Engine(NBClientEngine):
    """Papermill's engine with the client above."""

    @classmethod
    def execute_managed_notebook(cls, nb_man: Any, kernel_name: str, **kwargs: Any) -> nbformat.NotebookNode:
        """Run all cells of the notebook in one kernel; where Ctrl-C ends that, the cells so far go into a file."""
        client = _Client(
            nb_man,
            kernel_name=kernel_name,
            startup_timeout=kwargs["start_timeout"],
            timeout=None,
            # Else the kernel warns in the middle of the progress bar that its connection, which never leaves this
            # machine, is not encrypted; and, after a second Ctrl-C, that nobody takes its last answer, with a
            # traceback. What goes wrong in a cell comes another way.
            extra_arguments=["--log-level=CRITICAL"],
        )
        try:
            return client.execute()
        except KeyboardInterrupt:
            write_whole(kwargs["interrupted"], nbformat.writes(nb_man.nb))
            raise


@contextlib.contextmanager
def apart_from_the_learner() -> Iterator[None]:
    """Inside, and in kernels started inside, runs and papers lie in ``lab/runs/check`` and not among the learner's."""
    place = paths.runs() / paths.CHECK
    own = {"WORKSHOP_RUNS": place, "WORKSHOP_WORK": place / "my_work", "WORKSHOP_SHARE": place / "share"}
    before = {name: os.environ.get(name) for name in own}
    os.environ.update({name: str(path) for name, path in own.items()})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def run_notebook(number: str, settings: dict[str, Any], out: Path | None = None, mine: bool = False) -> Path:
    """Execute a notebook from its first cell to its last; gives the folder of its results.

    Parameters
    ----------
    number : str
        ``"01"`` to ``"04"``.
    settings : dict
        Dials to set, by name; for notebook 03 only ``SHARED``, a file or folder with share lines. For notebook 04 also
        dials for the run that it starts from, and ``OPTION``: the notebook of that option is then executed in its
        place. In 01 and 02 also the prediction (``PREDICTION``, ``PREDICTED_F1``, ``BECAUSE``).
    out : pathlib.Path, optional
        Folder for the executed notebook, ``run.json`` and ``predictions.csv``; by default the folder of the new run.
    mine : bool
        Take what a learner has typed into the notebook; otherwise every dial that is not set has its default.

    Raises
    ------
    DialError
        Before anything runs, if a setting's name or value cannot be used.
    RunError
        Before anything runs, if nothing can be written where the results go.
    WorkshopError
        Before anything runs, if the notebook is damaged; or if a cell fails, with its own line.
    """
    number, settings = of_option(number, settings)
    typed = checked_prediction(number, settings)
    settings = {name: value for name, value in settings.items() if name not in typed}
    given = parameters(number, settings)
    if not mine:
        given, typed = defaults(number) | given, PUBLISHED | typed
    elif given:
        # The stored words were about the dials in the notebook.
        typed = {name: PUBLISHED[name] for name in PREDICTIONS} | typed
    source = notebook_file(number)
    read_notebook(source, tagged=True)
    make_room_in(out or paths.runs())
    papermill_engines.register("workshop", _Engine)
    logging.getLogger("papermill").setLevel(logging.ERROR)
    # After a second Ctrl-C nobody waits for the cell any more, which asyncio would tell with a traceback.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    # In a place of its own while it grows: a second one may be executed at the same time, and either may be killed.
    with tempfile.TemporaryDirectory(prefix="notebook-") as growing:
        executed, start = Path(growing) / source.name, Path(growing) / "start.ipynb"
        start.write_text(retyped(source.read_text(encoding="utf-8"), typed), encoding="utf-8")
        try:
            notebook = papermill.execute_notebook(
                start,
                executed,
                parameters=given,
                engine_name="workshop",
                kernel_name="python3",
                language="python",
                cwd=source.parent,
                # Writing it twice a cell would take longer than most cells.
                request_save_on_cell_execute=False,
                interrupted=executed,
                progress_bar={
                    "bar_format": "{desc} {n_fmt}/{total_fmt} cells  {elapsed}  {postfix}",
                    "dynamic_ncols": True,
                },
            )
        except PapermillExecutionError as problem:
            kept = (out or paths.runs()) / f"{source.stem}.failed.ipynb"
            write_whole(kept, executed.read_text(encoding="utf-8"))
            raise WorkshopError(_failure(problem, kept)) from None
        except KeyboardInterrupt:
            if executed.is_file():
                kept = (out or paths.runs()) / f"{source.stem}.stopped.ipynb"
                write_whole(kept, executed.read_text(encoding="utf-8"))
                raise KeyboardInterrupt(f"The cells that were run are in {paths.short(kept)}") from None
            raise
        except DeadKernelError:
            raise WorkshopError(
                "the notebook's kernel was ended by the system, most likely for lack of memory. Close other programs,"
                ' turn BATCH_SIZE or MAX_LENGTH down, set MODEL = "embedded", or take the backup lab (notebook 02).'
                " Run it again to go on after the last whole epoch."
            ) from None
        results = [paths.runs() / name for name in notebook.metadata["results"]]
        folder = out or (results[-1] if results else paths.runs())
        kept = free_name(folder / source.name)
        write_whole(kept, executed.read_text(encoding="utf-8"))
        sign(kept)
    if results and out:
        copy_results(results[-1], out)
    return folder


def _failure(problem: PapermillExecutionError, kept: Path) -> str:
    where = f"The notebook as far as it ran: {paths.short(kept)}"
    if problem.ename.endswith("Error") and issubclass(_known(problem.ename), WorkshopError):
        return f"{problem.evalue} {where}"
    return f"a cell failed with {problem.ename}: {problem.evalue.splitlines()[0] if problem.evalue else ''}. {where}"


def _known(name: str) -> type:
    from tuning import errors

    return getattr(errors, name, Exception)


@one_line_errors
def main(argv: list[str] | None = None) -> int:
    """Command line of ``workshop.py run``; returns the exit code."""
    parser = argparse.ArgumentParser(prog="workshop.py run", description="Execute a notebook without a screen.")
    parser.add_argument("--notebook", default="01", choices=NOTEBOOKS, help="which notebook (default: 01)")
    parser.add_argument("--preset", metavar="P", help="TOO_LOW, JUST_RIGHT, TOO_HIGH, or a learning rate")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="set a dial, such as EPOCHS=3")
    parser.add_argument("--fresh", action="store_true", help="throw away a half-finished run of the same dials")
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder for the results")
    parser.add_argument("--mine", action="store_true", help="a run of your own, with what you typed into the notebook")
    options = parser.parse_args(argv)
    try:
        settings = parse_settings(options.set) | ({"LR_PRESET": options.preset} if options.preset else {})
        settings |= {"FRESH": "True"} if options.fresh else {}
        out = options.out.resolve() if options.out else None
        # Notebook 03 trains nothing: it shows the runs that are here.
        mine = options.mine or options.notebook == BOARD_NOTEBOOK
        with contextlib.nullcontext() if mine else apart_from_the_learner():
            report(run_notebook(options.notebook, settings, out, mine))
        if not mine:
            print("A check of the machine, which no log, worksheet or checkpoint counts. --mine makes a run yours.")
    except OSError as problem:
        if problem.errno != errno.ENOSPC:
            raise
        print("error: the disk is full. Free some space, then run this again.", file=sys.stderr)
        return 2
    except KeyboardInterrupt as stopped:
        print(*filter(None, ["Stopped by hand.", str(stopped)]), file=sys.stderr)
        return 130
    return 0


def report(folder: Path) -> None:
    """Print the before/after table, the verdict and the worksheet's row of the run in a folder."""
    from tuning.evidence import before_after, prediction_and_result, verdict_text, worksheet_table

    if (folder / "run.json").is_file():
        run = Run.load(folder)
        print(f"Encoder: {run.encoder['name']} ({run.encoder['source']})")
        print(before_after(run).to_string())
        print(verdict_text(run))
        if prediction_of(run):
            print(prediction_and_result(run).to_string())
        print(worksheet_table(run))
    if (folder / COMPARISON_FILE).is_file():
        print((folder / COMPARISON_FILE).read_text(encoding="utf-8").rstrip())
    print(f"Everything is in {paths.short(folder)}")


if __name__ == "__main__":
    sys.exit(main())
