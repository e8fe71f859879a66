"""The least time that training could take on a machine: its arithmetic and its memory traffic, and nothing else.

Counted are the floating-point operations of the matrix products for the real tokens, without padding, and the bytes
that AdamW must move in every step for the weights that learn. Measured are the machine's best rate of matrix products
and its memory bandwidth. A backward pass costs twice its forward pass (Kaplan et al. 2020, Scaling Laws for
Neural Language Models, section 2.1).
"""

import dataclasses
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from transformers import PretrainedConfig, PreTrainedModel

from tuning.training.arguments import inner_width
from tuning.training.speed import embedding_rows

if TYPE_CHECKING:
    from tuning.encoder.tokens import Tokens

BACKWARD = 2
# AdamW reads the weight, its gradient and two moving averages, and writes all but the gradient; four bytes each.
BYTES_PER_WEIGHT = 7 * 4
PRODUCTS = ((256, 768, 3072), (256, 3072, 768), (1024, 1024, 1024), (2048, 2048, 2048))
STREAM_NUMBERS = 2**25
ROUNDS = 7


@dataclasses.dataclass(frozen=True)
class Shape:
    """Size of an encoder: number of layers, width, width of the feed-forward part."""

    layers: int
    hidden: int
    inner: int

    @classmethod
    def of(cls, config: PretrainedConfig) -> "Shape":
        """Read it from a BERT-like configuration."""
        return cls(config.num_hidden_layers, config.hidden_size, inner_width(config))


def forward_operations(shape: Shape, lengths: Sequence[int], labels: int = 3) -> int:
    """Floating-point operations of the matrix products of one forward pass; a multiply and an add count as two.

    Parameters
    ----------
    shape : Shape
    lengths : sequence of int
        Tokens of each sentence.
    labels : int
        Outputs of the head, which has one more layer as wide as the encoder.

    Returns
    -------
    int
    """
    sizes = np.asarray(lengths, dtype=np.int64)
    tokens, pairs = int(sizes.sum()), int((sizes**2).sum())
    # Query, key, value and output; the two feed-forward products; scores and weighted sums between all pairs of tokens.
    per_layer = tokens * (4 * shape.hidden**2 + 2 * shape.hidden * shape.inner) + 2 * pairs * shape.hidden
    return 2 * (shape.layers * per_layer + len(sizes) * shape.hidden * (shape.hidden + labels))


def measure_limit(model: PreTrainedModel, tokens: "Tokens") -> dict[str, Any]:
    """The limit for one run, in fp32 and in bf16, with what it is made from.

    Parameters
    ----------
    model : transformers.PreTrainedModel
    tokens : Tokens
        What would be trained on and evaluated.

    Returns
    -------
    dict
        ``seconds`` by number format; operations, bytes, and the two measured rates.
    """
    shape, dials = Shape.of(model.config), tokens.dials
    train, *scored = (
        list(map(len, part["input_ids"])) for part in (tokens.train, tokens.validation, tokens.train_check)
    )
    passes = forward_operations(shape, train) * (1 + BACKWARD) + sum(forward_operations(shape, part) for part in scored)
    operations = dials.EPOCHS * passes
    learning = model.num_parameters() - embedding_rows.unused_weights(model, tokens.seen())
    moved = dials.EPOCHS * -(-len(train) // dials.BATCH_SIZE) * learning * BYTES_PER_WEIGHT
    rates = {"fp32": product_rate(torch.float32), "bf16": product_rate(torch.bfloat16)}
    bandwidth = stream_bandwidth()
    return {
        "limits": {name: operations / rate + moved / bandwidth for name, rate in rates.items()},
        "operations": operations,
        "bytes": moved,
        "products_per_second": rates,
        "bytes_per_second": bandwidth,
        "parameters": model.num_parameters(),
    }


def product_rate(dtype: torch.dtype) -> float:
    """Best rate of matrix products on this machine, in operations per second, over several shapes."""
    best = 0.0
    for rows, inner, columns in PRODUCTS:
        left, right = torch.randn(rows, inner).to(dtype), torch.randn(inner, columns).to(dtype)
        best = max(best, 2 * rows * inner * columns / _quickest(lambda left=left, right=right: left @ right))
    return best


def stream_bandwidth() -> float:
    """Best rate at which this machine reads two numbers and writes one, in bytes per second."""
    first, second, result = (torch.ones(STREAM_NUMBERS) for _ in range(3))
    return 3 * 4 * STREAM_NUMBERS / _quickest(lambda: torch.add(first, second, out=result))


def _quickest(work) -> float:
    found = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        work()
        found.append(time.perf_counter() - began)
    return min(found)
