"""Variations of a run: the same dials but for one, found in the log or trained now, and what they will take.

What stands in the log already is not trained again; every new one becomes a run of the log like any other.
"""

import dataclasses
import shutil
from collections.abc import Container, Mapping, Sequence
from functools import partial
from typing import Any

from tuning.cost import estimate
from tuning.data.loading import load
from tuning.dials import EVERYTHING, Dials, FrozenDials, FurtherDials, SgdDials
from tuning.encoder.finding import Encoder
from tuning.encoder.run_models import encoder_of
from tuning.errors import RunError
from tuning.runs.record import FURTHER_NOTEBOOK, Run
from tuning.runs.store import ADAPTER, adopted_from, readable_runs
from tuning.training import machine

_MAIN_LAB = ("01", FURTHER_NOTEBOOK, "script")


def recorded_runs() -> list[Run]:
    return readable_runs()[0]


def dials_from(values: Mapping[str, Any]) -> Dials:
    """Dials from a record, which may lack dials that came later."""
    kind = Dials if values.get("TRAINED", EVERYTHING) == EVERYTHING else FrozenDials
    return kind(**{name: values[name] for name in kind.names() if name in values})


def vary(run_1: Run, title: str, **changes: Any) -> Run:
    """Repeat Run 1 with some dials changed, or find that run in the log; it is Run 1 itself where nothing differs.

    The trained weights are not kept, so that those of Run 1 stay.
    """
    encoder = encoder_of(run_1)
    dials = _varied(run_1, changes, encoder)
    if dials is None:
        return run_1
    run = find_or_train(dials, title, encoder, FURTHER_NOTEBOOK)
    if run.notebook == FURTHER_NOTEBOOK:
        shutil.rmtree(run.folder / "model", ignore_errors=True)
    return run


def _varied(run_1: Run, changes: Mapping[str, Any], encoder: Encoder) -> Dials | None:
    """The dials of a variation; None where it is Run 1 itself."""
    dials = dials_from(run_1.dials | changes)
    # A preset may have got another rate since Run 1 was made.
    if "LR_PRESET" not in changes and encoder.rate(dials.LR_PRESET) != run_1.learning_rate:
        dials = dataclasses.replace(dials, LR_PRESET=run_1.learning_rate)
    same = _same_dials(run_1, dials) and run_1.learning_rate == encoder.rate(dials.LR_PRESET)
    return None if same else dials


def find_or_train(dials: Dials, title: str, encoder: Encoder, notebook: str = "script") -> Run:
    """Give a run with exactly these dials, made on this machine: from the log, or trained now.

    A `RunError` where the stop button ended the training.
    """
    recorded = in_log(dials, encoder)
    if recorded is not None:
        print(f"{title}: {recorded.run_id} is in your log already, so it is not trained again.")
        return recorded
    from tuning.training import fit

    speed = estimate.known(dials, encoder)
    expected = (
        None if speed is None else estimate.for_part(speed, dials, encoder).seconds(estimate.work(dials, encoder))
    )
    run = fit.fit(dials, notebook, watch=_watcher(title), encoder=encoder)
    if run.outcome == "interrupted":
        raise RunError(f"{title} was stopped by hand. Run this cell again to train it; what is finished stays.")
    took = estimate.clock(run.timing["total_seconds"])
    estimated = "" if expected is None else f", estimated {estimate.clock(expected)}"
    print(f"{title}: {run.outcome}, recorded as {run.run_id} ({took}{estimated})")
    return run


def _watcher(title: str) -> Any:
    from IPython import get_ipython

    from tuning.training.live import LiveLine, ProgressLine

    return ProgressLine if get_ipython() is None else partial(LiveLine, title=title)


def in_log(dials: Dials, encoder: Encoder) -> Run | None:
    """The newest run of this machine with these dials on the same sentences, encoder and versions."""
    here, sha256 = machine.versions(), load(dials.DATA, dials.AGREEMENT).sha256
    for run in reversed(recorded_runs()):
        if (
            _same_dials(run, dials)
            and not run.is_backup
            and run.outcome != "interrupted"
            and adopted_from(run) is None
            and run.versions == here
            and run.learning_rate == encoder.rate(dials.LR_PRESET)
            # An archive carries no adapter.
            and (run.adapter is None or (run.folder / ADAPTER).is_dir())
            and (run.encoder["revision"], run.data["sha256"]) == (encoder.revision, sha256)
        ):
            return run
    return None


def _same_dials(run: Run, dials: Dials) -> bool:
    """Whether a record was made with these dials; one that came later counts with its default."""
    asked = FrozenDials().as_dict() | dials.as_dict()
    recorded = FrozenDials().as_dict() | {name: run.dials[name] for name in asked if name in run.dials}
    return asked == recorded and not run.departures


