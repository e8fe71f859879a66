"""All that departs from the plain Trainer so that training takes less time, in one place.

The dial ``SPEED`` chooses: ``"fast"`` uses what :data:`TRICKS` lists, ``"plain"`` is Hugging Face's `Trainer` as it
comes. No trick changes what is learned. Losses stay the same to rounding, or in distribution where batches or random
numbers are drawn otherwise. What needs a processor is left out on a GPU.

The blocks of BERT and DistilBERT are the core: `_Block` computes the forward and the backward pass of a whole block
(Vaswani et al. 2017, Attention Is All You Need; layer norm after each half) in some eighty calls of torch, where
autograd and autocast make hundreds, most of which copy small arrays.
"""

import dataclasses
import types
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn
from torch.nn.functional import gelu
from transformers import (
    BertForSequenceClassification,
    DistilBertForSequenceClassification,
    PreTrainedModel,
    Trainer,
    TrainerCallback,
)
from transformers.activations import GELUActivation
from transformers.models.bert.modeling_bert import BertLayer
from transformers.models.distilbert.modeling_distilbert import TransformerBlock
from transformers.trainer_utils import EvalLoopOutput, TrainOutput

from tuning.training import machine
from tuning.training.speed import embedding_rows
from tuning.training.speed.batching import LengthGroupedTrainer

if TYPE_CHECKING:
    from datasets import Dataset

# Often enough to keep the peak low, and rare enough to cost nothing.
STEPS_BETWEEN_TIDYING = 10
# A dropout mask compares 16 random bits with a threshold: probabilities are multiples of 1 / LEVELS.
LEVELS = 2**16
MASKS_PER_DRAW = 4


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
        "tricks._Block",
        "a block's forward and backward pass as one function, weights cast to bf16 once a step; the same to rounding",
        (1.10, None),
    ),
    Trick(
        "first token of the last block",
        "tricks._Block",
        "where the head reads only the first token, the last block computes no other; the same to rounding",
        (None, 1.07),
    ),
    Trick(
        "four masks from a draw",
        "tricks.kept",
        "each random number of 64 bits gives four dropout decisions; the same in distribution",
        (1.03, None),
    ),
    Trick(
        "clipping inside AdamW",
        "tricks.FastTrainer",
        "the optimiser divides the gradients while it reads them; the same to rounding",
        (1.03, None),
    ),
    Trick(
        "the last epoch's scores used again",
        "tricks.last_logits",
        "the scores after training are those of the evaluation after the last epoch; no number changes",
    ),
    Trick(
        "memory kept between steps",
        "tuning.training.machine.keep_large_blocks, tuning.training.machine.give_memory_back",
        "large arrays reuse memory that the process holds; no number changes",
    ),
)


