"""The moving average of the step losses, and over how many steps it goes."""

from collections.abc import Iterable

import numpy as np

from tuning.runs.record import Run

# Steps of the moving average: fewer would leave a short run as noisy as it is, more would hide the jumps of the start.
LEAST_WINDOW, MOST_WINDOW = 5, 20


def window(run: Run, steps: int | None = None) -> int:
    """Length of a run's moving average, in steps: a tenth of the run, at least `LEAST_WINDOW`, at most `MOST_WINDOW`.

    `steps` is the length of a run that is still under way.
    """
    if steps is None:
        steps = run.steps[-1]["step"] if run.steps else 0
    # Not round(): Python rounds a half to the even number, and the pages' JavaScript does not.
    return min(max((steps + 5) // 10, LEAST_WINDOW), MOST_WINDOW)


def moving_average(run: Run, steps: int | None = None) -> np.ndarray:
    """Mean of the last step losses, so that the trend shows through the noise of single batches.

    The window goes by the steps' numbers. In a thinned record it holds fewer losses and covers the same stretch.

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
