"""What of a Trainer the dials do not say: the guard that lets a record say what was done.

The record of a run is read as "these dials gave these numbers". Every training argument is compared with the one that
the dials give, and so is what else decides the numbers: loss, model, collator, data sets, optimizers, callbacks. What
would make the record untrue is refused in one line. What can be said is a *departure*, a text
``argument: the dials' value, the run's value``, and the run stands apart from plain ones.
"""

import dataclasses
import re
from collections.abc import Collection
from enum import Enum
from typing import Any

import torch
from transformers import DataCollatorWithPadding, Trainer, TrainingArguments

from tuning.dials import EVERYTHING, Dials
from tuning.errors import RunError
from tuning.training.trainer import TRAINERS

NONE = "none"
LONGEST_VALUE = 40
_EVERY_STEP = "the record needs every step"
_EVERY_EPOCH = "the record needs both parts scored after every epoch"
_LAST_WEIGHTS = "the record describes the weights after the last step"
_RESUMED = "a run that was cut off would go on with other numbers"
# Arguments without which a record would not be true, with the reason.
_NEEDED = {
    "max_steps": "the dial EPOCHS says how long the run is",
    "logging_strategy": _EVERY_STEP,
    "logging_steps": _EVERY_STEP,
    "logging_nan_inf_filter": "a loss that is not a number would be recorded as 0",
    "eval_strategy": _EVERY_EPOCH,
    "eval_steps": _EVERY_EPOCH,
    "eval_delay": _EVERY_EPOCH,
    "eval_on_start": _EVERY_EPOCH,
    "prediction_loss_only": _EVERY_EPOCH,
    "batch_eval_metrics": _EVERY_EPOCH,
    "eval_do_concat_batches": _EVERY_EPOCH,
    "include_for_metrics": _EVERY_EPOCH,
    "load_best_model_at_end": _LAST_WEIGHTS,
    "auto_find_batch_size": "the batch size could change in the middle of the run",
    "output_dir": _RESUMED,
    "save_only_model": _RESUMED,
    "ignore_data_skip": _RESUMED,
}
# Arguments that change no number of a run: where it writes, what it prints, how batches are brought.
_WITHOUT_EFFECT = re.compile(
    r"dataloader_(?!drop_last)\w+|hub_\w+|push_to_hub|trackio_\w+|log_\w+|logging_first_step|do_\w+|debug|disable_tqdm"
    r"|save_(on_each_node|steps|strategy|total_limit)|eval_(accumulation_steps|use_gather_object)|ddp_timeout"
    r"|(greater_is_better|metric_for_best_model|per_device_eval_batch_size|include_num_input_tokens_seen|use_cache)"
    r"|(report_to|run_name|project|local_rank|skip_memory_metrics|torch_empty_cache_steps|enable_jit_checkpoint)"
    r"|(resume_from_checkpoint|restore_callback_states_from_checkpoint)"
)
_OUR_CODE = "tuning."
# Callbacks from here print, draw, log or carry out what the arguments say; all but the one named.
_WATCHING = ("transformers.trainer_callback", "transformers.integrations", "transformers.utils.notebook")
_DECIDING = "EarlyStoppingCallback"


class Promised(TrainingArguments):
    """Arguments to compare with: unlike real ones, they do not set up accelerate's processes anew under a Trainer."""

    @property
    def _setup_devices(self) -> torch.device:
        return torch.device("cpu")


def value_text(value: Any) -> str:
    """A value in a departure: short, and of characters that may travel in a share line."""
    value = value.value if isinstance(value, Enum) else value
    text = NONE if value is None else str(value)
    return re.sub(r"[^0-9A-Za-z_.+ -]+", " ", text).strip(" -")[:LONGEST_VALUE].strip() or NONE


def departure(name: str, expected: Any, actual: Any) -> str:
    """One departure, as the record keeps it."""
    return f"{name}: {value_text(expected)}, {value_text(actual)}"


def of_trainer(trainer: Trainer, expected: TrainingArguments, dialled: Collection[str], dials: Dials) -> list[str]:
    """Compare a Trainer, before its first step, with the arguments that the dials give, some of which a dial turns.

    The departures come in a fixed order; none for a run that the dials describe. A `RunError` where something differs
    that a record cannot say truthfully.
    """
    changed = {
        field.name: (getattr(expected, field.name), getattr(trainer.args, field.name))
        for field in dataclasses.fields(TrainingArguments)
        if getattr(expected, field.name) != getattr(trainer.args, field.name)
        and not _WITHOUT_EFFECT.fullmatch(field.name)
    }
    if trainer.args.save_strategy == "no":
        changed.pop("output_dir", None)
    _refuse(changed, trainer, dialled)
    return [departure(name, *values) for name, values in changed.items()] + _of_parts(trainer, dials)


