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
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from tqdm import tqdm

from tuning import paths
from tuning.command import one_line_errors
from tuning.data.loading import load, split
from tuning.encoder import finding as encoders
from tuning.errors import RunError
from tuning.figures.style import BLUE, GREEN, GREY, ORANGE, STYLE, Picture, new_figure
from tuning.files import write_whole
from tuning.training import machine

FOLDER = paths.ROOT / "benchmarks"
MODULE, PREVIOUS_MODULE = "benchmarks.baselines", "tuning.contenders"
RESULTS, TABLE, PICTURE = "results.jsonl", "README.md", "growth.png"
BEGIN, END = "<!-- bench: begin -->", "<!-- bench: end -->"
REPEATS = 3
# Left out of a quick look.
SLOW = ("bare-auto", "previous-fp32", "previous-auto")
# What "earlier" is: a commit of this repository, from before blocks were computed as one function.
PREVIOUS = "65e5a91"
SENTENCES, EPOCHS = 800, 2
DISTILBERT_SIZE, EMBEDDED = "DistilBERT size", "embedded"
MODELS = (DISTILBERT_SIZE, EMBEDDED)
GROWTH = {
    "sentences": (200, 400, 800, 1600, 0),
    "tokens": (16, 32, 64, 96, 128, 256),
    "epochs": (1, 2, 4, 8),
}
GROWING = 400
DIAL_OF = {"sentences": "TRAIN_SUBSET", "tokens": "MAX_LENGTH", "epochs": "EPOCHS"}
CONTENDERS = {
    "common-adamw": "common practice, adamw_torch",
    "common-fused": "common practice, fused default",
    "previous-fp32": "ours, earlier, fp32",
    "previous-auto": "ours, earlier, automatic precision",
    "ours-fp32": "ours, fp32",
    "ours-auto": "ours, automatic precision",
    "bare-fp32": "bare loop, fp32",
    "bare-auto": "bare loop, automatic precision",
}


@dataclasses.dataclass(frozen=True)
class Task:
    """One measurement: its name, what runs, on which encoder, with which dials, and which repeat it is.

    Attributes
    ----------
    name : str
        As ``--only`` and the table call it.
    contender : str
        A name of `benchmarks.baselines.CONTENDERS`.
    model : str
        One of `MODELS`.
    dials : tuple of (str, str)
        Dials that are not default, model apart.
    repeat : int
        Counted from 1; it is the seed too.
    validation : int
        Validation sentences; 0 is all.
    """

    name: str
    contender: str
    model: str
    dials: tuple[tuple[str, str], ...]
    repeat: int = 1
    validation: int = 0

    @property
    def key(self) -> str:
        """What tells this measurement from every other."""
        return json.dumps(dataclasses.astuple(self))


def _task(name: str, contender: str, model: str, repeat: int = 1, validation: int = 0, **dials: Any) -> Task:
    chosen = {"TRAIN_SUBSET": SENTENCES, "EPOCHS": EPOCHS, "PRECISION": "fp32"} | dials | {"GROUP": repeat}
    return Task(name, contender, model, tuple((key, str(value)) for key, value in chosen.items()), repeat, validation)


def plan() -> list[Task]:
    """Every measurement of the whole bench: first the contenders, their repeats interleaved, then what stands besides.

    A bench that is cut off early has the repeats where they matter most.
    """
    return [task for part in (_contest, _rest) for repeat in range(1, REPEATS + 1) for task in part(repeat)]


def _contest(repeat: int) -> list[Task]:
    return [
        task
        for model in MODELS
        for task in (*(_trained(name, model, repeat) for name in CONTENDERS), _task("limit", "limit", model, repeat))
    ]


def _rest(repeat: int) -> list[Task]:
    tasks = [_task(name, name, model, repeat) for model in MODELS for name in ("evaluation", "estimate", "notebook")]
    tasks += [_task(name, name, EMBEDDED, repeat) for name in ("beside", "import", "sgd", "board")]
    return tasks + [
        # Evaluations are not counted there, so few sentences are enough for them.
        _task(f"growth-{kind}", "ours", EMBEDDED, repeat, 48, **{"TRAIN_SUBSET": GROWING, DIAL_OF[kind]: size})
        for kind, sizes in GROWTH.items()
        for size in sizes
    ]


def quick_plan() -> list[Task]:
    """A small selection for a look in a few minutes: few sentences, one repeat, the main contenders."""
    few = {"TRAIN_SUBSET": 96, "EPOCHS": 1}
    tasks = [_trained(name, DISTILBERT_SIZE, 1, 48, **few) for name in ("common-fused", "ours-fp32", "bare-fp32")]
    tasks += [_trained(name, EMBEDDED, 1, 48, **few) for name in CONTENDERS if name not in SLOW]
    return [*tasks, *(_task("limit", "limit", model, 1, 48, **few) for model in MODELS)]


