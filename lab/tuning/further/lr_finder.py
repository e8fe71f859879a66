"""Learning-rate range test: raise the rate a little with every step and watch the loss.

The idea is Leslie Smith's (2017, Cyclical Learning Rates for Training Neural Networks, WACV); the suggestions are those
that fastai made popular: the rate at which the loss falls fastest, and a tenth of the rate at which it is lowest. It is
a heuristic. For pretrained transformers it is debated: the first steps of a new head look the same at many rates, and
weights that a high rate ruins early are not mended later. So the suggestion is tested, not believed.
"""

import dataclasses
from collections.abc import Mapping

import matplotlib as mpl
import numpy as np
from torch.optim.lr_scheduler import LambdaLR
from transformers import TrainerCallback

from tuning.cost import estimate
from tuning.dials import Dials
from tuning.encoder.finding import Encoder
from tuning.encoder.run_models import encoder_of
from tuning.figures.style import BLUE, GREEN, GREY, ORANGE, RED, STYLE, Picture, legend_below, new_figure
from tuning.further import variations
from tuning.runs import reference
from tuning.runs.record import Run
from tuning.runs.store import readable_runs
from tuning.training.trainer import TRAINERS, train_unrecorded

LOWEST_RATE, HIGHEST_RATE = 1e-7, 1.0
STEPS = 100
# Whole runs that test the suggestion: its lower end, its middle, its upper end.
TESTS = 3
# Share of each new loss in the moving average; over how many steps that averages is counted as pandas' ``ewm`` does.
NEW_SHARE = 0.15
SPAN = round(2 / NEW_SHARE - 1)
# The sweep ends early where the smoothed loss has grown to this many times its lowest value: all is lost by then.
HOPELESS = 4.0
DIVIDE_LOWEST_BY = 10
TALLEST = 2.5
SHOWN_RATES = 1e-7, 1e-1


@dataclasses.dataclass(frozen=True)
class Sweep:
    """One sweep over rates."""

    rates: np.ndarray  # Shape (steps,). Learning rate of each step, growing by a constant factor.
    losses: np.ndarray  # Shape (steps,). Loss of each step's batch, before its update.

    @property
    def smoothed(self) -> np.ndarray:
        """Moving average of the losses, corrected for its start at zero; shape (steps,)."""
        return smooth(self.losses)

    @property
    def steepest(self) -> float:
        """Rate at which the smoothed loss falls fastest per factor of ten, before its lowest point."""
        end = max(int(np.argmin(self.smoothed)), 2)
        slopes = np.gradient(self.smoothed[: end + 1], np.log10(self.rates[: end + 1]))
        return float(self.rates[int(np.argmin(slopes))])

    @property
    def lowest(self) -> float:
        """Rate at which the smoothed loss is lowest."""
        return float(self.rates[int(np.argmin(self.smoothed))])

    @property
    def suggested(self) -> tuple[float, float]:
        """Ends of the suggested range: the rate of the steepest fall, and a tenth of the rate of the lowest loss."""
        ends = sorted((self.lowest / DIVIDE_LOWEST_BY, self.steepest))
        return _round(ends[0]), _round(ends[1])

    @property
    def middle(self) -> float:
        """The rate in the middle of the suggested range, on the logarithmic scale."""
        low, high = self.suggested
        return _round(float(np.sqrt(low * high)))


def _round(rate: float) -> float:
    return float(f"{rate:.1e}")


def smooth(losses: np.ndarray) -> np.ndarray:
    """Exponential moving average with the correction for its start (Kingma and Ba 2015, Adam, section 3)."""
    average, corrected = 0.0, []
    for step, loss in enumerate(losses, start=1):
        average += NEW_SHARE * (loss - average)
        corrected.append(average / (1 - (1 - NEW_SHARE) ** step))
    return np.array(corrected)


class _Listener(TrainerCallback):
    """Keep losses and rates, and stop where nothing can be learned any more."""

    def __init__(self) -> None:
        self.rates: list[float] = []
        self.losses: list[float] = []

    def on_log(self, args, state, control, logs=None, **kwargs) -> None:
        if not logs or "loss" not in logs:
            return
        if not np.isfinite(logs["loss"]):
            control.should_training_stop = True
            return
        self.rates.append(logs["learning_rate"])
        self.losses.append(logs["loss"])
        smoothed = smooth(np.array(self.losses))
        control.should_training_stop = bool(smoothed[-1] > HOPELESS * smoothed.min())


class _Growing:
    """The usual loop with a rate that grows from step to step."""

    def create_scheduler(self, num_training_steps: int, optimizer=None) -> LambdaLR:
        """A schedule from the lowest to the highest rate, each step the same factor."""
        factor = (HIGHEST_RATE / LOWEST_RATE) ** (1 / max(num_training_steps - 1, 1))
        self.lr_scheduler = LambdaLR(optimizer or self.optimizer, lambda step: factor**step)
        return self.lr_scheduler


