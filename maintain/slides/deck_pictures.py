"""The pictures of the slides, drawn from the reference runs and the two-word model, large enough for a room.

The file names are neutral: the name of a picture that learners see before the reveal gives nothing away.
"""

from collections.abc import Callable, Iterator
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from maintain import curve_figures
from maintain.documents import run_blocks
from maintain.slides.slide_design import SMALLEST
from tuning.data import loading
from tuning.dials import PRESETS, SgdDials
from tuning.figures import curves, smoothing, style
from tuning.figures.style import BLUE, GREEN, GREY, ORANGE, RED, Picture
from tuning.sgd import classifier
from tuning.sgd.surface import TwoWeights

INK = "#16232E"
# As large as their place on a slide, so that the sizes of their letters are those of the slide.
SIZE = (7.83, 4.95)
STYLE = style.STYLE | {
    "axes.titlesize": 19,
    "axes.titleweight": "bold",
    "axes.labelsize": SMALLEST,
    "xtick.labelsize": SMALLEST,
    "ytick.labelsize": SMALLEST,
    "font.size": SMALLEST,
}


def _new_figure(**layout: Any) -> tuple[Figure, Any]:
    # Ticks keep the sizes of the style in which their axes were made, so it has to be this one.
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=SIZE, layout="constrained", dpi=100)
        return figure, figure.subplots(**layout)


def curves_unnamed() -> Picture:
    """The four curves of Activity 1 with a letter each and no cause."""
    return _four(lambda letter: f"Curve {letter.upper()}", "")


def curves_named() -> Picture:
    """The same four curves with what happened in each."""
    found = {letter: run.diagnosis["verdict"] for letter, run in curve_figures.curve_runs().items()}
    told = "; ".join(f"{letter.upper()}: {verdict}" for letter, verdict in found.items())
    return _four(lambda letter: f"{letter.upper()}: {found[letter]}", f" What happened: {told}.")


def _four(title: Callable[[str], str], told: str) -> Picture:
    with mpl.rc_context(STYLE):
        figure, panels = _new_figure(nrows=2, ncols=2)
        words = []
        runs = curve_figures.curve_runs()
        for panel, (letter, run) in zip(panels.flat, runs.items(), strict=True):
            for line in curves.draw_loss(panel, run)[2:]:
                line.set_markersize(6)
            panel.set_title(title(letter))
            panel.set_ylabel("")
            panel.locator_params(axis="x", nbins=4)
            panel.locator_params(axis="y", nbins=3)
            if panel in panels[1]:
                panel.set_xlabel("step")
            handles, _ = panel.get_legend_handles_labels()
            # Seen from the back of a room, the usual thin lines are lost.
            handles[0].set(alpha=0.5, linewidth=1.2)
            handles[-1].set(color=INK, linewidth=2)
            words.append(f"Curve {letter.upper()}: {curves.describe(run)}")
        average = f"average of {smoothing.window_words(runs.values())}"
        labels = ["each step", average, "training", "validation", "guessing"]
        figure.supylabel("loss", fontsize=SMALLEST)
        figure.legend(
            handles,
            labels,
            loc="outside lower center",
            ncols=3,
            columnspacing=1.5,
            handletextpad=0.5,
            fontsize=SMALLEST,
        )
    return Picture(figure, " ".join(words) + told)


def downhill() -> Picture:
    """A walk of SGD on the loss surface of the two-word model."""
    model = TwoWeights(classifier.features(loading.split(loading.load()), SgdDials()))
    path = model.walk(model.rates()["JUST_RIGHT"])
    lowest = model.lowest()
    points = np.vstack([path.weights, lowest, [0, 0]])
    low, high = points.min(axis=0), points.max(axis=0)
    margin = 0.18 * (high - low).max()
    across = [np.linspace(low[axis] - margin, high[axis] + margin, 141) for axis in (0, 1)]
    heights = model.loss(np.stack(np.meshgrid(*across), axis=-1))
    with mpl.rc_context(STYLE):
        figure, axes = _new_figure()
        axes.contourf(*across, heights, levels=24, cmap="Blues_r", alpha=0.55)
        axes.contour(*across, heights, levels=24, colors="white", linewidths=0.8)
        axes.plot(*path.weights.T, color=INK, marker="o", markersize=4, linewidth=1.8)
        axes.plot(0, 0, color=ORANGE, marker="o", markersize=15, markeredgecolor=INK)
        axes.plot(*lowest, color=RED, marker="*", markersize=24, markeredgecolor="white", linestyle="none")
        axes.annotate("start", (0, 0), (14, 8), textcoords="offset points", fontsize=19, weight="bold")
        axes.annotate("lowest point", lowest, (-150, -32), textcoords="offset points", fontsize=19, weight="bold")
        axes.set_xlabel(f"weight of the word “{model.words[0]}”")
        axes.set_ylabel(f"weight of the word “{model.words[1]}”")
        axes.grid(visible=False)
    words = (
        f"A map of the loss of a model with two weights, lighter where the loss is higher. A path of"
        f" {len(path.losses) - 1} steps goes from the start, loss {path.losses[0]:.2f},"
        f" towards the lowest point, loss {path.losses[-1]:.2f}"
        f" at its end and {model.loss(lowest):.2f} at the lowest point."
    )
    return Picture(figure, words)


