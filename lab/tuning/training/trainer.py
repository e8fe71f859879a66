"""The one place that prepares a training and builds its Trainer: for the script, the range test, trials and the bench.

Notebook 01 writes the same calls out. What carries no lesson comes from :func:`fixed_parts` there too.
"""

import dataclasses
from collections.abc import Iterable
from typing import Any

from transformers import (
    DataCollatorWithPadding,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PrinterCallback,
    ProgressCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)

from tuning.data.loading import Splits, load, split
from tuning.dials import Dials
from tuning.encoder import finding as encoders
from tuning.encoder import freezing
from tuning.encoder.tokens import Tokens, tokenise_splits
from tuning.training.arguments import precision_for, training_arguments
from tuning.training.scoring import compute_metrics
from tuning.training.speed.fast_trainer import FastTrainer
from tuning.training.speed.tricks import speed_up

TRAINERS: dict[str, type[Trainer]] = {"fast": FastTrainer, "plain": Trainer}


@dataclasses.dataclass(frozen=True)
class Setup:
    """Everything that is trained with, as it is before the first step."""

    dials: Dials
    encoder: encoders.Encoder
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    tokens: Tokens
    precision: str


def prepare(dials: Dials, encoder: encoders.Encoder | None = None, splits: Splits | None = None) -> Setup:
    """Build the model and tokenise the sentences; encoder and splits are by default those that the dials name."""
    encoder = encoder or encoders.find(dials.MODEL)
    splits = splits or split(load(dials.DATA, dials.AGREEMENT))
    model, tokenizer = encoders.build(encoder, dials.seed)
    encoder = freezing.freeze(model, encoder, dials.trained)
    tokens = tokenise_splits(splits, tokenizer, dials)
    return Setup(dials, encoder, model, tokenizer, tokens, precision_for(dials, model))


def fixed_parts(tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
    """The parts of a Trainer that are the same in every run: how batches are padded, and how predictions are scored."""
    return {
        "processing_class": tokenizer,
        "data_collator": DataCollatorWithPadding(tokenizer),
        "compute_metrics": compute_metrics,
    }


def build_trainer(setup: Setup, args: TrainingArguments, kind: type[Trainer] | None = None, **parts: Any) -> Trainer:
    """The Trainer of the notebook's loop, of the kind that the dial ``SPEED`` says, with other or more `parts`."""
    usual = {"model": setup.model, "train_dataset": setup.tokens.train, "eval_dataset": setup.tokens.evaluation()}
    kind = kind or TRAINERS[setup.dials.SPEED]
    return kind(args=args, **usual | fixed_parts(setup.tokenizer) | parts)


def quieten(trainer: Trainer) -> None:
    """Take the Trainer's own printing away."""
    for noisy in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(noisy)


def train_unrecorded(
    dials: Dials,
    encoder: encoders.Encoder | None,
    learning_rate: float,
    kind: type[Trainer] | None = None,
    callbacks: Iterable[TrainerCallback] = (),
    **changes: Any,
) -> Setup:
    """Train once without a record, an evaluation or a checkpoint; the trained model is in what comes back.

    `changes` are training arguments that differ from those of the dials. Without an encoder it is that of the dial
    ``MODEL``.
    """
    setup = prepare(dials, encoder)
    changes = {"eval_strategy": "no", "save_strategy": "no"} | changes
    args = training_arguments(dials, learning_rate, setup.precision, **changes)
    trainer = build_trainer(setup, args, kind, callbacks=list(callbacks))
    quieten(trainer)
    set_seed(dials.seed)
    with speed_up(setup.model, setup.tokens.seen(), dials.SPEED, setup.precision):
        trainer.train()
    return setup
