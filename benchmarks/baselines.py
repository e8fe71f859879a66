"""What the benchmark compares: several ways of training the same encoder on the same sentences.

Each is measured in a process of its own (``python -m benchmarks.baselines NAME ...``), so that its peak memory is its
own; `benchmarks.bench` starts them in turn. The result is one JSON object on the last line of the output.
"""

import argparse
import contextlib
import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from IPython.core.interactiveshell import InteractiveShell
from torch.utils.data import DataLoader
from transformers import DataCollatorWithPadding, PreTrainedTokenizerBase, Trainer, TrainingArguments, set_seed

from benchmarks.roofline import measure_limit
from tuning.command import one_line_errors
from tuning.data.loading import Data, Splits, load, split, subset
from tuning.dials import Dials
from tuning.encoder import finding as encoders
from tuning.runs.record import Run
from tuning.training import fit, machine
from tuning.training.evaluation import compute_metrics
from tuning.training.live import LiveCurve
from tuning.training.speed import tricks
from tuning.training.speed.batching import SimilarLengths

CLIP = 1.0
BOARD = 1_000


class Clock:
    """Adds up the seconds spent in each part of a run, in the dictionary `seconds`."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._inside = False

    @contextlib.contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Count what happens inside for this part; a part inside another one is counted once, with the outer one."""
        if self._inside:
            yield
            return
        began, self._inside = time.perf_counter(), True
        try:
            yield
        finally:
            self._inside = False
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - began


class _TimedCurve(LiveCurve):
    """The live figure of the notebook, with the time that it takes."""

    def __init__(self, run: Run, clock: Clock) -> None:
        super().__init__(run)
        self._clock = clock

    def on_train_begin(self, *args, **kwargs) -> None:
        with self._clock.part("live figure"):
            super().on_train_begin(*args, **kwargs)

    def on_log(self, *args, **kwargs) -> None:
        with self._clock.part("live figure"):
            super().on_log(*args, **kwargs)

    def on_evaluate(self, *args, **kwargs) -> None:
        with self._clock.part("live figure"):
            super().on_evaluate(*args, **kwargs)

    def on_train_end(self, *args, **kwargs) -> None:
        with self._clock.part("live figure"):
            super().on_train_end(*args, **kwargs)


class _Timed:
    """What the timed trainers share: the seconds of steps, evaluations and checkpoints."""

    clock: Clock

    def training_step(self, *args, **kwargs):
        with self.clock.part("forward and backward"):
            return super().training_step(*args, **kwargs)

    def evaluate(self, *args, **kwargs):
        with self.clock.part("evaluation"):
            return super().evaluate(*args, **kwargs)

    def _save_checkpoint(self, *args, **kwargs):
        with self.clock.part("checkpoint"):
            return super()._save_checkpoint(*args, **kwargs)


class _TimedOurs(_Timed, tricks.FastTrainer):
    pass


class _TimedCommon(_Timed, Trainer):
    pass


def material(dials: Dials, validation: int) -> tuple[Data, Splits]:
    """The sentences, with `validation` of them for validation; 0 is all."""
    data = load(dials.DATA, dials.AGREEMENT)
    parts = split(data)
    return data, Splits(parts.train, subset(parts.validation, validation), parts.test)


def ours(dials: Dials, validation: int) -> dict[str, Any]:
    """What the cells of notebook 01 do, live figure, record and checkpoint included."""
    # Where no notebook is, the live figure is drawn for the shell, which shows nothing.
    InteractiveShell.instance()
    data, splits = material(dials, validation)
    encoder = encoders.find(dials.MODEL)
    model, tokenizer = encoders.build(encoder, dials.seed)
    tokens = fit.tokenise_splits(splits, tokenizer, dials)
    precision = fit.precision_for(dials, model)
    recording = fit.Recording(dials, data, splits, encoder, precision, "script")
    clock = Clock()
    trainer = _TimedOurs(
        model=model,
        args=fit.arguments(dials, recording.run.learning_rate, precision, recording.folder),
        train_dataset=tokens.train,
        eval_dataset=tokens.evaluation(),
        processing_class=tokenizer,
        data_collator=DataCollatorWithPadding(tokenizer),
        compute_metrics=compute_metrics,
        callbacks=[recording.recorder, _TimedCurve(recording.run, clock)],
    )
    trainer.clock = clock
    with recording.keep(trainer, tokens) as run:
        trainer.train()
    return {
        "seconds": run.timing["train_seconds"],
        "total_seconds": run.timing["total_seconds"],
        "parts": clock.seconds,
        "precision": precision,
        "val_loss": run.final["val_loss"],
        "val_f1_macro": run.final["val_f1_macro"],
    }


