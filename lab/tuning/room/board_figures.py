"""Pictures of a whole room: loss curves of all groups, and score and gap against the learning rate.

Up to `MANY` runs of a preset are drawn one by one. Of more, the middle of all and the range of most are drawn, so
that a sweep of a thousand runs is as readable as ten groups.
"""

import functools
import textwrap
import unicodedata
from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.font_manager import FontProperties, findfont, get_font

from tuning.data.labels import LABELS
from tuning.figures import curves
from tuning.figures.smoothing import moving_average, window_words
from tuning.figures.style import BLUE, GREEN, GREY, RED, STYLE, Picture, new_figure
from tuning.room.board import OWN_RATE, Board, by_preset, by_rate
from tuning.room.share import Shared
from tuning.runs.record import Run

PURPLE = "#CC79A7"
LOOKS = {
    "TOO_LOW": (GREEN, "--", "s"),
    "JUST_RIGHT": (BLUE, "-", "o"),
    "TOO_HIGH": (RED, "-.", "^"),
    OWN_RATE: (PURPLE, ":", "D"),
}
SLIDE = (12.8, 5.8)
GUESSING = float(np.log(len(LABELS)))
MANY = 15
# More intervals than these run into each other.
MOST_INTERVALS = 100
# The range of most runs: a tenth lies below it and a tenth above.
MOST = (10, 90)
MOST_NAMES = 6
HIGHEST_SHOWN = 3.0
# Points of one rate stand side by side, over at most this part of a power of ten to either side.
JITTER = 0.35
# A gap near zero must look like one.
SMALLEST_GAPS = (-0.1, 0.2)


def overlay(board: Board, size: tuple[float, float] = SLIDE) -> Picture:
    """Smoothed step losses of all comparable runs in one panel, one look per preset."""
    groups = by_preset(board)
    with mpl.rc_context(STYLE):
        figure, axes = new_figure(size)
        for preset, members in groups.items():
            _draw(axes, preset, members, f"{preset} ({_runs(members)})")
        cut = _finish(axes, board)
        window = window_words(shared.run for shared in board.compared)
        axes.set_title(f"Training loss of every group, moving average of {window}{_range_told(groups)}")
        axes.set_ylabel(f"loss (nats){cut}")
        axes.set_xlabel("step (one batch each)")
        if groups:
            axes.legend(loc="upper right")
    return Picture(figure, f"Training losses of all groups{_range_told(groups)}. {_words(board)}")


def small_multiples(board: Board, size: tuple[float, float] = SLIDE) -> Picture:
    """The same losses, one panel per preset; validation losses after each epoch as marks."""
    groups = by_preset(board)
    with mpl.rc_context(STYLE):
        figure, panels = new_figure(size, ncols=max(len(groups), 1), sharey=True, sharex=True, squeeze=False)
        cut = ""
        for axes, (preset, members) in zip(panels[0], groups.items(), strict=False):
            _draw(axes, preset, members, None)
            _mark_epochs(axes, preset, members)
            axes.set_title(preset)
            axes.set_xlabel("step\n" + textwrap.fill(_who(members), 32))
            cut = _finish(axes, board)
        panels[0][0].set_ylabel(f"loss (nats){cut}; marks: validation")
    words = f"Training losses by preset, validation losses as marks{_range_told(groups)}. {_words(board)}"
    return Picture(figure, words)


