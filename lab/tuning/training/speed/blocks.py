"""The blocks of BERT and DistilBERT, each computed as one function.

`_Block` computes the forward and the backward pass of a whole block (Vaswani et al. 2017, Attention Is All You Need;
layer norm after each half) in some eighty calls of torch, where autograd and autocast make hundreds, most of which copy
small arrays.
"""

import dataclasses
import types

import torch
from torch import nn
from torch.nn.functional import gelu
from transformers import BertForSequenceClassification, DistilBertForSequenceClassification, PreTrainedModel
from transformers.activations import GELUActivation
from transformers.models.bert.modeling_bert import BertLayer
from transformers.models.distilbert.modeling_distilbert import TransformerBlock

from tuning.training.speed.dropout import drop, drop_backward, scale_of


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
        dropped, kept_attention = drop(attention, shape.dropouts[0])
        context = torch.empty(sentences, asked, heads, size, dtype=dtype)
        by_head = torch.bmm(dropped.view(-1, asked, tokens), value).view(sentences, heads, asked, size)
        torch.mul(by_head.transpose(1, 2), after_attention, out=context)
        context = context.view(-1, width)
        output, kept_output = drop(torch.addmm(bo, context, wo.t()), shape.dropouts[1])
        sum1 = torch.add(rows, output, alpha=after_output)
        middle, mean1, scale1 = torch.native_layer_norm(sum1, [width], norm1, bias1, epsilon)
        low_middle = middle.to(dtype)
        inner = torch.addmm(bi, low_middle, wi.t())
        active = gelu(inner)
        feed, kept_feed = drop(torch.addmm(bf, active, wf.t()), shape.dropouts[2])
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
        grad_feed = drop_backward(grad_sum2, kept_feed, after_feed, dtype)
        grad_inner = torch.ops.aten.gelu_backward(grad_feed @ wf, inner)
        grad_f, grad_i = linear(grad_feed, active), linear(grad_inner, low_middle)
        grad_middle = grad_sum2.add_(grad_inner @ wi)
        grad_sum1, *grad_norm1 = norm_backward(grad_middle, sum1, [width], mean1, scale1, norm1, bias1, [True] * 3)
        grad_output = drop_backward(grad_sum1, kept_output, after_output, dtype)
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


def fuse_blocks(model: PreTrainedModel, precision: str) -> list[nn.Module]:
    """Have `_Block` compute the blocks of a model while it trains; gives those that were changed."""
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    blocks = [module for module in model.modules() if isinstance(module, BertLayer | TransformerBlock)]
    # Only these two are known to read nothing but the first token; a class derived from them may read more.
    first_only = type(model) in (BertForSequenceClassification, DistilBertForSequenceClassification)
    return [block for block in blocks if _fuse(block, dtype, first_only and block is blocks[-1])]
