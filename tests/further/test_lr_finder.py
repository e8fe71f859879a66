"""The range test's arithmetic on losses that are known, a real sweep, and the trials around a run."""

import numpy as np
import pandas as pd
import pytest

from tuning import paths
from tuning.dials import Dials
from tuning.encoder import finding as encoders
from tuning.further import lr_finder, sensitivity
from tuning.further.lr_finder import Sweep

RATES = np.logspace(-7, 0, 141)


def bowl(lowest: float, steepest: float) -> Sweep:
    """A loss that stands still, falls steepest at one rate, is lowest at another, and explodes."""
    exponent = np.log10(RATES)
    fall = 0.8 / (1 + np.exp(-6 * (exponent - np.log10(steepest))))
    rise = np.where(exponent > np.log10(lowest), 3 * (exponent - np.log10(lowest)), 0)
    return Sweep(RATES, 1.1 - fall + rise)


def test_smoothing_keeps_a_constant_and_follows_a_trend():
    assert lr_finder.smooth(np.full(20, 1.1)) == pytest.approx(1.1)
    noisy = np.linspace(2, 1, 200) + np.random.default_rng(0).normal(0, 0.2, 200)
    smooth = lr_finder.smooth(noisy)
    assert np.abs(np.diff(smooth)).mean() < 0.3 * np.abs(np.diff(noisy)).mean()
    assert smooth[-1] == pytest.approx(1.0, abs=0.2)


def test_the_suggestion_finds_the_fall_and_stays_below_the_lowest_loss():
    found = bowl(lowest=1e-2, steepest=1e-4)
    # Smoothing looks back, so it sees both a little late.
    assert 1e-4 <= found.steepest <= 6e-4
    assert 1e-2 <= found.lowest <= 6e-2
    low, high = found.suggested
    assert low < found.middle < high < found.lowest


def test_the_ends_of_the_suggestion_are_in_order_whichever_is_larger():
    for found in (bowl(1e-2, 1e-5), bowl(1e-3, 8e-4)):
        assert found.suggested[0] <= found.suggested[1]


def test_a_sweep_that_ends_at_once_still_suggests_something():
    found = Sweep(RATES[:3], np.array([1.1, 1.0, 5.0]))
    assert all(np.isfinite(found.suggested))


def test_the_picture_says_its_numbers():
    found = bowl(1e-2, 1e-4)
    words = lr_finder.picture(found, own=7e-5).words
    low, high = found.suggested
    assert f"Suggested range {low:.1e} to {high:.1e}; Run 1 used 7.0e-05." in words


@pytest.fixture
def no_reference_runs(monkeypatch, tmp_path):
    monkeypatch.setattr("tuning.runs.reference.FOLDER", tmp_path)


def test_whole_runs_decide_and_earlier_ones_stand_behind(make_run, keep_run, no_reference_runs):
    run_1 = keep_run(make_run(run_id="run-1", rate=1e-4))
    tests = {"one": keep_run(make_run(run_id="run-2", rate=4e-4, final={"val_f1_macro": 0.81}))}
    keep_run(make_run(run_id="run-3", rate=1e-3, dials={"GROUP": 2}))
    keep_run(make_run(run_id="run-4", rate=1e-3, dials={"EPOCHS": 9}))
    picture = lr_finder.tested(bowl(1e-2, 1e-4), run_1, tests)
    assert picture.words.endswith("1.0e-04: 0.760; 4.0e-04: 0.810. The best used 4.0e-04.")
    behind = next(one for one in picture.figure.axes[0].lines if one.get_label().startswith("earlier runs"))
    assert behind.get_xdata().tolist() == [1e-3]


@pytest.mark.slow
def test_a_real_sweep_raises_the_rate_by_the_same_factor_and_records_nothing():
    from tuning.runs.store import finished_runs

    dials = Dials(MODEL="embedded", TRAIN_SUBSET=24, MAX_LENGTH=16, PRECISION="fp32")
    found = lr_finder.sweep(dials, steps=15)
    factors = found.rates[1:] / found.rates[:-1]
    assert found.rates[0] == pytest.approx(lr_finder.LOWEST_RATE)
    assert factors == pytest.approx(factors[0])
    assert factors[0] == pytest.approx((lr_finder.HIGHEST_RATE / lr_finder.LOWEST_RATE) ** (1 / 14))
    assert found.losses[0] == pytest.approx(1.1, abs=0.2)
    assert finished_runs() == []


