"""Many runs at once: a grid over any dials, or a search for a good learning rate.

A grid trains every combination, several at a time with joblib, in the main lab or in the backup lab::

    python3 workshop.py sweep --over LR_PRESET=1e-5,3e-5,1e-4 --over GROUP=1,2,3 --set MODEL=embedded
    python3 workshop.py sweep --lab backup --over LR_PRESET=0.1,1,10 --over GROUP=1,2,3,4 --jobs 2

A search lets Optuna or Ray Tune choose rate and weight decay, through the Trainer's own ``hyperparameter_search``
(``pip install -r requirements/sweep.txt``)::

    python3 workshop.py sweep --search 20 --set MODEL=embedded

Either way each run is recorded like every other under ``lab/runs/``, where the log and the board of notebook 03 read
it. What the log has already is not trained again, so a grid that was cut off goes on.
"""

import argparse
import dataclasses
import importlib.util
import itertools
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import joblib
from tqdm import tqdm

from tuning.command import one_line_errors
from tuning.data.loading import Data, Splits, load, split
from tuning.dials import Dials, SgdDials, parse_settings
from tuning.encoder import finding as encoders
from tuning.errors import DialError, RunError
from tuning.runs.store import adopted_from, readable_runs
from tuning.training import machine

LABS = {"main": Dials, "backup": SgdDials}
ENGINES = ("optuna", "ray")
RATES = (1e-6, 1e-2)
DECAYS = (0.0, 0.3)


def grid(lab: str, fixed: Mapping[str, Any], over: Mapping[str, Sequence[Any]]) -> list[Dials | SgdDials]:
    """Every combination of the values of some dials.

    Parameters
    ----------
    lab : str
        ``main`` or ``backup``.
    fixed : mapping of str to object
        Dials with one value.
    over : mapping of str to sequence
        Dials with several.

    Returns
    -------
    list of Dials or SgdDials
        In the order of the values, the last dial changing fastest; what comes to the same dials, such as 1 and 1e0,
        is there once.

    Raises
    ------
    DialError
        If a name or a value cannot be used; nothing has been trained then.
    """
    combinations = [
        LABS[lab].from_settings({**fixed, **dict(zip(over, values, strict=True))})
        for values in itertools.product(*over.values())
    ]
    return list(dict.fromkeys(combinations))


def missing(wanted: Sequence[Dials | SgdDials]) -> list[Dials | SgdDials]:
    """Those of these runs that the log does not have from this machine, with these sentences, encoder and versions."""
    here = machine.versions()
    there = {
        _key(run.dials, run.data["sha256"], run.encoder["revision"], run.is_backup)
        for run in readable_runs()[0]
        if run.outcome != "interrupted" and run.versions == here and adopted_from(run) is None and not run.departures
    }
    return [dials for dials in wanted if _key_of(dials) not in there]


def _key_of(dials: Dials | SgdDials) -> str:
    backup = isinstance(dials, SgdDials)
    revision = machine.versions()["scikit-learn"] if backup else encoders.find(dials.MODEL).revision
    data = load(dials.DATA, dials.AGREEMENT)
    return _key(dials.as_dict() | {"DATA": data.source}, data.sha256, revision, backup)


def _key(*parts: Any) -> str:
    return json.dumps(parts, sort_keys=True)


def train(dials: Dials | SgdDials) -> str:
    """Train and record one run; give its name."""
    if isinstance(dials, SgdDials):
        from tuning.sgd import classifier

        return classifier.fit(dials).run_id
    from tuning.training.fit import fit

    return fit(dials, quiet=True).run_id


def run_grid(wanted: Sequence[Dials | SgdDials], jobs: int) -> Iterator[str]:
    """Train several runs, some of them at a time.

    Parameters
    ----------
    wanted : sequence of Dials or SgdDials
    jobs : int
        Processes that train at once; they share the processor's cores.

    Yields
    ------
    str
        Name of each run, as it is finished.
    """
    return joblib.Parallel(n_jobs=jobs, return_as="generator_unordered")(joblib.delayed(train)(one) for one in wanted)


def search(dials: Dials, trials: int, engine: str) -> dict[str, Any]:
    """Let an engine look for a learning rate and a weight decay, and record every trial as a run.

    Parameters
    ----------
    dials : Dials
        All the other dials.
    trials : int
    engine : str
        ``optuna`` or ``ray``.

    Returns
    -------
    dict
        Learning rate and weight decay of the best trial, by macro-F1 on validation.

    Raises
    ------
    RunError
        If the engine is not installed.
    """
    if importlib.util.find_spec(engine) is None:
        raise RunError(f"{engine} is not installed. Run: pip install -r requirements/sweep.txt")
    data = load(dials.DATA, dials.AGREEMENT)
    with tempfile.TemporaryDirectory() as scratch:
        trainer = _search_trainer(dials, data, split(data), scratch)
        space, settings = _space(engine, dials, scratch)
        best = trainer.hyperparameter_search(
            hp_space=space,
            compute_objective=_objective,
            n_trials=trials,
            direction="maximize",
            backend=engine,
            **settings,
        )
    return best.hyperparameters


