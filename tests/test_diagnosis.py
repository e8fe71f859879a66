"""Verdict and convergence on records that show one symptom each."""

import math

import numpy as np
import pytest

from tuning.diagnosis import WORKSHEET_DELTA, convergence, diagnose

NOTHING = math.nan
FLAT = np.full(60, 1.10)
FALLING = np.linspace(1.10, 0.45, 60)
START = [1.1, 1.4, 2.6, 3.4, 3.0, 2.2]
VIOLENT = np.concatenate([START, np.linspace(1.8, 1.05, 54)])
ONE_CLASS = {"negative": 0, "neutral": 250, "positive": 0}
MAJORITY_SCORES = {"val_accuracy": 0.52, "val_f1_macro": 0.228, "train_accuracy": 0.51, "gap_accuracy": -0.01}

COLLAPSED = {
    "losses": VIOLENT,
    "epochs": [(1.04, 1.04), (1.03, 1.04)],
    "final": MAJORITY_SCORES
    | {"train_loss": 1.03, "val_loss": 1.04, "val_predicted": ONE_CLASS, "weight_movement": 0.35},
}
TOO_HIGH = {
    "losses": VIOLENT,
    "epochs": [(1.04, 1.05), (1.00, 1.02)],
    "final": {
        "train_loss": 1.00,
        "val_loss": 1.02,
        "val_accuracy": 0.50,
        "val_f1_macro": 0.30,
        "weight_movement": 0.30,
    },
}
TOO_LOW = {
    "losses": FLAT,
    "epochs": [(1.095, 1.096), (1.09, 1.09)],
    "final": MAJORITY_SCORES
    | {"train_loss": 1.09, "val_loss": 1.09, "val_predicted": ONE_CLASS, "weight_movement": 1e-5},
}
SLOW = {
    "losses": np.linspace(1.1, 0.95, 60),
    "epochs": [(1.0, 1.0), (0.93, 0.95)],
    "final": MAJORITY_SCORES
    | {"train_loss": 0.93, "val_loss": 0.95, "val_predicted": ONE_CLASS, "weight_movement": 0.01},
}
JUST_RIGHT = {"losses": FALLING, "final": {"weight_movement": 0.03}}
RECOVERED = {"losses": np.concatenate([START, np.linspace(1.8, 0.45, 54)]), "final": {"weight_movement": 0.08}}
LASTING = {"losses": VIOLENT, "final": {"weight_movement": 0.08}}
OVERFITTING = {
    "losses": np.linspace(1.1, 0.02, 120),
    "epochs": [(0.60, 0.70), (0.30, 0.62), (0.10, 0.74), (0.02, 0.95)],
    "final": {
        "train_loss": 0.02,
        "val_loss": 0.95,
        "train_accuracy": 1.0,
        "gap_accuracy": 0.22,
        "weight_movement": 0.05,
    },
}
TOO_SHORT = {"losses": FALLING[:9]}

VERDICTS = [
    ("collapsed", COLLAPSED, "ten to fifty times lower"),
    ("too high", TOO_HIGH, "three to ten times lower"),
    ("too low", TOO_LOW, "three to ten times higher"),
    ("too low", SLOW, "three to ten times higher"),
    ("just right", JUST_RIGHT, "leave the learning rate where it is"),
    ("too high", LASTING, "three to ten times lower"),
    ("just right", RECOVERED, "leave the learning rate where it is"),
    ("overfitting", OVERFITTING, "stop after 2"),
    ("unclear", TOO_SHORT, "Train for longer"),
]


@pytest.mark.parametrize(("verdict", "record", "next_dial"), VERDICTS)
def test_a_symptom_gets_its_verdict_and_the_next_dial(make_run, verdict, record, next_dial):
    found = diagnose(make_run(**record))
    assert found.verdict == verdict
    assert next_dial in found.next_dial


@pytest.mark.parametrize(("verdict", "record", "_"), VERDICTS)
@pytest.mark.parametrize("preset", ["TOO_LOW", "JUST_RIGHT", "TOO_HIGH", 0.5])
def test_the_presets_name_does_not_count(make_run, verdict, record, _, preset):
    assert diagnose(make_run(**record, dials={"LR_PRESET": preset})).verdict == verdict


