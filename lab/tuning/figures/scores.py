"""Scores of one run as figures: before and after training, and the confusion matrix."""

import matplotlib as mpl
import numpy as np

from tuning.data.labels import LABELS
from tuning.figures.style import BLUE, GREY, ORANGE, STYLE, Picture, in_words, new_figure
from tuning.runs import metrics
from tuning.runs.record import Run
from tuning.runs.store import load_predictions


def before_after(run: Run) -> Picture:
    """Accuracy and macro-F1 of majority class, untrained and trained model, with 95% intervals."""
    majority = {f"val_{key}": run.majority.get(key) for key in ("accuracy", "f1_macro")}
    groups = (
        ("always the\nmajority class", GREY, "//", majority),
        ("before\ntraining", ORANGE, "..", run.baseline),
        ("after\ntraining", BLUE, "", run.final),
    )
    with mpl.rc_context(STYLE):
        figure, panels = new_figure((9.5, 4.2), ncols=2, sharey=True)
        for panel, title, key in zip(panels, ("accuracy", "macro-F1"), ("val_accuracy", "val_f1_macro"), strict=True):
            for place, (_, colour, hatch, scores) in enumerate(groups):
                value = scores.get(key) or 0.0
                panel.bar(place, value, color=colour, hatch=hatch, edgecolor="white", width=0.7)
                ends = scores.get(f"{key}_interval")
                if ends:
                    error = [[max(value - ends[0], 0)], [max(ends[1] - value, 0)]]
                    panel.errorbar(place, value, error, color="black", capsize=5)
                panel.text(place, (ends[1] if ends else value) + 0.02, f"{value:.2f}", ha="center", fontsize=13)
            panel.set_xticks(range(3), [name for name, *_ in groups])
            panel.set_title(f"Validation {title}")
            panel.set_ylim(0, 1.05)
            panel.grid(axis="x", visible=False)
    words = "; ".join(
        f"{name.replace(chr(10), ' ')}: accuracy {in_words(scores.get('val_accuracy'))},"
        f" macro-F1 {in_words(scores.get('val_f1_macro'))}"
        for name, _, _, scores in groups
    )
    return Picture(figure, f"Bars of the validation scores. {words}.")


def confusion_matrix(run: Run) -> Picture:
    """Count validation sentences by true and predicted label."""
    frame = load_predictions(run)
    truth = np.array([LABELS.index(label) for label in frame["label"]])
    table = metrics.confusion(truth, frame[list(LABELS)].to_numpy().argmax(axis=1))
    with mpl.rc_context(STYLE):
        figure, axes = new_figure((5.6, 4.6))
        # The layout for square panels: the other one shifts them a little each time the figure is drawn.
        figure.set_layout_engine("compressed")
        axes.imshow(table / np.maximum(table.sum(axis=1, keepdims=True), 1), cmap="Blues", vmin=0, vmax=1)
        for row, column in np.ndindex(table.shape):
            colour = "white" if table[row, column] > 0.5 * table[row].sum() else "black"
            axes.text(column, row, table[row, column], ha="center", va="center", fontsize=16, color=colour)
        axes.set_xticks(range(3), LABELS)
        axes.set_yticks(range(3), LABELS)
        axes.set(xlabel="predicted", ylabel="true", title="Validation sentences")
        axes.grid(visible=False)
    words = "; ".join(
        f"truly {label}: " + ", ".join(f"{count} called {name}" for count, name in zip(row, LABELS, strict=True))
        for label, row in zip(LABELS, table, strict=True)
    )
    return Picture(figure, f"Validation sentences by true and predicted label. {words}.")
