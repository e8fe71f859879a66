"""Paths of SGD on the loss surface, drawn."""

import matplotlib as mpl
import numpy as np
from matplotlib.ticker import LogLocator, NullLocator

from tuning.figures.style import BLUE, GREEN, RED, STYLE, Picture, new_figure
from tuning.sgd.surface import Path as Walk
from tuning.sgd.surface import TwoWeights


def walks(model: TwoWeights, paths: dict[str, Walk]) -> Picture:
    """Titled paths of SGD on the loss surface of a two-weight model, side by side, with their loss below."""
    lowest = model.lowest()
    reach = 1.6 * np.abs(lowest).max()
    across = np.linspace(-reach, reach, 121)
    heights = model.loss(np.stack(np.meshgrid(across, across), axis=-1))
    with mpl.rc_context(STYLE):
        size = (3.3 * len(paths) + 0.6, 5.2)
        figure, panels = new_figure(size, nrows=2, ncols=len(paths), height_ratios=[2, 1], sharey="row", squeeze=False)
        for (title, path), map_panel, loss_panel in zip(paths.items(), *panels, strict=True):
            map_panel.contour(across, across, heights, levels=18, cmap="Greys", linewidths=0.9)
            map_panel.plot(*path.weights.T, color=BLUE, marker=".", linewidth=1.2)
            map_panel.plot(0, 0, color=GREEN, marker="o", markersize=9, label="start")
            map_panel.plot(*lowest, color=RED, marker="*", markersize=15, linestyle="none", label="lowest point")
            map_panel.set_xlim(-reach, reach)
            map_panel.set_ylim(-reach, reach)
            map_panel.set_title(f"{title}\nrate {path.rate:.4g}")
            map_panel.set_xlabel(f"weight of “{model.words[0]}”")
            loss_panel.plot(path.losses, color=BLUE, linewidth=2)
            loss_panel.axhline(float(model.loss(lowest)), color=RED, linestyle=":", linewidth=1.5)
            loss_panel.set_xlabel("step")
        panels[0][0].set_ylabel(f"weight of “{model.words[1]}”")
        panels[0][0].legend(loc="lower left")
        panels[1][0].set_ylabel("loss")
        # A step that is too long can raise the loss tenfold: only a log scale shows that beside the others.
        highest = max(path.losses.max() for path in paths.values())
        if highest > 2:
            panels[1][0].set_yscale("log")
        if 2 < highest < 100:
            panels[1][0].yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            panels[1][0].yaxis.set_major_formatter("{x:g}")
            panels[1][0].yaxis.set_minor_locator(NullLocator())
    ends = "; ".join(f"{title}: loss {path.losses[0]:.2f} to {path.losses[-1]:.2f}" for title, path in paths.items())
    return Picture(figure, f"Paths of SGD on the loss surface. {ends}. Lowest possible {model.loss(lowest):.2f}.")
