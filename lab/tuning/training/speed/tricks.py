"""All that departs from the plain Trainer so that training takes less time, in one place.

The dial ``SPEED`` chooses: ``"fast"`` uses what :data:`TRICKS` lists, ``"plain"`` is Hugging Face's `Trainer` as it
comes. No trick changes what is learned. Losses stay the same to rounding, or in distribution where batches or random
numbers are drawn otherwise. What needs a processor is left out on a GPU.
"""

import dataclasses
import types
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from torch import nn
from transformers import PreTrainedModel

from tuning.training.speed import embedding_rows
from tuning.training.speed.blocks import fuse_blocks
from tuning.training.speed.dropout import dropout

if TYPE_CHECKING:
    from datasets import Dataset


@dataclasses.dataclass(frozen=True)
class Trick:
    """One departure from the plain Trainer.

    Attributes
    ----------
    name : str
    where : str
        The function or class that does it.
    changes : str
        What is done otherwise, and what that does to the numbers.
    gain : tuple of float or None
        How many times faster a bf16 step of 8 sentences is with this one more: embedded encoder, DistilBERT size. It is
        the main thread's processor time on an AMD EPYC with two busy cores, old and new step by step in turn. None
        where it was not measured alone.
    """

    name: str
    where: str
    changes: str
    gain: tuple[float | None, float | None] = (None, None)


TRICKS = (
    Trick(
        "batches of similar length",
        "batching.SimilarLengths",
        "less padding; the same sentences in another order, so losses are the same in distribution",
    ),
    Trick(
        "embedding rows in use",
        "embedding_rows.only_used_rows",
        "rows that no sentence looks up are left as they are; no loss changes",
    ),
    Trick(
        "whole blocks",
        "blocks._Block",
        "a block's forward and backward pass as one function, weights cast to bf16 once a step; the same to rounding",
        (1.10, None),
    ),
    Trick(
        "first token of the last block",
        "blocks._Block",
        "where the head reads only the first token, the last block computes no other; the same to rounding",
        (None, 1.07),
    ),
    Trick(
        "four masks from a draw",
        "dropout.keep_mask",
        "each random number of 64 bits gives four dropout decisions; the same in distribution",
        (1.03, None),
    ),
    Trick(
        "clipping inside AdamW",
        "fast_trainer.FastTrainer",
        "the optimiser divides the gradients while it reads them; the same to rounding",
        (1.03, None),
    ),
    Trick(
        "the last epoch's scores used again",
        "fast_trainer.last_logits",
        "the scores after training are those of the evaluation after the last epoch; no number changes",
    ),
    Trick(
        "memory kept between steps",
        "tuning.training.machine.keep_large_blocks, tuning.training.machine.give_memory_back",
        "large arrays reuse memory that the process holds; no number changes",
    ),
)


def _patch(model: PreTrainedModel, precision: str) -> list[nn.Module]:
    """Give blocks and dropouts their faster forward pass; gives the modules that were changed."""
    changed = fuse_blocks(model, precision)
    for module in model.modules():
        if type(module) is nn.Dropout:
            module.forward = types.MethodType(dropout, module)
            changed.append(module)
    return changed


@contextmanager
def speed_up(model: PreTrainedModel, seen: "Iterable[Dataset]", speed: str, precision: str) -> Iterator[None]:
    """Train faster inside, by the tricks that change a model; afterwards it is as it was, but trained.

    Parameters
    ----------
    model : transformers.PreTrainedModel
        Not yet in the hands of an optimiser.
    seen : iterable of datasets.Dataset
        All that the model will see meanwhile, with a column ``input_ids``.
    speed : str
        The dial ``SPEED``; ``plain`` changes nothing.
    precision : str
        ``fp32``, ``bf16`` or ``fp16``.
    """
    if speed == "plain":
        yield
        return
    with embedding_rows.only_used_rows(model, seen):
        changed = _patch(model, precision) if model.device.type == "cpu" else []
        try:
            yield
        finally:
            for module in changed:
                del module.forward


def left_out(model: PreTrainedModel, seen: "Iterable[Dataset]", speed: str) -> int:
    """How many single weights take no part in training, because no sentence looks them up."""
    return 0 if speed == "plain" else embedding_rows.unused_weights(model, seen)