def _objective(scores: Mapping[str, float]) -> float:
    return scores["eval_validation_f1_macro"]


def _space(engine: str, dials: Dials, scratch: str) -> tuple[Any, dict[str, Any]]:
    """The space to search in the words of an engine, and its settings."""
    if engine == "ray":
        from ray import tune

        values = {"learning_rate": tune.loguniform(*RATES), "weight_decay": tune.uniform(*DECAYS)}
        one_each = {"cpu": max((os.cpu_count() or 1) // 2, 1), "gpu": 0}
        return lambda trial: dict(values), {"resources_per_trial": one_each, "storage_path": scratch, "verbose": 0}
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)

    def values_of(trial: Any) -> dict[str, float]:
        return {
            "learning_rate": trial.suggest_float("learning_rate", *RATES, log=True),
            "weight_decay": trial.suggest_float("weight_decay", *DECAYS),
        }

    # A trial that is cut short has no end that could be recorded.
    return values_of, {"sampler": optuna.samplers.TPESampler(seed=dials.seed), "pruner": optuna.pruners.NopPruner()}


def _search_trainer(dials: Dials, data: Data, splits: Splits, scratch: str) -> Any:
    """The Trainer of the lab, which makes each trial of a search a recorded run."""
    from tuning.training.arguments import training_arguments
    from tuning.training.recording import Recording
    from tuning.training.trainer import TRAINERS, build_trainer, prepare

    setup = prepare(dials, splits=splits)
    encoder, tokens, precision = setup.encoder, setup.tokens, setup.precision

    class Recorded(TRAINERS[dials.SPEED]):
        """One recorded run for each trial."""

        def train(self, resume_from_checkpoint: Any = None, trial: Any = None, **others: Any) -> Any:
            """Train with the values of a trial, between the beginning and the end of a record."""
            chosen = {**(trial if isinstance(trial, dict) else self.hp_space(trial))}
            for name, value in chosen.items():
                setattr(self.args, name, value)
            own = dataclasses.replace(dials, LR_PRESET=chosen["learning_rate"], WEIGHT_DECAY=chosen["weight_decay"])
            recording = Recording(own, data, splits, encoder, precision, "script")
            self.model = self.call_model_init(trial)
            self.add_callback(recording.recorder)
            try:
                with recording.record_training(self, dataclasses.replace(tokens, dials=own)):
                    return super().train(trial=trial, **others)
            finally:
                self.remove_callback(recording.recorder)

    args = training_arguments(dials, RATES[0], precision, output_dir=scratch, save_strategy="no")
    return build_trainer(
        *(setup, args, Recorded), model=None, model_init=lambda: encoders.build(encoder, dials.seed)[0]
    )


@one_line_errors
def main(argv: list[str] | None = None) -> int:
    """Command line; see ``workshop.py sweep --help``."""
    parser = argparse.ArgumentParser(
        prog="workshop.py sweep", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--lab", choices=LABS, default="main", help="which lab's runs (default: main)")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a dial that stays")
    parser.add_argument("--over", action="append", default=[], metavar="NAME=A,B,...", help="a dial and its values")
    parser.add_argument("--jobs", type=int, default=1, help="runs that train at once (default: %(default)s)")
    parser.add_argument("--search", type=int, metavar="TRIALS", help="search for rate and weight decay instead")
    parser.add_argument("--engine", choices=ENGINES, default=ENGINES[0], help="who searches (default: %(default)s)")
    options = parser.parse_args(argv)
    for name, number in (("--jobs", options.jobs), ("--search", options.search)):
        if number is not None and number < 1:
            raise DialError(f"{name} {number} cannot be used. Allowed: a whole number from 1.")
    fixed = parse_settings(options.set)
    if options.search is not None:
        best = search(Dials.from_settings(fixed), options.search, options.engine)
        print("best:", ", ".join(f"{name} {value:.3g}" for name, value in best.items()))
        return 0
    over = {name: values.split(",") for name, values in parse_settings(options.over).items()}
    wanted = grid(options.lab, fixed, over)
    todo = missing(wanted)
    if len(todo) < len(wanted):
        print(f"{len(wanted) - len(todo)} of {len(wanted)} runs are in the log already.")
    for _ in tqdm(run_grid(todo, options.jobs), total=len(todo), unit="run", disable=not todo):
        pass
    print(f"{len(todo)} runs were recorded. The board shows them: python3 workshop.py run --notebook 03")
    return 0


if __name__ == "__main__":
    sys.exit(main())
