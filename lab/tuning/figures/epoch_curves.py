"""Curves by epoch: runs side by side, and the first epoch step by step."""

from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes

from tuning.data.labels import LABELS
from tuning.errors import RunError
from tuning.figures.style import BLUE, GREEN, GREY, ORANGE, RED, STYLE, Picture, in_words, new_figure
from tuning.runs.record import Run


def _refuse_none(runs: dict[str, Run]) -> None:
    if not runs:
        raise RunError("There is no run to compare yet: none was finished above. Run the cell that trains again.")


def plot_score(panel: Axes, rows: list[dict[str, Any]], key: str, **look: Any) -> None:
    """Draw one score against the epoch, where it is known."""
    points = [(row["epoch"], row[key]) for row in rows if row.get(key) is not None]
    if points:
        panel.plot(*zip(*points, strict=True), **look)


def _guessing(panel: Axes) -> None:
    panel.axhline(np.log(len(LABELS)), color=GREY, linewidth=1, linestyle=":")


def compare(runs: dict[str, Run]) -> Picture:
    """Several runs, by title, side by side: loss, accuracy and macro-F1 by epoch.

    A `RunError` where there is none: the cell that trains was stopped before its first run.
    """
    _refuse_none(runs)
    with mpl.rc_context(STYLE):
        size = (3.4 * len(runs) + 0.6, 5.6)
        figure, panels = new_figure(size, nrows=2, ncols=len(runs), sharex="col", sharey="row", squeeze=False)
        for (title, run), top, bottom in zip(runs.items(), *panels, strict=True):
            for panel, key, colour, marker, label in (
                (top, "train_loss", GREEN, "s", "training loss"),
                (top, "val_loss", RED, "D", "validation loss"),
                (bottom, "val_accuracy", BLUE, "o", "validation accuracy"),
                (bottom, "val_f1_macro", ORANGE, "^", "validation macro-F1"),
            ):
                rows = [run.baseline | {"epoch": 0}, *run.epochs]
                plot_score(panel, rows, key, color=colour, marker=marker, linewidth=2, label=label)
            _guessing(top)
            top.set_title(f"{title}\nrate {run.learning_rate:g}")
            bottom.set(xlabel="epoch", ylim=(0, 1))
            bottom.xaxis.get_major_locator().set_params(integer=True)
        panels[0][0].set_ylabel("loss (nats)")
        panels[0][0].legend(loc="upper right")
        panels[1][0].set_ylabel("score")
        panels[1][-1].legend(loc="lower right")
    words = "; ".join(
        f"{title}: training loss {in_words(run.final.get('train_loss'))},"
        f" validation loss {in_words(run.final.get('val_loss'))}, accuracy {in_words(run.final.get('val_accuracy'))},"
        f" macro-F1 {in_words(run.final.get('val_f1_macro'))}"
        for title, run in runs.items()
    )
    return Picture(figure, f"Runs side by side. {words}.")


def first_epoch(runs: dict[str, Run]) -> Picture:
    """The step losses of the first epoch of several runs, one above the other: the noise of SGD."""
    _refuse_none(runs)
    words = []
    with mpl.rc_context(STYLE):
        figure, panels = new_figure((9.5, 1.9 * len(runs) + 0.6), nrows=len(runs), sharex=True, squeeze=False)
        for panel, (title, run) in zip(panels[:, 0], runs.items(), strict=True):
            steps = [step for step in run.steps if step["epoch"] <= 1 and step["loss"] is not None]
            losses = np.array([step["loss"] for step in steps])
            reach = f"{losses.min():.2f} to {losses.max():.2f}" if len(losses) else "no loss recorded"
            panel.plot([step["step"] for step in steps], losses, color=BLUE, linewidth=1)
            _guessing(panel)
            panel.set(title=f"{title}: {reach}", ylim=(0, max([1.3, *(1.05 * losses)])), ylabel="loss")
            words.append(f"{title}: {reach}")
        panels[-1, 0].set_xlabel("step of the first epoch (dotted: pure guessing, ln 3)")
    return Picture(figure, f"Step losses of the first epoch. {'; '.join(words)}.")
