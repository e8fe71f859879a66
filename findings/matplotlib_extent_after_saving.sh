#!/usr/bin/env bash
# Guess: where a text lies, in pixels, depends on the figure's own resolution, before and after it was saved.
# Seen (matplotlib 3.11.2): after savefig(dpi=200), get_window_extent() answers as at 200 dpi although figure.dpi is
#   100 again, until the figure is drawn once more.
# Who meets it: anybody who checks that labels lie inside a picture, and saves it first.
exec "$(dirname "${BASH_SOURCE[0]}")/fresh" matplotlib==3.11.2 <<'PY'
import io

from matplotlib.figure import Figure

figure = Figure(dpi=100)
text = figure.text(0.1, 0.5, "where does this text end?")
figure.draw_without_rendering()
before = text.get_window_extent().width
figure.savefig(io.BytesIO(), dpi=200)
after = text.get_window_extent().width
figure.draw_without_rendering()
again = text.get_window_extent().width
print(figure.dpi, before, after, again)
assert figure.dpi == 100 and again == before and 1.8 < after / before < 2.2
PY
