"""Time a few real training steps and evaluation batches: the probe behind `tuning.cost.estimate`."""

import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from datasets import Dataset
from transformers import BatchEncoding, PreTrainedModel, PreTrainedTokenizerBase

from tuning.cost.workload import Speed
from tuning.data.loading import load, split, subset
from tuning.dials import Dials
from tuning.encoder import finding as encoders
from tuning.encoder.tokens import batch_of, tokenise, tokenise_splits
from tuning.training import machine
from tuning.training.arguments import EVAL_BATCH, autocast, precision_for
from tuning.training.scoring import predict
from tuning.training.speed.fast_trainer import clip_in
from tuning.training.speed.tricks import speed_up

SECONDS = 2.0
FEWEST_ROUNDS = 2
# Where in the order of lengths the batches are cut: their mean is that of all.
PLACES = (0.1, 0.3, 0.5, 0.7, 0.9)
# Two unknowns, the step and the token, need a batch of another size beside them.
LARGER = 3
# A line through two noisy times may slope anyhow; the part of the tokens is at least and at most this.
TOKEN_SHARE = (0.2, 0.9)
# Reading the weights stands for writing them at the end.
WRITES_AT_END = 2


def measure(dials: Dials, encoder: encoders.Encoder) -> Speed:
    """Train for a few seconds on real batches, on a model that is then thrown away; medians count."""
    began = time.perf_counter()
    state = torch.get_rng_state()
    model, tokenizer = encoders.build(encoder, dials.seed)
    loaded = time.perf_counter() - began
    machine.keep_large_blocks()
    splits = split(load(dials.DATA, dials.AGREEMENT))
    most = max(EVAL_BATCH, LARGER * dials.BATCH_SIZE)
    tokens = tokenise(subset(splits.train, 3 * most), tokenizer, dials.MAX_LENGTH, by_length=True)
    batches, sizes, reading = _material(dials, tokens, tokenizer)
    graphics = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else None
    model.to(device := torch.device(graphics or "cpu"))
    precision = precision_for(dials, model)
    seen = [tokens, *tokenise_splits(splits, tokenizer, dials).seen()]
    rounds: list[list[float]] = []
    with speed_up(model, seen, dials.SPEED, precision):
        step = _step_of(model, dials, precision)
        work: list[Callable[[], object]] = [partial(step, batch.to(device)) for batch in batches]
        work.append(partial(predict, model, reading, tokenizer, precision))
        for task in work:  # the first time warms up
            task()
        end = time.perf_counter() + SECONDS
        while time.perf_counter() < end or len(rounds) < FEWEST_ROUNDS:
            rounds.append([_timed(task, device) for task in work])
    torch.set_rng_state(state)
    *usual, larger, read = np.median(rounds, axis=0)
    mean, mean_size = float(np.mean(usual)), float(np.mean(sizes[:-1]))
    per_token = (
        float(np.clip((larger - mean) / (sizes[-1] - mean_size) * mean_size / mean, *TOKEN_SHARE)) * mean / mean_size
    )
    return Speed(
        step=mean - per_token * mean_size,
        token=per_token,
        read=float(read) / sum(map(len, reading["input_ids"])),
        fixed=WRITES_AT_END * loaded,
        source="a probe just now",
    )


def _material(
    dials: Dials, tokens: Dataset, tokenizer: PreTrainedTokenizerBase
) -> tuple[list[BatchEncoding], list[int], Dataset]:
    """Training batches from short to long and a larger one, their tokens, and a batch to evaluate."""

    def cut(place: float, size: int) -> Dataset:
        start = round(place * max(len(tokens) - size, 0))
        return tokens.select(range(start, min(start + size, len(tokens))))

    cuts = [cut(place, dials.BATCH_SIZE) for place in PLACES] + [cut(0.5, LARGER * dials.BATCH_SIZE)]
    batches = [batch_of(part, tokenizer) for part in cuts]
    return batches, [sum(map(len, part["input_ids"])) for part in cuts], cut(0.5, EVAL_BATCH)


def _step_of(model: PreTrainedModel, dials: Dials, precision: str) -> Callable:
    """One training step as the Trainer makes it: forward, backward, gradients clipped, AdamW."""
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-6, weight_decay=dials.WEIGHT_DECAY, fused=True)
    fast = dials.SPEED == "fast" and model.device.type == "cpu"

    def step(batch) -> None:
        model.train()
        with autocast(model, precision):
            loss = model(**batch).loss
        loss.backward()
        if fast:
            clip_in(optimiser, model.parameters(), 1.0)
        else:
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()

    return step


def _timed(work: Callable[[], object], device: torch.device) -> float:
    began = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - began
