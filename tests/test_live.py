"""The live figure keeps to its share of the training time, on a clock of the test's own."""

import itertools
from types import SimpleNamespace

import pytest

from tuning import live


class Clock:
    """A clock that only moves when something is done."""

    def __init__(self) -> None:
        self.now = 1000.0

    def perf_counter(self) -> float:
        return self.now


@pytest.mark.parametrize("drawing", [0.06, 0.5, 4.0])
@pytest.mark.parametrize("step_seconds", [0.1, 3.0])
def test_the_figure_is_drawn_every_two_seconds_at_most_and_within_three_percent(
    monkeypatch, make_run, drawing, step_seconds
):
    clock, drawn = Clock(), []
    monkeypatch.setattr(live, "time", clock)
    monkeypatch.setattr("IPython.display.display", lambda *args, **kwargs: SimpleNamespace(update=lambda *a, **k: None))

    def draw(run, steps=None):
        drawn.append(clock.now)
        clock.now += drawing
        return SimpleNamespace(png=lambda dpi: b"", words="")

    monkeypatch.setattr(live.curves, "loss_curve", draw)
    curve, state = live.LiveCurve(make_run()), SimpleNamespace(global_step=0, max_steps=2000)
    began = clock.now
    curve.on_train_begin(None, state, None)
    for step in range(1, 2001):
        clock.now += step_seconds
        state.global_step = step
        curve.on_log(None, state, None, logs={"loss": 1.0})
    del drawn[0]  # before training, to have it over with
    gaps = [later - early for early, later in itertools.pairwise(drawn)]
    assert drawn
    assert min(gaps, default=live.SECONDS_BETWEEN_FIGURES) >= live.SECONDS_BETWEEN_FIGURES
    curve.on_train_end(None, state, None)
    assert drawn[-1] == clock.now - drawing
    # The first figure comes at once and the last one always, so that there is something to see.
    assert (len(drawn) - 2) * drawing <= live.SHARE_OF_TRAINING * (clock.now - began)
    if len(drawn) > 2:
        assert len(drawn) * drawing <= live.SHARE_OF_TRAINING * (clock.now - began) + 1e-9