def luck() -> Picture:
    """Macro-F1 of the recorded runs: one mark per seed, one row per preset, the majority class as a line."""
    lab, presets = next((lab, presets) for lab, presets in run_blocks.room().items() if presets)
    majority = next(iter(presets.values()))[0].majority["f1_macro"]
    looks = dict(zip(PRESETS, ((GREEN, "s"), (BLUE, "o"), (RED, "^")), strict=True))
    with mpl.rc_context(STYLE):
        figure, axes = _new_figure()
        shown = {preset: presets[preset] for preset in reversed(PRESETS) if preset in presets}
        for row, (preset, runs) in enumerate(shown.items()):
            scores = [run.final["val_f1_macro"] for run in runs]
            colour, marker = looks[preset]
            axes.plot([min(scores), max(scores)], [row, row], color=colour, linewidth=9, alpha=0.25)
            # Equal scores would hide each other.
            lift = np.linspace(-0.12, 0.12, len(scores)) if len(scores) > 1 else [0]
            axes.plot(scores, row + np.array(lift), marker, color=colour, markersize=13, markeredgecolor="white")
        axes.set_yticks(range(len(shown)), list(shown), fontsize=SMALLEST)
        axes.axvline(majority, color=GREY, linestyle="--", linewidth=2)
        axes.text(majority + 0.01, len(presets) - 0.42, "always the majority class", color=GREY, fontsize=SMALLEST)
        axes.set_ylim(-0.6, len(presets) - 0.25)
        axes.set_xlim(0, 1)
        axes.set_xlabel("macro-F1 on validation, one mark per seed")
        axes.grid(axis="y", visible=False)
    told = "; ".join(
        f"{preset} {run_blocks.spread((run.final['val_f1_macro'] for run in runs), '.2f')}, {len(runs)} seeds"
        for preset, runs in reversed(shown.items())
    )
    return Picture(figure, f"Macro-F1 of recorded runs ({lab}): {told}. Always the majority class: {majority:.2f}.")


def labels() -> Picture:
    """A hundred squares, as many of each label as there are in a hundred sentences of the data."""
    counts = loading.load().frame["label"].value_counts()
    looks = {"neutral": (GREY, "o"), "positive": (BLUE, "+"), "negative": (RED, "\N{MINUS SIGN}")}
    shares = {label: 100 * int(counts[label]) / int(counts.sum()) for label in looks}
    squares = [label for label, share in shares.items() for _ in range(round(share))]
    with mpl.rc_context(STYLE):
        figure, axes = _new_figure()
        for at, label in enumerate(squares):
            colour, sign = looks[label]
            across, down = at % 10, at // 10
            axes.add_patch(Rectangle((across, -down), 0.88, 0.88, color=colour, alpha=0.9))
            axes.text(across + 0.44, 0.42 - down, sign, color="white", ha="center", va="center", fontsize=SMALLEST)
        for place, (label, share) in enumerate(shares.items()):
            colour, sign = looks[label]
            axes.add_patch(Rectangle((10.8, -1.0 - 1.6 * place), 0.88, 0.88, color=colour, alpha=0.9))
            axes.text(11.24, -0.58 - 1.6 * place, sign, color="white", ha="center", va="center", fontsize=SMALLEST)
            axes.text(12.0, -0.58 - 1.6 * place, f"{label} {share:.0f}%", va="center", fontsize=20)
        axes.set_xlim(-0.1, 16.2)
        axes.set_ylim(-9.1, 1)
        axes.set_aspect("equal")
        axes.set_axis_off()
    told = ", ".join(f"{share:.0f} {label}" for label, share in shares.items())
    return Picture(figure, f"A hundred squares for a hundred sentences of the data: {told}.")


# File name in slides/pictures/, and how it is drawn.
PICTURES: dict[str, Callable[[], Picture]] = {
    "downhill.png": downhill,
    "labels.png": labels,
    "four_curves.png": curves_unnamed,
    "four_curves_2.png": curves_named,
    "seeds.png": luck,
}


def draw() -> Iterator[tuple[str, Picture]]:
    """Draw all pictures.

    Yields
    ------
    tuple of str and Picture
        The file name and the picture.
    """
    for name, make in PICTURES.items():
        yield name, make()
