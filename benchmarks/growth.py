"""How training time grows with sentences, tokens and epochs."""

import statistics
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np

from benchmarks.plan import DIAL_OF, GROWING
from tuning.data.loading import load, split
from tuning.encoder import finding as encoders
from tuning.figures.style import BLUE, GREEN, GREY, ORANGE, STYLE, Picture, new_figure

PICTURE = "growth.png"


def exponent(sizes: Sequence[float], seconds: Sequence[float]) -> float:
    """Slope of the straight line through log(seconds) against log(size): 1 is linear growth, 0 is none."""
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])


def training_seconds(result: dict[str, Any]) -> float:
    """Seconds of a run's steps: all but its evaluations and its checkpoint."""
    return result["seconds"] - sum(result["parts"].get(part, 0.0) for part in ("evaluation", "checkpoint"))


def training_times(rows: list[dict[str, Any]]) -> dict[str, dict[float, float]]:
    """Median training seconds by size, for each kind of growth that was measured."""
    times: dict[str, dict[float, float]] = {}
    for kind, dial in DIAL_OF.items():
        sizes: dict[float, list[float]] = {}
        for row in rows:
            if row["name"] == f"growth-{kind}":
                size = int(dict(row["dials"])[dial])
                sizes.setdefault(size or _all_sentences(), []).append(training_seconds(row["result"]))
        if len(sizes) > 1:
            times[kind] = {size: statistics.median(sizes[size]) for size in sorted(sizes)}
    return times


def _all_sentences() -> int:
    return len(split(load()).train)


def longest_sentence() -> int:
    """Tokens of the longest training sentence, as the embedded encoder cuts it."""
    tokenizer = encoders.tokenizer(encoders.find("embedded"))
    return max(map(len, tokenizer(split(load()).train["sentence"].tolist())["input_ids"]))


def exponents(times: dict[str, dict[float, float]], longest: int) -> dict[str, float]:
    """Fitted exponent of each kind of growth; for tokens, from the longest sentence on."""
    fits = {}
    for kind, points in times.items():
        kept = points
        if kind == "tokens":
            # The size just below the longest sentence may cut it; from there on, nothing is cut.
            kept = {size: seconds for size, seconds in points.items() if size >= longest}
        if len(kept) > 1:
            fits[kind] = exponent(list(kept), list(kept.values()))
    return fits


def picture(times: dict[str, dict[float, float]], longest: int) -> Picture:
    """Training time against sentences, tokens and epochs, on logarithmic axes, with the fitted exponents."""
    fits = exponents(times, longest)
    with mpl.rc_context(STYLE):
        figure, panels = new_figure((3.6 * len(times) + 0.4, 3.9), ncols=len(times), sharey="row", squeeze=False)
        looks = zip((BLUE, GREEN, ORANGE), "osD", strict=True)
        for panel, (kind, points), (colour, marker) in zip(panels[0], times.items(), looks, strict=False):
            sizes, seconds = list(points), list(points.values())
            panel.plot(sizes, seconds, color=colour, marker=marker, linewidth=2)
            panel.set_xscale("log", base=2)
            panel.set_yscale("log", base=2)
            panel.set_xticks(sizes, [f"{size:g}" for size in sizes])
            panel.minorticks_off()
            panel.yaxis.set_major_formatter("{x:g}")
            panel.set_xlabel({"tokens": "MAX_LENGTH (tokens)"}.get(kind, kind))
            if kind == "tokens":
                panel.axvline(longest, color=GREY, linestyle=":")
                place = {"transform": panel.get_xaxis_transform(), "va": "top", "ha": "right"}
                panel.text(longest, 0.97, "longest sentence ", color=GREY, fontsize=10, **place)
            if kind in fits:
                panel.set_title(f"exponent {fits[kind]:.2f}" + (" beyond it" if kind == "tokens" else ""))
        panels[0][0].set_ylabel("training steps (s)")
    fitted = "; ".join(f"{kind}: exponent {value:.2f}" for kind, value in fits.items())
    return Picture(figure, f"Time of the training steps on logarithmic axes. Fitted, {fitted}.")


def words(rows: list[dict[str, Any]]) -> str:
    """The part of the report about growth; empty where it was not measured."""
    times = training_times(rows)
    if not times:
        return ""
    shown = picture(times, longest_sentence())
    return (
        f"### Growth\n\nEmbedded encoder, tokens and epochs on {GROWING} sentences; evaluations and the checkpoint are"
        f" not counted. {shown.words}\n\n"
        f"![{shown.words}]({PICTURE})"
    )
