"""Error analysis: where a run is wrong, how sure it is of it, and whether its confidence can be believed.

It works on the predictions kept with a run and on the data's own tags (`phenomenon`, `style`). *Expected calibration
error* is the mean distance between confidence and accuracy over ten bins of confidence, weighted by their sentences
(Guo, Pleiss, Sun and Weinberger 2017, On Calibration of Modern Neural Networks, ICML).
"""

import matplotlib as mpl
import numpy as np
import pandas as pd

from tuning.data.labels import LABELS
from tuning.data.loading import load
from tuning.errors import RunError
from tuning.figures.style import BLUE, GREY, ORANGE, RED, STYLE, Picture, new_figure
from tuning.runs import metrics
from tuning.runs.record import Run
from tuning.runs.store import load_predictions

TAGS = ("phenomenon", "style")
BINS = 10
SIMULATIONS = 500
# Below this margin between its two best labels the model stands on the border between them.
NARROW = 0.2
# A label that the model gives less than this, while it is sure of another, is worth a second look.
DOUBTED = 0.1


def sentences(run: Run) -> pd.DataFrame:
    """Every validation sentence of a run with its tags, what the model said and how sure it was.

    By ``id``: ``sentence``, ``label``, the data's tags, ``said``, ``right``, ``confidence`` (the probability of what it
    said), ``of_label`` (the probability of the label) and ``margin`` (between the two best labels). A `RunError` where
    the predictions are gone, hold numbers that are not finite, or the data file has changed.
    """
    kept = load_predictions(run).set_index("id")
    data = load(run.dials["DATA"], run.dials["AGREEMENT"])
    if data.sha256 != run.data["sha256"]:
        raise RunError(f"{run.run_id}: {run.data['path']} has changed since this run. Train again.")
    logits = kept[list(LABELS)].to_numpy(dtype=float)
    if not np.isfinite(logits).all():
        raise RunError(f"{run.run_id}: this run diverged, so its answers are no numbers. Choose another run as RUN_1.")
    chances = np.exp(metrics.log_softmax(logits))
    ordered = np.sort(chances, axis=1)
    truth = np.array([LABELS.index(label) for label in kept["label"]])
    text = data.frame.assign(id=data.frame["id"].astype(str)).set_index("id").reindex(kept.index)
    table = text[["sentence", *(tag for tag in TAGS if tag in text)]].assign(label=kept["label"])
    return table.assign(
        said=np.array(LABELS)[chances.argmax(axis=1)],
        right=chances.argmax(axis=1) == truth,
        confidence=ordered[:, -1],
        of_label=chances[np.arange(len(truth)), truth],
        margin=ordered[:, -1] - ordered[:, -2],
    )


def tagged(frame: pd.DataFrame) -> bool:
    """Whether the sentences carry the bundled data's tags; where they do not, one line says what is left out."""
    there = all(tag in frame for tag in TAGS)
    if not there:
        print(f"These sentences have no columns {' and '.join(TAGS)}, so this step is left out; the bundled ones have.")
    return there


def by_tag(frame: pd.DataFrame, tag: str) -> pd.DataFrame:
    """Share of errors for each value of a tag, with Wilson's 95% interval, the highest share first.

    A `RunError` where the data has no such tag.
    """
    if tag not in frame:
        raise RunError(f"These sentences have no column {tag}; only the bundled ones have. Set DATA to bundled.")
    rows = {}
    for value, group in frame.groupby(tag):
        wrong = int((~group["right"]).sum())
        low, high = metrics.accuracy_interval(wrong, len(group))
        rows[value] = {
            "sentences": len(group),
            "errors": wrong,
            "share": wrong / len(group),
            "low": low,
            "high": high,
        }
    return pd.DataFrame.from_dict(rows, orient="index").sort_values("share", ascending=False)


