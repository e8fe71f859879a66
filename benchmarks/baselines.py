"""What the benchmark compares: several ways of training the same encoder on the same sentences.

Ours is what notebook 01 does. Beside it stand common practice, a loop written by hand, and the limit of the machine.
"""

import os
import time
from typing import Any

import pandas as pd
import torch
from datasets import Dataset
from IPython.core.interactiveshell import InteractiveShell
from torch.utils.data import DataLoader
from transformers import DataCollatorWithPadding, PreTrainedTokenizerBase, Trainer, TrainingArguments, set_seed

from benchmarks.clock import Clock, timed
from benchmarks.roofline import measure_limit
from tuning.data.loading import Data, Splits, load, split, subset
from tuning.dials import Dials
from tuning.encoder import finding as encoders
from tuning.encoder.tokens import INPUTS, Tokens, tokenise
from tuning.training.arguments import autocast, training_arguments
from tuning.training.live import LiveCurve
from tuning.training.recording import Recording
from tuning.training.scoring import compute_metrics, score_model
from tuning.training.speed.batching import SimilarLengths
from tuning.training.speed.fast_trainer import FastTrainer
from tuning.training.trainer import Setup, build_trainer, prepare

CLIP = 1.0
TRAINER_PARTS = {"training_step": "forward and backward", "evaluate": "evaluation", "_save_checkpoint": "checkpoint"}
FIGURE_PARTS = dict.fromkeys(("on_train_begin", "on_log", "on_evaluate", "on_train_end"), "live figure")


def material(dials: Dials, validation: int) -> tuple[Data, Splits]:
    """The sentences, with `validation` of them for validation; 0 is all."""
    data = load(dials.DATA, dials.AGREEMENT)
    parts = split(data)
    return data, Splits(parts.train, subset(parts.validation, validation), parts.test)


def setup_of(dials: Dials, validation: int) -> Setup:
    """Model and tokens of one measurement."""
    return prepare(dials, splits=material(dials, validation)[1])


def ours(dials: Dials, validation: int) -> dict[str, Any]:
    """What the cells of notebook 01 do, live figure, record and checkpoint included."""
    # Where no notebook is, the live figure is drawn for the shell, which shows nothing.
    InteractiveShell.instance()
    data, splits = material(dials, validation)
    setup, clock = prepare(dials, splits=splits), Clock()
    recording = Recording(dials, data, splits, setup.encoder, setup.precision, "script")
    args = training_arguments(dials, recording.run.learning_rate, setup.precision, recording.folder)
    figure = timed(LiveCurve, clock, FIGURE_PARTS)(recording.run)
    kind = timed(FastTrainer, clock, TRAINER_PARTS)
    trainer = build_trainer(setup, args, kind, callbacks=[recording.recorder, figure])
    with recording.record_training(trainer, setup.tokens) as run:
        trainer.train()
    return {
        "seconds": run.timing["train_seconds"],
        "total_seconds": run.timing["total_seconds"],
        "parts": clock.seconds,
        "precision": setup.precision,
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
        padded(frame, tokenizer, dials) for frame in (subset(splits.train, dials.TRAIN_SUBSET), splits.validation)
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
    clock = Clock()
    trainer = timed(Trainer, clock, TRAINER_PARTS)(
        model=model,
        args=args,
        train_dataset=train,
        eval_dataset=check,
        processing_class=tokenizer,
        compute_metrics=compute_metrics,
    )
    began = time.perf_counter()
    trainer.train()
    seconds, parts = time.perf_counter() - began, dict(clock.seconds)
    scores = trainer.evaluate()
    return {
        "seconds": seconds,
        "parts": parts,
        "precision": "fp32",
        "val_loss": scores["eval_loss"],
        "val_f1_macro": scores["eval_f1_macro"],
    }


def padded(frame: pd.DataFrame, tokenizer: PreTrainedTokenizerBase, dials: Dials) -> Dataset:
    """Sentences as common practice has them: each filled up to `MAX_LENGTH`."""
    tokens = tokenise(frame, tokenizer, dials.MAX_LENGTH, by_length=False)
    columns = tokenizer.pad(tokens.select_columns(INPUTS)[:], padding="max_length", max_length=dials.MAX_LENGTH)
    kept = tokens.select_columns(["labels"])
    for name in INPUTS:
        kept = kept.add_column(name, columns[name])
    return kept


def batches(tokens: Tokens, tokenizer: PreTrainedTokenizerBase) -> DataLoader:
    """The training batches of notebook 01, without the Trainer."""
    kept = tokens.train.select_columns([*INPUTS, "labels"])
    sampler = SimilarLengths(list(map(len, kept["input_ids"])), tokens.dials.BATCH_SIZE, tokens.dials.seed)
    return DataLoader(
        kept, tokens.dials.BATCH_SIZE, sampler=sampler, collate_fn=DataCollatorWithPadding(tokenizer), pin_memory=False
    )


def bare(dials: Dials, validation: int) -> dict[str, Any]:
    """A loop written by hand on the batches of notebook 01: the floor for any framework.

    It evaluates what the notebook evaluates after each epoch, and keeps nothing.
    """
    setup, clock = setup_of(dials, validation), Clock()
    model, precision, loader = setup.model, setup.precision, batches(setup.tokens, setup.tokenizer)
    set_seed(dials.seed)
    began = time.perf_counter()
    optimiser = torch.optim.AdamW(
        model.parameters(), lr=setup.encoder.rate(dials.LR_PRESET), weight_decay=dials.WEIGHT_DECAY, fused=True
    )
    for epoch in range(dials.EPOCHS):
        loader.sampler.set_epoch(epoch)
        model.train()
        for batch in loader:
            with clock.part("forward and backward"):
                with autocast(model, precision):
                    loss = model(**batch).loss
                loss.backward()
            with clock.part("optimiser"):
                torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
                optimiser.step()
                optimiser.zero_grad()
        with clock.part("evaluation"):
            scores, _ = score_model(model, setup.tokens, setup.tokenizer, precision)
    return {
        "seconds": time.perf_counter() - began,
        "parts": clock.seconds,
        "precision": precision,
        "val_loss": scores["val_loss"],
        "val_f1_macro": scores["val_f1_macro"],
    }


def limit(dials: Dials, validation: int) -> dict[str, Any]:
    """The least time that this machine could need: see `benchmarks.roofline`."""
    setup = setup_of(dials, validation)
    return measure_limit(setup.model, setup.tokens)
