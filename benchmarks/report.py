"""The tables of the benchmark in Markdown: machine, contenders, where the time goes, what else was measured."""

import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from benchmarks import growth
from benchmarks.plan import CONTENDERS, EMBEDDED, MODELS
from tuning.training import machine

Rows = list[dict[str, Any]]


def of(rows: Rows, name: str, model: str) -> list[dict[str, Any]]:
    """The results with this name and encoder, in the order of their repeats."""
    return [row["result"] for row in rows if row["name"] == name and row["model"] == model]


def middle(results: Sequence[dict[str, Any]], key: str = "seconds") -> float | None:
    """Median of one number over the repeats; None where nothing was measured."""
    values = [result[key] for result in results if result.get(key) is not None]
    return statistics.median(values) if values else None


def middles(results: Sequence[dict[str, Any]], key: str) -> dict[str, float]:
    """Median of each of several numbers under one key; empty where nothing was measured."""
    names = results[0][key] if results else ()
    return {name: statistics.median(result[key].get(name, 0.0) for result in results) for name in names}


def report(rows: Rows) -> str:
    """All of it."""
    parts = [_machine(rows)]
    for model in MODELS:
        if any(row["model"] == model and row["name"] in CONTENDERS for row in rows):
            parts += [f"### {model}", _contenders(rows, model), _limit_words(rows, model), _shares(rows, model)]
    parts += ["### Besides", _besides(rows), growth.words(rows)]
    return "\n\n".join(part for part in parts if part)


def _machine(rows: Rows) -> str:
    here = rows[0]["result"]["machine"]
    versions = machine.versions()
    contest = {*CONTENDERS, "limit"}
    rest = [row for row in rows if row["name"] not in contest]
    counts = f"Contenders and limit were measured {_times_measured([row for row in rows if row['name'] in contest])}"
    counts += f", what stands under Besides and Growth {_times_measured(rest)}" if rest else ""
    return (
        f"Machine: {here['platform']}, {here['processor']}, {here['cores']} cores, {here['threads']} threads,"
        f" {here.get('memory_gb', '?')} GB of memory, {here['device']}. torch {versions['torch']}, transformers"
        f" {versions['transformers']}. {counts}. All figures are medians, each measurement in a process of its own."
    )


def _times_measured(rows: Rows) -> str:
    # The seed is the repeat's number.
    counts = Counter(str([row["name"], row["model"], {**dict(row["dials"]), "GROUP": ""}]) for row in rows)
    fewest, most = min(counts.values(), default=0), max(counts.values(), default=0)
    words = {1: "once", 2: "twice"}.get(most, f"{most} times")
    return words if fewest == most else f"{fewest} to {most} times"


def _table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    marks = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, marks, *lines))


def _ratio(above: float | None, below: float | None, form: str = ".2f", unit: str = "x") -> str:
    return "" if above is None or not below else f"{above / below:{form}}{unit}"


def _contenders(rows: Rows, model: str) -> str:
    seconds = {name: middle(of(rows, name, model)) for name in CONTENDERS}
    limits = middles(of(rows, "limit", model), "limits")
    lines = []
    for name, title in CONTENDERS.items():
        results = of(rows, name, model)
        if not results:
            continue
        number_format, memory = results[0]["precision"], middle(results, "memory_mb")
        losses = [result["val_loss"] for result in results if result["val_loss"] is not None]
        spread = f" ({min(losses):.3f} to {max(losses):.3f})" if len(losses) > 1 else ""
        lines.append(
            [
                f"{title} ({number_format})" if name.endswith("auto") else title,
                f"{seconds[name]:,.1f} s",
                _ratio(seconds["common-adamw"], seconds[name]),
                _ratio(seconds["common-fused"], seconds[name]),
                _ratio(seconds[name], seconds.get(f"bare-{name.rpartition('-')[2]}")),
                _ratio(limits.get(number_format), seconds[name], ".0%", ""),
                (f"{statistics.median(losses):.3f}" if losses else "not a number") + spread,
                "not measured" if memory is None else f"{memory:,.0f} MB",
            ]
        )
    head = ["contender", "training", "faster than adamw_torch", "faster than fused", "of the bare loop"]
    return _table([*head, "limit reached", "validation loss (seeds)", "peak memory"], lines)


