"""Which dial first? Turn each dial alone, a little down and a little up, and see how far the score moves.

Short trials around half of Run 1's sentences: one training each and one look at validation at the end. They are too
short to be results, so they are no runs of the log; their numbers are kept in ``lab/runs/dial_effects.csv``.
"""

import dataclasses

import matplotlib as mpl
import numpy as np
import pandas as pd

from tuning import paths
from tuning.cost import estimate
from tuning.dials import Dials
from tuning.encoder.finding import Encoder
from tuning.encoder.run_models import encoder_of
from tuning.figures.style import BLUE, GREY, ORANGE, STYLE, Picture, legend_below, new_figure
from tuning.files import write_whole
from tuning.further import variations
from tuning.runs import metrics
from tuning.runs.record import Run
from tuning.training.scoring import predict
from tuning.training.trainer import train_unrecorded

MOST_SENTENCES, FEWEST_SENTENCES = 400, 24
RATE_FACTOR = 3
SIZE_FACTOR = 2
FILE = "dial_effects.csv"
ORDER = ("seed", "learning rate", "epochs", "training sentences")


def trial(dials: Dials, encoder: Encoder) -> float:
    """Train once without recording it and give macro-F1 on validation."""
    setup = train_unrecorded(dials, encoder, encoder.rate(dials.LR_PRESET))
    logits = predict(setup.model, setup.tokens.validation, setup.tokenizer, setup.precision)
    return metrics.score(logits, setup.tokens.validation["labels"]).f1_macro


def trials(run_1: Run) -> dict[tuple[str, str], Dials]:
    """The dials of all trials by dial and setting: the base, then each dial turned down and up where it allows that."""
    used = run_1.data.get("train_used") or MOST_SENTENCES
    size = min(max(used // SIZE_FACTOR, FEWEST_SENTENCES), MOST_SENTENCES)
    base = dataclasses.replace(variations.dials_from(run_1.dials), LR_PRESET=run_1.learning_rate, TRAIN_SUBSET=size)
    turned = {"base": [base]}
    turned["seed"] = [dataclasses.replace(base, GROUP=group) for group in (1, 2, 3) if group != base.seed][:2]
    turned["learning rate"] = [
        dataclasses.replace(base, LR_PRESET=float(f"{rate:.2g}"))
        for rate in (run_1.learning_rate / RATE_FACTOR, run_1.learning_rate * RATE_FACTOR)
        if rate <= 10
    ]
    turned["epochs"] = [
        dataclasses.replace(base, EPOCHS=epochs)
        for epochs in (base.EPOCHS // SIZE_FACTOR, base.EPOCHS * SIZE_FACTOR)
        if 1 <= epochs <= 50
    ]
    turned["training sentences"] = [
        dataclasses.replace(base, TRAIN_SUBSET=sentences)
        for sentences in (size // SIZE_FACTOR, size * SIZE_FACTOR)
        if sentences >= FEWEST_SENTENCES
    ]
    return {(dial, _setting(dial, dials)): dials for dial, several in turned.items() for dials in several}


def _setting(dial: str, dials: Dials) -> str:
    values = {
        "seed": str(dials.seed),
        "learning rate": f"{dials.LR_PRESET:g}",
        "epochs": str(dials.EPOCHS),
        "training sentences": str(dials.TRAIN_SUBSET),
    }
    return values.get(dial, ", ".join(f"{name} {value}" for name, value in values.items()))


def works(run_1: Run) -> list[estimate.Work]:
    """What the trials around Run 1 have to do, without those whose numbers are kept."""
    encoder, kept = encoder_of(run_1), _kept(run_1)
    whole = [estimate.work(dials, encoder) for turn, dials in trials(run_1).items() if turn not in kept]
    # One look at validation in place of one before training, one after it and one after each epoch.
    return [dataclasses.replace(work, read=0, ends=(work.ends or work.read) // 2) for work in whole]


def effects(run_1: Run) -> pd.DataFrame:
    """Make all trials around Run 1 and keep their numbers; what is kept already is not made again.

    The ``effect`` of each is its difference from the base in points.
    """
    planned, kept, encoder = trials(run_1), _kept(run_1), encoder_of(run_1)
    rows = []
    for number, ((dial, value), dials) in enumerate(planned.items(), start=1):
        known = kept.get((dial, value))
        f1 = trial(dials, encoder) if known is None else known
        rows.append({"run": run_1.run_id, "dial": dial, "set to": value, "f1": f1})
        frame = pd.DataFrame(rows)
        frame["effect"] = 100 * (frame["f1"] - frame["f1"][0])
        write_whole(paths.runs() / FILE, frame.to_csv(index=False, lineterminator="\n"))
        source = "" if known is None else ", kept from an earlier go"
        print(f"trial {number} of {len(planned)}: {dial} {value}: macro-F1 {f1:.3f}{source}")
    return frame


def _kept(run_1: Run) -> dict[tuple[str, str], float]:
    """Macro-F1 of the trials around this run that were made before; none where the file is not as it was written."""
    try:
        frame = pd.read_csv(paths.runs() / FILE, dtype={"run": str, "dial": str, "set to": str})
        frame = frame[frame["run"] == run_1.run_id].astype({"f1": float})
        return dict(zip(zip(frame["dial"], frame["set to"], strict=True), frame["f1"], strict=True))
    except (OSError, ValueError, KeyError):
        return {}


def picture(frame: pd.DataFrame) -> Picture:
    """How far each dial moves the score, from the table of :func:`effects`; the band is what the seed alone does."""
    turned = frame[frame["dial"] != "base"]
    luck = float(turned.loc[turned["dial"] == "seed", "effect"].abs().max())
    with mpl.rc_context(STYLE):
        figure, axes = new_figure((9.5, 4.2))
        axes.axvspan(-luck, luck, color=GREY, alpha=0.2, label="as far as the seed alone moves it")
        axes.axvline(0, color="black", linewidth=1)
        for row, dial in enumerate(ORDER):
            several = turned[turned["dial"] == dial]
            axes.plot([0, *several["effect"]], [row] * (len(several) + 1), color=GREY, linewidth=1.5)
            for at, (value, effect) in enumerate(zip(several["set to"], several["effect"], strict=True)):
                axes.plot(effect, row, color=(ORANGE, BLUE)[at % 2], marker="os"[at % 2], markersize=10)
                offset = (0, (9, -20)[at % 2])
                axes.annotate(value, (effect, row), offset, textcoords="offset points", ha="center", fontsize=10.5)
        axes.set_yticks(range(len(ORDER)), ORDER)
        axes.set_ylim(len(ORDER) - 0.5, -0.7)
        axes.set_title(f"Base: {frame['set to'][0]}", fontsize=12)
        axes.set_xlabel(f"change of macro-F1 in points, from {frame['f1'][0]:.3f}")
        axes.margins(x=0.1)
        legend_below(figure, axes)
    return Picture(figure, verdict(frame))


def verdict(frame: pd.DataFrame) -> str:
    """Say which dial moved the score most, and which moved it no further than the seed."""
    reach = frame[frame["dial"] != "base"].groupby("dial")["effect"].apply(lambda effect: float(np.abs(effect).max()))
    others = reach.drop("seed").sort_values(ascending=False)
    ranking = ", ".join(f"{dial} {points:.1f}" for dial, points in others.items())
    within = [dial for dial, points in others.items() if points <= reach["seed"]]
    luck = f" No further than luck: {', '.join(within)}." if within else ""
    return (
        f"Largest change of macro-F1 in points when one dial is turned: {ranking};"
        f" the seed alone {reach['seed']:.1f}.{luck}"
    )
