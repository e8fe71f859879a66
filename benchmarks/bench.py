"""Measure this lab beside common practice, a loop written by hand, and the limit of the machine.

``python3 workshop.py bench`` runs every contender in a process of its own, in turn and three times, and writes
``benchmarks/README.md`` (the part between the marks), the picture of growth and the raw results. What was measured
already is not measured again, so a bench that was cut off goes on; ``--only`` measures some, ``--quick`` a small
selection that changes no file.
"""

import argparse
import dataclasses
import fnmatch
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from benchmarks import growth
from benchmarks.plan import DISTILBERT_SIZE, MODELS, Task, plan, quick_plan
from benchmarks.report import report
from tuning import paths
from tuning.command import one_line_errors
from tuning.encoder import finding as encoders
from tuning.errors import RunError
from tuning.files import write_whole
from tuning.training import machine

FOLDER = paths.ROOT / "benchmarks"
MODULE, PREVIOUS_MODULE = "benchmarks.worker", "tuning.contenders"
RESULTS, TABLE = "results.jsonl", "README.md"
BEGIN, END = "<!-- bench: begin -->", "<!-- bench: end -->"
# What "earlier" is: a commit of this repository, from before blocks were computed as one function.
PREVIOUS = "65e5a91"


def measure(task: Task) -> dict[str, Any]:
    """Run one contender in a process of its own.

    Returns
    -------
    dict
        The task and its result, in which ``process_seconds`` are those of the whole process.

    Raises
    ------
    RunError
        If it failed.
    """
    with tempfile.TemporaryDirectory() as scratch:
        settings = [*task.dials, ("MODEL", str(model_folder()) if task.model == DISTILBERT_SIZE else "embedded")]
        previous = task.name.startswith("previous")
        module, path = (PREVIOUS_MODULE, previous_code() / "lab") if previous else (MODULE, paths.ROOT)
        command = [sys.executable, "-m", module, task.contender, "--validation", str(task.validation)]
        for name, value in settings:
            command += ["--set", f"{name}={value}"]
        own = {"WORKSHOP_RUNS": scratch, "WORKSHOP_WORK": scratch, "PYTHONPATH": str(path)}
        # A probe that is remembered, or runs made before, would make the estimate know the answer.
        own |= {"WORKSHOP_CACHE": scratch} if task.contender == "estimate" else {}
        # As the launcher and the notebooks' kernel set it: threads that spin would disturb whatever runs beside them.
        environment = {"OMP_WAIT_POLICY": "PASSIVE"} | os.environ | own
        began = time.perf_counter()
        # Python also looks for packages where it is started.
        done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=scratch)
        seconds = time.perf_counter() - began
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise RunError(f"{task.name} ({task.model}) failed: {last}")
    result = json.loads(done.stdout.splitlines()[-1]) | {"process_seconds": seconds}
    return dataclasses.asdict(task) | {"result": result}


def model_folder() -> Path:
    """A DistilBERT-shaped encoder with random weights: the size and the speed of the real one, without the Hub."""
    folder = machine.memory_folder() / "distilbert-size"
    if not (folder / "tokenizer.json").is_file():
        import torch
        from transformers import DistilBertConfig, DistilBertModel

        torch.manual_seed(0)
        DistilBertModel(DistilBertConfig()).save_pretrained(folder)
        encoders.tokenizer(encoders.find("embedded")).save_pretrained(folder)
    return folder


def previous_code() -> Path:
    """The repository as it was at `PREVIOUS`, to measure old and new in turn.

    Raises
    ------
    RunError
        If git does not have that commit, as in a shallow copy.
    """
    folder = machine.memory_folder() / f"previous-{PREVIOUS}"
    if not (folder / "lab").is_dir():
        command = ["git", "-C", str(paths.ROOT), "archive", "--format=tar", PREVIOUS]
        done = subprocess.run(command, capture_output=True)
        if done.returncode != 0:
            raise RunError(f"git has no commit {PREVIOUS} here to compare with. Fetch it: git fetch --unshallow")
        with tarfile.open(fileobj=io.BytesIO(done.stdout)) as files:
            files.extractall(folder, filter="data")
    return folder