def scores_and_gaps(board: Board, size: tuple[float, float] = SLIDE) -> Picture:
    """Macro-F1 and generalisation gap of each run against its learning rate, with 95% intervals.

    They stand side by side because a small gap proves nothing without a good score.
    """
    groups = by_rate(board)
    with mpl.rc_context(STYLE):
        figure, panels = new_figure(size, ncols=2)
        majority = [shared.run.majority["f1_macro"] for shared in board.compared if shared.run.majority.get("f1_macro")]
        if majority:
            panels[0].axhline(majority[0], color=GREY, linestyle=":", label="always the majority class")
            panels[0].legend(loc="upper left")
        panels[0].set_ylim(0, 1)
        panels[1].axhline(0, color=GREY, linestyle=":")
        titles = ("First: the score (validation macro-F1)", "Then: the gap (accuracy)")
        for axes, key, title in zip(panels, ("val_f1_macro", "gap_accuracy"), titles, strict=True):
            for (preset, rate), members in groups.items():
                runs = [shared.run for shared in members]
                across = rate * _side_by_side(groups, len(runs))
                _points(axes, preset, across, runs, key, intervals=len(board.compared) <= MOST_INTERVALS)
            axes.set_title(title)
            _rate_axis(axes, groups)
        low, high = panels[1].get_ylim()
        panels[1].set_ylim(min(low, SMALLEST_GAPS[0]), max(high, SMALLEST_GAPS[1]))
    return Picture(figure, f"Macro-F1 and gap by learning rate{_range_told(groups)}. {_words(board)}")


def _draw(axes: Axes, preset: str, members: Sequence[Shared], label: str | None) -> None:
    """The losses of a preset: each run, or the middle and the range of many."""
    colour, line, _ = LOOKS[preset]
    if len(members) <= MANY:
        for number, shared in enumerate(members):
            steps = [step["step"] for step in shared.run.steps]
            shown = label if number == 0 else None
            losses = moving_average(shared.run)
            axes.plot(steps, losses, color=colour, linestyle=line, linewidth=2, alpha=0.75, label=shown)
        return
    steps, losses = _on_one_grid([shared.run for shared in members])
    low, middle, high = np.nanpercentile(losses, [MOST[0], 50, MOST[1]], axis=0)
    axes.fill_between(steps, low, high, color=colour, alpha=0.2, linewidth=0)
    axes.plot(steps, middle, color=colour, linestyle=line, linewidth=2.5, label=label)


def _on_one_grid(runs: Sequence[Run]) -> tuple[np.ndarray, np.ndarray]:
    """Steps that all runs are shown at, shape (steps,), and their smoothed losses, shape (runs, steps)."""
    runs = [run for run in runs if np.isfinite(run.step_losses()).any()]
    longest = max(runs, key=lambda run: run.steps[-1]["step"])
    grid = np.array([step["step"] for step in longest.steps], dtype=float)
    rows = [np.interp(grid, [step["step"] for step in run.steps], moving_average(run), right=np.nan) for run in runs]
    return grid, np.array(rows)


def _mark_epochs(axes: Axes, preset: str, members: Sequence[Shared]) -> None:
    marker = LOOKS[preset][2]
    marks: dict[float, list[float]] = {}
    for shared in members:
        for at, row in curves.epoch_marks(shared.run)[1:]:
            if row.get("val_loss") is not None:
                marks.setdefault(round(at), []).append(row["val_loss"])
    for at, values in marks.items():
        if len(members) <= MANY:
            axes.plot([at] * len(values), values, linestyle="none", marker=marker, color="black", markersize=6)
        else:
            low, middle, high = np.percentile(values, [MOST[0], 50, MOST[1]])
            axes.plot([at, at], [low, high], color="black", linewidth=2)
            axes.plot(at, middle, marker=marker, color="black", markersize=8)


def _finish(axes: Axes, board: Board) -> str:
    """Set the same scale for every panel; what it cuts off is said in the text that comes back."""
    axes.axhline(GUESSING, color=GREY, linewidth=1, linestyle=":")
    shown = [moving_average(shared.run) for shared in board.compared]
    highest = max((float(np.nanmax(losses)) for losses in shown if np.isfinite(losses).any()), default=0.0)
    longest = max((shared.run.steps[-1]["step"] for shared in board.compared if shared.run.steps), default=1)
    # One run that left for good must not press all others flat.
    axes.set_ylim(0, min(max(1.4, 1.05 * highest), HIGHEST_SHOWN))
    axes.set_xlim(0, 1.03 * longest)
    return f", cut off at {HIGHEST_SHOWN:g}" if highest > HIGHEST_SHOWN else ""


