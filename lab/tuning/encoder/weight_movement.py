"""How far training moved the pretrained weights."""

import math

from safetensors import safe_open
from transformers import PreTrainedModel

from tuning.encoder.finding import Encoder


def weight_movement(model: PreTrainedModel, encoder: Encoder) -> dict[str, float]:
    """How far training moved the pretrained weights: the norm of their change over their norm at the start.

    By name: ``all``, ``embeddings`` and each ``layer 1``, ``layer 2`` ...; NaN after a diverged run. The start is read
    from the encoder's file, one tensor at a time, so that the weights are never held twice. The head is left out: it
    started at random and knew nothing to forget.
    """
    prefix = model.base_model_prefix + "."
    change: dict[str, float] = {}
    size: dict[str, float] = {}
    with safe_open(encoder.folder / "model.safetensors", framework="pt") as file:
        stored = {name.removeprefix(prefix): name for name in file.keys()}  # noqa: SIM118 - not a dictionary
        for name, weight in model.base_model.named_parameters():
            if name not in stored or name.startswith("pooler"):
                continue
            start = file.get_tensor(stored[name]).float()
            moved = weight.detach().cpu().float() - start
            for part in ("all", _part(name)):
                change[part] = change.get(part, 0.0) + float(moved.square().sum())
                size[part] = size.get(part, 0.0) + float(start.square().sum())
    return {part: math.sqrt(change[part] / size[part]) for part in change}


def _part(name: str) -> str:
    pieces = name.split(".")
    number = next((piece for piece in pieces if piece.isdigit()), None)
    return "embeddings" if number is None else f"layer {int(number) + 1}"
