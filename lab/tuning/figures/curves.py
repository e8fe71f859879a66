"""The loss curve of one run: every step, the moving average, the marks after each epoch, the learning rate below."""

from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from tuning.data.labels import LABELS
from tuning.figures.smoothing import moving_average, step_numbers, window
from tuning.figures.style import BLUE, GREEN, GREY, ORANGE, RED, STYLE, Picture, in_words, legend_below, new_figure
from tuning.runs.record import Run

MARKS: dict[str, Any] = {"markersize": 9, "linewidth": 1.5, "linestyle": "--"}


def draw_loss(axes: Axes, run: Run, steps: int | None = None) -> list[Line2D]:
    """Draw step losses, moving average and the scores after each epoch; the lines are those of :func:`loss_points`."""
    average = f"training loss, moving average of {window(run, steps)} steps"
    looks: tuple[dict[str, Any], ...] = (
        {"color": BLUE, "alpha": 0.25, "linewidth": 1, "label": "training loss, each step"},
        {"color": BLUE, "linewidth": 2.5, "label": average},
        {"color": GREEN, "marker": "s", "label": "training subset, evaluation mode"} | MARKS,
        {"color": RED, "marker": "D", "label": "validation"} | MARKS,
    )
    lines = [axes.plot(*xy, **look)[0] for xy, look in zip(loss_points(run, steps), looks, strict=True)]
    axes.axhline(np.log(len(LABELS)), color=GREY, linewidth=1, linestyle=":", label="pure guessing, ln 3 = 1.10")
    axes.set_ylabel("loss (nats)")
    axes.set_ylim(0, ceiling(run))
    if run.steps:
        axes.set_xlim(0, run.steps[-1]["step"] * 1.02)
    return lines


def loss_points(run: Run, steps: int | None = None) -> list[tuple[Any, Any]]:
    """Steps and values of what :func:`draw_loss` draws: step losses, moving average, training and validation marks."""
    at, marks = step_numbers(run), epoch_marks(run)
    points = [(at, run.step_losses()), (at, moving_average(run, steps))]
    for key in ("train_loss", "val_loss"):
        known = [(step, row[key]) for step, row in marks if row.get(key) is not None]
        points.append(([step for step, _ in known], [value for _, value in known]))
    return points


def rate_points(run: Run) -> tuple[Any, Any]:
    """Recorded steps and their learning rates."""
    return step_numbers(run), [step["learning_rate"] for step in run.steps]


def epoch_marks(run: Run) -> list[tuple[float, dict[str, Any]]]:
    """The untrained model at step 0, then each epoch's row at the step where it ended."""
    last = run.steps[-1] if run.steps else None
    per_epoch = last["step"] / last["epoch"] if last else 1
    start = [(0.0, {key: run.baseline.get(key) for key in ("train_loss", "val_loss")})] if run.baseline else []
    return start + [(row["epoch"] * per_epoch, row) for row in run.epochs]


def ceiling(run: Run) -> float:
    """Upper end of the loss axis: everything that was measured lies below it."""
    losses = run.step_losses()
    marked = [row[key] for _, row in epoch_marks(run) for key in ("train_loss", "val_loss") if row.get(key) is not None]
    return 1.08 * max([1.3, *marked, *losses[np.isfinite(losses)].tolist()])


def loss_curve(run: Run, title: str | None = None, steps: int | None = None) -> Picture:
    """The whole run: losses above, the learning rate below.

    `title` stands in place of the preset and its rate; `steps` is the length of a run that is still under way.
    """
    figure, _ = loss_panels(run, title, steps)
    return Picture(figure, describe(run, steps))


def loss_panels(run: Run, title: str | None = None, steps: int | None = None) -> tuple[Figure, list[Line2D]]:
    """The figure of :func:`loss_curve`, and the lines in it that grow with the run, the learning rate last."""
    with mpl.rc_context(STYLE):
        figure, (top, bottom) = new_figure(nrows=2, sharex=True, height_ratios=[4, 1])
        lines = draw_loss(top, run, steps)
        top.set_title(title if title is not None else f"{run.preset}: learning rate {run.learning_rate:g}")
        legend_below(figure, top)
        lines += bottom.plot(*rate_points(run), color=ORANGE, linewidth=2)
        bottom.set_ylabel("learning\nrate")
        # The highest rate that the run may reach: a warm-up begins at 0, which alone gives an axis without height.
        bottom.set_ylim(0, 1.25 * run.learning_rate)
        bottom.ticklabel_format(axis="y", style="sci", scilimits=(-2, 2))
        bottom.set_xlabel("step (one batch each)")
        if steps:
            top.set_xlim(0, steps * 1.02)
    return figure, lines


def describe(run: Run, steps: int | None = None) -> str:
    """The loss curve in words, for a screen reader or a text-only display."""
    shown = moving_average(run, steps)
    ends = f"from {in_words(shown[2])} to {in_words(shown[-1])}" if len(shown) > 2 else "too short to describe"
    marks = ", ".join(
        f"epoch {row['epoch']:g}: training {in_words(row['train_loss'])}, validation {in_words(row['val_loss'])}"
        for row in run.epochs
    )
    return (
        f"Step loss, moving average of {window(run, steps)} steps: {ends} over"
        f" {run.steps[-1]['step'] if run.steps else 0} steps. After each epoch, in evaluation mode: {marks or 'none'}."
    )
