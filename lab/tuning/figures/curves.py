"""Every static figure of the labs, in one style, drawn from the record of a run.

Colours are the Okabe-Ito set, which colour-blind readers can tell apart; markers, line styles and direct labels say the
same things a second time.
"""

import base64
import dataclasses
import html
import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from tuning.data.labels import LABELS
from tuning.errors import RunError
from tuning.runs import metrics
from tuning.runs.record import Run, load_predictions

BLUE, ORANGE, GREEN, RED, GREY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#6E6E6E"
# What a person's matplotlibrc may have changed so that nothing can be drawn, or read: without LaTeX, text.usetex fails;
# a dark style writes white on our white.
_AS_MATPLOTLIB_HAS_IT = (
    "text.usetex", "text.color", "font.family", "font.sans-serif", "mathtext.fontset", "axes.formatter.use_locale",
    "axes.unicode_minus", "axes.edgecolor", "axes.labelcolor", "axes.titlecolor", "xtick.color", "xtick.labelcolor",
    "ytick.color", "ytick.labelcolor", "legend.labelcolor", "legend.facecolor", "savefig.facecolor", "savefig.bbox",
    "savefig.transparent", "patch.edgecolor",
)  # fmt: skip
STYLE: dict[str, Any] = {
    **{name: mpl.rcParamsDefault[name] for name in _AS_MATPLOTLIB_HAS_IT},
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#E3E3E3",
    "grid.linewidth": 0.8,
    "axes.titlesize": 15,
    "axes.titlelocation": "left",
    "axes.labelsize": 13,
    "xtick.labelsize": 12,
    "ytick.labelsize": 12,
    "legend.fontsize": 12,
    "legend.frameon": False,
    "font.size": 12,
    "svg.hashsalt": "workshop-6w",
}
WIDE = (9.5, 5.4)
# Steps of the moving average: fewer would leave a short run as noisy as it is, more would hide the jumps of the start.
LEAST_WINDOW, MOST_WINDOW = 5, 20
MARKS: dict[str, Any] = {"markersize": 9, "linewidth": 1.5, "linestyle": "--"}


@dataclasses.dataclass(frozen=True)
class Picture:
    """A figure together with its description in words, which serves as its alt text and where only text is shown.

    As the last expression of a cell it displays itself.
    """

    figure: Figure
    words: str

    def __post_init__(self) -> None:
        # The layout is settled once: left to itself it would move a little with every drawing.
        with mpl.rc_context(STYLE):
            self.figure.draw_without_rendering()
        self.figure.set_layout_engine("none")

    def png(self, dpi: int = 100) -> bytes:
        """The figure as a PNG file's bytes; the same figure gives the same bytes."""
        out = io.BytesIO()
        with mpl.rc_context(STYLE):
            self.figure.savefig(out, format="png", dpi=dpi, metadata={"Software": None})
        return out.getvalue()

    def save(self, path: Path) -> None:
        """Write the figure to a file, in the format of its ending."""
        # No date and no version in the file: the same figure gives the same bytes.
        metadata = {"Software": None} if path.suffix == ".png" else {"Date": None, "Creator": None}
        with mpl.rc_context(STYLE):
            self.figure.savefig(path, metadata=metadata)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> tuple[dict, dict]:
        png = self.png()
        # JupyterLab drops the alternative text of a PNG, so that a screen reader finds it only in HTML.
        source = f"data:image/png;base64,{base64.b64encode(png).decode()}"
        page = f'<img alt="{html.escape(self.words)}" src="{source}">'
        return {"text/html": page, "image/png": png, "text/plain": self.words}, {"image/png": {"alt": self.words}}


