"""Dropout with cheaper random numbers: each draw of 64 bits gives four decisions; the same in distribution."""

from collections.abc import Iterable

import torch
from torch import nn

# A mask compares 16 random bits with a threshold: probabilities are multiples of 1 / LEVELS.
LEVELS = 2**16
MASKS_PER_DRAW = 4


def keep_mask(shape: Iterable[int], probability: float) -> torch.Tensor:
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


def dropout(module: nn.Dropout, hidden: torch.Tensor) -> torch.Tensor:
    """The forward pass of a dropout module, with these masks."""
    if not module.training or not 0 < module.p < 1:
        return nn.Dropout.forward(module, hidden)
    return torch.where(keep_mask(hidden.shape, module.p), hidden * scale_of(module.p), 0.0)


def drop(rows: torch.Tensor, probability: float) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Some elements set to zero, the others not yet scaled, and which were kept; no mask where none is dropped."""
    if not probability:
        return rows, None
    mask = keep_mask(rows.shape, probability)
    return torch.where(mask, rows, 0.0), mask


def drop_backward(grad: torch.Tensor, mask: torch.Tensor | None, scale: float, dtype: torch.dtype) -> torch.Tensor:
    """The gradient before a :func:`drop` whose kept elements were then scaled."""
    if mask is None:
        return grad.to(dtype)
    scaled = torch.empty(grad.shape, dtype=dtype)
    torch.mul(grad, scale, out=scaled)
    return torch.where(mask, scaled, 0.0)