def _trained(name: str, model: str, repeat: int, validation: int = 0, **dials: Any) -> Task:
    contender, _, precision = name.rpartition("-")
    if contender == "previous":
        contender = "ours"
    if contender == "common":
        return _task(name, name, model, repeat, validation, **dials)
    return _task(name, contender, model, repeat, validation, PRECISION=precision, **dials)


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
    found = {_key(row): row for row in results(file)}
    open_tasks = [task for task in tasks if task.key not in found]
    with tqdm(open_tasks, unit="run", disable=not open_tasks) as bar:
        for task in bar:
            bar.set_description(f"{task.model}, {task.name}")
            row = measure(task)
            found[task.key] = row
            if file:
                file.parent.mkdir(parents=True, exist_ok=True)
                with file.open("a", encoding="utf-8", newline="\n") as opened:
                    opened.write(json.dumps(row) + "\n")
    return [found[task.key] for task in tasks if task.key in found]


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


def exponent(sizes: Sequence[float], seconds: Sequence[float]) -> float:
    """Slope of the straight line through log(seconds) against log(size): 1 is linear growth, 0 is none."""
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])


def of(rows: Iterable[dict[str, Any]], name: str, model: str) -> list[dict[str, Any]]:
    """The results with this name and encoder, in the order of their repeats."""
    return [row["result"] for row in rows if row["name"] == name and row["model"] == model]


def middle(found: Sequence[dict[str, Any]], key: str = "seconds") -> float | None:
    """Median of one number over the repeats; None where nothing was measured."""
    values = [result[key] for result in found if result.get(key) is not None]
    return statistics.median(values) if values else None


def training_seconds(result: dict[str, Any]) -> float:
    """Seconds of a run's steps: all but its evaluations and its checkpoint."""
    return result["seconds"] - sum(result["parts"].get(part, 0.0) for part in ("evaluation", "checkpoint"))


# The report


def report(rows: list[dict[str, Any]]) -> str:
    """The tables in Markdown: machine, contenders of each encoder, where the time goes, what else was measured."""
    parts = [_machine(rows)]
    for model in MODELS:
        if any(row["model"] == model and row["name"] in CONTENDERS for row in rows):
            parts += [f"### {model}", _contenders(rows, model), _limit_words(rows, model), _shares(rows, model)]
    parts += ["### Besides", _besides(rows), _growth_words(rows)]
    return "\n\n".join(part for part in parts if part)


def _machine(rows: list[dict[str, Any]]) -> str:
    here = rows[0]["result"]["machine"]
    versions = machine.versions()
    contest = {*CONTENDERS, "limit"}
    rest = [row for row in rows if row["name"] not in contest]
    told = f"Contenders and limit were measured {_times_measured([row for row in rows if row['name'] in contest])}"
    told += f", what stands under Besides and Growth {_times_measured(rest)}" if rest else ""
    return (
        f"Machine: {here['platform']}, {here['processor']}, {here['cores']} cores, {here['threads']} threads,"
        f" {here.get('memory_gb', '?')} GB of memory, {here['device']}. torch {versions['torch']}, transformers"
        f" {versions['transformers']}. {told}. All figures are medians, each measurement in a process of its own."
    )


def _times_measured(rows: list[dict[str, Any]]) -> str:
    # The seed is the repeat's number.
    counts = Counter(str([row["name"], row["model"], {**dict(row["dials"]), "GROUP": ""}]) for row in rows)
    fewest, most = min(counts.values(), default=0), max(counts.values(), default=0)
    words = {1: "once", 2: "twice"}.get(most, f"{most} times")
    return words if fewest == most else f"{fewest} to {most} times"


def _table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    marks = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, marks, *lines))


def _number(value: float | None, digits: int = 1, unit: str = "") -> str:
    return "not measured" if value is None else f"{value:,.{digits}f}{unit}"


def _ratio(above: float | None, below: float | None) -> float | None:
    return None if above is None or not below else above / below


