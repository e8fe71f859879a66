"""What a learner sees while training runs: a line with the time left, a figure that grows, and its state in words.

In a notebook all are display updates (JupyterLab, VS Code and Colab understand them, no JavaScript is needed); where
only text is shown the line says it all. In a terminal the line is a progress bar.

The steps at which there is something to see are drawn whatever that costs: a busy machine must not hide the curve.
"""

import html
import io
import time
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image
from transformers import TrainerCallback

from tuning.figures import curves, smoothing, style
from tuning.runs.record import Run

# Steps since the start that are always drawn: the loss moves most, and the room makes its one-word call early.
EARLY_STEPS = frozenset({1, 2, 5, 10, 20, 40})
# After so many equal parts of a run it is always drawn.
PARTS = 10
# Other drawings: not more often than this, and while all of them together take no more than this share of the time.
SECONDS_BETWEEN_FIGURES = 1.0
SHARE_OF_TRAINING = 0.03
SECONDS_BETWEEN_LINES = 0.5
BAR = 24
DPI = 80
# A loss that outgrows its axis gets so much more than it needs: a new axis costs ten times a drawing.
HEADROOM = 1.25


def progress_text(run: Run, step: int, steps: int, seconds: float) -> str:
    """The progress line: bar, step, smoothed loss, time gone and time left."""
    filled = round(BAR * step / max(steps, 1))
    losses = smoothing.moving_average(run, steps)
    loss = f"  loss {losses[-1]:.3f}" if len(losses) else ""
    left = seconds / step * (steps - step) if step else 0.0
    scores = f"  val F1 {run.epochs[-1]['val_f1_macro']:.2f}" if run.epochs else ""
    return (
        f"[{'█' * filled}{'░' * (BAR - filled)}] step {step}/{steps}{loss}{scores}"
        f"  {_clock(seconds)} gone, about {_clock(left)} left"
    )


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


class LiveLine(TrainerCallback):
    """Show the progress line of a run, behind a `title`; put it among the Trainer's callbacks after the recorder."""

    def __init__(self, run: Run, title: str = "") -> None:
        self.run = run
        self._title = f"{title}  " if title else ""
        self._began = self._last_line = 0.0
        self._offset = 0
        self._line: Any = None

    def on_train_begin(self, args, state, control, **kwargs) -> None:
        """Open the display."""
        from IPython.display import display

        self._began = time.perf_counter()
        self._offset = state.global_step
        self._line = display(_as_text("starting ..."), raw=True, display_id=True)

    def on_log(self, args, state, control, logs=None, **kwargs) -> None:
        """Update the line at most twice a second."""
        now = time.perf_counter()
        if now - self._last_line >= SECONDS_BETWEEN_LINES:
            self._last_line = now
            self._show_line(state)

    def on_train_end(self, args, state, control, **kwargs) -> None:
        """Show the last step."""
        self._show_line(state)

    def _show_line(self, state) -> None:
        done, todo = state.global_step - self._offset, state.max_steps - self._offset
        line = self._title + progress_text(self.run, done, todo, time.perf_counter() - self._began)
        self._line.update(_as_text(line), raw=True)


class GrowingCurve:
    """The loss curve of a run of so many steps, drawn again and again at a small part of a new figure's cost.

    Most of that cost is text and layout. They are drawn once and kept as an image; a drawing then adds the lines. A PNG
    is compressed lightly, since it is soon replaced.
    """

    def __init__(self, run: Run, steps: int) -> None:
        self.run, self.steps = run, steps
        self._figure, self._lines = curves.loss_panels(run, steps=steps)
        self._figure.set_dpi(DPI)
        self._canvas = FigureCanvasAgg(self._figure)
        for line in self._lines:
            line.set_animated(True)
        self._draw_background()

    def _draw_background(self) -> None:
        with mpl.rc_context(style.STYLE):
            self._canvas.draw()
        self._background = self._canvas.copy_from_bbox(self._figure.bbox)

    def png(self) -> bytes:
        """Draw the run as it stands now."""
        losses = self._figure.axes[0]
        ceiling = curves.ceiling(self.run)
        if ceiling > losses.get_ylim()[1]:
            losses.set_ylim(0, HEADROOM * ceiling)
            self._draw_background()
        self._canvas.restore_region(self._background)
        points = [*curves.loss_points(self.run, self.steps), curves.rate_points(self.run)]
        for line, xy in zip(self._lines, points, strict=True):
            line.set_data(*xy)
            line.axes.draw_artist(line)
        out = io.BytesIO()
        Image.fromarray(np.asarray(self._canvas.buffer_rgba())).save(out, "png", compress_level=1)
        return out.getvalue()