def _side_by_side(groups: dict[tuple[str, float], list[Shared]], count: int) -> np.ndarray:
    """Factors around 1 that set the points of one rate side by side and keep them clear of the next rate's."""
    apart = np.diff(np.log10(sorted({rate for _, rate in groups})))
    reach = min(JITTER, 0.4 * apart.min()) if len(apart) else JITTER
    return 10 ** np.linspace(-reach, reach, count) if count > 1 else np.ones(1)


def _points(axes: Axes, preset: str, across: np.ndarray, runs: Sequence[Run], key: str, intervals: bool) -> None:
    """The scores of one rate: each run, with its interval where there is room, and the middle and range of many."""
    colour, _, marker = LOOKS[preset]
    shown = [(at, run) for at, run in zip(across, runs, strict=True) if run.final.get(key) is not None]
    values = [run.final[key] for _, run in shown]
    many = len(shown) > MANY
    for at, run in shown:
        ends = run.final.get(f"{key}_interval")
        if ends and intervals and not many:
            axes.plot([at, at], ends, color=colour, linewidth=2, alpha=0.5)
    size, strength = (9, 1.0) if intervals and not many else (4, 0.25)
    axes.plot([at for at, _ in shown], values, ls="none", marker=marker, color=colour, markersize=size, alpha=strength)
    if many:
        low, middle, high = np.percentile(values, [MOST[0], 50, MOST[1]])
        axes.plot([runs[0].learning_rate] * 2, [low, high], color="black", linewidth=3)
        axes.plot(runs[0].learning_rate, middle, marker=marker, color="black", markersize=10)


def _rate_axis(axes: Axes, groups: dict[tuple[str, float], list[Shared]]) -> None:
    axes.set_xlabel("learning rate (log scale)")
    axes.set_xscale("log")
    rates = [rate for _, rate in groups]
    if rates:
        axes.set_xlim(min(rates) / 4, max(rates) * 4)
    presets = {rate: f"{preset}\n{rate:g}" for preset, rate in groups if preset != OWN_RATE}
    if presets:
        axes.set_xticks(list(presets), list(presets.values()))
    axes.minorticks_off()
    axes.grid(axis="x", visible=False)


def _who(members: Sequence[Shared]) -> str:
    if len(members) > MANY:
        return _runs(members)
    # A name stays in one line.
    names = [
        _drawable(name).replace(" ", "\N{NO-BREAK SPACE}") for name in dict.fromkeys(shared.name for shared in members)
    ]
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return ", ".join(names[:MOST_NAMES]) + more


@functools.cache
def _drawable(name: str) -> str:
    """A name, or its script where the font that comes with matplotlib would draw empty boxes; tables show the name."""
    font = get_font(findfont(FontProperties()))
    foreign = [sign for sign in name if not font.get_char_index(ord(sign))]
    return f"(name in {unicodedata.name(foreign[0], 'another script').split()[0].title()})" if foreign else name


def _runs(members: Sequence[Shared]) -> str:
    return f"{len(members)} run{'s' if len(members) > 1 else ''}"


def _range_told(groups: dict) -> str:
    many = any(len(members) > MANY for members in groups.values())
    return " (of many runs: their middle, and the range of 8 in 10)" if many else ""


def _words(board: Board) -> str:
    words = []
    for preset, members in by_preset(board).items():
        finals = [shared.run.final for shared in members]
        scores = [final["val_f1_macro"] for final in finals if final.get("val_f1_macro") is not None]
        reach = f", macro-F1 {min(scores):.2f} to {max(scores):.2f}" if scores else ""
        words.append(f"{preset}: {_runs(members)}{reach}")
    return "; ".join(words) + "." if words else "No runs yet."
