"""Pictures of a whole room: loss curves of all groups, and score and gap per preset."""

import textwrap

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes

from tuning import curves
from tuning.board import OWN_RATE, Board, by_preset
from tuning.curves import BLUE, GREEN, GREY, RED, STYLE, Picture, new_figure, smooth
from tuning.data import LABELS
from tuning.run import Run

PURPLE = "#CC79A7"
LOOKS = {
    "TOO_LOW": (GREEN, "--", "s"),
    "JUST_RIGHT": (BLUE, "-", "o"),
    "TOO_HIGH": (RED, "-.", "^"),
    OWN_RATE: (PURPLE, ":", "D"),
}
SLIDE = (12.8, 5.8)
GUESSING = float(np.log(len(LABELS)))
MOST_NAMES = 6
HIGHEST_SHOWN = 3.0


def overlay(board: Board, size: tuple[float, float] = SLIDE) -> Picture:
    """Smoothed step losses of all comparable runs in one panel, one look per preset.

    Returns
    -------
    Picture
    """
    with mpl.rc_context(STYLE):
        figure, axes = new_figure(size)
        groups = by_preset(board)
        for preset, members in groups.items():
            colour, line, _ = LOOKS[preset]
            label = f"{preset} ({len(members)} run{'s' if len(members) > 1 else ''})"
            for number, shared in enumerate(members):
                _draw(axes, shared.run, colour, line, label if number == 0 else None)
        cut = _finish(axes, board)
        axes.set_title("Training loss of every group, moving average")
        axes.set_ylabel(f"loss (nats){cut}")
        axes.set_xlabel("step (one batch each)")
        if groups:
            axes.legend(loc="upper right")
    return Picture(figure, f"Training losses of all groups. {_words(board)}")


def small_multiples(board: Board, size: tuple[float, float] = SLIDE) -> Picture:
    """The same losses, one panel per preset; validation losses after each epoch as marks.

    Returns
    -------
    Picture
    """
    groups = by_preset(board) or {"JUST_RIGHT": []}
    with mpl.rc_context(STYLE):
        figure, panels = new_figure(size, ncols=len(groups), sharey=True, sharex=True, squeeze=False)
        for axes, (preset, members) in zip(panels[0], groups.items(), strict=True):
            colour, line, marker = LOOKS[preset]
            for shared in members:
                _draw(axes, shared.run, colour, line, None)
                marks = curves.epoch_marks(shared.run)[1:]
                points = [(at, row["val_loss"]) for at, row in marks if row.get("val_loss") is not None]
                if points:
                    axes.plot(*zip(*points, strict=True), linestyle="none", marker=marker, color="black", markersize=6)
            names = ", ".join(shared.name for shared in members[:MOST_NAMES])
            more = f" and {len(members) - MOST_NAMES} more" if len(members) > MOST_NAMES else ""
            axes.set_title(preset)
            axes.set_xlabel("step\n" + textwrap.fill(names + more, 32))
            cut = _finish(axes, board)
        panels[0][0].set_ylabel(f"loss (nats){cut}; marks: validation")
    return Picture(figure, f"Training losses by preset, validation losses as marks. {_words(board)}")


def scores_and_gaps(board: Board, size: tuple[float, float] = SLIDE) -> Picture:
    """Macro-F1 and generalisation gap of each run by preset, with 95% intervals.

    They stand side by side because a small gap proves nothing without a good score.

    Returns
    -------
    Picture
    """
    groups = by_preset(board)
    with mpl.rc_context(STYLE):
        figure, panels = new_figure(size, ncols=2)
        for place, (preset, members) in enumerate(groups.items()):
            for axes, key in zip(panels, ("val_f1_macro", "gap_accuracy"), strict=True):
                _intervals(axes, place, [shared.run for shared in members], key, preset)
        majority = [
            one.run.majority["f1_macro"] for one in board.compared if one.run.majority.get("f1_macro") is not None
        ]
        if majority:
            panels[0].axhline(majority[0], color=GREY, linestyle=":", label="always the majority class")
            panels[0].legend(loc="upper left")
        panels[0].set_ylim(0, 1)
        panels[1].axhline(0, color=GREY, linestyle=":")
        for axes, title in zip(
            panels, ("First: the score (validation macro-F1)", "Then: the gap (accuracy)"), strict=True
        ):
            axes.set_title(title)
            axes.set_xticks(range(len(groups)), list(groups))
            axes.set_xlim(-0.6, max(len(groups), 1) - 0.4)
            axes.grid(axis="x", visible=False)
    return Picture(figure, f"Macro-F1 and gap by preset, with intervals. {_words(board)}")


def _draw(axes: Axes, run: Run, colour: str, line: str, label: str | None) -> None:
    steps = [step["step"] for step in run.steps]
    axes.plot(steps, smooth(run.step_losses()), color=colour, linestyle=line, linewidth=2, alpha=0.75, label=label)


def _finish(axes: Axes, board: Board) -> str:
    """Set the same scale for every panel; what it cuts off is said in the text that comes back."""
    axes.axhline(GUESSING, color=GREY, linewidth=1, linestyle=":")
    shown = [smooth(shared.run.step_losses()) for shared in board.compared]
    highest = max((float(np.nanmax(losses)) for losses in shown if np.isfinite(losses).any()), default=0.0)
    # One run that left for good must not press all others flat.
    axes.set_ylim(0, min(max(1.4, 1.05 * highest), HIGHEST_SHOWN))
    axes.set_xlim(left=0)
    return f", cut off at {HIGHEST_SHOWN:g}" if highest > HIGHEST_SHOWN else ""


def _intervals(axes: Axes, place: int, runs: list[Run], key: str, preset: str) -> None:
    colour, _, marker = LOOKS[preset]
    across = place + np.linspace(-0.3, 0.3, len(runs)) if len(runs) > 1 else [place]
    for at, run in zip(across, runs, strict=True):
        value, ends = run.final.get(key), run.final.get(f"{key}_interval")
        if value is None:
            continue
        if ends:
            axes.plot([at, at], ends, color=colour, linewidth=2, alpha=0.5)
        axes.plot(at, value, marker=marker, color=colour, markersize=9)


def _words(board: Board) -> str:
    told = []
    for preset, members in by_preset(board).items():
        scores = [one.run.final["val_f1_macro"] for one in members if one.run.final.get("val_f1_macro") is not None]
        reach = f", macro-F1 {min(scores):.2f} to {max(scores):.2f}" if scores else ""
        told.append(f"{preset}: {len(members)} runs{reach}")
    return "; ".join(told) + "." if told else "No runs yet."