@pytest.mark.parametrize(("verdict", "record", "_"), VERDICTS)
def test_a_diagnosis_fits_the_record_and_reads_as_sentences(make_run, verdict, record, _):
    run = make_run(**record)
    run.diagnosis = diagnose(run).as_dict()
    assert make_run(diagnosis=run.diagnosis).diagnosis == run.diagnosis
    for text in [*run.diagnosis["reasons"], run.diagnosis["next_dial"]]:
        assert text.splitlines() == [text]
        assert text.endswith(".")
        assert not {"nan", "None", "inf"} & set(text.replace(".", " ").replace(",", " ").split())


def test_the_same_record_gets_the_same_verdict(make_run):
    assert diagnose(make_run(**OVERFITTING)) == diagnose(make_run(**OVERFITTING))


def test_a_diverged_run_is_told_where_it_stopped(diverged_run):
    found = diagnose(diverged_run)
    assert found.verdict == "diverged"
    assert "at step 8" in found.reasons[0]
    assert "ten times lower" in found.next_dial


def test_a_final_loss_that_is_no_number_is_divergence_whatever_the_outcome_says(make_run):
    assert diagnose(make_run(final={"val_loss": NOTHING})).verdict == "diverged"


def test_a_run_that_diverged_before_its_first_step_is_diverged(make_run):
    assert diagnose(make_run(losses=[], epochs=[], outcome="diverged")).verdict == "diverged"


def test_a_collapse_names_the_class_and_both_scores(make_run):
    _, reason = diagnose(make_run(**COLLAPSED)).reasons
    assert "says neutral for 100%" in reason
    assert "accuracy 0.52" in reason
    assert "macro-F1 0.23" in reason


def test_weights_that_moved_far_are_violence_even_without_a_jump(make_run):
    record = COLLAPSED | {"losses": FLAT}
    assert diagnose(make_run(**record)).verdict == "collapsed"


def test_one_unlucky_batch_is_no_jump(make_run):
    losses = FLAT.copy()
    losses[5] = 2.5
    assert diagnose(make_run(**TOO_LOW | {"losses": losses})).verdict == "too low"


def test_a_jump_after_the_first_steps_is_no_violent_start(make_run):
    losses = np.concatenate([FLAT, [4.0] * 10])
    assert diagnose(make_run(**TOO_LOW | {"losses": losses})).verdict == "too low"


def test_a_gap_whose_interval_leaves_out_zero_is_mentioned(make_run):
    real = make_run(final={"gap_accuracy": 0.12, "gap_accuracy_interval": [0.05, 0.19]})
    assert "The gap of +0.12 is real" in " ".join(diagnose(real).reasons)
    assert "The gap" not in " ".join(diagnose(make_run()).reasons)


@pytest.mark.parametrize("rise", [1.10, 1.20])
def test_only_a_clear_rise_of_the_validation_loss_is_overfitting(make_run, rise):
    record = OVERFITTING | {"epochs": [(0.6, 0.70), (0.2, 0.60), (0.02, 0.60 * rise)]}
    assert diagnose(make_run(**record)).verdict == ("overfitting" if rise > 1.15 else "just right")


# Records with gaps


@pytest.mark.parametrize(("verdict", "record", "_"), VERDICTS)
@pytest.mark.parametrize(
    "key", ["val_predicted", "weight_movement", "gap_accuracy_interval", "layer_movement", "val_f1"]
)
@pytest.mark.parametrize("null", [True, False])
def test_optional_scores_may_be_missing(make_run, verdict, record, _, key, null):
    run = make_run(**record)
    if null:
        run.final[key] = None
    else:
        run.final.pop(key, None)
    assert diagnose(run).verdict == verdict


@pytest.mark.parametrize("losses", [VIOLENT, FLAT])
def test_a_collapse_is_seen_without_the_predictions(make_run, losses):
    run = make_run(**COLLAPSED | {"losses": losses})
    del run.final["val_predicted"]
    assert diagnose(run).verdict == "collapsed"
    assert "says neutral" in diagnose(run).reasons[1]


@pytest.mark.parametrize("key", ["train_loss", "val_accuracy", "val_f1_macro"])
@pytest.mark.parametrize("null", [True, False])
def test_without_a_needed_score_the_verdict_is_unclear(make_run, key, null):
    run = make_run()
    if null:
        run.final[key] = None
    else:
        del run.final[key]
    found = diagnose(run)
    assert found.verdict == "unclear"
    assert "not all scores" in found.reasons[0]


