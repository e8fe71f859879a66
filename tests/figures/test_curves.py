"""The static figures: every run gives a picture and words for it, the same ones each time."""

import math

import matplotlib as mpl
import numpy as np
import pytest

from tuning.data.labels import LABELS
from tuning.errors import RunError
from tuning.figures import curves, epoch_curves, scores, smoothing

PNG = b"\x89PNG\r\n\x1a\n"
NOTHING = math.nan
# A user warning would stand in red under a learner's cell.
pytestmark = pytest.mark.filterwarnings("error")


def one_step(make_run, **more):
    return make_run(losses=[1.1], epochs=[], final=None, **more)


def empty(make_run):
    run = make_run(losses=[], epochs=[], baseline={}, majority={}, outcome="interrupted")
    run.final = {}
    return run


def with_nulls(make_run):
    """A run stopped in its first steps, of which hardly a number is left."""
    run = make_run(losses=[NOTHING] * 4, epochs=[(NOTHING, NOTHING)], outcome="diverged")
    for step in run.steps:
        step["grad_norm"] = step["learning_rate"] = None
    run.baseline = dict.fromkeys(run.baseline)
    run.final = dict.fromkeys(run.final)
    run.majority = {"label": "neutral", "accuracy": None, "f1_macro": None}
    return run


def warming_up(make_run):
    """The first step of a run with a warm-up: its rate is 0."""
    run = one_step(make_run, dials={"SCHEDULER": "linear"})
    run.steps[0]["learning_rate"] = 0.0
    return run


RUNS = {
    "good": lambda make_run: make_run(),
    "long": lambda make_run: make_run(losses=np.linspace(1.1, 0.2, 2_000)),
    "one step": one_step,
    "two steps": lambda make_run: make_run(losses=[1.1, 1.0], epochs=[]),
    "first step of a warm-up": warming_up,
    "empty": empty,
    "nulls": with_nulls,
    "exploded": lambda make_run: make_run(losses=[1.1, 3e4, 1e30], epochs=[(1e30, 1e30)], outcome="diverged"),
}


@pytest.fixture(params=[*RUNS, "diverged"])
def run(request, make_run):
    if request.param == "diverged":
        return request.getfixturevalue("diverged_run")
    return RUNS[request.param](make_run)


@pytest.mark.parametrize("draw", [curves.loss_curve, scores.before_after])
def test_every_run_has_a_picture_and_words(run, draw):
    picture = draw(run)
    assert picture.png(dpi=40).startswith(PNG)
    assert len(picture.words) > 30
    assert picture.words.endswith(".")
    assert "None" not in picture.words
    assert "nan" not in picture.words.split()


@pytest.mark.parametrize("draw", [curves.loss_curve, scores.before_after, scores.confusion_matrix])
def test_the_same_run_gives_the_same_bytes(make_run, keep_run, draw):
    run = keep_run(make_run())
    picture = draw(run)
    first = picture.png(dpi=60)
    assert picture.png(dpi=60) == first
    assert draw(run).png(dpi=60) == first


@pytest.mark.parametrize("ending", [".png", ".svg"])
def test_a_saved_picture_is_the_same_file_twice(make_run, tmp_path, ending):
    files = [(tmp_path / name).with_suffix(ending) for name in ("one", "two")]
    for file in files:
        curves.loss_curve(make_run()).save(file)
    assert files[0].read_bytes() == files[1].read_bytes()


def test_two_different_runs_give_different_pictures(make_run):
    one, other = curves.loss_curve(make_run()), curves.loss_curve(make_run(losses=np.full(60, 1.1)))
    assert one.png(dpi=40) != other.png(dpi=40)
    assert one.words != other.words


def test_a_picture_shows_itself_with_its_words_as_alt_text(make_run):
    data, metadata = curves.loss_curve(make_run())._repr_mimebundle_()
    assert data["image/png"].startswith(PNG)
    assert data["text/plain"] == metadata["image/png"]["alt"] == curves.describe(make_run())
    assert data["text/html"].startswith(f'<img alt="{data["text/plain"]}" src="data:image/png;base64,')


def test_drawing_opens_no_figure_that_a_notebook_would_show_again(make_run):
    from matplotlib import pyplot

    curves.loss_curve(make_run())
    scores.before_after(make_run())
    assert pyplot.get_fignums() == []


def test_the_words_of_the_loss_curve_have_its_numbers(make_run):
    words = curves.describe(make_run(losses=[1.0] * 30 + [0.5] * 30, epochs=[(0.7, 0.8), (0.45, 0.6)]))
    assert words == (
        "Step loss, moving average of 6 steps: from 1.00 to 0.50 over 60 steps. After each epoch, in evaluation mode:"
        " epoch 1: training 0.70, validation 0.80, epoch 2: training 0.45, validation 0.60."
    )


def test_the_words_of_a_diverged_run_say_so(diverged_run):
    assert "epoch 1: training not a number, validation not a number" in curves.describe(diverged_run)


def test_the_title_names_the_preset_and_the_rate_unless_told_otherwise(make_run):
    assert curves.loss_curve(make_run()).figure.axes[0].get_title("left") == "JUST_RIGHT: learning rate 0.0001"
    assert curves.loss_curve(make_run(), title="Curve A").figure.axes[0].get_title("left") == "Curve A"
    assert curves.loss_curve(make_run(), title="").figure.axes[0].get_title("left") == ""


def test_a_run_under_way_is_drawn_on_the_whole_length(make_run):
    assert curves.loss_curve(make_run(), steps=200).figure.axes[0].get_xlim() == (0, 204)


