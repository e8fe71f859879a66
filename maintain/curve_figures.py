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
from matplotlib.ticker import MaxNLocator

from maintain import reference_runs
from tuning import paths
from tuning.command import one_line_errors
from tuning.errors import RunError
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


def over_epochs(run: Run) -> style.Picture:
    """Loss, macro-F1 and the confidence of the mistakes after each epoch, side by side.

    A model that is trained for too long may keep its scores while its loss rises: it grows ever surer of its mistakes.

    Raises
    ------
    RunError
        If no epoch of the record has ``val_mistake_confidence``.
    """
    rows = [row for row in run.epochs if row.get("val_mistake_confidence") is not None]
    if not rows:
        raise RunError(f"{run.run_id}: this record has no confidence of its mistakes, so there is nothing to draw.")
    scores = (
        ("training loss", "train_loss", 0, {"color": style.GREEN, "marker": "s", "label": "training subset"}),
        ("validation loss", "val_loss", 0, {"color": style.ORANGE, "marker": "D", "label": "validation"}),
        ("macro-F1", "val_f1_macro", 1, {"color": style.BLUE, "marker": "o"}),
        ("mean confidence of the mistakes", "val_mistake_confidence", 2, {"color": style.RED, "marker": "^"}),
    )
    with mpl.rc_context(style.STYLE):
        figure, panels = style.new_figure((12, 3.9), ncols=3)
        for _, key, place, look in scores:
            epoch_curves.plot_score(panels[place], rows, key, **look)
        panels[0].legend()
        for panel, title in zip(panels, ("Loss", "Validation macro-F1", "Confidence of the mistakes"), strict=True):
            panel.set(title=title, xlabel="epoch")
            panel.xaxis.set_major_locator(MaxNLocator(integer=True))
            panel.set_ylim(bottom=0, top=None if panel is panels[0] else 1)
    first, last = rows[0], rows[-1]
    words = "; ".join(
        f"{name} from {style.in_words(first[key])} to {style.in_words(last[key])}" for name, key, *_ in scores
    )
    return style.Picture(figure, f"Epoch {first['epoch']:g} to {last['epoch']:g}: {words}.")


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
        over_epochs(recorded(name)).save(written[-1])
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
