"""Curve pictures for Activity 1 and the slides, drawn from recorded runs.

``python3 workshop.py figures`` writes neutral pictures (a letter for a name, no cause anywhere), the picture of a run
under way for the README and two pictures of whole runs by epoch to ``assets/``, and the explained curves to
``assets/coach_only/``. The same records give the
same bytes.
"""

import argparse
import dataclasses
import sys
import textwrap
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from maintain import reference_runs
from tuning import paths
from tuning.command import one_line_errors
from tuning.figures import curves, epoch_curves, style
from tuning.runs import reference
from tuning.runs.record import Run

ASSETS = paths.ROOT / "assets"
# The order is no alphabet of causes: a letter must not give its answer away.
CURVES = {"a": "too_high-seed2", "b": "just_right-seed2", "c": "too_low-seed3", "d": "over-fitting-seed3"}

# What happens from epoch to epoch, for pages that are read after Activity 1.
OVER_EPOCHS = {"over_confident": "over-training", "wrong_labels": "over-fitting-seed3"}

# The README shows a run as a learner sees it while it trains: under way, and not yet judged by anybody.
LIVE = "just_right-seed1"
LIVE_SHARE = 0.7


def recorded(name: str) -> Run:
    """The run of this name, DistilBERT's where all of its runs are recorded."""
    return reference.load(reference_runs.drawn_from() + name)


def curve_runs() -> dict[str, Run]:
    """The runs of the four curves by their letters."""
    return {letter: recorded(name) for letter, name in CURVES.items()}


def _drawn(run: Run, letter: str) -> tuple[Figure, Axes]:
    figure, axes = style.new_figure()
    curves.draw_loss(axes, run)
    axes.set_title(f"Curve {letter.upper()}")
    axes.set_xlabel("step (one batch each)")
    style.legend_below(figure, axes)
    return figure, axes


def _words(run: Run, letter: str) -> str:
    return f"Curve {letter.upper()}. {curves.describe(run)}"


def neutral(run: Run, letter: str) -> style.Picture:
    """The curve without a hint: losses by step, and both marks after each epoch."""
    with mpl.rc_context(style.STYLE):
        figure, _ = _drawn(run, letter)
    return style.Picture(figure, _words(run, letter))


def explained(run: Run, letter: str) -> style.Picture:
    """The same curve with its verdict, its rate and the reasons, for the coach."""
    reasons = " ".join(run.diagnosis["reasons"])
    verdict = f"{run.diagnosis['verdict']} (learning rate {run.learning_rate:g})"
    with mpl.rc_context(style.STYLE):
        figure, axes = _drawn(run, letter)
        axes.set_title(f"Curve {letter.upper()}: {verdict}", pad=44)
        axes.text(0, 1.015, _wrapped(reasons), transform=axes.transAxes, fontsize=10)
    return style.Picture(figure, f"{_words(run, letter)} {verdict}. {reasons}")


def live(run: Run) -> style.Picture:
    """The figure that grows in notebook 01, part of the way through a run."""
    steps = run.steps[-1]["step"]
    done = [step for step in run.steps if step["step"] <= LIVE_SHARE * steps]
    epochs = [row for row in run.epochs if row["epoch"] <= done[-1]["epoch"]]
    return curves.loss_curve(dataclasses.replace(run, steps=done, epochs=epochs), title="", steps=steps)


def _wrapped(text: str) -> str:
    return "\n".join(textwrap.wrap(text, 110))


def write(folder: Path = ASSETS) -> list[Path]:
    """Draw all pictures as PNG and SVG.

    Returns
    -------
    list of pathlib.Path
        The files written.
    """
    written = [folder / "live_curve.png"]
    coach = folder / "coach_only"
    coach.mkdir(parents=True, exist_ok=True)
    live(recorded(LIVE)).save(written[0])
    for stem, name in OVER_EPOCHS.items():
        written.append(folder / f"{stem}.png")
        epoch_curves.over_epochs(recorded(name)).save(written[-1])
    for letter, run in curve_runs().items():
        for picture, stem in (
            (neutral(run, letter), folder / f"curve_{letter}"),
            (explained(run, letter), coach / f"curve_{letter}_explained"),
        ):
            for ending in (".png", ".svg"):
                path = stem.with_suffix(ending)
                picture.save(path)
                written.append(path)
    return written


@one_line_errors
def main(argv: list[str] | None = None) -> int:
    """Command line of ``workshop.py figures``."""
    argparse.ArgumentParser(prog="workshop.py figures", description=__doc__.splitlines()[0]).parse_args(argv)
    for path in write():
        print(paths.short(path))
    return 0


if __name__ == "__main__":
    sys.exit(main())
