"""Reference runs: what the room will see, recorded on one machine by one command.

``python3 workshop.py reference`` trains three presets with three seeds, runs that over-fit, a sweep of learning rates,
and three ways to spend the budget of Activity 5, then the presets and a sweep of the backup lab. Every figure that the
documents quote and every curve picture comes from the records under ``assets/reference_runs/``. The main lab's runs are
kept whole, because curves are drawn from them; the sweeps, the budget runs and the backup lab's runs are thinned.
"""

import argparse
import copy
import dataclasses
import fnmatch
import json
import os
import sys
import tempfile
from collections.abc import Iterator

import numpy as np
from tqdm import tqdm

from tuning import paths
from tuning.command import one_line_errors
from tuning.dials import PRESETS, Dials, SgdDials
from tuning.errors import EncoderError
from tuning.files import write_whole
from tuning.runs.diagnosis import diagnose
from tuning.runs.record import Run, check
from tuning.runs.reference import FOLDER, load, names

SEEDS = (1, 2, 3)
# The presets' runs serve as curve pictures and as cases of the clinic.
PRESET_SEEDS = (1, 2, 3, 4, 5)
SWEEP = tuple(float(f"{rate:.2g}") for rate in np.logspace(-7, -1, 12))
BACKUP_SWEEP = tuple(float(f"{rate:.2g}") for rate in np.logspace(-4, 3, 8))
# Few sentences, many epochs: the scores stay and the loss rises.
OVER_TRAINING = {"TRAIN_SUBSET": 200, "EPOCHS": 12, "GROUP": 1}
# Wrong labels to learn by heart: the scores fall as well.
OVER_FITTING = {"LABEL_NOISE": 0.3, "EPOCHS": 6}
# Ways to spend 4,800 sentence-passes.
BUDGET = ((2400, 2), (1600, 3), (800, 6))
DIGITS = 4
BACKUP = "backup-"
SWEPT, BUDGETED = "sweep-", "budget-"
# Beside the built-in encoder's runs; see `drawn_from`.
DISTILBERT = "distilbert-"
# What a room sees that keeps to the room card, whatever its machines would choose; in a folder of their own.
FP32 = "fp32/"


@dataclasses.dataclass(frozen=True)
class Thinning:
    """Which steps of a record are kept: all of the first ones, then each `every`-th, and the last."""

    first: int
    every: int


WHOLE = Thinning(first=0, every=1)
SWEEP_THINNING = Thinning(first=24, every=4)
BACKUP_THINNING = Thinning(first=40, every=80)


def plan(model: str) -> dict[str, Dials | SgdDials]:
    """Name and dials of every reference run, in the order in which they are trained.

    Parameters
    ----------
    model : str
        The dial ``MODEL`` of the main lab's runs.
    """
    start = DISTILBERT if model == "distilbert" else ""
    main: dict[str, Dials | SgdDials] = {
        f"{start}{preset.lower()}-seed{seed}": Dials(LR_PRESET=preset, GROUP=seed, MODEL=model)
        for preset in PRESETS
        for seed in PRESET_SEEDS
    }
    main |= {
        f"{FP32}{start}{preset.lower()}-seed{seed}": Dials(LR_PRESET=preset, GROUP=seed, MODEL=model, PRECISION="fp32")
        for preset in PRESETS
        for seed in SEEDS
    }
    main[f"{start}over-training"] = Dials(MODEL=model, **OVER_TRAINING)
    main |= {f"{start}over-fitting-seed{seed}": Dials(MODEL=model, GROUP=seed, **OVER_FITTING) for seed in SEEDS}
    main |= {
        f"{start}{BUDGETED}{size}x{epochs}-seed{seed}": Dials(MODEL=model, GROUP=seed, TRAIN_SUBSET=size, EPOCHS=epochs)
        for size, epochs in BUDGET
        for seed in SEEDS
    }
    main |= {
        f"{start}{SWEPT}{number:02d}": Dials(LR_PRESET=rate, GROUP=1, MODEL=model) for number, rate in _numbered(SWEEP)
    }
    backup = {
        f"{BACKUP}{preset.lower()}-seed{seed}": SgdDials(LR_PRESET=preset, GROUP=seed)
        for preset in PRESETS
        for seed in SEEDS
    }
    backup |= {
        f"{BACKUP}{SWEPT}{number:02d}": SgdDials(LR_PRESET=rate, GROUP=1) for number, rate in _numbered(BACKUP_SWEEP)
    }
    return main | backup