@pytest.mark.parametrize("part", ["final", "baseline"])
def test_without_scores_before_or_after_the_verdict_is_unclear(make_run, part):
    run = make_run()
    setattr(run, part, {})
    assert diagnose(run).verdict == "unclear"


def test_an_empty_record_is_unclear(make_run):
    run = make_run(losses=[], epochs=[], baseline={}, majority={}, outcome="interrupted")
    run.final = {}
    assert diagnose(run).verdict == "unclear"
    assert convergence(run).state == "cannot tell"


def test_without_epoch_rows_and_majority_a_verdict_is_still_possible(make_run):
    assert diagnose(make_run(epochs=[], majority={})).verdict == "just right"


@pytest.mark.filterwarnings("error")
def test_steps_without_a_loss_are_passed_over(make_run):
    losses = FALLING.copy()
    losses[3:6] = NOTHING
    assert diagnose(make_run(losses=losses)).verdict == "just right"


# Convergence


def epochs_ending(*train: float) -> list[tuple[float, float]]:
    return [(loss, loss + 0.1) for loss in train]


CONVERGENCE = [
    ("converged", JUST_RIGHT | {"epochs": epochs_ending(0.455, 0.45)}),
    ("converged", JUST_RIGHT | {"epochs": epochs_ending(0.45, 0.455)}),
    ("still falling", JUST_RIGHT | {"epochs": epochs_ending(0.70, 0.45)}),
    ("rising", JUST_RIGHT | {"epochs": epochs_ending(0.40, 0.45)}),
    ("stalled", TOO_LOW | {"epochs": epochs_ending(1.095, 1.09)}),
    ("collapsed", COLLAPSED | {"epochs": epochs_ending(1.035, 1.03)}),
    ("collapsed", COLLAPSED | {"epochs": epochs_ending(1.30, 1.03)}),
    ("cannot tell", JUST_RIGHT | {"epochs": epochs_ending(0.45)}),
    ("cannot tell", JUST_RIGHT | {"epochs": []}),
    ("cannot tell", JUST_RIGHT | {"epochs": epochs_ending(0.45, NOTHING)}),
]


@pytest.mark.parametrize(("state", "record"), CONVERGENCE)
def test_the_last_two_epochs_decide_about_convergence(make_run, state, record):
    found = convergence(make_run(**record))
    assert found.state == state
    assert found.reason.endswith(".")
    assert "nan" not in found.reason.split()
    assert (found.delta is None) == (state == "cannot tell")


def test_a_diverged_run_cannot_be_judged_for_convergence(diverged_run):
    found = convergence(diverged_run)
    assert (found.state, found.delta) == ("cannot tell", None)
    assert "diverged" in found.reason


def test_without_a_baseline_convergence_cannot_be_told(make_run):
    run = make_run()
    run.baseline = {}
    assert convergence(run).state == "cannot tell"


@pytest.mark.parametrize(("share", "state"), [(0.9, "converged"), (1.1, "still falling")])
def test_the_limit_is_the_worksheets(make_run, share, state):
    run = make_run(epochs=epochs_ending(0.45 + share * WORKSHEET_DELTA, 0.45))
    found = convergence(run)
    assert found.state == state
    assert found.delta == pytest.approx(-share * WORKSHEET_DELTA)


def test_the_slope_is_per_hundred_steps_of_the_second_half(make_run):
    losses = np.concatenate([np.full(50, 5.0), 1.0 - 0.002 * np.arange(50)])
    found = convergence(make_run(losses=losses))
    assert found.slope == pytest.approx(-0.2)
    assert found.slope_error == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("size", [0, 5, 18])
def test_a_short_run_has_no_slope(make_run, size):
    found = convergence(make_run(losses=FALLING[:size]))
    assert (found.slope, found.slope_error) == (None, None)


def test_one_more_epoch_costs_its_seconds(make_run):
    found = convergence(make_run())
    assert found.epoch_seconds == 12
    assert found.epoch_cost(3.0) == pytest.approx(0.01)
    assert convergence(make_run(epochs=[])).epoch_cost(3.0) is None