def _contenders(rows: list[dict[str, Any]], model: str) -> str:
    seconds = {name: middle(of(rows, name, model)) for name in CONTENDERS}
    limits = _limits(rows, model)
    lines = []
    for name, title in CONTENDERS.items():
        found = of(rows, name, model)
        if not found:
            continue
        number_format = found[0]["precision"]
        floor = seconds.get(f"bare-{name.rpartition('-')[2]}")
        losses = [result["val_loss"] for result in found if result["val_loss"] is not None]
        spread = f" ({min(losses):.3f} to {max(losses):.3f})" if len(losses) > 1 else ""
        lines.append(
            [
                f"{title} ({number_format})" if name.endswith("auto") else title,
                _number(seconds[name], 1, " s"),
                _times(_ratio(seconds["common-adamw"], seconds[name])),
                _times(_ratio(seconds["common-fused"], seconds[name])),
                _times(_ratio(seconds[name], floor)) if floor else "",
                _percent(_ratio(limits.get(number_format), seconds[name])),
                (f"{statistics.median(losses):.3f}" if losses else "not a number") + spread,
                _number(middle(found, "memory_mb"), 0, " MB"),
            ]
        )
    head = ["contender", "training", "faster than adamw_torch", "faster than fused", "of the bare loop"]
    return _table([*head, "limit reached", "validation loss (seeds)", "peak memory"], lines)


def _times(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}x"


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:.0%}"


def _limits(rows: list[dict[str, Any]], model: str) -> dict[str, float]:
    found = of(rows, "limit", model)
    if not found:
        return {}
    return {name: statistics.median(one["limits"][name] for one in found) for name in found[0]["limits"]}


def _limit_words(rows: list[dict[str, Any]], model: str) -> str:
    found = of(rows, "limit", model)
    if not found:
        return ""
    limits, one = _limits(rows, model), found[0]
    rates = {name: statistics.median(each["products_per_second"][name] for each in found) for name in limits}
    return (
        f"Limit: {limits['fp32']:.1f} s in fp32, {limits['bf16']:.1f} s in bf16. It is {one['operations'] / 1e12:.2f}"
        f" TFLOP for the real tokens at {rates['fp32'] / 1e9:.0f} (bf16: {rates['bf16'] / 1e9:.0f}) GFLOP/s, and"
        f" {one['bytes'] / 1e9:.0f} GB of optimiser traffic at"
        f" {statistics.median(each['bytes_per_second'] for each in found) / 1e9:.1f} GB/s."
    )


def _shares(rows: list[dict[str, Any]], model: str) -> str:
    lines = []
    for name in ("ours-fp32", "ours-auto", "bare-fp32", "bare-auto"):
        found = of(rows, name, model)
        if not found:
            continue
        parts = {part: statistics.median(one["parts"].get(part, 0.0) for one in found) for part in found[0]["parts"]}
        all_of_it = middle(found)
        rest = all_of_it - sum(parts.values())
        told = ", ".join(f"{part} {seconds / all_of_it:.1%}" for part, seconds in sorted(parts.items()))
        lines.append(f"- {CONTENDERS[name]}: {told}, the rest {rest / all_of_it:.1%}.")
    explained = "For ours, the rest is the optimiser, the batches and the Trainer's own work."
    return "\n".join(["Where the time goes:", "", *lines, "", explained]) if lines else ""


def _besides(rows: list[dict[str, Any]]) -> str:
    lines: list[list[str]] = []
    for model in MODELS:
        whole = middle(of(rows, "notebook", model))
        if whole is not None:
            memory = _number(middle(of(rows, "notebook", model), "memory_mb"), 0, " MB")
            lines.append(
                [f"notebook 01 from first to last cell, fp32, {model}", f"{whole:.1f} s, kernel's peak {memory}"]
            )
            for name in ("common-adamw", "common-fused"):
                plain = middle(of(rows, name, model), "process_seconds")
                if plain is not None:
                    title = f"{CONTENDERS[name]} as a program, imports and last scores included, {model}"
                    lines.append([title, f"{plain:.1f} s: {plain / whole:.2f}x notebook 01"])
        for one in of(rows, "evaluation", model)[:1]:
            rates = {
                name: statistics.median(each["sentences_per_second"][name] for each in of(rows, "evaluation", model))
                for name in one["sentences_per_second"]
            }
            told = f"{rates['ours']:.0f} sentences/s, padded {rates['common']:.0f}"
            lines.append([f"evaluation, {model}", f"{told}: {rates['ours'] / rates['common']:.1f}x"])
        expected = middle(of(rows, "estimate", model))
        real = middle(of(rows, "ours-fp32", model), "total_seconds")
        if expected and real:
            lines.append(
                [
                    f"preflight's estimate of a run, {model}",
                    f"{expected:.1f} s, it took {real:.1f} s: {expected / real - 1:+.0%}",
                ]
            )
    quiet, disturbed = middle(of(rows, "ours-fp32", EMBEDDED)), middle(of(rows, "beside", EMBEDDED))
    if quiet and disturbed:
        lines.append(["training beside one busy process, embedded", f"{disturbed / quiet:.2f}x the time alone"])
    for one in of(rows, "import", EMBEDDED)[:1]:
        both = {
            name: statistics.median(each["imports"][name] for each in of(rows, "import", EMBEDDED))
            for name in one["imports"]
        }
        lines.append(["import", f"{both['ours']:.1f} s; torch and the Trainer alone {both['common']:.1f} s"])
    if of(rows, "sgd", EMBEDDED):
        lines.append(["one run of the SGD lab", f"{middle(of(rows, 'sgd', EMBEDDED)):.1f} s"])
    for one in of(rows, "board", EMBEDDED)[:1]:
        seconds = middle(of(rows, "board", EMBEDDED))
        lines.append([f"tables and pictures of a class board of {one['runs']:,} runs", f"{seconds:.1f} s"])
    return _table(["what", "measured"], lines) if lines else ""