def _refuse(changed: dict[str, tuple[Any, Any]], trainer: Trainer, dialled: Collection[str]) -> None:
    turned = [
        f"{name} = {value_text(actual)} (dials: {value_text(promised)})"
        for name, (promised, actual) in changed.items()
        if name in dialled
    ]
    if turned:
        raise RunError(
            f"TrainingArguments does not match the dials: {', '.join(turned)}. Turn the dial, so that the log stays"
            " true."
        )
    refused = {
        f"{name} = {value_text(actual)}": _NEEDED[name] for name, (_, actual) in changed.items() if name in _NEEDED
    }
    steps = trainer.args.gradient_accumulation_steps
    if steps > 1 and trainer.model_accepts_loss_kwargs and trainer.loss_is_scaled_for_ga is not False:
        # Transformers takes the loss of such a model for one that was divided already; a classifier's is a mean.
        refused[f"gradient_accumulation_steps = {steps}"] = (
            "with this model the Trainer multiplies loss and gradient by it (BATCH_SIZE is the dial for larger batches)"
        )
    for name in ("compute_metrics", "preprocess_logits_for_metrics"):
        if (given := getattr(trainer, name)) is not None and not given.__module__.startswith(_OUR_CODE):
            refused[name] = _EVERY_EPOCH
    if trainer.compute_metrics is None:
        refused["compute_metrics = none"] = _EVERY_EPOCH
    for name, reason in refused.items():
        raise RunError(f"{name} cannot be recorded: {reason}. Take it out, then run this cell again.")


def _of_parts(trainer: Trainer, dials: Dials) -> list[str]:
    """What differs beside the arguments: loss, collator, optimizers, model, callbacks."""
    departed = []
    kind = TRAINERS[dials.SPEED]
    if type(trainer) is not kind and not (isinstance(trainer, kind) and _is_ours(trainer)):
        departed.append(departure("trainer", kind.__name__, type(trainer).__name__))
    if trainer.compute_loss_func is not None:
        departed.append(departure("compute_loss_func", NONE, _name(trainer.compute_loss_func)))
    if _collator(trainer.data_collator) != (usual := _collator(DataCollatorWithPadding(trainer.processing_class))):
        departed.append(departure("data_collator", usual, _collator(trainer.data_collator)))
    for name in ("optimizer", "lr_scheduler", "optimizer_cls_and_kwargs"):
        if (given := getattr(trainer, name)) is not None:
            departed.append(departure(name, NONE, _name(given[0] if isinstance(given, tuple) else given)))
    deciding = [type(callback).__name__ for callback in trainer.callback_handler.callbacks if _decides(callback)]
    departed += [departure("callbacks", NONE, name) for name in deciding]
    return departed + _of_model(trainer.model, dials.trained == EVERYTHING)


def _of_model(model: Any, whole: bool) -> list[str]:
    departed = []
    built = getattr(model, "built_as", None)
    if built != repr(model):
        departed.append(departure("model", "as built by the workshop", "changed" if built else type(model).__name__))
    kind = getattr(model.config, "problem_type", None)
    if kind not in (None, "single_label_classification"):
        departed.append(departure("problem_type", "single_label_classification", kind))
    still = sum(weight.numel() for weight in model.parameters() if not weight.requires_grad)
    if whole and still:
        departed.append(departure("weights that stand still", 0, still))
    return departed


def _is_ours(part: Any) -> bool:
    return type(part).__module__.startswith(_OUR_CODE)


def _decides(callback: Any) -> bool:
    """Whether a callback may change the training: one of the workshop or of transformers watches, any other may."""
    known = _is_ours(callback) or type(callback).__module__.startswith(_WATCHING)
    return not known or type(callback).__name__ == _DECIDING


def _collator(collator: Any) -> str:
    """Name and settings of a collator; those of the workshop all pad to the longest sentence of the batch."""
    if _is_ours(collator):
        return DataCollatorWithPadding.__name__
    settings = {name: getattr(collator, name, None) for name in ("padding", "max_length", "pad_to_multiple_of")}
    usual = {"padding": True, "max_length": None, "pad_to_multiple_of": None}
    changed = [f"{name} {value}" for name, value in settings.items() if value != usual[name]]
    return " ".join([_name(collator), *(changed if isinstance(collator, DataCollatorWithPadding) else [])])


def _name(part: Any) -> str:
    return part.__name__ if hasattr(part, "__name__") else type(part).__name__
