"""Option H: what LoRA learns, holds and keeps beside the other ways, and why its learning rate is another one."""

from collections.abc import Mapping

import matplotlib as mpl
import numpy as np
import pandas as pd
import torch
from transformers import PreTrainedModel, set_seed

from tuning.data.loading import load, split, subset
from tuning.dials import EVERYTHING
from tuning.encoder import adapters, freezing
from tuning.encoder import finding as encoders
from tuning.encoder.run_models import encoder_of
from tuning.encoder.tokens import batch_of, tokenise
from tuning.figures.style import BLUE, ORANGE, RED, STYLE, Picture, legend_below, new_figure
from tuning.further import linear_probe
from tuning.further.variations import dials_from
from tuning.runs.record import Run
from tuning.runs.store import ADAPTER
from tuning.training.scoring import predict


def best(runs: Mapping[str, Run]) -> str:
    """Title of the run with the highest macro-F1 on validation."""
    return max(runs, key=lambda title: runs[title].final.get("val_f1_macro") or 0)


def by_rate(run_1: Run, runs: Mapping[str, Run]) -> Picture:
    """Macro-F1 of the runs with LoRA by learning rate, beside Run 1, with 95% intervals."""
    tried = [run.learning_rate for run in runs.values()]
    runs = {title: run for title, run in runs.items() if run.final.get("val_f1_macro") is not None}
    groups = {"LoRA": (list(runs.values()), BLUE, "o"), "Run 1: everything learns": ([run_1], ORANGE, "D")}
    with mpl.rc_context(STYLE):
        figure, axes = new_figure((9.5, 4.4))
        for name, (several, colour, marker) in groups.items():
            for run in several:
                axes.plot([run.learning_rate] * 2, run.final["val_f1_macro_interval"], color=colour, linewidth=1.5)
            points = [(run.learning_rate, run.final["val_f1_macro"]) for run in several]
            axes.plot(*zip(*points, strict=True), color=colour, marker=marker, linestyle="none", ms=10, label=name)
        axes.axhline(run_1.majority["f1_macro"], color=RED, linestyle=":", label="majority class")
        axes.set_xscale("log")
        axes.set_ylim(0, 1)
        axes.set_xlabel("learning rate")
        axes.set_ylabel("macro-F1 on validation")
        legend_below(figure, axes)
    reached = "; ".join(f"{run.learning_rate:g}: {run.final['val_f1_macro']:.3f}" for run in runs.values())
    rate = runs[best(runs)].learning_rate
    edge = ", the largest tried: a larger one may be better still" if rate == max(tried) else ""
    return Picture(
        figure,
        f"Macro-F1 with LoRA by learning rate: {reached}. The best rate is {rate:g}{edge}."
        f" Run 1, in which everything learns, has {run_1.final['val_f1_macro']:.3f} at {run_1.learning_rate:g}.",
    )


def first_steps(run_1: Run, run: Run) -> str:
    """How far one step on one batch moves query and value: all weights and LoRA at Run 1's rate, LoRA at its own."""
    lora, rate = run.dials["TRAINED"], run_1.learning_rate
    steps = [("everything learns", EVERYTHING, rate), (lora, lora, rate), (lora, lora, run.learning_rate)]
    different = dict.fromkeys(steps)
    lines = [f"{name}, at {rate:g}: {_first_step(run_1, trained, rate):.3%}" for name, trained, rate in different]
    return "\n".join(["One step moves the query and value weights by this share of their size:", *lines])


def _first_step(run_1: Run, trained: str, rate: float) -> float:
    dials, encoder = dials_from(run_1.dials), encoder_of(run_1)
    model, tokenizer = encoders.build(encoder, run_1.seed)
    start = _query_and_value(model)
    freezing.freeze(model, encoder, trained)
    sentences = subset(split(load(dials.DATA, dials.AGREEMENT)).train, dials.BATCH_SIZE)
    batch = batch_of(tokenise(sentences, tokenizer, dials.MAX_LENGTH, by_length=False), tokenizer)
    set_seed(run_1.seed)
    model.train()(**batch).loss.backward()
    torch.optim.AdamW([weight for weight in model.parameters() if weight.requires_grad], lr=rate).step()
    adapters.merge(model)
    change = sum(float((weight - start[name]).square().sum()) for name, weight in _query_and_value(model).items())
    return (change / sum(float(weight.square().sum()) for weight in start.values())) ** 0.5


def _query_and_value(model: PreTrainedModel) -> dict[str, torch.Tensor]:
    named = {name: weight for name, weight in model.named_parameters() if name.endswith(".weight")}
    return {
        name: weight.detach().clone()
        for name, weight in named.items()
        if name.split(".")[-2] in adapters.QUERY_AND_VALUE
    }


def trade(run_1: Run, runs: Mapping[str, Run]) -> pd.DataFrame:
    """What each way of training learns, holds in memory, takes, leaves on disk and reaches.

    Beside :func:`tuning.further.linear_probe.parts`, the ``share`` of the weights that learns and what is kept on disk.
    """
    table = linear_probe.parts(run_1, runs)
    files = {title: run.folder / ADAPTER / adapters.WEIGHTS for title, run in runs.items()}
    sizes = {title: file.stat().st_size for title, file in files.items() if file.is_file()}
    disk = [sizes.get(title, freezing.BYTES * learned) for title, learned in table["parameters"].items()]
    share = [f"{learned / run_1.encoder['parameters']:.2%}" for learned in table["parameters"]]
    table.insert(1, "share", share)
    table.insert(4, "on disk (kB)", [f"{size / 1000:,.0f}" for size in disk])
    return table.assign(parameters=table["parameters"].map("{:,}".format))


def logits(run: Run, model: torch.nn.Module) -> np.ndarray:
    """What a model says about a run's validation sentences, in float32.

    Returns
    -------
    numpy.ndarray of shape (sentences, labels)
    """
    dials = dials_from(run.dials)
    tokenizer = encoders.tokenizer(encoder_of(run))
    validation = split(load(dials.DATA, dials.AGREEMENT)).validation
    return predict(model, tokenise(validation, tokenizer, dials.MAX_LENGTH, by_length=True), tokenizer, "fp32")


def agreement(apart: np.ndarray, merged: np.ndarray) -> str:
    """Whether an adapter says the same beside the weights and merged into them."""
    same = int((apart.argmax(axis=1) == merged.argmax(axis=1)).sum())
    return (
        f"Beside the weights and merged into them, the adapter gives the same label to {same} of {len(apart)}"
        f" sentences; the largest difference of a logit is {np.abs(apart - merged).max():.0e}."
    )
