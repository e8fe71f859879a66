"""The lab's `Trainer`: batches of similar length, clipping inside AdamW, and scores that are not computed twice."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn
from transformers import Trainer, TrainerCallback
from transformers.trainer_utils import EvalLoopOutput, TrainOutput

from tuning.training import machine
from tuning.training.speed.batching import LengthGroupedTrainer

if TYPE_CHECKING:
    from datasets import Dataset

# Often enough to keep the peak low, and rare enough to cost nothing.
STEPS_BETWEEN_TIDYING = 10


class _Memory(TrainerCallback):
    """Keep large blocks of memory between steps, and give back now and then what is left in pieces."""

    def on_train_begin(self, args, state, control, **kwargs) -> None:
        """Have the large arrays of a step use the same memory as those of the step before."""
        machine.keep_large_blocks()

    def on_step_end(self, args, state, control, **kwargs) -> None:
        """Now and then, give back the memory that batches of other lengths have left in pieces."""
        if state.global_step % STEPS_BETWEEN_TIDYING == 0:
            machine.give_memory_back()


class FastTrainer(LengthGroupedTrainer):
    """The lab's `Trainer`: batches of similar length, and gradients that are clipped inside AdamW."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.add_callback(_Memory())
        # By the part's name: the step after which it was scored last, and its logits.
        self.scored: dict[str, tuple[int, np.ndarray]] = {}

    def train(self, *args: Any, **kwargs: Any) -> TrainOutput:
        """Train; what an earlier training left is forgotten."""
        self.scored = {}
        return super().train(*args, **kwargs)

    def evaluation_loop(self, *args: Any, metric_key_prefix: str = "eval", **kwargs: Any) -> EvalLoopOutput:
        """Score one part, and keep its logits."""
        output = super().evaluation_loop(*args, metric_key_prefix=metric_key_prefix, **kwargs)
        self.scored[metric_key_prefix.removeprefix("eval_")] = self.state.global_step, output.predictions
        return output

    def _clip_grad_norm(self, model: nn.Module) -> torch.Tensor:
        optimiser = getattr(self.optimizer, "optimizer", self.optimizer)
        if self.args.device.type != "cpu" or not optimiser.defaults.get("fused"):
            return super()._clip_grad_norm(model)
        return clip_in(optimiser, model.parameters(), self.args.max_grad_norm)


def clip_in(optimiser: torch.optim.Optimizer, weights: Iterable[nn.Parameter], most: float) -> torch.Tensor:
    """Have a fused optimiser clip the gradients in its next step, as ``torch.nn.utils.clip_grad_norm_`` would now.

    Parameters
    ----------
    optimiser : torch.optim.Optimizer
        Fused; it divides every gradient by its ``grad_scale``.
    weights : iterable of torch.nn.Parameter
    most : float
        Largest norm allowed.

    Returns
    -------
    torch.Tensor
        Norm of all gradients, before clipping.
    """
    norm = torch.nn.utils.get_total_norm([weight.grad for weight in weights if weight.grad is not None])
    optimiser.grad_scale = ((norm + 1e-6) / most).clamp_(min=1.0)
    return norm


def last_logits(trainer: Trainer, parts: "Mapping[str, Dataset]") -> dict[str, np.ndarray] | None:
    """Logits of the trained model, where the evaluation after the last epoch has left them.

    Parameters
    ----------
    trainer : transformers.Trainer
    parts : mapping of str to datasets.Dataset
        What was to be scored, by name.

    Returns
    -------
    dict of str to numpy.ndarray of shape (sentences, labels), or None
        None where a step or other weights came after the evaluation, or several processes shared it.
    """
    if not isinstance(trainer, FastTrainer) or trainer.args.load_best_model_at_end or trainer.args.world_size > 1:
        return None
    last = trainer.state.global_step
    kept = {name: logits for name, (step, logits) in trainer.scored.items() if step == last and name in parts}
    return kept if {name: len(part) for name, part in parts.items()} == {n: len(k) for n, k in kept.items()} else None