def tag_picture(frame: pd.DataFrame) -> Picture:
    """Share of errors by phenomenon and by style, with intervals; the line is the share over all sentences."""
    tables = {tag: by_tag(frame, tag) for tag in TAGS}
    overall = float((~frame["right"]).mean())
    with mpl.rc_context(STYLE):
        figure, panels = new_figure((9.5, 4.9), ncols=2, sharex=True)
        for panel, (tag, table) in zip(panels, tables.items(), strict=True):
            rows = np.arange(len(table))
            ends = [table["share"] - table["low"], table["high"] - table["share"]]
            panel.errorbar(table["share"], rows, xerr=ends, color=BLUE, marker="o", linestyle="none", capsize=4)
            panel.axvline(overall, color=RED, linestyle="--", linewidth=1.5)
            names = [f"{name} ({count})" for name, count in table["sentences"].items()]
            panel.set_yticks(rows, names)
            panel.invert_yaxis()
            panel.set_title(f"Errors by {tag}")
            panel.set_xlabel("share wrong (dashed: overall)")
    apart = [
        f"{name} ({tag}) {row.share:.0%}, between {row.low:.0%} and {row.high:.0%}"
        for tag, table in tables.items()
        for name, row in table.iterrows()
        if not row.low <= overall <= row.high
    ]
    outside = "; ".join(apart) or "none"
    return Picture(
        figure, f"{overall:.0%} of all validation sentences are wrong. Intervals that leave this out: {outside}."
    )


def confident(frame: pd.DataFrame, count: int = 5) -> pd.DataFrame:
    """The mistakes of which the model was most sure."""
    columns = [name for name in ("sentence", "label", "said", "confidence", "phenomenon") if name in frame]
    wrong = frame[~frame["right"]].sort_values("confidence", ascending=False)
    return wrong[columns].head(count).round({"confidence": 2})


def to_discuss(frame: pd.DataFrame, count: int = 5) -> pd.DataFrame:
    """Misread sentences to talk about: the most confident mistake of each phenomenon, the worst phenomena first.

    Without tags, and where there are fewer phenomena with a mistake, the most confident mistakes fill the list.
    """
    everything = confident(frame, len(frame))
    if "phenomenon" not in frame:
        return everything.head(count)
    worst = list(by_tag(frame, "phenomenon").index)
    first = everything.drop_duplicates("phenomenon")
    first = first.sort_values("phenomenon", key=lambda names: names.map(worst.index))
    return pd.concat([first, everything.drop(index=first.index)]).head(count)


def bins(confidence: np.ndarray, right: np.ndarray) -> pd.DataFrame:
    """Confidence and accuracy in ten equal bins of confidence; those without sentences are left out."""
    number = _bin_of(confidence)
    frame = pd.DataFrame({"bin": number, "confidence": confidence, "right": np.asarray(right, dtype=int)})
    table = frame.groupby("bin").agg(
        sentences=("right", "size"), right=("right", "sum"), confidence=("confidence", "mean")
    )
    return table.assign(accuracy=table["right"] / table["sentences"])


def _bin_of(confidence: np.ndarray) -> np.ndarray:
    return np.clip((np.asarray(confidence) * BINS).astype(int), 0, BINS - 1)


def calibration_error(confidence: np.ndarray, right: np.ndarray) -> float:
    """Expected calibration error: 0 where a model that says 80% is right in 80% of the cases; 1 at the most."""
    surplus = np.asarray(right, dtype=float) - confidence
    return float(np.abs(np.bincount(_bin_of(confidence), surplus)).sum() / len(surplus))


def luck_in_calibration(confidence: np.ndarray, seed: int = 0) -> float:
    """The error that a perfectly calibrated model of this confidence would show by luck, on average.

    Every bin holds few sentences, so even that model is never at 0. Its answers are drawn: right with exactly the
    probability that it states.
    """
    draws = np.random.default_rng(seed).random((SIMULATIONS, len(confidence)))
    return float(np.mean([calibration_error(confidence, draw < confidence) for draw in draws]))