def test_everything_that_was_measured_lies_inside_the_axes(make_run):
    axes = curves.loss_curve(make_run(losses=[1.1, 6.0, 2.0], epochs=[(3.0, 7.5)])).figure.axes[0]
    assert axes.get_ylim()[1] > 7.5


def test_each_epoch_is_marked_at_its_last_step(make_run):
    lines = {line.get_label(): line for line in curves.loss_curve(make_run()).figure.axes[0].get_lines()}
    validation = lines["validation"]
    assert validation.get_xdata() == pytest.approx([0, 30, 60])
    assert validation.get_ydata() == pytest.approx([1.10, 0.75, 0.60])


def test_the_bars_are_told_in_words(make_run):
    assert scores.before_after(make_run()).words == (
        "Bars of the validation scores. always the majority class: accuracy 0.52, macro-F1 0.23; before training:"
        " accuracy 0.30, macro-F1 0.20; after training: accuracy 0.78, macro-F1 0.76."
    )


def test_the_confusion_matrix_counts_the_predictions(make_run, keep_run):
    logits = np.eye(len(LABELS))[[0, 1, 2, 1, 1, 1]]
    words = scores.confusion_matrix(keep_run(make_run(), logits=logits)).words
    assert "truly negative: 1 called negative, 1 called neutral, 0 called positive" in words
    assert "truly positive: 0 called negative, 1 called neutral, 1 called positive" in words


def test_the_confusion_matrix_of_a_diverged_run_is_drawn(diverged_run, keep_run):
    picture = scores.confusion_matrix(keep_run(diverged_run, logits=np.full((6, 3), math.nan)))
    assert picture.png(dpi=40).startswith(PNG)
    assert "truly positive: 2 called negative" in picture.words


def test_the_confusion_matrix_needs_the_predictions(make_run):
    with pytest.raises(RunError, match=r"predictions\.csv is missing or damaged"):
        scores.confusion_matrix(make_run())


# The moving average


def slow_average(steps: list[int], losses: list[float], window: int) -> list[float]:
    shown = []
    for end in steps:
        inside = [loss for step, loss in zip(steps, losses, strict=True) if end - window < step <= end]
        known = [loss for loss in inside if math.isfinite(loss)]
        shown.append(sum(known) / len(known) if known else math.nan)
    return shown


@pytest.mark.parametrize(
    ("steps", "window"), [(1, 5), (54, 5), (55, 6), (64, 6), (65, 7), (150, 15), (194, 19), (195, 20), (9999, 20)]
)
def test_the_window_is_a_tenth_of_the_run_within_bounds(make_run, steps, window):
    assert smoothing.window(make_run(losses=[1.0] * steps)) == window
    assert smoothing.window(make_run(losses=[1.0]), steps) == window, "a run under way has the window of the whole run"


@pytest.mark.parametrize("size", [0, 1, 4, 29, 55, 250])
@pytest.mark.parametrize("holes", [0.0, 0.2, 1.0])
@pytest.mark.parametrize("every", [1, 4, 30])
def test_the_moving_average_equals_a_plain_loop_also_where_steps_were_thinned(make_run, size, holes, every):
    draw = np.random.default_rng(size)
    losses = draw.uniform(0, 3, size)
    losses[draw.random(size) < holes] = math.nan
    run = make_run(losses=losses)
    run.steps = [step for step in run.steps if step["step"] <= 10 or step["step"] % every == 0]
    numbers = [step["step"] for step in run.steps]
    kept = [losses[number - 1] for number in numbers]
    expected = slow_average(numbers, kept, smoothing.window(run))
    assert smoothing.moving_average(run) == pytest.approx(expected, nan_ok=True)


def test_a_run_under_way_is_averaged_as_it_will_be_at_its_end(make_run):
    whole = make_run(losses=np.linspace(1.1, 0.4, 200))
    begun = make_run(losses=np.linspace(1.1, 0.4, 200)[:50])
    assert smoothing.moving_average(begun, 200) == pytest.approx(smoothing.moving_average(whole)[:50])


def test_every_picture_of_a_moving_average_says_its_length(make_run):
    run, short = make_run(losses=[1.0] * 120), make_run(losses=[1.0] * 30)
    labels = curves.loss_curve(run).figure.axes[0].get_legend_handles_labels()[1]
    assert "training loss, moving average of 12 steps" in labels
    assert smoothing.window_words([run, run]) == "12 steps"
    assert smoothing.window_words([run, short, run]) == "5 to 12 steps"


@pytest.mark.parametrize("draw", [epoch_curves.compare, epoch_curves.first_epoch])
def test_nothing_to_compare_is_one_line(draw):
    with pytest.raises(RunError, match="no run to compare yet"):
        draw({})


def test_a_run_without_a_loss_is_drawn_beside_the_others(make_run):
    shown = epoch_curves.first_epoch({"one": make_run(), "stopped": make_run(losses=[])})
    assert "stopped: no loss recorded." in shown.words


def test_a_matplotlibrc_can_neither_stop_a_figure_nor_make_it_unreadable(make_run):
    usual = curves.loss_curve(make_run()).png()
    theirs = {
        "text.usetex": True,
        "font.family": "no such font",
        "axes.formatter.use_locale": True,
        "text.color": "white",
        "axes.labelcolor": "white",
        "xtick.color": "white",
        "savefig.facecolor": "black",
    }
    with mpl.rc_context(theirs):
        assert curves.loss_curve(make_run()).png() == usual
