"""What else is measured beside the ways of training: scoring, the estimate, the notebook, imports, the board.

What a way of training does not need is imported where it is used, so that it does not count as that way's memory.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.baselines import material, ours, padded
from tuning.dials import Dials
from tuning.encoder import finding as encoders
from tuning.encoder.tokens import tokenise
from tuning.runs.record import Run
from tuning.training import fit
from tuning.training.scoring import predict

BOARD = 1_000


def evaluation(dials: Dials, validation: int) -> dict[str, Any]:
    """Sentences scored per second: ours (sorted, batches of 64) and padded to `MAX_LENGTH` in batches of 8."""
    _, splits = material(dials, validation)
    model, tokenizer = encoders.build(encoders.find(dials.MODEL), dials.seed)
    tokens = tokenise(splits.validation, tokenizer, dials.MAX_LENGTH, by_length=True)
    filled = padded(splits.validation, tokenizer, dials).with_format("torch")

    def plainly() -> None:
        with torch.inference_mode():
            for at in range(0, len(filled), dials.BATCH_SIZE):
                batch = filled[at : at + dials.BATCH_SIZE]
                model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"])

    ways = {"ours": lambda: predict(model, tokens, tokenizer, "fp32"), "common": plainly}
    rates = {name: len(tokens) / _seconds(way, times=1) for name, way in ways.items()}
    return {"seconds": len(tokens) / rates["ours"], "sentences_per_second": rates}


def estimate(dials: Dials, validation: int) -> dict[str, Any]:
    """What the preflight would say of this run, from a probe on this machine."""
    from tuning.cost import estimate as cost

    return {"seconds": cost.estimate(dials, cost.probe(dials)).seconds}


def sgd_lab(dials: Dials, validation: int) -> dict[str, Any]:
    """One run of the backup lab with as many sentences, its own epochs."""
    from tuning.dials import SgdDials
    from tuning.sgd import classifier

    data, splits = material(dials, validation)
    began = time.perf_counter()
    classifier.train(classifier.features(splits, SgdDials(TRAIN_SUBSET=dials.TRAIN_SUBSET)), data, splits)
    return {"seconds": time.perf_counter() - began}


def importing(dials: Dials, validation: int) -> dict[str, Any]:
    """Seconds that a new Python needs to import what the notebook imports, and torch with the Trainer alone."""
    programs = {"ours": "import tuning.training.fit", "common": "import torch; from transformers import Trainer"}
    seconds = {name: _seconds(lambda code=code: _python("-c", code)) for name, code in programs.items()}
    return {"seconds": seconds["ours"], "imports": seconds}


def board(dials: Dials, validation: int) -> dict[str, Any]:
    """The tables and pictures of a class board of a thousand runs: one real run under a thousand names."""
    from tuning.room import board as boards
    from tuning.room import board_figures, budget_round

    record = fit.fit(dials, quiet=True)
    text = (record.folder / "run.json").read_text(encoding="utf-8")
    sweep = Path(os.environ["WORKSHOP_RUNS"]) / "sweep"
    for number in range(BOARD):
        folder = sweep / f"run-{number:04d}"
        folder.mkdir(parents=True)
        (folder / "run.json").write_text(text.replace(record.run_id, folder.name), encoding="utf-8")
    began = time.perf_counter()
    room = boards.collect(str(sweep))
    for table in (boards.results, boards.predictions, boards.luck, budget_round.budget, boards.not_comparable):
        table(room)
    for picture in (board_figures.overlay, board_figures.small_multiples, board_figures.scores_and_gaps):
        picture(room).png()
    return {"seconds": time.perf_counter() - began, "runs": len(room.compared)}


def notebook(dials: Dials, validation: int) -> dict[str, Any]:
    """Notebook 01 from its first cell to its last, in a kernel of its own."""
    chosen = [f"{name}={value}" for name, value in dials.as_dict().items() if value is not None]
    out = Path(os.environ["WORKSHOP_RUNS"]) / "notebook"
    began = time.perf_counter()
    _python("-m", "tuning.notebook.headless", *(part for text in chosen for part in ("--set", text)), "--out", str(out))
    seconds = time.perf_counter() - began
    timing = Run.load(out).timing
    return {"seconds": seconds, "train_seconds": timing["train_seconds"], "memory_mb": timing["peak_memory_mb"]}


def beside(dials: Dials, validation: int) -> dict[str, Any]:
    """Ours, while another process keeps one core busy."""
    busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        return ours(dials, validation)
    finally:
        busy.kill()
        busy.wait()


def _python(*arguments: str) -> None:
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _seconds(way: Callable[[], object], times: int = 3) -> float:
    """Median time of something that is done `times` times, after once to warm up."""
    measured = []
    for _ in range(times + 1):
        began = time.perf_counter()
        way()
        measured.append(time.perf_counter() - began)
    return float(np.median(measured[1:]))