# Growth


def growth(rows: list[dict[str, Any]]) -> dict[str, dict[float, float]]:
    """Median training seconds by size, for each kind of growth that was measured."""
    found: dict[str, dict[float, float]] = {}
    for kind, dial in DIAL_OF.items():
        sizes: dict[float, list[float]] = {}
        for row in rows:
            if row["name"] == f"growth-{kind}":
                size = int(dict(row["dials"])[dial])
                sizes.setdefault(size or _all_sentences(), []).append(training_seconds(row["result"]))
        if len(sizes) > 1:
            found[kind] = {size: statistics.median(sizes[size]) for size in sorted(sizes)}
    return found


def _all_sentences() -> int:
    return len(split(load()).train)


def longest_sentence() -> int:
    """Tokens of the longest training sentence, as the embedded encoder cuts it."""
    tokenizer = encoders.tokenizer(encoders.find("embedded"))
    return max(map(len, tokenizer(split(load()).train["sentence"].tolist())["input_ids"]))


def exponents(found: dict[str, dict[float, float]], longest: int) -> dict[str, float]:
    """Fitted exponent of each kind of growth; for tokens, from the longest sentence on."""
    fits = {}
    for kind, points in found.items():
        kept = points
        if kind == "tokens":
            # The size just below the longest sentence may cut it; from there on, nothing is cut.
            kept = {size: seconds for size, seconds in points.items() if size >= longest}
        if len(kept) > 1:
            fits[kind] = exponent(list(kept), list(kept.values()))
    return fits


def picture(found: dict[str, dict[float, float]], longest: int) -> Picture:
    """Training time against sentences, tokens and epochs, on logarithmic axes, with the fitted exponents."""
    fits = exponents(found, longest)
    with mpl.rc_context(STYLE):
        figure, panels = new_figure((3.6 * len(found) + 0.4, 3.9), ncols=len(found), sharey="row", squeeze=False)
        looks = zip((BLUE, GREEN, ORANGE), "osD", strict=True)
        for panel, (kind, points), (colour, marker) in zip(panels[0], found.items(), looks, strict=False):
            sizes, seconds = list(points), list(points.values())
            panel.plot(sizes, seconds, color=colour, marker=marker, linewidth=2)
            panel.set_xscale("log", base=2)
            panel.set_yscale("log", base=2)
            panel.set_xticks(sizes, [f"{size:g}" for size in sizes])
            panel.minorticks_off()
            panel.yaxis.set_major_formatter("{x:g}")
            panel.set_xlabel({"tokens": "MAX_LENGTH (tokens)"}.get(kind, kind))
            if kind == "tokens":
                panel.axvline(longest, color=GREY, linestyle=":")
                place = {"transform": panel.get_xaxis_transform(), "va": "top", "ha": "right"}
                panel.text(longest, 0.97, "longest sentence ", color=GREY, fontsize=10, **place)
            if kind in fits:
                panel.set_title(f"exponent {fits[kind]:.2f}" + (" beyond it" if kind == "tokens" else ""))
        panels[0][0].set_ylabel("training steps (s)")
    words = "; ".join(f"{kind}: exponent {value:.2f}" for kind, value in fits.items())
    return Picture(figure, f"Time of the training steps on logarithmic axes. Fitted, {words}.")


def _growth_words(rows: list[dict[str, Any]]) -> str:
    found = growth(rows)
    if not found:
        return ""
    shown = picture(found, longest_sentence())
    return (
        f"### Growth\n\nEmbedded encoder, tokens and epochs on {GROWING} sentences; evaluations and the checkpoint are"
        f" not counted. {shown.words}\n\n"
        f"![{shown.words}]({PICTURE})"
    )


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
    if found := growth(rows):
        picture(found, longest_sentence()).save(folder / PICTURE)
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
