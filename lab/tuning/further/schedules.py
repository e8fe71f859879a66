"""Pictures and words for option A of notebook 04: does the schedule matter more than the seed?"""

from collections.abc import Mapping, Sequence
from itertools import combinations

import matplotlib as mpl
import numpy as np

from tuning.evidence import log_rows
from tuning.figures import curves, smoothing
from tuning.figures.style import BLUE, GREEN, GREY, ORANGE, RED, STYLE, Picture, new_figure
from tuning.runs.record import Run

# Colour, line and marker say the same three times.
LOOKS = ((BLUE, "-", "o"), (RED, "--", "D"), (GREEN, "-.", "s"))


def tracks(runs: Mapping[str, Run]) -> Picture:
    """Losses of several runs, by schedule, in one panel, their learning rates below."""
    words = []
    with mpl.rc_context(STYLE):
        figure, (top, bottom) = new_figure((9.5, 6.2), nrows=2, sharex=True, height_ratios=[3, 2])
        for (name, run), (colour, line, marker) in zip(runs.items(), LOOKS, strict=False):
            steps = [step["step"] for step in run.steps]
            rates = [step["learning_rate"] for step in run.steps]
            top.plot(steps, smoothing.moving_average(run), color=colour, linestyle=line, linewidth=2.2, label=name)
            marks = [(at, row["val_loss"]) for at, row in curves.epoch_marks(run) if row.get("val_loss") is not None]
            top.plot(*zip(*marks, strict=True), color=colour, marker=marker, markersize=9, linestyle="none")
            bottom.plot(steps, rates, color=colour, linestyle=line, linewidth=2.2)
            loss = run.final.get("val_loss")
            words.append(f"{name}: rate ends at {rates[-1]:.1e}, validation loss {log_rows.number(loss, 2)}")
        top.axhline(np.log(3), color=GREY, linewidth=1, linestyle=":")
        top.set_ylabel("loss (nats)")
        top.set_title(f"Step loss, moving average of {smoothing.window_words(runs.values())}; marks: validation")
        top.legend(loc="upper right")
        bottom.set_ylabel("learning rate")
        bottom.set_ylim(bottom=0)
        bottom.ticklabel_format(axis="y", style="sci", scilimits=(-2, 2))
        bottom.set_xlabel("step (one batch each)")
        bottom.xaxis.get_major_locator().set_params(integer=True)
    return Picture(figure, f"Loss and learning rate by step. {'; '.join(words)}.")


def against_seeds(schedules: Mapping[str, Run], seeds: Sequence[Run]) -> Picture:
    """Macro-F1 of the schedules on one seed, and of one schedule on several; the words say which spreads wider."""
    groups = [
        ({f"{name}, seed {next(iter(schedules.values())).seed}": run for name, run in schedules.items()}, ORANGE, "D"),
        ({f"{seeds[0].dials['SCHEDULER']}, seed {run.seed}": run for run in seeds}, BLUE, "o"),
    ]
    names: list[str] = []
    with mpl.rc_context(STYLE):
        figure, axes = new_figure((9.5, 1.3 + 0.42 * (len(schedules) + len(seeds))))
        for runs, colour, marker in groups:
            values = [run.final["val_f1_macro"] for run in runs.values()]
            rows = range(len(names), len(names) + len(runs))
            axes.fill_betweenx([rows[0] - 0.3, rows[-1] + 0.3], min(values), max(values), color=colour, alpha=0.15)
            axes.plot(values, rows, color=colour, marker=marker, markersize=11, linestyle="none")
            names += runs
        axes.set_yticks(range(len(names)), names)
        axes.invert_yaxis()
        axes.set_xlabel("macro-F1 on validation (shaded: from the lowest to the highest of its group)")
        axes.margins(x=0.12)
    f1 = [[run.final["val_f1_macro"] for run in runs.values()] for runs, _, _ in groups]
    return Picture(figure, verdict(*f1))


def verdict(schedules: Sequence[float], seeds: Sequence[float]) -> str:
    """Say whether two schedules differ more than two seeds do, from two macro-F1 or more of each.

    The measure is the mean difference of two runs, which, unlike the distance from the lowest to the highest, does not
    grow with the number of runs.
    """
    between, luck = (100 * np.mean([abs(a - b) for a, b in combinations(f1, 2)]) for f1 in (schedules, seeds))
    compared = "more than" if between > luck else "no more than"
    return (
        f"Two of the {len(schedules)} schedules differ by {between:.1f} points of macro-F1 on average, two of the"
        f" {len(seeds)} seeds by {luck:.1f}: {compared} luck."
    )
