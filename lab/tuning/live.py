"""What a learner sees while training runs: one figure that updates in place, and a line with the time left.

In a notebook both are display updates (JupyterLab, VS Code and Colab understand them, no JavaScript is needed); where
only text is shown the line says it all. In a terminal the line is a progress bar.
"""

import time
from typing import Any

from transformers import TrainerCallback

from tuning import curves
from tuning.run import Run

SECONDS_BETWEEN_FIGURES = 2.0
SHARE_OF_TRAINING = 0.03
SECONDS_BETWEEN_LINES = 0.5
BAR = 24
DPI = 80


def progress_text(run: Run, step: int, steps: int, seconds: float) -> str:
    """The progress line: bar, step, smoothed loss, time gone and time left."""
    filled = round(BAR * step / max(steps, 1))
    losses = curves.moving_average(run, steps)
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
    """Show the progress line of a run; put it among the Trainer's callbacks after the recorder.

    Parameters
    ----------
    run : Run
        The record that the recorder fills.
    title : str
        Stands before the line, for a cell that trains several runs.
    """

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


class LiveCurve(LiveLine):
    """Show the run while it trains, as a line and a figure.

    Parameters
    ----------
    run : Run
        The record that the recorder fills.
    """

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self._last_figure = self._drawing = self._drawn = 0.0
        self._figure: Any = None
        # The first figure of a process takes many times as long as all others: not at the cost of the training.
        curves.loss_curve(run).png(dpi=DPI)

    def on_train_begin(self, args, state, control, **kwargs) -> None:
        """Open the two displays."""
        from IPython.display import display

        super().on_train_begin(args, state, control, **kwargs)
        self._figure = display(_as_text(""), raw=True, display_id=True)

    def on_log(self, args, state, control, logs=None, **kwargs) -> None:
        """Update the line at most twice a second, the figure at most every 2 s and within 3% of the time."""
        super().on_log(args, state, control, logs, **kwargs)
        now = time.perf_counter()
        # With this figure, the last one and a reserve for a busy machine, all together stay within their share.
        affordable = self._drawn + 3 * self._drawing <= SHARE_OF_TRAINING * (now - self._began)
        if now - self._last_figure >= SECONDS_BETWEEN_FIGURES and affordable:
            self._show_figure(state.max_steps)

    def on_train_end(self, args, state, control, **kwargs) -> None:
        """Draw the finished curve."""
        super().on_train_end(args, state, control, **kwargs)
        self._show_figure(None)

    def _show_figure(self, steps: int | None) -> None:
        begin = time.perf_counter()
        picture = curves.loss_curve(self.run, steps=steps)
        shown = {"image/png": picture.png(dpi=DPI), "text/plain": picture.words}
        self._figure.update(shown, metadata={"image/png": {"alt": picture.words}}, raw=True)
        self._last_figure = time.perf_counter()
        self._drawing = self._last_figure - begin
        self._drawn += self._drawing


def _as_text(text: str) -> dict[str, str]:
    return {"text/plain": text}


class ProgressLine(TrainerCallback):
    """A progress bar in the terminal, with the loss beside it.

    Parameters
    ----------
    run : Run
        The record that the recorder fills.
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        self._bar: Any = None

    def on_train_begin(self, args, state, control, **kwargs) -> None:
        """Open the bar."""
        from tqdm import tqdm

        self._bar = tqdm(total=state.max_steps, initial=state.global_step, unit="step", mininterval=0.5)

    def on_log(self, args, state, control, logs=None, **kwargs) -> None:
        """Move it to the step just done."""
        losses = curves.moving_average(self.run, state.max_steps)
        if len(losses):
            self._bar.set_postfix(loss=f"{losses[-1]:.3f}", refresh=False)
        self._bar.update(state.global_step - self._bar.n)

    def on_train_end(self, args, state, control, **kwargs) -> None:
        """Close it."""
        self._bar.close()
