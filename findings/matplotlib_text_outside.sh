#!/usr/bin/env bash
# Guess: constrained layout makes room for titles, labels, ticks and legends. A text at a data point that lies outside the
# limits is not seen, so it takes no room.
# Seen (matplotlib 3.11.2): it is drawn, and the axes shrink to make room for it. With clip_on=True it takes none.
# Who meets it: anybody who labels the points of a curve and then zooms in with set_xlim.
exec "$(dirname "${BASH_SOURCE[0]}")/fresh" matplotlib==3.11.2 <<'PY'
import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt


def width(**text):
    figure, axes = plt.subplots(layout="constrained")
    axes.plot([0, 3], [0, 1])
    axes.set_xlim(0, 1)
    if text:
        axes.text(3, 0.5, "a point at step 3", clip_on=text["clip_on"])
    figure.canvas.draw()
    return float(axes.get_position().width)


plain, outside, clipped = width(), width(clip_on=False), width(clip_on=True)
print(f"width of the axes: {plain:.3f} without text, {outside:.3f} with it, {clipped:.3f} with it clipped")
assert outside < 0.9 * plain
assert abs(clipped - plain) < 0.02
PY
