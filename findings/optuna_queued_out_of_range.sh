#!/usr/bin/env bash
# Guess: a value that is queued for a trial and lies outside the range of its parameter is refused.
# Seen (optuna 5.0.0): the trial runs with it, is complete, and can be the best of the study. A warning is all.
# Who meets it: anybody who queues the settings of an earlier sweep after narrowing the range.
exec "$(dirname "${BASH_SOURCE[0]}")/fresh" optuna==5.0.0 <<'PY'
import optuna

optuna.logging.set_verbosity(optuna.logging.ERROR)
study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
study.enqueue_trial({"rate": 1e-7})
study.optimize(lambda trial: trial.suggest_float("rate", 1e-5, 1e-2, log=True), n_trials=4)
print("rates:", [trial.params["rate"] for trial in study.trials])
print("best:", study.best_params)
assert study.trials[0].state.name == "COMPLETE"
assert study.best_params == {"rate": 1e-7}
PY