def kept(shape: Iterable[int], probability: float) -> torch.Tensor:
    """Draw which elements a dropout keeps.

    Parameters
    ----------
    shape : iterable of int
    probability : float
        Of being dropped; rounded to a multiple of 1 / ``LEVELS``.

    Returns
    -------
    torch.Tensor of bool
    """
    shape = torch.Size(shape)
    count = shape.numel()
    draws = torch.empty(-(-count // MASKS_PER_DRAW), dtype=torch.int64).random_(-(2**63), None)
    return draws.view(torch.int16)[:count].view(shape) >= round(probability * LEVELS) - LEVELS // 2


def scale_of(probability: float) -> float:
    """What kept elements are multiplied by, so that their mean stays the same."""
    return LEVELS / (LEVELS - round(probability * LEVELS))


def _dropout(module: nn.Dropout, hidden: torch.Tensor) -> torch.Tensor:
    if not module.training or not 0 < module.p < 1:
        return nn.Dropout.forward(module, hidden)
    return torch.where(kept(hidden.shape, module.p), hidden * scale_of(module.p), 0.0)


@dataclasses.dataclass(frozen=True)
class _Shape:
    """What a block's function has to know beside its weights.

    Attributes
    ----------
    dtype : torch.dtype
        Number format of the matrix products.
    heads : int
    dropouts : tuple of float
        Probabilities: of attention, of its output, of the feed-forward output.
    epsilon : float
        Of both layer norms.
    first_only : bool
        Compute the output of each sentence's first token alone.
    """

    dtype: torch.dtype
    heads: int
    dropouts: tuple[float, float, float]
    epsilon: float
    first_only: bool


class _Block(torch.autograd.Function):
    """A block of BERT or DistilBERT with weights in float32: attention, feed-forward network, two layer norms.

    Sums and layer norms are in float32, all else is in the block's number format, as autocast does it.
    """

    @staticmethod
    def forward(ctx, hidden, mask, shape: _Shape, *weights):
        """Output of a block.

        Parameters
        ----------
        hidden : torch.Tensor of shape (sentences, tokens, width), float32
        mask : torch.Tensor or None
            Added to the attention scores; broadcasts to (sentences, heads, tokens, tokens).
        shape : _Shape
        *weights : torch.Tensor
            Weight and bias of query, key, value, attention's output, first norm, both linear layers, second norm.

        Returns
        -------
        torch.Tensor of shape (sentences, tokens or 1, width), float32
        """
        dtype, heads, epsilon = shape.dtype, shape.heads, shape.epsilon
        sentences, tokens, width = hidden.shape
        asked, size = 1 if shape.first_only else tokens, width // heads
        norm1, bias1, norm2, bias2 = weights[8], weights[9], weights[14], weights[15]
        wq, bq, wk, bk, wv, bv, wo, bo = (weight.to(dtype) for weight in weights[:8])
        wi, bi, wf, bf = (weight.to(dtype) for weight in weights[10:14])
        after_attention, after_output, after_feed = (scale_of(p) for p in shape.dropouts)

        def split(rows: torch.Tensor, count: int) -> torch.Tensor:
            by_head = rows.view(sentences, count, heads, size).transpose(1, 2)
            return by_head.reshape(sentences * heads, count, size)

        rows = hidden[:, :asked].reshape(-1, width)
        low = hidden.reshape(-1, width).to(dtype)
        low_asked = low.view(sentences, tokens, width)[:, :asked].reshape(-1, width)
        query = split(torch.addmm(bq, low_asked, wq.t()), asked)
        key = split(torch.addmm(bk, low, wk.t()), tokens)
        value = split(torch.addmm(bv, low, wv.t()), tokens)
        scores = torch.bmm(query, key.transpose(1, 2)).view(sentences, heads, asked, tokens)
        scores = scores * size**-0.5 if mask is None else torch.add(mask[:, :, :asked], scores, alpha=size**-0.5)
        attention = torch.softmax(scores, -1)
        dropped, kept_attention = _drop(attention, shape.dropouts[0])
        context = torch.empty(sentences, asked, heads, size, dtype=dtype)
        by_head = torch.bmm(dropped.view(-1, asked, tokens), value).view(sentences, heads, asked, size)
        torch.mul(by_head.transpose(1, 2), after_attention, out=context)
        context = context.view(-1, width)
        output, kept_output = _drop(torch.addmm(bo, context, wo.t()), shape.dropouts[1])
        sum1 = torch.add(rows, output, alpha=after_output)
        middle, mean1, scale1 = torch.native_layer_norm(sum1, [width], norm1, bias1, epsilon)
        low_middle = middle.to(dtype)
        inner = torch.addmm(bi, low_middle, wi.t())
        active = gelu(inner)
        feed, kept_feed = _drop(torch.addmm(bf, active, wf.t()), shape.dropouts[2])
        sum2 = torch.add(middle, feed, alpha=after_feed)
        result, mean2, scale2 = torch.native_layer_norm(sum2, [width], norm2, bias2, epsilon)

        ctx.shape = shape
        ctx.save_for_backward(
            *(low, low_asked, wq, wk, wv, wo, wi, wf, query, key, value, attention, dropped, kept_attention),
            *(context, kept_output, sum1, mean1, scale1, norm1, bias1, low_middle, inner, active, kept_feed),
            *(sum2, mean2, scale2, norm2, bias2),
        )
        return result.view(sentences, asked, width)

    @staticmethod
    def backward(ctx, grad):
        """Gradients of `hidden` and of all weights, float32."""
        shape: _Shape = ctx.shape
        low, low_asked, wq, wk, wv, wo, wi, wf, query, key, value, attention, dropped, kept_attention = (
            saved := ctx.saved_tensors
        )[:14]
        context, kept_output, sum1, mean1, scale1, norm1, bias1, low_middle, inner, active, kept_feed = saved[14:25]
        sum2, mean2, scale2, norm2, bias2 = saved[25:]
        sentences, heads, asked, tokens = attention.shape
        width, dtype = grad.shape[-1], shape.dtype
        after_attention, after_output, after_feed = (scale_of(p) for p in shape.dropouts)
        norm_backward = torch.ops.aten.native_layer_norm_backward

        def join(by_head: torch.Tensor, count: int) -> torch.Tensor:
            return by_head.view(sentences, heads, count, -1).transpose(1, 2).reshape(-1, width)

        def linear(grad_out: torch.Tensor, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return (grad_out.t() @ rows).float(), grad_out.sum(0).float()

        grad_sum2, *grad_norm2 = norm_backward(
            grad.reshape(-1, width), sum2, [width], mean2, scale2, norm2, bias2, [True] * 3
        )
        grad_feed = _drop_backward(grad_sum2, kept_feed, after_feed, dtype)
        grad_inner = torch.ops.aten.gelu_backward(grad_feed @ wf, inner)
        grad_f, grad_i = linear(grad_feed, active), linear(grad_inner, low_middle)
        grad_middle = grad_sum2.add_(grad_inner @ wi)
        grad_sum1, *grad_norm1 = norm_backward(grad_middle, sum1, [width], mean1, scale1, norm1, bias1, [True] * 3)
        grad_output = _drop_backward(grad_sum1, kept_output, after_output, dtype)
        grad_o = linear(grad_output, context)
        grad_context = torch.empty(sentences, heads, asked, width // heads, dtype=dtype)
        by_token = (grad_output @ wo).view(sentences, asked, heads, -1)
        torch.mul(by_token.transpose(1, 2), after_attention, out=grad_context)
        grad_context = grad_context.view(sentences * heads, asked, -1)
        grad_value = join(torch.bmm(dropped.view(-1, asked, tokens).transpose(1, 2), grad_context), tokens)
        grad_attention = torch.bmm(grad_context, value.transpose(1, 2)).view(attention.shape)
        if kept_attention is not None:
            grad_attention = torch.where(kept_attention, grad_attention, 0.0)
        grad_scores = torch._softmax_backward_data(grad_attention, attention, -1, dtype)
        grad_scores = grad_scores.mul_(query.shape[-1] ** -0.5).view(-1, asked, tokens)
        grad_query = join(torch.bmm(grad_scores, key), asked)
        grad_key = join(torch.bmm(grad_scores.transpose(1, 2), query), tokens)
        grad_hidden = None
        if ctx.needs_input_grad[0]:
            grad_hidden = torch.addmm(grad_key @ wk, grad_value, wv).float().view(sentences, tokens, width)
            grad_hidden[:, :asked] += grad_sum1.add_(grad_query @ wq).view(sentences, asked, width)
        grad_q, grad_k, grad_v = linear(grad_query, low_asked), linear(grad_key, low), linear(grad_value, low)
        return (
            *(grad_hidden, None, None, *grad_q, *grad_k, *grad_v, *grad_o),
            *(*grad_norm1, *grad_i, *grad_f, *grad_norm2),
        )


def _drop(rows: torch.Tensor, probability: float) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Some elements set to zero, the others not yet scaled, and which were kept; no mask where none is dropped."""
    if not probability:
        return rows, None
    mask = kept(rows.shape, probability)
    return torch.where(mask, rows, 0.0), mask


def _drop_backward(grad: torch.Tensor, mask: torch.Tensor | None, scale: float, dtype: torch.dtype) -> torch.Tensor:
    if mask is None:
        return grad.to(dtype)
    scaled = torch.empty(grad.shape, dtype=dtype)
    torch.mul(grad, scale, out=scaled)
    return torch.where(mask, scaled, 0.0)


def _parts(block: BertLayer | TransformerBlock) -> tuple[list[nn.Module], int, tuple[float, float, float], nn.Module]:
    """The eight layers with weights in the order of `_Block`, heads, dropouts and the activation of a block."""
    if isinstance(block, TransformerBlock):
        own, feed = block.attention, block.ffn
        layers = [own.q_lin, own.k_lin, own.v_lin, own.out_lin, block.sa_layer_norm]
        layers += [feed.lin1, feed.lin2, block.output_layer_norm]
        return layers, own.n_heads, (own.dropout.p, 0.0, feed.dropout.p), feed.activation
    own, output = block.attention.self, block.attention.output
    layers = [own.query, own.key, own.value, output.dense, output.LayerNorm]
    layers += [block.intermediate.dense, block.output.dense, block.output.LayerNorm]
    dropouts = own.dropout.p, output.dropout.p, block.output.dropout.p
    return layers, own.num_attention_heads, dropouts, block.intermediate.intermediate_act_fn


def _fuse(block: BertLayer | TransformerBlock, dtype: torch.dtype, first_only: bool) -> bool:
    """Have `_Block` compute this block while it trains; False where something about it is unusual."""
    layers, heads, dropouts, activation = _parts(block)
    weights = [weight for layer in layers for weight in (layer.weight, layer.bias)]
    usual = (
        all(type(layer) in (nn.Linear, nn.LayerNorm) for layer in layers)
        and type(activation) is GELUActivation
        and max(dropouts) < 1
        and not getattr(block, "is_decoder", False)
        and all(weight.requires_grad and weight.dtype == torch.float32 for weight in weights)
    )
    if not usual:
        return False
    shape = _Shape(dtype, heads, dropouts, layers[4].eps, first_only)

    def forward(self: nn.Module, hidden: torch.Tensor, attention_mask: torch.Tensor | None = None, *more, **others):
        if not (self.training and torch.is_grad_enabled()):
            return type(self).forward(self, hidden, attention_mask, *more, **others)
        if attention_mask is not None:
            mask = torch.zeros(attention_mask.shape, dtype=dtype)
            attention_mask = (
                mask.masked_fill_(~attention_mask, float("-inf"))
                if attention_mask.dtype == torch.bool
                else attention_mask.to(dtype)
            )
        with torch.autocast("cpu", enabled=False):
            return _Block.apply(hidden.float(), attention_mask, shape, *weights)

    block.forward = types.MethodType(forward, block)
    return True


def _patch(model: PreTrainedModel, precision: str) -> list[nn.Module]:
    """Give blocks and dropouts their faster forward pass; gives the modules that were changed."""
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    blocks = [module for module in model.modules() if isinstance(module, BertLayer | TransformerBlock)]
    # Only these two are known to read nothing but the first token; a class derived from them may read more.
    first_only = type(model) in (BertForSequenceClassification, DistilBertForSequenceClassification)
    changed: list[nn.Module] = [block for block in blocks if _fuse(block, dtype, first_only and block is blocks[-1])]
    for module in model.modules():
        if type(module) is nn.Dropout:
            module.forward = types.MethodType(_dropout, module)
            changed.append(module)
    return changed


@contextmanager
def tricks(model: PreTrainedModel, seen: "Iterable[Dataset]", speed: str, precision: str) -> Iterator[None]:
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


TRAINERS: dict[str, type[Trainer]] = {"fast": FastTrainer, "plain": Trainer}
