"""Reference runs: what the room will see, recorded on one machine by one command.

``python3 workshop.py reference`` trains three presets with three seeds, an over-training run and a sweep of learning
rates, and keeps a thinned record of each under ``assets/reference_runs/``. Every figure that the documents quote and
every curve picture comes from these files.
"""

import argparse
import copy
import json
import os
import sys
import tempfile

import numpy as np
from tqdm import tqdm

from tuning import folders
from tuning.dials import PRESETS, Dials
from tuning.errors import WorkshopError
from tuning.run import Run, check, finite, write_whole

FOLDER = folders.ROOT / "assets" / "reference_runs"
SEEDS = (1, 2, 3)
SWEEP = tuple(float(f"{rate:.2g}") for rate in np.logspace(-7, -1, 12))
OVER_TRAINING = {"TRAIN_SUBSET": 200, "EPOCHS": 12, "GROUP": 1}
ALL_STEPS_UNTIL = 40
DIGITS = 5


def plan(model: str) -> dict[str, Dials]:
    """Name and dials of every reference run, in the order in which they are trained.

    Parameters
    ----------
    model : str
        The dial ``MODEL``.
    """
    presets = {
        f"{preset.lower()}-seed{seed}": Dials(LR_PRESET=preset, GROUP=seed, MODEL=model)
        for preset in PRESETS
        for seed in SEEDS
    }
    sweep = {
        f"sweep-{number:02d}": Dials(LR_PRESET=rate, GROUP=1, MODEL=model) for number, rate in enumerate(SWEEP, start=1)
    }
    return presets | {"over-training": Dials(MODEL=model, **OVER_TRAINING)} | sweep


def thin(run: Run, every: int = 2) -> Run:
    """Copy a record with fewer steps and shorter numbers: enough for a picture and a verdict.

    Parameters
    ----------
    run : Run
    every : int
        After the first steps, which all stay, one step in so many is kept, the last always.
    """
    small = copy.deepcopy(run)
    small.steps = [
        _rounded(step)
        for step in run.steps
        if step["step"] <= ALL_STEPS_UNTIL or step["step"] % every == 0 or step is run.steps[-1]
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
    record = finite(vars(thin(run)))
    check(record, name)
    steps = record.pop("steps")
    text = json.dumps(record, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    lines = ",\n".join(json.dumps(step, separators=(",", ":")) for step in steps)
    write_whole(FOLDER / f"{name}.json", f'{text[:-1]},"steps":[\n{lines}\n]}}\n')


def load(name: str) -> Run:
    """Read one reference run.

    Raises
    ------
    RunError
        If it is not there.
    """
    return Run.load(FOLDER / f"{name}.json")


def names(start: str = "") -> list[str]:
    """Names of the reference runs that are there, in order, from a given beginning on."""
    return sorted(path.stem for path in FOLDER.glob(f"{start}*.json"))


def record(model: str, only: list[str]) -> None:
    """Train and keep the planned runs; what `only` names, or all."""
    chosen = {name: dials for name, dials in plan(model).items() if not only or name in only}
    with tempfile.TemporaryDirectory() as scratch, tqdm(chosen.items(), unit="run") as bar:
        os.environ["WORKSHOP_RUNS"] = scratch
        for name, dials in bar:
            from tuning.training import fit

            bar.set_description(name)
            save(fit(dials, quiet=True), name)


def main(argv: list[str] | None = None) -> int:
    """Command line of ``workshop.py reference``."""
    parser = argparse.ArgumentParser(prog="workshop.py reference", description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="distilbert", help="the dial MODEL: distilbert, embedded or a folder")
    parser.add_argument("--only", nargs="*", default=[], metavar="NAME", help="only these runs")
    options = parser.parse_args(argv)
    try:
        record(options.model, options.only)
    except WorkshopError as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 2
    print(f"Reference runs are in {folders.short(FOLDER)}. Next: python3 workshop.py figures")
    return 0


if __name__ == "__main__":
    sys.exit(main())