def test_what_the_range_test_has_to_do_is_a_sweep_and_three_runs(make_run):
    embedded = encoders.find("embedded")
    run = make_run(dials={"MODEL": "embedded", "TRAIN_SUBSET": 80, "EPOCHS": 1})
    run.encoder |= {"source": "embedded", "revision": embedded.revision}
    sweep, *runs = lr_finder.works(run)
    assert [work.steps for work in (sweep, *runs)] == [lr_finder.STEPS, 10, 10, 10]
    assert sweep.tokens == pytest.approx(10 * runs[0].tokens, rel=0.01)
    assert sweep.read == 0
    trials = sensitivity.works(run)
    assert len(trials) == len(sensitivity.trials(run))
    assert all(work.read < runs[0].read for work in trials)


# Which dial first?


def test_each_trial_turns_one_dial(make_run):
    planned = sensitivity.trials(make_run(rate=1e-4, dials={"MODEL": "embedded", "EPOCHS": 2}))
    base = planned.pop(next(key for key in planned if key[0] == "base"))
    assert (base.TRAIN_SUBSET, base.LR_PRESET, base.EPOCHS) == (400, 1e-4, 2)
    assert {dial for dial, _ in planned} == set(sensitivity.ORDER)
    for dials in planned.values():
        differs = [name for name in Dials.names() if getattr(dials, name) != getattr(base, name)]
        assert len(differs) == 1
    assert {key for key in planned if key[0] == "epochs"} == {("epochs", "1"), ("epochs", "4")}
    assert {value for dial, value in planned if dial == "training sentences"} == {"200", "800"}


@pytest.mark.parametrize("used", [24, 40, 5_000])
def test_trials_never_ask_for_what_a_dial_refuses(make_run, used):
    run = make_run(rate=5.0, dials={"EPOCHS": 1})
    run.data["train_used"] = used
    planned = sensitivity.trials(run)
    assert all(24 <= dials.TRAIN_SUBSET <= 800 for dials in planned.values())
    assert ("learning rate", "15") not in planned
    assert ("epochs", "0") not in planned


def test_a_trial_that_was_made_is_not_made_again(make_run, monkeypatch, capsys):
    embedded = encoders.find("embedded")
    run = make_run(rate=1e-4, dials={"MODEL": "embedded", "TRAIN_SUBSET": 80})
    run.encoder |= {"source": "embedded", "revision": embedded.revision}
    made = []

    def trial(dials, encoder):
        if len(made) == 4:
            raise KeyboardInterrupt
        made.append(dials)
        return 0.5 + len(made) / 100

    monkeypatch.setattr(sensitivity, "trial", trial)
    paths.runs().mkdir(parents=True, exist_ok=True)
    with pytest.raises(KeyboardInterrupt):
        sensitivity.effects(run)
    left = len(sensitivity.trials(run)) - 4
    assert len(sensitivity.works(run)) == left
    monkeypatch.setattr(sensitivity, "trial", lambda dials, encoder: 0.7)
    frame = sensitivity.effects(run)
    assert capsys.readouterr().out.count("kept from an earlier go") == 4
    assert frame["f1"].tolist() == pytest.approx([0.51, 0.52, 0.53, 0.54] + [0.7] * left)
    assert frame["effect"].tolist()[1] == pytest.approx(1.0)
    # Another run's trials are its own.
    assert len(sensitivity.works(make_run(run_id="another", encoder=run.encoder, dials=run.dials))) == left + 4


def test_the_verdict_measures_every_dial_against_the_seed():
    rows = [("base", "x", 0.0), ("seed", "1", 2.0), ("seed", "2", -3.0), ("learning rate", "1", -20.0)]
    rows += [("epochs", "1", 2.5), ("epochs", "4", 1.0), ("training sentences", "200", -8.0)]
    frame = pd.DataFrame(rows, columns=["dial", "set to", "effect"]).assign(f1=0.7)
    told = sensitivity.verdict(frame)
    assert "learning rate 20.0, training sentences 8.0, epochs 2.5; the seed alone 3.0" in told
    assert told.endswith("No further than luck: epochs.")
    assert sensitivity.picture(frame).words == told