def run(tasks: Sequence[Task], file: Path | None) -> list[dict[str, Any]]:
    """Measure what is not measured yet; each result is on disk before the next begins.

    Parameters
    ----------
    tasks : sequence of Task
    file : pathlib.Path or None
        Where results are kept, one JSON object a line; None keeps none.

    Returns
    -------
    list of dict
        All results of these tasks.
    """
    measured = {_key(row): row for row in results(file)}
    open_tasks = [task for task in tasks if task.key not in measured]
    with tqdm(open_tasks, unit="run", disable=not open_tasks) as bar:
        for task in bar:
            bar.set_description(f"{task.model}, {task.name}")
            row = measure(task)
            measured[task.key] = row
            if file:
                file.parent.mkdir(parents=True, exist_ok=True)
                with file.open("a", encoding="utf-8", newline="\n") as opened:
                    opened.write(json.dumps(row) + "\n")
    return [measured[task.key] for task in tasks if task.key in measured]


def results(file: Path | None) -> list[dict[str, Any]]:
    """Read the results that are kept; a line that was cut off in the middle is left out."""
    if file is None or not file.is_file():
        return []
    rows = []
    for line in file.read_text(encoding="utf-8").splitlines():
        try:
            rows.append(json.loads(line))
        except ValueError:
            continue
    return rows


def write(rows: list[dict[str, Any]], folder: Path = FOLDER) -> None:
    """Put the tables between the marks of the document, and the picture beside it.

    Raises
    ------
    RunError
        If the document has no marks.
    """
    path = folder / TABLE
    text = path.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise RunError(f"{paths.short(path)}: the marks {BEGIN} and {END} are missing.")
    if times := growth.training_times(rows):
        growth.picture(times, growth.longest_sentence()).save(folder / growth.PICTURE)
    write_whole(path, f"{before}{BEGIN}\n{report(rows)}\n{END}{after}")


@one_line_errors
def main(argv: list[str] | None = None) -> int:
    """Command line of ``workshop.py bench``."""
    parser = argparse.ArgumentParser(prog="workshop.py bench", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a small selection in a few minutes; changes no file")
    parser.add_argument(
        "--only", nargs="+", default=[], metavar="NAME", help="measure these, such as 'ours-*' or limit"
    )
    parser.add_argument("--model", choices=MODELS, help="measure with this encoder only")
    parser.add_argument("--fresh", action="store_true", help="throw earlier results away")
    parser.add_argument("--list", action="store_true", help="say what there is to measure, and what is done")
    options = parser.parse_args(argv)
    file = None if options.quick else FOLDER / RESULTS
    every = quick_plan() if options.quick else plan()
    chosen = [
        task
        for task in every
        if (not options.only or any(fnmatch.fnmatch(task.name, pattern) for pattern in options.only))
        and options.model in (None, task.model)
    ]
    if options.fresh and file:
        file.unlink(missing_ok=True)
    if options.list:
        done = {_key(row) for row in results(file)}
        print(*sorted({f"{t.model}, {t.name}: {_done(every, done, t)}" for t in chosen}), sep="\n")
        return 0
    rows = run(chosen, file)
    if file is None:
        print(report(rows))
    else:
        write(kept(every, file))
    return 0


def kept(tasks: Sequence[Task], file: Path) -> list[dict[str, Any]]:
    """The results of these tasks that are on disk."""
    keys = {task.key for task in tasks}
    return [row for row in results(file) if _key(row) in keys]


def _key(row: dict[str, Any]) -> str:
    return json.dumps([row[field.name] for field in dataclasses.fields(Task)])


def _done(tasks: Sequence[Task], keys: set[str], like: Task) -> str:
    same = [task for task in tasks if (task.name, task.model) == (like.name, like.model)]
    return f"{sum(task.key in keys for task in same)} of {len(same)} done"


if __name__ == "__main__":
    sys.exit(main())
