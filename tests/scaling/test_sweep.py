"""Sweeps: every combination once, recorded like any other run, and continued where they were cut off."""

import importlib.util

import pytest

from scaling import sweep
from tuning.dials import Dials, SgdDials
from tuning.errors import DialError
from tuning.runs.store import WEIGHTS_KEPT, finished_runs, readable_runs

FEW = {"EPOCHS": 1, "TRAIN_SUBSET": 48}


def test_a_grid_holds_every_combination_once():
    found = sweep.grid("main", {"EPOCHS": "3"}, {"LR_PRESET": ["1e-5", "TOO_HIGH"], "GROUP": ["1", "2", "3"]})
    assert [(dials.LR_PRESET, dials.GROUP) for dials in found] == [
        (rate, group) for rate in (1e-5, "TOO_HIGH") for group in (1, 2, 3)
    ]
    assert all(isinstance(dials, Dials) and dials.EPOCHS == 3 for dials in found)
    assert isinstance(sweep.grid("backup", {}, {"ALPHA": ["1e-4"]})[0], SgdDials)


@pytest.mark.parametrize(("over", "told"), [({"LR_PRESET": ["1e-5", "fast"]}, "fast"), ({"RATE": ["1"]}, "not a dial")])
def test_a_wrong_value_is_refused_before_anything_is_trained(over, told):
    with pytest.raises(DialError, match=told):
        sweep.grid("main", {}, over)


def test_a_sweep_of_the_backup_lab_is_recorded_and_goes_on(capsys):
    command = ["--lab", "backup", "--set", "EPOCHS=1", "--set", "TRAIN_SUBSET=48", "--over", "GROUP=1,2"]
    assert sweep.main([*command, "--over", "LR_PRESET=1"]) == 0
    assert sweep.main([*command, "--over", "LR_PRESET=1,10", "--jobs", "2"]) == 0
    assert "2 of 4 runs are in the log already" in capsys.readouterr().out
    runs, damaged = readable_runs()
    assert not damaged
    assert sorted((run.learning_rate, run.seed) for run in runs) == [(1, 1), (1, 2), (10, 1), (10, 2)]
    assert {run.notebook for run in runs} == {"02"}


def test_the_board_reads_a_sweep():
    from tuning.room import board

    dials = sweep.grid("backup", FEW, {"LR_PRESET": [0.1, 10], "GROUP": [1, 2]})
    names = set(sweep.run_grid(dials, jobs=1))
    assert {folder.name for folder in finished_runs()} == names
    assert {shared.run.run_id for shared in board.collect().compared} == names


@pytest.mark.slow
def test_a_sweep_of_the_main_lab_is_recorded(tiny_distilbert):
    fixed = FEW | {"MODEL": str(tiny_distilbert), "MAX_LENGTH": 16, "PRECISION": "fp32"}
    dials = sweep.grid("main", fixed, {"LR_PRESET": [1e-4, 1e-3], "GROUP": [1, 2]})
    assert len(list(sweep.run_grid(dials, jobs=1))) == 4
    assert sweep.missing(dials) == []
    runs = readable_runs()[0]
    assert sorted((run.learning_rate, run.seed) for run in runs) == [(1e-4, 1), (1e-4, 2), (1e-3, 1), (1e-3, 2)]
    assert len([folder for folder in finished_runs() if (folder / "model").is_dir()]) == WEIGHTS_KEPT


def test_an_engine_that_is_not_installed_is_named(capsys, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert sweep.main(["--search", "2"]) == 2
    assert "requirements/sweep.txt" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("optuna") is None, reason="optuna is not installed here")
def test_every_trial_of_a_search_is_a_run(tiny_distilbert):
    few = Dials(**FEW, MODEL=str(tiny_distilbert), MAX_LENGTH=16, PRECISION="fp32")
    best = sweep.search(few, trials=3, engine="optuna")
    runs = readable_runs()[0]
    assert len(runs) == 3
    assert len({run.learning_rate for run in runs}) == 3
    top = max(runs, key=lambda run: run.epochs[-1]["val_f1_macro"])
    assert top.final["val_f1_macro"] == pytest.approx(top.epochs[-1]["val_f1_macro"])
    assert any(best["learning_rate"] == run.learning_rate for run in runs)


@pytest.mark.parametrize("option", ["--jobs=0", "--jobs=-2", "--search=-1", "--search=0"])
def test_numbers_below_one_are_refused_in_one_line(option, capsys):
    assert sweep.main([option, "--lab", "backup", "--over", "GROUP=1"]) == 2
    error = capsys.readouterr().err
    assert error == f"error: {option.replace('=', ' ')} cannot be used. Allowed: a whole number from 1.\n"


@pytest.mark.parametrize("lab", ["main", "backup"])
def test_what_comes_to_the_same_dials_is_trained_once(lab):
    found = sweep.grid(lab, {}, {"LR_PRESET": ["1", "1.0", "1e0", "JUST_RIGHT"], "GROUP": ["2", "2", "3"]})
    assert [(dials.LR_PRESET, dials.GROUP) for dials in found] == [
        (1.0, 2),
        (1.0, 3),
        ("JUST_RIGHT", 2),
        ("JUST_RIGHT", 3),
    ]