class LiveCurve(LiveLine):
    """Show the run while it trains, as a line, a figure and a sentence."""

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self._last_figure = self._drawing = self._drawn = 0.0
        self._last_step = self._epochs = 0
        self._curve: Any = None
        self._figure: Any = None
        self._words: Any = None
        # The first figure of a process takes many times as long as all others: not at the cost of the training.
        GrowingCurve(run, 1).png()

    def on_train_begin(self, args, state, control, **kwargs) -> None:
        """Open the displays, with empty axes as long as no step is done."""
        from IPython.display import display

        super().on_train_begin(args, state, control, **kwargs)
        self._figure, self._words = (display(_as_text(""), raw=True, display_id=True) for _ in range(2))
        self._curve = GrowingCurve(self.run, state.max_steps)
        self._show_figure(state)

    def on_log(self, args, state, control, logs=None, **kwargs) -> None:
        """Update the line at most twice a second, and the figure where it is due or within its share of the time."""
        super().on_log(args, state, control, logs, **kwargs)
        if state.global_step > self._last_step and (self._is_due(state) or self._is_affordable()):
            self._show_figure(state)

    def on_evaluate(self, args, state, control, **kwargs) -> None:
        """Draw the marks of an epoch as soon as the recorder has both."""
        if len(self.run.epochs) > self._epochs:
            self._show_figure(state)

    def on_train_end(self, args, state, control, **kwargs) -> None:
        """Draw the finished curve, as the cells after training show it."""
        super().on_train_end(args, state, control, **kwargs)
        self._show_figure(state, curves.loss_curve(self.run).png(DPI))

    def _is_due(self, state) -> bool:
        parts = [PARTS * step // state.max_steps for step in (self._last_step, state.global_step)]
        return state.global_step - self._offset in EARLY_STEPS or parts[1] > parts[0]

    def _is_affordable(self) -> bool:
        now = time.perf_counter()
        # With this figure, the last one and a reserve for a busy machine, all together stay within their share.
        affordable = self._drawn + 3 * self._drawing <= SHARE_OF_TRAINING * (now - self._began)
        return affordable and now - self._last_figure >= SECONDS_BETWEEN_FIGURES

    def _show_figure(self, state, png: bytes | None = None) -> None:
        begin = time.perf_counter()
        words = state_in_words(self.run, state.global_step, state.max_steps)
        shown = {"image/png": png or self._curve.png(), "text/plain": words}
        # JupyterLab drops an image's alternative text.
        self._words.update({"text/html": f"<p>{html.escape(words)}</p>"}, raw=True)
        self._figure.update(shown, metadata={"image/png": {"alt": words}}, raw=True)
        self._last_step, self._epochs = state.global_step, len(self.run.epochs)
        self._last_figure = time.perf_counter()
        self._drawing = self._last_figure - begin
        self._drawn += self._drawing


def state_in_words(run: Run, step: int, steps: int) -> str:
    """How far a run is and what was measured, without a judgement: the live figure for who cannot see it."""
    average = smoothing.moving_average(run, steps)
    parts = [f"Step {step} of {steps}."]
    if len(average):
        parts.append(
            f"Training loss, moving average of {smoothing.window(run, steps)} steps: {style.in_words(average[-1])}."
        )
    for row in run.epochs:
        scores = {
            "training loss": row["train_loss"],
            "validation loss": row["val_loss"],
            "accuracy": row["val_accuracy"],
            "macro-F1": row["val_f1_macro"],
        }
        values = ", ".join(f"{name} {style.in_words(value)}" for name, value in scores.items())
        parts.append(f"After epoch {row['epoch']:g}: {values}.")
    return " ".join(parts)


def _as_text(text: str) -> dict[str, str]:
    return {"text/plain": text}


class ProgressLine(TrainerCallback):
    """A progress bar in the terminal, with the loss beside it."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self._bar: Any = None

    def on_train_begin(self, args, state, control, **kwargs) -> None:
        """Open the bar."""
        from tqdm import tqdm

        self._bar = tqdm(total=state.max_steps, initial=state.global_step, unit="step", mininterval=0.5)

    def on_log(self, args, state, control, logs=None, **kwargs) -> None:
        """Move it to the step just done."""
        losses = smoothing.moving_average(self.run, state.max_steps)
        if len(losses):
            self._bar.set_postfix(loss=f"{losses[-1]:.3f}", refresh=False)
        self._bar.update(state.global_step - self._bar.n)

    def on_train_end(self, args, state, control, **kwargs) -> None:
        """Close it."""
        self._bar.close()