def _limit_words(rows: Rows, model: str) -> str:
    results = of(rows, "limit", model)
    if not results:
        return ""
    limits, rates = middles(results, "limits"), middles(results, "products_per_second")
    return (
        f"Limit: {limits['fp32']:.1f} s in fp32, {limits['bf16']:.1f} s in bf16. It is"
        f" {results[0]['operations'] / 1e12:.2f} TFLOP for the real tokens at {rates['fp32'] / 1e9:.0f} (bf16:"
        f" {rates['bf16'] / 1e9:.0f}) GFLOP/s, and {results[0]['bytes'] / 1e9:.0f} GB of optimiser traffic at"
        f" {middle(results, 'bytes_per_second') / 1e9:.1f} GB/s."
    )


def _shares(rows: Rows, model: str) -> str:
    lines = []
    for name in ("ours-fp32", "ours-auto", "bare-fp32", "bare-auto"):
        if results := of(rows, name, model):
            parts, total = middles(results, "parts"), middle(results)
            shares = ", ".join(f"{part} {seconds / total:.1%}" for part, seconds in sorted(parts.items()))
            lines.append(f"- {CONTENDERS[name]}: {shares}, the rest {1 - sum(parts.values()) / total:.1%}.")
    explained = "For ours, the rest is the optimiser, the batches and the Trainer's own work."
    return "\n".join(["Where the time goes:", "", *lines, "", explained]) if lines else ""


def _besides(rows: Rows) -> str:
    lines: list[list[str]] = []
    for model in MODELS:
        notebooks = of(rows, "notebook", model)
        if whole := middle(notebooks):
            memory = f"{middle(notebooks, 'memory_mb'):,.0f} MB"
            lines.append(
                [f"notebook 01 from first to last cell, fp32, {model}", f"{whole:.1f} s, kernel's peak {memory}"]
            )
            for name in ("common-adamw", "common-fused"):
                if plain := middle(of(rows, name, model), "process_seconds"):
                    title = f"{CONTENDERS[name]} as a program, imports and last scores included, {model}"
                    lines.append([title, f"{plain:.1f} s: {_ratio(plain, whole)} notebook 01"])
        if rates := middles(of(rows, "evaluation", model), "sentences_per_second"):
            speeds = f"{rates['ours']:.0f} sentences/s, padded {rates['common']:.0f}"
            lines.append([f"evaluation, {model}", f"{speeds}: {_ratio(rates['ours'], rates['common'], '.1f')}"])
        expected = middle(of(rows, "estimate", model))
        real = middle(of(rows, "ours-fp32", model), "total_seconds")
        if expected and real:
            difference = f"{expected:.1f} s, it took {real:.1f} s: {expected / real - 1:+.0%}"
            lines.append([f"preflight's estimate of a run, {model}", difference])
    alone, disturbed = middle(of(rows, "ours-fp32", EMBEDDED)), middle(of(rows, "beside", EMBEDDED))
    if alone and disturbed:
        lines.append(["training beside one busy process, embedded", f"{_ratio(disturbed, alone)} the time alone"])
    if imports := middles(of(rows, "import", EMBEDDED), "imports"):
        lines.append(["import", f"{imports['ours']:.1f} s; torch and the Trainer alone {imports['common']:.1f} s"])
    if seconds := middle(of(rows, "sgd", EMBEDDED)):
        lines.append(["one run of the SGD lab", f"{seconds:.1f} s"])
    if boards := of(rows, "board", EMBEDDED):
        title = f"tables and pictures of a class board of {boards[0]['runs']:,} runs"
        lines.append([title, f"{middle(boards):.1f} s"])
    return _table(["what", "measured"], lines) if lines else ""