def common(dials: Dials, validation: int, optimiser: str | None) -> dict[str, Any]:
    """Common practice: plain `Trainer`, every sentence padded to `MAX_LENGTH`, fp32, an evaluation after each epoch.

    Parameters
    ----------
    dials : Dials
    validation : int
    optimiser : str or None
        Name for ``optim``; None is the default of today.
    """
    _, splits = material(dials, validation)
    encoder = encoders.find(dials.MODEL)
    model, tokenizer = encoders.build(encoder, dials.seed)
    train, check = (
        _padded(frame, tokenizer, dials) for frame in (subset(splits.train, dials.TRAIN_SUBSET), splits.validation)
    )
    args = TrainingArguments(
        output_dir=os.environ["WORKSHOP_RUNS"],
        learning_rate=encoder.rate(dials.LR_PRESET),
        num_train_epochs=dials.EPOCHS,
        per_device_train_batch_size=dials.BATCH_SIZE,
        per_device_eval_batch_size=dials.BATCH_SIZE,
        weight_decay=dials.WEIGHT_DECAY,
        eval_strategy="epoch",
        save_strategy="no",
        seed=dials.seed,
        report_to="none",
        disable_tqdm=True,
        **({"optim": optimiser} if optimiser else {}),
    )
    trainer = _TimedCommon(
        model=model,
        args=args,
        train_dataset=train,
        eval_dataset=check,
        processing_class=tokenizer,
        compute_metrics=compute_metrics,
    )
    trainer.clock = Clock()
    began = time.perf_counter()
    trainer.train()
    seconds, parts = time.perf_counter() - began, dict(trainer.clock.seconds)
    scores = trainer.evaluate()
    return {
        "seconds": seconds,
        "parts": parts,
        "precision": "fp32",
        "val_loss": scores["eval_loss"],
        "val_f1_macro": scores["eval_f1_macro"],
    }


def _padded(frame, tokenizer: PreTrainedTokenizerBase, dials: Dials):
    tokens = fit.tokenise(frame, tokenizer, dials.MAX_LENGTH, by_length=False)
    columns = tokenizer.pad(
        tokens.select_columns(["input_ids", "attention_mask"])[:], padding="max_length", max_length=dials.MAX_LENGTH
    )
    kept = tokens.select_columns(["labels"])
    for name in ("input_ids", "attention_mask"):
        kept = kept.add_column(name, columns[name])
    return kept


def batches(tokens: fit.Tokens, tokenizer: PreTrainedTokenizerBase) -> DataLoader:
    """The training batches of notebook 01, without the Trainer."""
    kept = tokens.train.select_columns(["input_ids", "attention_mask", "labels"])
    sampler = SimilarLengths(list(map(len, kept["input_ids"])), tokens.dials.BATCH_SIZE, tokens.dials.seed)
    return DataLoader(
        kept, tokens.dials.BATCH_SIZE, sampler=sampler, collate_fn=DataCollatorWithPadding(tokenizer), pin_memory=False
    )