def reliability(frame: pd.DataFrame) -> Picture:
    """Reliability diagram: accuracy against confidence, with intervals, and how many sentences stand behind each."""
    confidence, right = frame["confidence"].to_numpy(), frame["right"].to_numpy()
    table = bins(confidence, right)
    limits = [metrics.accuracy_interval(int(row.right), int(row.sentences)) for row in table.itertuples()]
    low, high = np.array(limits).T
    with mpl.rc_context(STYLE):
        figure, (top, bottom) = new_figure((6.4, 5.8), nrows=2, sharex=True, height_ratios=[3, 1])
        top.plot([0, 1], [0, 1], color=GREY, linestyle=":", linewidth=1.5, label="confidence = accuracy")
        ends = [table["accuracy"] - low, high - table["accuracy"]]
        top.errorbar(
            table["confidence"], table["accuracy"], yerr=ends, color=BLUE, marker="o", capsize=4, label="this model"
        )
        top.set_xlim(1 / len(LABELS) - 0.03, 1.02)
        top.set_ylim(0, 1.03)
        top.set_ylabel("accuracy")
        top.set_title("Can its confidence be believed?")
        top.legend(loc="lower right")
        bottom.bar(table["confidence"], table["sentences"], width=0.06, color=ORANGE, edgecolor="black")
        bottom.set_ylabel("sentences")
        bottom.set_xlabel("confidence (probability of what it said)")
    return Picture(figure, calibration_text(frame))


def calibration_text(frame: pd.DataFrame) -> str:
    """Calibration in two sentences: the error, what luck alone would show, and the direction."""
    confidence, right = frame["confidence"].to_numpy(), frame["right"].to_numpy()
    error, luck = calibration_error(confidence, right), luck_in_calibration(confidence)
    excess = float(confidence.mean() - right.mean())
    direction = "too sure of itself" if excess > 0 else "too modest"
    return (
        f"Expected calibration error {error:.3f}; a perfectly calibrated model would show about {luck:.3f} by luck. On"
        f" average it claims {confidence.mean():.0%} and is right in {right.mean():.0%}: {direction}."
    )


def doubted(frame: pd.DataFrame, again: pd.DataFrame, count: int = 5) -> pd.DataFrame:
    """Labels worth a second look: two models of different seeds agree on another one and give it almost nothing.

    Its ``chance`` is what the more generous of the two gives it.
    """
    again = again.reindex(frame.index)
    table = frame.assign(chance=np.maximum(frame["of_label"], again["of_label"]).round(3))
    agree = ~frame["right"] & (frame["said"] == again["said"]) & (table["chance"] < DOUBTED)
    table = table[agree].rename(columns={"said": "both said"}).sort_values("chance")
    return table[["sentence", "label", "both said", "chance"]].head(count)


def sources(frame: pd.DataFrame, again: pd.DataFrame) -> pd.DataFrame:
    """Sort the errors of the first model by what they look like, with a second model of another seed as witness.

    * *model*: the other seed has the sentence right, so it can be learned.
    * *border*: both are wrong, and at least one hesitates between two labels.
    * *data*: both are wrong and neither hesitates: an odd label, or a kind of sentence that training never showed.

    It is a first sorting by rules of thumb; reading the sentences is what decides.
    """
    again = again.reindex(frame.index)
    wrong = frame[~frame["right"]]
    witness = again.loc[wrong.index]
    model = witness["right"]
    hesitates = (wrong["margin"] < NARROW) | (witness["margin"] < NARROW)
    kinds = {
        "model": (model, "another seed has it right"),
        "border": (~model & hesitates, "both wrong, one hesitates between two labels"),
        "data": (~model & ~hesitates, "both wrong and sure of it"),
    }
    rows = {
        name: {"errors": int(flags.sum()), "share": f"{flags.mean() if len(flags) else 0:.0%}", "looks like": words}
        for name, (flags, words) in kinds.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index")


def side_by_side(frames: dict[str, pd.DataFrame], tag: str = "phenomenon") -> pd.DataFrame:
    """Share of errors of several models, by name, for each value of a tag; where they differ most comes first."""
    tables = {name: by_tag(frame, tag) for name, frame in frames.items()}
    first = next(iter(tables.values()))
    shares = pd.DataFrame({name: table["share"] for name, table in tables.items()}).reindex(first.index)
    spread = (shares.max(axis=1) - shares.min(axis=1)).sort_values(ascending=False)
    columns = {
        name: [f"{row.share:.0%} ({row.low:.0%} to {row.high:.0%})" for row in table.reindex(spread.index).itertuples()]
        for name, table in tables.items()
    }
    return pd.DataFrame({"sentences": first["sentences"].reindex(spread.index)} | columns, index=spread.index)
