"""The one style of all figures: colours, letters, and a picture that carries its description in words.

Colours are the Okabe-Ito set, which colour-blind readers can tell apart; markers, line styles and direct labels say the
same things a second time.
"""

import base64
import dataclasses
import html
import io
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, RED, GREY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#6E6E6E"
# What a person's matplotlibrc may have changed so that nothing can be drawn, or read: without LaTeX, text.usetex fails;
# a dark style writes white on our white.
_AS_MATPLOTLIB_HAS_IT = (
    "text.usetex", "text.color", "font.family", "font.sans-serif", "mathtext.fontset", "axes.formatter.use_locale",
    "axes.unicode_minus", "axes.edgecolor", "axes.labelcolor", "axes.titlecolor", "xtick.color", "xtick.labelcolor",
    "ytick.color", "ytick.labelcolor", "legend.labelcolor", "legend.facecolor", "savefig.facecolor", "savefig.bbox",
    "savefig.transparent", "patch.edgecolor",
)  # fmt: skip
STYLE: dict[str, Any] = {
    **{name: mpl.rcParamsDefault[name] for name in _AS_MATPLOTLIB_HAS_IT},
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#E3E3E3",
    "grid.linewidth": 0.8,
    "axes.titlesize": 15,
    "axes.titlelocation": "left",
    "axes.labelsize": 13,
    "xtick.labelsize": 12,
    "ytick.labelsize": 12,
    "legend.fontsize": 12,
    "legend.frameon": False,
    "font.size": 12,
    "svg.hashsalt": "workshop-6w",
}


@dataclasses.dataclass(frozen=True)
class Picture:
    """A figure together with its description in words, which serves as its alt text and where only text is shown.

    As the last expression of a cell it displays itself.
    """

    figure: Figure
    words: str

    def __post_init__(self) -> None:
        # The layout is settled once: left to itself it would move a little with every drawing.
        with mpl.rc_context(STYLE):
            self.figure.draw_without_rendering()
        self.figure.set_layout_engine("none")

    def png(self, dpi: int = 100) -> bytes:
        """The figure as a PNG file's bytes; the same figure gives the same bytes."""
        out = io.BytesIO()
        with mpl.rc_context(STYLE):
            self.figure.savefig(out, format="png", dpi=dpi, metadata={"Software": None})
        return out.getvalue()

    def save(self, path: Path) -> None:
        """Write the figure to a file, in the format of its ending."""
        # No date and no version in the file: the same figure gives the same bytes.
        metadata = {"Software": None} if path.suffix == ".png" else {"Date": None, "Creator": None}
        with mpl.rc_context(STYLE):
            self.figure.savefig(path, metadata=metadata)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> tuple[dict, dict]:
        png = self.png()
        # JupyterLab drops the alternative text of a PNG, so that a screen reader finds it only in HTML.
        source = f"data:image/png;base64,{base64.b64encode(png).decode()}"
        page = f'<img alt="{html.escape(self.words)}" src="{source}">'
        return {"text/html": page, "image/png": png, "text/plain": self.words}, {"image/png": {"alt": self.words}}


def new_figure(size: tuple[float, float] = (9.5, 5.4), **layout: Any) -> tuple[Figure, Any]:
    """A figure of a size in inches, in the workshop's style, that no window or notebook shows by itself."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=size, layout="constrained", dpi=100)
        return figure, figure.subplots(**layout)


def legend_below(figure: Figure, axes: Axes) -> None:
    """Explain the lines under the figure, where no curve can run behind the words."""
    figure.legend(
        *axes.get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=10.5, columnspacing=1.2
    )


def in_words(value: float | None) -> str:
    """A loss or score to two places."""
    return "not a number" if value is None or not np.isfinite(value) else f"{value:.2f}"