def _numbered(rates: tuple[float, ...]) -> Iterator[tuple[int, float]]:
    return enumerate(rates, start=1)


def thinning(name: str) -> Thinning:
    """How much of a run of this name is kept: whole where a curve is drawn from it."""
    if name.startswith(BACKUP):
        return BACKUP_THINNING
    return SWEEP_THINNING if name.removeprefix(DISTILBERT).startswith((SWEPT, BUDGETED, FP32)) else WHOLE


def drawn_from() -> str:
    """What the names of the runs begin with that curves and clinic are drawn from: DistilBERT's once all are here."""
    needed = {name for name in plan("distilbert") if name.startswith(DISTILBERT)}
    return DISTILBERT if needed <= {*names()} else ""


def thin(run: Run, rule: Thinning = WHOLE) -> Run:
    """Copy a record with fewer steps and shorter numbers: enough for a picture and a verdict.

    Parameters
    ----------
    run : Run
    rule : Thinning
    """
    small = copy.deepcopy(run)
    small.steps = [
        _rounded(step)
        for step in run.steps
        if step["step"] <= rule.first or step["step"] % rule.every == 0 or step is run.steps[-1]
    ]
    for part in ("epochs", "baseline", "final", "majority", "timing", "test", "machine"):
        setattr(small, part, _rounded(getattr(run, part)))
    return small


def _rounded(value):
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value


def save(run: Run, name: str) -> None:
    """Write a thinned record; the steps one to a line, so that a change can be read."""
    record = thin(run, thinning(name)).as_record()
    check(record, name)
    steps = record.pop("steps")
    text = json.dumps(record, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    lines = ",\n".join(json.dumps(step, separators=(",", ":")) for step in steps)
    write_whole(FOLDER / f"{name}.json", f'{text[:-1]},"steps":[\n{lines}\n]}}\n')


def record(model: str, only: list[str]) -> None:
    """Train and keep the planned runs; those whose name matches a pattern of `only`, or all.

    Raises
    ------
    EncoderError
        If the encoder is not here, so that another one would be recorded in its place.
    """
    chosen = {
        name: dials
        for name, dials in plan(model).items()
        if not only or any(fnmatch.fnmatch(name.replace(DISTILBERT, ""), pattern) for pattern in only)
    }
    if any(isinstance(dials, Dials) for dials in chosen.values()):
        from tuning.encoder import finding

        if told := finding.find(model).banner:
            raise EncoderError(f"A reference run has to be one of the encoder that was asked for. {told}")
    with tempfile.TemporaryDirectory() as scratch, tqdm(chosen.items(), unit="run") as bar:
        os.environ["WORKSHOP_RUNS"] = scratch
        for name, dials in bar:
            bar.set_description(name)
            save(_train(dials), name)


def judge() -> None:
    """Judge the records that are there by the rules of today, without training anything."""
    for name in [*names(), *names(FP32)]:
        run = load(name)
        run.diagnosis = diagnose(run).as_dict()
        save(run, name)


def _train(dials: Dials | SgdDials) -> Run:
    if isinstance(dials, SgdDials):
        from tuning.sgd import classifier

        return classifier.fit(dials)
    from tuning.training.fit import fit

    return fit(dials, quiet=True)


@one_line_errors
def main(argv: list[str] | None = None) -> int:
    """Command line of ``workshop.py reference``."""
    parser = argparse.ArgumentParser(prog="workshop.py reference", description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="distilbert", help="the dial MODEL: distilbert, embedded or a folder")
    parser.add_argument(
        "--only",
        nargs="*",
        default=[],
        metavar="NAME",
        help="only runs whose name matches, such as too_low-seed1 or 'backup-*'",
    )
    parser.add_argument("--judge", action="store_true", help="train nothing; judge the records by the rules of today")
    options = parser.parse_args(argv)
    judge() if options.judge else record(options.model, options.only)
    print(f"Reference runs are in {paths.short(FOLDER)}. Next: python3 workshop.py figures")
    return 0


if __name__ == "__main__":
    sys.exit(main())
