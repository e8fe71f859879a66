"""What the day taught: a room's answers in the clinic, by cause, by round and by confidence."""

from collections import Counter
from collections.abc import Iterable, Sequence

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from tuning.figures.style import BLUE, GREY, ORANGE, STYLE, Picture, new_figure
from tuning.room.clinic import CAUSES, ROUNDS, SURE, Answer, Score
from tuning.runs.metrics import accuracy_interval

BEFORE, AFTER = ROUNDS[0], ROUNDS[1]
# Lowest confidence of each bin, in percent; the last bin ends at `SURE`.
BINS = (0, 40, 60, 80, 95)
COLUMNS = ("answers", "right", BEFORE, AFTER, "most often taken for", "good next dial")
SIZE = (12.8, 5.2)


def by_cause(scores: Sequence[Score]) -> pd.DataFrame:
    """How often each cause that was asked was recognised, before and after the day, in counts such as ``7 of 10``."""
    rows = {
        cause: {
            "answers": len(answers),
            "right": _of(answer.right for answer in answers),
            **{when: _of(answer.right for answer in answers if answer.round == when) for when in (BEFORE, AFTER)},
            "most often taken for": _taken_for(answers),
            "good next dial": _of(answer.dial_right for answer in answers),
        }
        for cause, answers in _by_truth(_all(scores)).items()
    }
    return pd.DataFrame.from_dict(rows, orient="index", columns=COLUMNS)


def by_confidence(scores: Sequence[Score]) -> pd.DataFrame:
    """How often people were right when they were this sure, by bin of confidence."""
    rows = {}
    for label, answers in _by_confidence(scores).items():
        rows[label] = {
            "answers": len(answers),
            "mean confidence": f"{np.mean([answer.confidence for answer in answers]):.0f}%",
            "right": _of(answer.right for answer in answers),
        }
    return pd.DataFrame.from_dict(rows, orient="index", columns=["answers", "mean confidence", "right"])


def misread(scores: Sequence[Score]) -> str:
    """Say which cause is still misread, at the wrap if it was asked then, and whether people were surer than right."""
    answers = _all(scores)
    if not answers:
        return "No score line of the clinic yet."
    late = [answer for answer in answers if answer.round == AFTER]
    when, asked = (f"at the {AFTER}", late) if late else ("so far", answers)
    counts = f"Answers {when}: {_of(answer.right for answer in asked)} right; score lines: {len(scores)}."
    wrong = [answer for answer in asked if not answer.right]
    sure = np.mean([answer.confidence for answer in asked]) / SURE
    share = np.mean([answer.right for answer in asked])
    confident = f"Mean confidence {sure:.0%}, right {share:.0%}."
    if not wrong:
        return f"{counts}\nEvery cause was recognised. {confident}"
    groups = _by_truth(asked)
    worst = min(groups, key=lambda cause: np.mean([answer.right for answer in groups[cause]]))
    right = _of(answer.right for answer in groups[worst])
    misread_as = f"{right} right, most often taken for {_taken_for(groups[worst])}"
    return f"{counts}\nStill misread: {worst} ({misread_as}). {confident}"


def picture(scores: Sequence[Score], size: tuple[float, float] = SIZE) -> Picture:
    """Share of right answers by cause before and after, and against confidence."""
    with mpl.rc_context(STYLE):
        figure, (left, right) = new_figure(size, ncols=2)
        _draw_causes(left, _by_truth(_all(scores)))
        _draw_confidence(right, list(_by_confidence(scores).values()))
    return Picture(figure, f"Answers in the clinic by cause and by confidence. {' '.join(misread(scores).split())}")


def _draw_causes(axes: Axes, groups: dict[str, list[Answer]]) -> None:
    for number, (when, colour, hatch) in enumerate(((BEFORE, ORANGE, "//"), (AFTER, BLUE, ""))):
        for place, answers in enumerate(groups.values()):
            asked = [answer.right for answer in answers if answer.round == when]
            if asked:
                at, share = place + 0.4 * number - 0.2, np.mean(asked)
                axes.barh(at, share, height=0.36, color=colour, hatch=hatch, edgecolor="white")
                axes.text(share + 0.02, at, _of(asked), va="center")
        axes.barh(0, 0, color=colour, hatch=hatch, edgecolor="white", label=when)
    axes.set_yticks(range(len(groups)), list(groups))
    axes.set_ylim(max(len(groups), 1) - 0.5, -0.5)
    axes.set_xlim(0, 1.3)
    axes.set_xticks([0, 0.5, 1], ["0%", "50%", "100%"])
    axes.set_xlabel("cause named right")
    axes.set_title("Which cause is recognised?")
    axes.grid(axis="y", visible=False)
    axes.legend(loc="lower right")


def _draw_confidence(axes: Axes, bins: list[list[Answer]]) -> None:
    axes.plot([0, SURE], [0, SURE], color=GREY, linestyle=":", label="as sure as right")
    for answers in bins:
        right = sum(answer.right for answer in answers)
        at, share = np.mean([answer.confidence for answer in answers]), SURE * right / len(answers)
        ends = [SURE * end for end in accuracy_interval(right, len(answers))]
        axes.plot([at, at], ends, color=BLUE, linewidth=2, alpha=0.5)
        axes.plot(at, share, color=BLUE, marker="o", markersize=9)
        axes.annotate(f"{len(answers)}", (at, share), xytext=(9, 4), textcoords="offset points")
    axes.set_xlim(0, SURE + 5)
    axes.set_ylim(0, SURE + 5)
    axes.set_xlabel("mean confidence in % (beside each point: answers)")
    axes.set_ylabel("right in %")
    axes.set_title("Surer than right? Below the line, yes")
    axes.legend(loc="upper left", frameon=True, framealpha=1, edgecolor="none")


def _all(scores: Sequence[Score]) -> list[Answer]:
    return [answer for score in scores for answer in score.answers]


def _by_truth(answers: Iterable[Answer]) -> dict[str, list[Answer]]:
    answers = list(answers)
    by_truth = {cause: [answer for answer in answers if answer.truth == cause] for cause in CAUSES}
    return {cause: members for cause, members in by_truth.items() if members}


def _by_confidence(scores: Sequence[Score]) -> dict[str, list[Answer]]:
    ends = zip(BINS, (*BINS[1:], SURE + 1), strict=True)
    by_bin = {
        f"{low} to {high - 1}%": [answer for answer in _all(scores) if low <= answer.confidence < high]
        for low, high in ends
    }
    return {label: members for label, members in by_bin.items() if members}


def _taken_for(answers: Iterable[Answer]) -> str:
    wrong = Counter(answer.cause for answer in answers if not answer.right)
    return f"{wrong.most_common(1)[0][0]} ({wrong.most_common(1)[0][1]})" if wrong else ""


def _of(right: Iterable[bool]) -> str:
    right = list(right)
    return f"{sum(right)} of {len(right)}" if right else ""
