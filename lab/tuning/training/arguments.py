"""The training arguments: those that the dials decide, those that are the same in every run, and the number format."""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import torch
from transformers import PretrainedConfig, PreTrainedModel, TrainingArguments

from tuning import paths
from tuning.dials import Dials
from tuning.runs.store import CHECKPOINTS
from tuning.training import machine

EVAL_BATCH = 64
NUMBER_FORMATS = {"bf16": torch.bfloat16, "fp16": torch.float16}


def dial_arguments(dials: Dials, learning_rate: float) -> dict[str, Any]:
    """The training arguments that the dials decide, as the notebook writes them out."""
    return {
        "learning_rate": learning_rate,
        "lr_scheduler_type": dials.SCHEDULER,
        "warmup_steps": dials.warmup,
        "num_train_epochs": dials.EPOCHS,
        "per_device_train_batch_size": dials.BATCH_SIZE,
        "weight_decay": dials.WEIGHT_DECAY,
    }


def fixed_arguments(dials: Dials, precision: str, folder: Path | None = None) -> dict[str, Any]:
    """The training arguments that are the same in every run and carry no lesson; checkpoints go into `folder`."""
    return {
        "output_dir": str((folder or paths.runs()) / CHECKPOINTS),
        "seed": dials.seed,
        "bf16": precision == "bf16",
        "fp16": precision == "fp16",
        "use_cpu": not (torch.cuda.is_available() or torch.backends.mps.is_available()),
        # Scoring needs no gradients, so larger batches fit.
        "per_device_eval_batch_size": EVAL_BATCH,
        "eval_strategy": "epoch",
        "save_strategy": "epoch",
        "logging_steps": 1,
        # The default would write a loss that is not a number as 0.0, the one thing a learner must not see.
        "logging_nan_inf_filter": False,
        "report_to": "none",
        "disable_tqdm": True,
        # Several processes: the loss is their mean. The default multiplies it by their number, for models that divide
        # by the tokens of all of them; a classifier's loss is a mean already.
        "average_tokens_across_devices": False,
        "dataloader_pin_memory": torch.cuda.is_available(),
    }


def training_arguments(
    dials: Dials, learning_rate: float, precision: str, folder: Path | None = None, **changes: Any
) -> TrainingArguments:
    """The training arguments of the notebook's loop, with some of them changed."""
    usual = dial_arguments(dials, learning_rate) | fixed_arguments(dials, precision, folder)
    return TrainingArguments(**usual | changes)


def precision_for(dials: Dials, model: PreTrainedModel) -> str:
    """Number format for this model on this machine, by the dial ``PRECISION``."""
    return machine.choose_precision(dials.PRECISION, model.config.hidden_size, inner_width(model.config))


def inner_width(config: PretrainedConfig) -> int:
    """Width of the feed-forward part of an encoder's blocks; four times the encoder's where the file does not say."""
    return getattr(config, "intermediate_size", None) or getattr(config, "hidden_dim", 4 * config.hidden_size)


def autocast(model: PreTrainedModel, precision: str) -> AbstractContextManager:
    """Compute inside in a number format, as the Trainer does: ``fp32``, ``bf16`` or ``fp16``."""
    dtype = NUMBER_FORMATS.get(precision, torch.float32)
    return torch.autocast(model.device.type, dtype=dtype, enabled=precision != "fp32")
