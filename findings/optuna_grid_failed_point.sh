#!/usr/bin/env bash
# Guess: a point of the grid whose trial failed is tried again, or the sampler says at the end that it is missing.
# Seen (optuna 5.0.0): GridSampler counts a failed trial as done. The study ends without an error or a warning, with one
# point of the grid never measured.
# Who meets it: anybody whose sweep survives a diverged or interrupted run.
exec "$(dirname "${BASH_SOURCE[0]}")/fresh" optuna==5.0.0 <<'PY'
import optuna

optuna.logging.set_verbosity(optuna.logging.ERROR)
study = optuna.create_study(sampler=optuna.samplers.GridSampler({"preset": [1, 2, 3]}, seed=0))
tried = []


def objective(trial):
    preset = trial.suggest_int("preset", 1, 3)
    tried.append(preset)
    if len(tried) == 1:
        raise RuntimeError("out of memory, say")
    return preset


study.optimize(objective, catch=(RuntimeError,))
states = [trial.state.name for trial in study.trials]
print("tried:", tried, states)
assert sorted(tried) == [1, 2, 3]
assert states == ["FAIL", "COMPLETE", "COMPLETE"]
PY