def bare(dials: Dials, validation: int) -> dict[str, Any]:
    """A loop written by hand on the batches of notebook 01: the floor for any framework.

    It evaluates what the notebook evaluates after each epoch, and keeps nothing.
    """
    _, splits = material(dials, validation)
    encoder = encoders.find(dials.MODEL)
    model, tokenizer = encoders.build(encoder, dials.seed)
    tokens = fit.tokenise_splits(splits, tokenizer, dials)
    precision = fit.precision_for(dials, model)
    dtype = fit.NUMBER_FORMATS.get(precision, torch.float32)
    loader = batches(tokens, tokenizer)
    clock = Clock()
    set_seed(dials.seed)
    began = time.perf_counter()
    optimiser = torch.optim.AdamW(
        model.parameters(), lr=encoder.rate(dials.LR_PRESET), weight_decay=dials.WEIGHT_DECAY, fused=True
    )
    for epoch in range(dials.EPOCHS):
        loader.sampler.set_epoch(epoch)
        model.train()
        for batch in loader:
            with clock.part("forward and backward"):
                with torch.autocast("cpu", dtype=dtype, enabled=precision != "fp32"):
                    loss = model(**batch).loss
                loss.backward()
            with clock.part("optimiser"):
                torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
                optimiser.step()
                optimiser.zero_grad()
        with clock.part("evaluation"):
            scores, _ = fit.measure(model, tokens, tokenizer, precision)
    return {
        "seconds": time.perf_counter() - began,
        "parts": clock.seconds,
        "precision": precision,
        "val_loss": scores["val_loss"],
        "val_f1_macro": scores["val_f1_macro"],
    }


def evaluation(dials: Dials, validation: int) -> dict[str, Any]:
    """Sentences scored per second: ours (sorted, batches of 64) and padded to `MAX_LENGTH` in batches of 8."""
    _, splits = material(dials, validation)
    model, tokenizer = encoders.build(encoders.find(dials.MODEL), dials.seed)
    tokens = fit.tokenise(splits.validation, tokenizer, dials.MAX_LENGTH, by_length=True)
    padded = _padded(splits.validation, tokenizer, dials).with_format("torch")

    def plainly() -> None:
        with torch.inference_mode():
            for at in range(0, len(padded), dials.BATCH_SIZE):
                batch = padded[at : at + dials.BATCH_SIZE]
                model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"])

    ways = {"ours": lambda: fit.predict(model, tokens, tokenizer, "fp32"), "common": plainly}
    found = {name: len(tokens) / _seconds(way, times=1) for name, way in ways.items()}
    return {"seconds": len(tokens) / found["ours"], "sentences_per_second": found}


def limit(dials: Dials, validation: int) -> dict[str, Any]:
    """The least time that this machine could need: see `benchmarks.roofline`."""
    _, splits = material(dials, validation)
    model, tokenizer = encoders.build(encoders.find(dials.MODEL), dials.seed)
    tokens = fit.tokenise_splits(splits, tokenizer, dials)
    return measure_limit(model, tokens)


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
    ours, plain = "import tuning.training.fit", "import torch; from transformers import Trainer"
    found = {
        name: _seconds(lambda code=code: _python("-c", code)) for name, code in (("ours", ours), ("common", plain))
    }
    return {"seconds": found["ours"], "imports": found}


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
    found = []
    for _ in range(times + 1):
        began = time.perf_counter()
        way()
        found.append(time.perf_counter() - began)
    return float(np.median(found[1:]))


CONTENDERS: dict[str, Callable[[Dials, int], dict[str, Any]]] = {
    "common-adamw": lambda dials, validation: common(dials, validation, "adamw_torch"),
    "common-fused": lambda dials, validation: common(dials, validation, None),
    "ours": ours,
    "bare": bare,
    "limit": limit,
    "evaluation": evaluation,
    "estimate": estimate,
    "notebook": notebook,
    "board": board,
    "beside": beside,
    "import": importing,
    "sgd": sgd_lab,
}


@one_line_errors
def main(argv: list[str] | None = None) -> int:
    """Measure one contender; for `benchmarks.bench`, not for people."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.baselines", description=__doc__.splitlines()[0])
    parser.add_argument("name", choices=CONTENDERS)
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--validation", type=int, default=0, help="validation sentences; 0 is all")
    options = parser.parse_args(argv)
    dials = Dials.from_settings(dict(text.split("=", 1) for text in options.set))
    # Progress and tables of the ways of training are of no interest here.
    with contextlib.redirect_stdout(io.StringIO()):
        found = CONTENDERS[options.name](dials, options.validation)
    here = machine.describe(found.get("precision", "fp32"))
    print(json.dumps({"memory_mb": machine.peak_memory_mb(), "machine": here} | found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
