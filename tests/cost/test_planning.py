"""Plans under a limit: the learning curve, the proposal, and the estimate beside what happened."""

import itertools

import numpy as np
import pytest

from tuning.cost import estimate, planning
from tuning.cost.planning import LearningCurve, estimate_and_actual, learning_curve, plan
from tuning.cost.workload import Speed
from tuning.dials import Dials
from tuning.encoder import finding as encoders
from tuning.errors import RunError

SPEED = Speed(step=0.05, token=2e-4, read=1e-4, fixed=1.0, source="a test")
BASE = Dials(MODEL="embedded")


@pytest.fixture(scope="module")
def embedded():
    return encoders.find("embedded")


@pytest.fixture
def no_reference_runs(monkeypatch, tmp_path):
    monkeypatch.setattr("tuning.runs.reference.FOLDER", tmp_path)


@pytest.fixture
def known_runs(make_run, keep_run, no_reference_runs, embedded):
    """A log whose runs follow an exact power law of sentences and epochs."""
    curve = LearningCurve(level=2.0, sentences=0.3, epochs=0.2, miss=0, points=0, most_epochs=4, source="")
    for size in (200, 400, 800):
        run = make_run(
            epochs=[(0.6, 0.6)] * 4,
            run_id=f"run-{size}",
            rate=embedded.rate("JUST_RIGHT"),
            dials={"TRAIN_SUBSET": size, "EPOCHS": 4},
            encoder={"name": "e", "source": "embedded", "revision": embedded.revision, "parameters": 1},
            diagnosis={"verdict": "just right", "reasons": [], "next_dial": ""},
        )
        run.data["train_used"] = size
        for row in run.epochs:
            row["val_f1_macro"] = curve.f1(size, row["epoch"])
        keep_run(run)
    return curve


def test_the_learning_curve_finds_the_law_that_the_runs_follow(known_runs, embedded):
    found = learning_curve(embedded, embedded.rate("JUST_RIGHT"))
    assert (found.level, found.sentences, found.epochs) == pytest.approx((2.0, 0.3, 0.2), abs=1e-6)
    assert found.miss == pytest.approx(0, abs=1e-9)
    assert found.points == 12
    assert "3 runs with this encoder and rate" in str(found)
    assert f"doubling the sentences takes {1 - np.exp(-0.3):.0%} of the error away" in str(found)


def test_nothing_is_promised_beyond_the_epochs_seen_nor_beyond_a_perfect_score(known_runs, embedded):
    found = learning_curve(embedded, embedded.rate("JUST_RIGHT"))
    assert found.f1(800, 50) == found.f1(800, 4)
    assert found.f1(10**9, 4) < 1


def test_runs_at_another_rate_count_only_where_there_are_no_others(known_runs, embedded):
    assert "at other rates too" in str(learning_curve(embedded, 1e-6))


def test_without_runs_there_is_no_curve(no_reference_runs, embedded):
    with pytest.raises(RunError, match="too few runs to learn from"):
        learning_curve(embedded, 1e-4)


def test_a_falling_rate_teaches_at_its_end_only(known_runs, embedded, make_run, keep_run):
    run = make_run(
        epochs=[(0.6, 0.6)] * 4,
        run_id="run-linear",
        rate=embedded.rate("JUST_RIGHT"),
        dials={"SCHEDULER": "linear", "EPOCHS": 4},
        encoder={"name": "e", "source": "embedded", "revision": embedded.revision, "parameters": 1},
        diagnosis={"verdict": "just right", "reasons": [], "next_dial": ""},
    )
    keep_run(run)
    assert learning_curve(embedded, embedded.rate("JUST_RIGHT")).points == 13


@pytest.mark.parametrize("minutes", [0.5, 2, 10])
def test_a_plan_fits_its_time_and_no_better_one_does(known_runs, embedded, minutes):
    found = plan(minutes, base=BASE, speed=SPEED, encoder=embedded)
    assert found.estimate.seconds <= 0.9 * 60 * minutes
    assert found.estimate.seconds == pytest.approx(SPEED.seconds(estimate.work(found.dials, embedded)))
    for size in (200, 800, 1600):
        for epochs in (1, 2, 4):
            other = Dials(MODEL="embedded", TRAIN_SUBSET=size, EPOCHS=epochs)
            if SPEED.seconds(estimate.work(other, embedded)) <= 0.9 * 60 * minutes:
                assert found.curve.f1(size, epochs) <= found.f1 + planning.SAME_F1


def test_more_time_never_gives_a_worse_plan(known_runs, embedded):
    scores = [plan(minutes, base=BASE, speed=SPEED, encoder=embedded).f1 for minutes in (0.5, 1, 2, 4, 8, 16)]
    assert all(later >= earlier - planning.SAME_F1 for earlier, later in itertools.pairwise(scores))


def test_money_is_time_at_a_price_and_the_tighter_limit_counts(known_runs, embedded):
    by_money = plan(budget=0.01, price_per_hour=0.30, base=BASE, speed=SPEED, encoder=embedded)
    by_time = plan(2, base=BASE, speed=SPEED, encoder=embedded)
    assert by_money.dials == by_time.dials
    assert by_money.limit == "0.01 at 0.3 an hour"
    both = plan(60, 0.01, price_per_hour=0.30, base=BASE, speed=SPEED, encoder=embedded)
    assert both.dials == by_time.dials


def test_other_dials_of_the_base_stay(known_runs, embedded):
    base = Dials(MODEL="embedded", SCHEDULER="cosine", BATCH_SIZE=16, GROUP=3)
    found = plan(5, base=base, speed=SPEED, encoder=embedded).dials
    assert (found.SCHEDULER, found.BATCH_SIZE, found.GROUP) == ("cosine", 16, 3)


def test_a_plan_tells_all_its_assumptions(known_runs, embedded):
    told = str(plan(5, base=BASE, speed=SPEED, encoder=embedded, watts=40, price_per_hour=1))
    assert told.startswith("5 minutes: TRAIN_SUBSET = ")
    assert all(part in told for part in ("from a test", "at 40 W", "at 1 an hour", "give or take", "Learning curve"))


def test_a_limit_that_nothing_fits_is_said_with_what_would(known_runs, embedded):
    with pytest.raises(RunError, match=r"Nothing fits into 0.01 minutes: the smallest run, 50 sentences once"):
        plan(0.01, base=BASE, speed=SPEED, encoder=embedded)


def test_a_plan_needs_a_limit():
    with pytest.raises(RunError, match="A plan needs a limit"):
        plan()


def test_estimate_and_actual_stand_side_by_side(known_runs, embedded, make_run):
    made = plan(2, base=BASE, speed=SPEED, encoder=embedded)
    run = make_run()
    run.timing["total_seconds"] = 1.2 * made.estimate.seconds
    table = estimate_and_actual(made, run)
    assert table.loc["seconds with evaluations", "actual / estimate"] == "120%"
    assert table.loc["Wh, assumed power", "actual / estimate"] == "120%"
    assert table.loc["macro-F1", "actual"] == "0.760"


def test_the_reference_runs_are_enough_for_a_plan(embedded):
    found = plan(10, base=BASE, speed=SPEED, encoder=embedded)
    assert 0.3 < found.f1 < 1
    assert found.curve.sentences > 0