def forecast(
    run_1: Run, setup: FurtherDials, *variations: Mapping[str, Any], more: Sequence[estimate.Work] = ()
) -> str:
    """What variations of Run 1, and `more` work, will take here; what is in the log already does not count.

    Each variation holds the dials that it changes, as :func:`vary` takes them.
    """
    encoder = encoder_of(run_1)
    asked = [dials for change in variations if (dials := _varied(run_1, change, encoder)) is not None]
    missing = [dials for dials in asked if in_log(dials, encoder) is None]
    if not missing and not more:
        return "To do: no training. All of it is in your log already."
    base = dials_from(run_1.dials)
    speed = estimate.known(base, encoder) or estimate.probe(base, encoder)
    seconds = sum(estimate.for_part(speed, dials, encoder).seconds(estimate.work(dials, encoder)) for dials in missing)
    seconds += sum(speed.seconds(work) for work in more)
    count = len(missing) + len(more)
    what = f"{count} trainings, most of them short" if more else f"{count} run{'s' * (count != 1)}"
    return f"To do: {what}, {estimate.Estimate(seconds, speed.source, setup.WATTS, setup.PRICE_PER_HOUR)}."


def same_but_seed(run_1: Run) -> list[Run]:
    """One run for each seed, Run 1 first, that differs from it in the seed alone, from log and reference runs."""
    from tuning.runs import reference

    by_seed = {run_1.seed: run_1}
    like = without(run_1, "GROUP")
    for run in [*reversed(recorded_runs()), *(reference.load(name) for name in reference.names("just_right"))]:
        if run.outcome == "completed" and run.final.get("val_f1_macro") is not None and without(run, "GROUP") == like:
            by_seed.setdefault(run.seed, run)
    return list(by_seed.values())


def without(run: Run, *left_out: str) -> tuple:
    """What decides a run's numbers apart from some dials; equal for two runs that differ in these alone.

    What a group called its encoder says less than which one it was, and a preset's name less than its rate.
    """
    dials = FrozenDials().as_dict() | run.dials
    kept = {name: value for name, value in dials.items() if name not in ("MODEL", "PRECISION", "LR_PRESET", *left_out)}
    rate = None if "LR_PRESET" in left_out else run.learning_rate
    made_from = run.encoder["revision"], run.data["sha256"], run.machine["precision"], run.notebook in _MAIN_LAB
    return kept, rate, *made_from, run.departures


def another_seed(run_1: Run, taken: Container[int] = ()) -> int:
    """The smallest group number, that is a seed, which neither Run 1 nor others have used."""
    return next(number for number in range(1, 13) if number != run_1.seed and number not in taken)


def seeds(run_1: Run, least: int = 3) -> list[Run]:
    """Run 1 and others that differ in the seed alone, `least` in all; what is missing is trained now."""
    return same_but_seed(run_1) + [
        vary(run_1, f"seed {change['GROUP']}", **change) for change in missing_seeds(run_1, least)
    ]


def missing_seeds(run_1: Run, least: int = 3) -> list[dict[str, int]]:
    """What :func:`seeds` will have to train: for each run the dial that it changes."""
    taken = [run.seed for run in same_but_seed(run_1)]
    missing: list[dict[str, int]] = []
    while len(taken) < least:
        taken.append(another_seed(run_1, taken))
        missing.append({"GROUP": taken[-1]})
    return missing


def backup_run(run_1: Run) -> Run:
    """Give a run of the backup lab on the sentences and labels of Run 1: from the log, or trained now, in seconds."""
    from tuning.sgd import classifier

    same = ("GROUP", "TRAIN_SUBSET", "DATA", "AGREEMENT", "LABEL_NOISE")
    wanted = SgdDials(**{name: run_1.dials[name] for name in same})
    for run in reversed(recorded_runs()):
        if (
            run.is_backup
            and adopted_from(run) is None
            and (run.preset, run.dials["LABEL_NOISE"]) == (wanted.LR_PRESET, wanted.LABEL_NOISE)
            and not (run.dials["LABEL_NOISE"] and run.dials["NOISY_VALIDATION"])
            and run.data["sha256"] == run_1.data["sha256"]
            and run.data["train_used"] == run_1.data["train_used"]
        ):
            print(f"From your log: {run.run_id}.")
            return run
    run = classifier.fit(wanted)
    print(
        f"Your log has no run of the backup lab on these sentences, so {run.run_id} was trained now, in"
        f" {run.timing['train_seconds']:.0f} s. Notebook 02 shows how, and with all three presets."
    )
    return run