def works(run_1: Run) -> list[estimate.Work]:
    """What the range test has to do: a sweep, which is some steps and no evaluation, and the runs that test it."""
    whole = estimate.work(variations.dials_from(run_1.dials), encoder_of(run_1))
    sweep = dataclasses.replace(whole, steps=STEPS, tokens=round(STEPS * whole.tokens / whole.steps), read=0, ends=0)
    return [sweep, *TESTS * [whole]]


def sweep(dials: Dials, steps: int = STEPS, encoder: Encoder | None = None) -> Sweep:
    """Train once, from the lowest rate to the highest; the model is thrown away and nothing is recorded.

    Rate, schedule and epochs of the dials do not count. It is shorter than `steps` where the loss exploded on the way.
    """
    listener = _Listener()
    train_unrecorded(
        *(dials, encoder, LOWEST_RATE),
        kind=type("SweepTrainer", (_Growing, TRAINERS[dials.SPEED]), {}),
        callbacks=[listener],
        lr_scheduler_type="constant",
        warmup_steps=0,
        max_steps=steps,
    )
    return Sweep(np.array(listener.rates), np.array(listener.losses))


def picture(swept: Sweep, own: float) -> Picture:
    """Loss against rate, the suggested range, and the own rate, that of Run 1."""
    low, high = swept.suggested
    with mpl.rc_context(STYLE):
        figure, axes = new_figure((9.5, 4.4))
        axes.plot(swept.rates, swept.losses, color=BLUE, alpha=0.3, linewidth=1, label="loss of each batch")
        axes.plot(
            swept.rates, swept.smoothed, color=BLUE, linewidth=2.5, label=f"moving average over about {SPAN} steps"
        )
        axes.axvspan(low, high, color=GREEN, alpha=0.2, label="suggested range")
        axes.axvline(own, color=ORANGE, linestyle="--", linewidth=2, label="rate of Run 1")
        axes.axhline(np.log(3), color=GREY, linestyle=":", linewidth=1)
        axes.set_xscale("log")
        axes.set_ylim(0, TALLEST)
        axes.set_xlabel("learning rate (grows with every step)")
        axes.set_ylabel("loss (nats)")
        axes.legend(loc="lower left")
    return Picture(
        figure,
        f"Loss while the rate grows from {swept.rates[0]:.0e} to {swept.rates[-1]:.0e}: lowest at {swept.lowest:.1e},"
        f" steepest fall at {swept.steepest:.1e}. Suggested range {low:.1e} to {high:.1e}; Run 1 used {own:.1e}.",
    )


def tested(swept: Sweep, run_1: Run, runs: Mapping[str, Run]) -> Picture:
    """What whole runs at several rates reached, with the suggested range behind them.

    Every other run of the log, and of the reference runs, that differs in rate and seed alone is there too.
    """
    like = variations.without(run_1, "GROUP", "LR_PRESET")
    known = [*readable_runs()[0], *(reference.load(name) for name in reference.names())]
    ours = {run.run_id for run in (run_1, *runs.values())}
    others = [run for run in known if run.run_id not in ours and variations.without(run, "GROUP", "LR_PRESET") == like]
    groups = (
        ("earlier runs and reference runs", others, GREY, "x"),
        ("Run 1", [run_1], ORANGE, "D"),
        ("test of the suggestion", list(runs.values()), BLUE, "o"),
    )
    with mpl.rc_context(STYLE):
        figure, axes = new_figure((9.5, 4.4))
        axes.axvspan(*swept.suggested, color=GREEN, alpha=0.2, label="suggested range")
        for name, several, colour, marker in groups:
            points = [
                (run.learning_rate, run.final["val_f1_macro"])
                for run in several
                if run.final.get("val_f1_macro") is not None
            ]
            if points:
                axes.plot(*zip(*points, strict=True), color=colour, marker=marker, linestyle="none", ms=10, label=name)
        axes.axhline(run_1.majority["f1_macro"], color=RED, linestyle=":", label="majority class")
        axes.set_xscale("log")
        axes.set_xlim(*SHOWN_RATES)
        axes.set_ylim(0, 1)
        axes.set_xlabel("learning rate of a whole run")
        axes.set_ylabel("macro-F1 on validation")
        legend_below(figure, axes)
    best = max((run_1, *runs.values()), key=lambda run: run.final.get("val_f1_macro") or 0)
    reached = "; ".join(f"{run.learning_rate:.1e}: {run.final['val_f1_macro']:.3f}" for run in (run_1, *runs.values()))
    return Picture(
        figure, f"Macro-F1 of whole runs by learning rate. {reached}. The best used {best.learning_rate:.1e}."
    )
