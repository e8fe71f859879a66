"""Train a part of the model only: which weights learn, and how much memory that takes.

A model has a head (what chooses the label, with the pooler where there is one), the encoder's blocks, and its
embeddings (one vector for each piece of a word). The names of the weights tell which is which, so every model of the
BERT and GPT families works.
"""

import dataclasses
import math
import re
from collections.abc import Collection

import torch
from safetensors import safe_open
from transformers import BatchEncoding, PreTrainedModel

from tuning.dials import EVERYTHING, TRAINED_PARTS, lora_rank
from tuning.encoder import adapters
from tuning.encoder.finding import Encoder
from tuning.errors import EncoderError

HEAD_ONLY, LAST_BLOCK, WITHOUT_EMBEDDINGS = TRAINED_PARTS[:3]
_BLOCK = re.compile(r"(?:^|\.)(?:layers?|h)\.(\d+)\.")
_EMBEDDINGS = re.compile(r"embed|\bw[tp]e\b")
BYTES = 4
# Beside the weights themselves each one that learns has its gradient and AdamW's two running means.
COPIES_OF_A_LEARNER = 3


@dataclasses.dataclass(frozen=True)
class Memory:
    """What training holds in memory, in MB (10^6 bytes), the program itself left out."""

    weights: float  # All weights, learning or not.
    learning: float  # Gradient and AdamW's two running means of each weight that learns.
    kept: float  # What one batch leaves behind in the forward pass because the backward pass will need it.

    @property
    def total(self) -> float:
        """All of it."""
        return self.weights + self.learning + self.kept


def part_of(name: str) -> str | int:
    """Where a weight belongs by its name: ``head``, ``embeddings`` or the number of its block, from 0."""
    block = _BLOCK.search(name)
    if block:
        return int(block[1])
    return "embeddings" if _EMBEDDINGS.search(name) else "head"


def freeze(model: PreTrainedModel, encoder: Encoder, trained: str) -> Encoder:
    """Let only some weights learn: those of one of ``tuning.dials.TRAINED_PARTS``, or ``LoRA`` and its rank.

    The others are marked, so that no gradient is computed for them. The encoder comes back as the record shall name it:
    nobody must take a half-frozen run for a usual one.
    """
    if trained == EVERYTHING:
        return encoder
    places = {name: part_of(name) for name, _ in model.named_parameters()}
    blocks = [place for place in places.values() if isinstance(place, int)]
    if not blocks:
        raise EncoderError(f"{encoder.name}: the blocks of this encoder cannot be told apart, so it cannot be frozen.")
    if rank := lora_rank(trained):
        adapters.attach(model, encoder, rank, {name for name, place in places.items() if place == "head"})
        model.built_as = repr(model)
    else:
        learning = _learning(trained, blocks)
        for name, weight in model.named_parameters():
            weight.requires_grad_(places[name] in learning)
    return dataclasses.replace(encoder, name=f"{encoder.name} ({trained})")


def _learning(trained: str, blocks: Collection[int]) -> set[str | int]:
    """The places that learn."""
    return {HEAD_ONLY: {"head"}, LAST_BLOCK: {"head", max(blocks)}, WITHOUT_EMBEDDINGS: {"head", *blocks}}[trained]


def shares(encoder: Encoder, trained: str) -> tuple[float, float]:
    """What share of an encoder's weights, and of its blocks, learns; read from the file, no model is built.

    A head that comes later does not count.
    """
    with safe_open(encoder.folder / "model.safetensors", "pt") as file:
        sizes = {name: math.prod(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    places = {name: part_of(name) for name in sizes}
    blocks = {place for place in places.values() if isinstance(place, int)}
    if not blocks:
        return 1.0, 1.0
    if lora_rank(trained):
        # Hardly any weight, but the way back goes through every block: for what stands still, half of its work.
        return 0.0, 0.5
    learning = _learning(trained, blocks)
    weights = sum(size for name, size in sizes.items() if places[name] in learning)
    return weights / sum(sizes.values()), len(blocks & learning) / len(blocks)


def learning_parameters(model: PreTrainedModel) -> int:
    """How many single weights learn."""
    return sum(weight.numel() for weight in model.parameters() if weight.requires_grad)


def memory(model: PreTrainedModel, batch: BatchEncoding, unused: int = 0) -> Memory:
    """Count what training holds in memory for one batch with labels, `unused` rows of the embedding table left out.

    Counted, not read from the system: the peak of a process never goes down again, so the second run of a kernel would
    show the first one's.
    """
    own = {weight.untyped_storage().data_ptr() for weight in model.parameters()}
    kept: dict[int, int] = {}

    def look(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    was_training = model.training
    model.train()
    with torch.random.fork_rng(), torch.autograd.graph.saved_tensors_hooks(look, lambda tensor: tensor):
        loss = model(**batch).loss
    del loss
    model.train(was_training)
    learning = COPIES_OF_A_LEARNER * (learning_parameters(model) - unused)
    return Memory(BYTES * model.num_parameters() / 1e6, BYTES * learning / 1e6, sum(kept.values()) / 1e6)