def window(run: Run, steps: int | None = None) -> int:
    """Length of a run's moving average, in steps: a tenth of the run, at least `LEAST_WINDOW`, at most `MOST_WINDOW`.

    Parameters
    ----------
    run : Run
    steps : int, optional
        Length of a run that is still under way; by default its last recorded step.
    """
    if steps is None:
        steps = run.steps[-1]["step"] if run.steps else 0
    # Not round(): Python rounds a half to the even number, and the pages' JavaScript does not.
    return min(max((steps + 5) // 10, LEAST_WINDOW), MOST_WINDOW)


def moving_average(run: Run, steps: int | None = None) -> np.ndarray:
    """Mean of the last step losses, so that the trend shows through the noise of single batches.

    The window goes by the steps' numbers. In a thinned record it holds fewer losses and covers the same stretch.

    Parameters
    ----------
    run : Run
    steps : int, optional
        As for :func:`window`.

    Returns
    -------
    numpy.ndarray of shape (recorded steps,)
        Losses that are not finite are left out; NaN where there is no other.
    """
    losses, at = run.step_losses(), step_numbers(run)
    known = np.isfinite(losses)
    totals = np.concatenate([[0.0], np.cumsum(np.where(known, losses, 0.0))])
    counts = np.concatenate([[0], np.cumsum(known)])
    begin = np.searchsorted(at, at - window(run, steps), side="right")
    counted = counts[1:] - counts[begin]
    return np.where(counted > 0, (totals[1:] - totals[begin]) / np.maximum(counted, 1), np.nan)


def step_numbers(run: Run) -> np.ndarray:
    """Numbers of the recorded steps, shape (recorded steps,)."""
    return np.array([step["step"] for step in run.steps], dtype=int)


def window_words(runs: Iterable[Run]) -> str:
    """Say over how many steps the curves of some runs are averaged: ``20 steps``, or ``5 to 20 steps``."""
    windows = {window(run) for run in runs} or {LEAST_WINDOW}
    shortest = f"{min(windows)} to " if len(windows) > 1 else ""
    return f"{shortest}{max(windows)} steps"


def new_figure(size: tuple[float, float] = WIDE, **layout: Any) -> tuple[Figure, Any]:
    """A figure in the workshop's style that no window or notebook shows by itself.

    Parameters
    ----------
    size : tuple of float
        Inches.
    **layout
        For ``Figure.subplots``.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=size, layout="constrained", dpi=100)
        return figure, figure.subplots(**layout)


def panel(size: tuple[float, float] = WIDE) -> tuple[Figure, Axes]:
    """A figure of one panel in the workshop's style."""
    return new_figure(size)


def legend_below(figure: Figure, axes: Axes) -> None:
    """Explain the lines under the figure, where no curve can run behind the words."""
    figure.legend(
        *axes.get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=10.5, columnspacing=1.2
    )


def draw_loss(axes: Axes, run: Run, steps: int | None = None) -> list[Line2D]:
    """Draw step losses, their moving average and the scores after each epoch into `axes`.

    Returns
    -------
    list of matplotlib.lines.Line2D
        The lines that grow with the run, in the order of :func:`loss_points`.
    """
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

    Parameters
    ----------
    run : Run
    title : str, optional
        Instead of the preset and its rate.
    steps : int, optional
        Length of the step axis, for a run that is still under way.

    Returns
    -------
    Picture
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


def before_after(run: Run) -> Picture:
    """Accuracy and macro-F1 of majority class, untrained and trained model, with 95% intervals.

    Returns
    -------
    Picture
    """
    groups = [
        ("always the\nmajority class", GREY, "//", run.majority.get("accuracy"), run.majority.get("f1_macro"), {}),
        (
            "before\ntraining",
            ORANGE,
            "..",
            run.baseline.get("val_accuracy"),
            run.baseline.get("val_f1_macro"),
            run.baseline,
        ),
        ("after\ntraining", BLUE, "", run.final.get("val_accuracy"), run.final.get("val_f1_macro"), run.final),
    ]
    with mpl.rc_context(STYLE):
        figure, panels = new_figure((9.5, 4.2), ncols=2, sharey=True)
        for panel, title, position, key in (
            (panels[0], "accuracy", 3, "val_accuracy_interval"),
            (panels[1], "macro-F1", 4, "val_f1_macro_interval"),
        ):
            for place, group in enumerate(groups):
                value = group[position] or 0.0
                panel.bar(place, value, color=group[1], hatch=group[2], edgecolor="white", width=0.7)
                ends = group[5].get(key)
                if ends:
                    error = [[max(value - ends[0], 0)], [max(ends[1] - value, 0)]]
                    panel.errorbar(place, value, error, color="black", capsize=5)
                panel.text(place, (ends[1] if ends else value) + 0.02, f"{value:.2f}", ha="center", fontsize=13)
            panel.set_xticks(range(3), [group[0] for group in groups])
            panel.set_title(f"Validation {title}")
            panel.set_ylim(0, 1.05)
            panel.grid(axis="x", visible=False)
    words = "; ".join(
        f"{name.replace(chr(10), ' ')}: accuracy {in_words(accuracy)}, macro-F1 {in_words(f1)}"
        for name, _, _, accuracy, f1, _ in groups
    )
    return Picture(figure, f"Bars of the validation scores. {words}.")


def confusion_matrix(run: Run) -> Picture:
    """Count validation sentences by true and predicted label.

    Returns
    -------
    Picture

    Raises
    ------
    RunError
        If the run's ``predictions.csv`` is gone.
    """
    frame = load_predictions(run)
    truth = np.array([LABELS.index(label) for label in frame["label"]])
    table = metrics.confusion(truth, frame[list(LABELS)].to_numpy().argmax(axis=1))
    with mpl.rc_context(STYLE):
        figure, axes = new_figure((5.6, 4.6))
        # The layout for square panels: the other one shifts them a little each time the figure is drawn.
        figure.set_layout_engine("compressed")
        axes.imshow(table / np.maximum(table.sum(axis=1, keepdims=True), 1), cmap="Blues", vmin=0, vmax=1)
        for row, column in np.ndindex(table.shape):
            dark = table[row, column] > 0.5 * table[row].sum()
            axes.text(
                column,
                row,
                table[row, column],
                ha="center",
                va="center",
                fontsize=16,
                color="white" if dark else "black",
            )
        axes.set_xticks(range(3), LABELS)
        axes.set_yticks(range(3), LABELS)
        axes.set_xlabel("predicted")
        axes.set_ylabel("true")
        axes.set_title("Validation sentences")
        axes.grid(visible=False)
    words = "; ".join(
        f"truly {label}: " + ", ".join(f"{count} called {name}" for count, name in zip(row, LABELS, strict=True))
        for label, row in zip(LABELS, table, strict=True)
    )
    return Picture(figure, f"Validation sentences by true and predicted label. {words}.")


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


def in_words(value: float | None) -> str:
    """A loss or score to two places."""
    return "not a number" if value is None or not np.isfinite(value) else f"{value:.2f}"


def _refuse_none(runs: dict[str, Run]) -> None:
    if not runs:
        raise RunError("There is no run to compare yet: none was finished above. Run the cell that trains again.")


def compare(runs: dict[str, Run]) -> Picture:
    """Several runs side by side: loss, accuracy and macro-F1 by epoch.

    Parameters
    ----------
    runs : dict of str to Run
        Title of each column and its run.

    Returns
    -------
    Picture

    Raises
    ------
    RunError
        If there is none: the cell that trains was stopped before its first run.
    """
    _refuse_none(runs)
    with mpl.rc_context(STYLE):
        size = (3.4 * len(runs) + 0.6, 5.6)
        figure, panels = new_figure(size, nrows=2, ncols=len(runs), sharex="col", sharey="row", squeeze=False)
        for (title, run), top, bottom in zip(runs.items(), *panels, strict=True):
            marks = [(0, run.baseline)] + [(row["epoch"], row) for row in run.epochs]
            for panel, key, colour, marker, label in (
                (top, "train_loss", GREEN, "s", "training loss"),
                (top, "val_loss", RED, "D", "validation loss"),
                (bottom, "val_accuracy", BLUE, "o", "validation accuracy"),
                (bottom, "val_f1_macro", ORANGE, "^", "validation macro-F1"),
            ):
                points = [(at, row[key]) for at, row in marks if row.get(key) is not None]
                if points:
                    panel.plot(*zip(*points, strict=True), color=colour, marker=marker, linewidth=2, label=label)
            top.axhline(np.log(len(LABELS)), color=GREY, linewidth=1, linestyle=":")
            top.set_title(f"{title}\nrate {run.learning_rate:g}")
            bottom.set_xlabel("epoch")
            bottom.xaxis.get_major_locator().set_params(integer=True)
            bottom.set_ylim(0, 1)
        panels[0][0].set_ylabel("loss (nats)")
        panels[0][0].legend(loc="upper right")
        panels[1][0].set_ylabel("score")
        panels[1][-1].legend(loc="lower right")
    words = "; ".join(f"{title}: {_ends(run)}" for title, run in runs.items())
    return Picture(figure, f"Runs side by side. {words}.")


def _ends(run: Run) -> str:
    final = run.final
    return (
        f"training loss {in_words(final.get('train_loss'))}, validation loss {in_words(final.get('val_loss'))}, "
        f"accuracy {in_words(final.get('val_accuracy'))}, macro-F1 {in_words(final.get('val_f1_macro'))}"
    )


def first_epoch(runs: dict[str, Run]) -> Picture:
    """The step losses of the first epoch of several runs, one above the other: the noise of SGD.

    Parameters
    ----------
    runs : dict of str to Run

    Returns
    -------
    Picture

    Raises
    ------
    RunError
        If there is none.
    """
    _refuse_none(runs)
    words = []
    with mpl.rc_context(STYLE):
        figure, panels = new_figure((9.5, 1.9 * len(runs) + 0.6), nrows=len(runs), sharex=True, squeeze=False)
        for panel, (title, run) in zip(panels[:, 0], runs.items(), strict=True):
            steps = [step for step in run.steps if step["epoch"] <= 1 and step["loss"] is not None]
            losses = np.array([step["loss"] for step in steps])
            reach = f"{losses.min():.2f} to {losses.max():.2f}" if len(losses) else "no loss recorded"
            panel.plot([step["step"] for step in steps], losses, color=BLUE, linewidth=1)
            panel.axhline(np.log(len(LABELS)), color=GREY, linewidth=1, linestyle=":")
            panel.set_title(f"{title}: {reach}")
            panel.set_ylim(0, max([1.3, *(1.05 * losses)]))
            panel.set_ylabel("loss")
            words.append(f"{title}: {reach}")
        panels[-1, 0].set_xlabel("step of the first epoch (dotted: pure guessing, ln 3)")
    return Picture(figure, f"Step losses of the first epoch. {'; '.join(words)}.")


def over_epochs(run: Run) -> Picture:
    """Loss, macro-F1 and the confidence of the mistakes after each epoch, side by side.

    A model that is trained for too long may keep its scores while its loss rises: it grows ever surer of its mistakes.

    Parameters
    ----------
    run : Run
        With ``val_mistake_confidence`` in its epochs.

    Returns
    -------
    Picture

    Raises
    ------
    RunError
        If the record says nothing of its epochs.
    """
    rows = [row for row in run.epochs if row.get("val_mistake_confidence") is not None]
    if not rows:
        raise RunError(f"{run.run_id}: this record has no confidence of its mistakes, so there is nothing to draw.")
    epochs = [row["epoch"] for row in rows]
    with mpl.rc_context(STYLE):
        figure, panels = new_figure((12, 3.9), ncols=3)
        panels[0].plot(epochs, [row["train_loss"] for row in rows], color=GREEN, marker="s", label="training subset")
        panels[0].plot(epochs, [row["val_loss"] for row in rows], color=ORANGE, marker="D", label="validation")
        panels[0].legend()
        for panel, key, colour, marker in (
            (panels[1], "val_f1_macro", BLUE, "o"),
            (panels[2], "val_mistake_confidence", RED, "^"),
        ):
            panel.plot(epochs, [row[key] for row in rows], color=colour, marker=marker)
        for panel, title in zip(panels, ("Loss", "Validation macro-F1", "Confidence of the mistakes"), strict=True):
            panel.set_title(title)
            panel.set_xlabel("epoch")
            panel.xaxis.set_major_locator(MaxNLocator(integer=True))
            panel.set_ylim(bottom=0)
        panels[1].set_ylim(0, 1)
        panels[2].set_ylim(0, 1)
    first, last = rows[0], rows[-1]
    words = "; ".join(
        f"{title} from {in_words(first[key])} to {in_words(last[key])}"
        for title, key in (
            ("training loss", "train_loss"),
            ("validation loss", "val_loss"),
            ("macro-F1", "val_f1_macro"),
            ("mean confidence of the mistakes", "val_mistake_confidence"),
        )
    )
    return Picture(figure, f"Epoch {first['epoch']:g} to {last['epoch']:g}: {words}.")
