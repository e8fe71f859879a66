"""The live figure: what is worth seeing is drawn whatever it costs, all else within a share; a drawing is cheap."""

import statistics
import time
from types import SimpleNamespace
from typing import Any

import pytest

from tuning.figures import curves
from tuning.training import live

PNG = b"\x89PNG\r\n\x1a\n"
STEPS, PER_EPOCH = 326, 163


class Clock:
    """A clock that only moves when something is done."""

    def __init__(self) -> None:
        self.now = 1000.0

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def displays(monkeypatch) -> list[Any]:
    """The displays that were opened, each with the bundles that it showed."""
    opened: list[Any] = []

    def display(*args: Any, **kwargs: Any) -> Any:
        shown: list[dict] = []
        opened.append(SimpleNamespace(shown=shown, update=lambda data, **more: shown.append(data)))
        return opened[-1]

    monkeypatch.setattr("IPython.display.display", display)
    return opened


def train(curve: live.LiveCurve, whole: Any, clock: Clock, step_seconds: float, first: int = 0) -> None:
    """Call what the Trainer calls, in its order: each step's log, an evaluation of both parts after each epoch."""
    state = SimpleNamespace(global_step=first, max_steps=STEPS)
    curve.on_train_begin(None, state, None)
    for step in range(first + 1, STEPS + 1):
        clock.now += step_seconds
        state.global_step = step
        curve.run.steps.append(whole.steps[step - 1])
        curve.on_log(None, state, None, logs={"loss": 1.0})
        if step % PER_EPOCH == 0:
            curve.on_evaluate(None, state, None)
            curve.run.epochs.append(whole.epochs[step // PER_EPOCH - 1])
            curve.on_log(None, state, None, logs={"eval_train_loss": 1.0})
            curve.on_evaluate(None, state, None)
    curve.on_train_end(None, state, None)


@pytest.fixture
def drawn(monkeypatch, make_run, displays):
    """Train on a clock of the test's own; gives back the steps and times of all drawings, and the clock."""

    def run(drawing: float, step_seconds: float, first: int = 0) -> tuple[list[int], list[float], Clock]:
        clock, steps, times = Clock(), [], []
        whole, begun = make_run(losses=[1.0] * STEPS), make_run(losses=[1.0] * first, epochs=[])
        curve = live.LiveCurve(begun)

        def draw(*args: Any) -> bytes:
            steps.append(len(begun.steps))
            times.append(clock.now)
            clock.now += drawing
            return PNG

        monkeypatch.setattr(live, "time", clock)
        monkeypatch.setattr(live.GrowingCurve, "png", draw)
        monkeypatch.setattr(live.curves, "loss_curve", lambda run: SimpleNamespace(png=draw))
        train(curve, whole, clock, step_seconds, first)
        return steps, times, clock

    return run


DUE = [0, 1, 2, 5, 10, 20, 33, 40, 66, 98, 131, 163, 163, 196, 229, 261, 294, 326, 326, 326]


@pytest.mark.parametrize(("drawing", "step_seconds"), [(4.0, 0.1), (0.5, 0.1), (60.0, 3.0)])
def test_under_heavy_cost_exactly_what_is_worth_seeing_is_drawn(drawn, drawing, step_seconds):
    steps, _, _ = drawn(drawing, step_seconds)
    # The first steps, each tenth of the run, the marks after each epoch (twice, with the step before), and the end.
    assert steps == DUE


def test_a_run_that_is_carried_on_shows_its_first_new_steps(drawn):
    steps, _, _ = drawn(drawing=4.0, step_seconds=0.1, first=PER_EPOCH)
    assert steps[:6] == [163, 164, 165, 168, 173, 183]


@pytest.mark.parametrize("drawing", [0.01, 0.06])
@pytest.mark.parametrize("step_seconds", [0.15, 3.0])
def test_what_comes_between_keeps_to_its_share_and_its_pace(drawn, drawing, step_seconds):
    steps, times, clock = drawn(drawing, step_seconds)
    due = iter(DUE)
    wanted = next(due)
    between = []
    for at, step in enumerate(steps):
        if step == wanted:
            wanted = next(due, None)
        else:
            between.append(at)
    assert wanted is None, "everything that is due was drawn"
    assert between, "and there was room for more"
    for at in between:
        assert times[at] - times[at - 1] >= live.SECONDS_BETWEEN_FIGURES
        assert (at + 1) * drawing <= live.SHARE_OF_TRAINING * (times[at] - 1000.0) + 1e-9
    assert len(steps) * drawing < 0.05 * (clock.now - 1000.0)


def test_a_drawing_costs_a_small_part_of_a_new_figure(make_run):
    run = make_run(losses=[1.0] * 200)
    growing = live.GrowingCurve(run, 200)

    def seconds(draw) -> float:
        def once() -> float:
            begin = time.process_time()
            assert draw().startswith(PNG)
            return time.process_time() - begin

        return statistics.median(once() for _ in range(5))

    # It was measured at a twenty-fifth.
    assert seconds(growing.png) < seconds(lambda: curves.loss_curve(run, steps=200).png(live.DPI)) / 5


def test_the_figure_grows_with_its_run_and_its_axis(make_run):
    whole = make_run(losses=[1.1] * 30 + [9.0] * 30)
    begun = make_run(losses=[], epochs=[])
    growing, pictures = live.GrowingCurve(begun, 60), []
    for step, record in enumerate(whole.steps, start=1):
        begun.steps.append(record)
        if step % 15 == 0:
            pictures.append(growing.png())
    assert len(set(pictures)) == 4
    assert growing._figure.axes[0].get_ylim()[1] > 9.0
    for line, xy in zip(growing._lines, curves.loss_points(begun, 60), strict=False):
        assert list(line.get_xdata()) == list(xy[0])


def test_the_words_say_step_average_and_scores_and_no_verdict(make_run):
    begun = make_run(losses=[1.1] * 30, epochs=[(0.70, 0.75)])
    words = live.state_in_words(begun, 30, 60)
    assert words == (
        "Step 30 of 60. Training loss, moving average of 6 steps: 1.10. After epoch 1: training loss 0.70, validation"
        " loss 0.75, accuracy 0.78, macro-F1 0.76."
    )
    assert live.state_in_words(make_run(losses=[], epochs=[]), 0, 60) == "Step 0 of 60."


def test_every_figure_comes_with_its_words_for_those_who_cannot_see_it(make_run, displays):
    clock, whole = Clock(), make_run(losses=[1.0] * STEPS)
    train(live.LiveCurve(make_run(losses=[], epochs=[])), whole, clock, step_seconds=0.1)
    _, figure, words = displays
    assert figure.shown[-1]["image/png"] == curves.loss_curve(whole).png(live.DPI), "it ends as the cells below show it"
    assert len(figure.shown) == len(words.shown)
    for picture, said in zip(figure.shown, words.shown, strict=True):
        assert said == {"text/html": f"<p>{picture['text/plain']}</p>"}
