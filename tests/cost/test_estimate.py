"""What a run costs: counting its work, the speed of this machine from runs or a probe, and the preflight's line."""

import dataclasses
import os
import sys
import types

import numpy as np
import pytest

from tuning.cost import estimate
from tuning.cost.estimate import Counter, Speed, Work
from tuning.dials import Dials
from tuning.encoder import finding as encoders
from tuning.notebook import preflight
from tuning.runs import energy
from tuning.runs.energy import Meter, footprint
from tuning.training import machine

SPEED = Speed(step=0.05, token=2e-4, read=1e-4, fixed=1.0, source="a test")


@pytest.fixture(scope="module")
def embedded():
    return encoders.find("embedded")


def dials(**changed) -> Dials:
    return Dials(**({"MODEL": "embedded"} | changed))


def test_seconds_are_the_sum_of_their_parts():
    work = Work(steps=100, tokens=20_000, read=5_000, epochs=2)
    assert SPEED.seconds(work) == pytest.approx(1.0 + 100 * 0.05 + 20_000 * 2e-4 + 3 * 5_000 * 1e-4)


def test_the_work_grows_as_the_dials_say(embedded):
    counter = Counter(dials(), embedded)
    once, twice = (counter.work(dials(EPOCHS=epochs, TRAIN_SUBSET=400)) for epochs in (1, 2))
    assert (twice.steps, twice.tokens, twice.read) == (2 * once.steps, 2 * once.tokens, once.read)
    assert once.steps == 50
    assert counter.work(dials(BATCH_SIZE=16, TRAIN_SUBSET=401)).steps == 2 * 26
    assert counter.work(dials(TRAIN_SUBSET=0)).tokens == counter.work(dials(TRAIN_SUBSET=counter.sentences)).tokens
    assert Counter(dials(MAX_LENGTH=8), embedded).work(dials()).tokens < counter.work(dials()).tokens


def test_tokens_are_counted_as_training_counts_them(embedded):
    from tuning.data.loading import load, split
    from tuning.encoder.tokens import tokenise_splits

    chosen = dials(TRAIN_SUBSET=120, MAX_LENGTH=20)
    tokens = tokenise_splits(split(load()), encoders.tokenizer(embedded), chosen)
    found = estimate.work(chosen, embedded)
    assert found.tokens == 2 * sum(map(len, tokens.train["input_ids"]))
    read = sum(map(len, tokens.validation["input_ids"])) + sum(map(len, tokens.train_check["input_ids"]))
    assert found.read == pytest.approx(read, rel=0.01)


def test_a_large_validation_part_is_scored_in_part_after_each_epoch_and_counted_so(embedded, monkeypatch):
    from tuning.data import splits as cuts
    from tuning.data.loading import load, split
    from tuning.encoder import tokens as encoder_tokens
    from tuning.encoder.tokens import tokenise_splits

    for module in (estimate, encoder_tokens, cuts):
        monkeypatch.setattr(module, "MOST_AFTER_EPOCH", 60)
    parts = split(load())
    chosen = dials(TRAIN_SUBSET=120, MAX_LENGTH=20)
    tokens, again = (tokenise_splits(parts, encoders.tokenizer(embedded), chosen) for _ in range(2))
    assert (len(tokens.validation_check), len(tokens.validation)) == (60, len(parts.validation))
    assert tokens.evaluation()["validation"]["id"] == again.validation_check["id"], "the same sentences every time"
    shares = [np.bincount(part["labels"]) / len(part) for part in (tokens.validation_check, tokens.validation)]
    assert shares[0] == pytest.approx(shares[1], abs=0.02)
    found = estimate.work(chosen, embedded)
    few, whole, check = (
        sum(map(len, part["input_ids"])) for part in (tokens.validation_check, tokens.validation, tokens.train_check)
    )
    assert found.read == pytest.approx(few + check, rel=0.01)
    assert found.tokens_read == pytest.approx(chosen.EPOCHS * (few + check) + 2 * (whole + check), rel=0.01)


def test_all_of_a_validation_part_is_scored_up_to_a_bound():
    import pandas as pd

    from tuning.data import splits as cuts

    labels = ["negative", "neutral", "neutral", "positive"]
    frame = pd.DataFrame({"id": range(12_000), "sentence": "x", "label": labels * 3_000})
    parts = cuts.Splits(frame, frame, frame)
    assert cuts.scored_sizes(parts) == {"epoch": 2_000, "end": 10_000}
    assert cuts.scored(parts)["label"].value_counts().to_dict() == {
        "neutral": 5_000, "negative": 2_500, "positive": 2_500
    }  # fmt: skip
    small = cuts.Splits(frame, frame.head(2_000), frame)
    assert cuts.scored(small) is small.validation
    assert cuts.scored_sizes(small) == {"epoch": 2_000, "end": 2_000}


def test_an_estimate_shows_what_it_assumes(embedded):
    found = estimate.estimate(dials(), SPEED, embedded, watts=36, price_per_hour=0.5)
    assert found.watt_hours == pytest.approx(found.seconds / 100)
    assert found.money == pytest.approx(found.seconds / 7200)
    assert f"{found.watt_hours:.2f} Wh at 36 W" in str(found)
    assert "at 0.5 an hour" in str(found)
    assert "from a test" in str(found)


@pytest.fixture
def timed_run(make_run, keep_run, embedded):
    """Write a run of this machine that took as long as a given speed says."""

    def write(name: str, speed: Speed, minutes: float = 0, **changed):
        chosen = dials(**changed)
        work = estimate.work(chosen, embedded)
        losses = np.linspace(1, 0.5, work.steps)
        evaluation = speed.read * work.read
        training = speed.step * work.steps + speed.token * work.tokens + evaluation * work.epochs
        run = make_run(
            losses=losses,
            run_id=name,
            dials=chosen.as_dict(),
            encoder={"name": "e", "source": "embedded", "revision": embedded.revision, "parameters": 1},
            machine={
                "platform": "Linux",
                "processor": machine.processor(),
                "cores": os.cpu_count(),
                "threads": 2,
                "device": "cpu",
                "precision": "fp32",
            },
            timing={
                "train_seconds": training,
                "total_seconds": training + evaluation,
                "evaluation_seconds": evaluation,
                "tokens": work.tokens,
                "peak_memory_mb": 1.0,
            },
        )
        run.data["train_used"] = chosen.TRAIN_SUBSET
        run.final |= {"val_size": 599, "train_size": 300}
        return keep_run(run, minutes=minutes)

    return write


def test_the_log_teaches_the_speed(timed_run, embedded):
    assert estimate.known(dials(), embedded) is None
    timed_run("run-1", dataclasses.replace(SPEED, fixed=0.0))
    found = estimate.known(dials(), embedded)
    assert found.source == "your last run here"
    for changed in ({"EPOCHS": 4}, {"TRAIN_SUBSET": 200}, {"TRAIN_SUBSET": 1600, "EPOCHS": 1}):
        work = estimate.work(dials(**changed), embedded)
        assert found.seconds(work) == pytest.approx(dataclasses.replace(SPEED, fixed=0.0).seconds(work), rel=0.1)


def test_one_run_that_slept_over_lunch_does_not_spoil_the_estimate(timed_run, embedded):
    usual = dataclasses.replace(SPEED, fixed=0.0)
    for number in range(3):
        timed_run(f"run-{number}", usual, minutes=10 - number)
    timed_run("run-9", dataclasses.replace(usual, step=30.0))
    found = estimate.known(dials(), embedded)
    assert found.source == "your last 4 runs here"
    work = estimate.work(dials(), embedded)
    assert found.seconds(work) == pytest.approx(usual.seconds(work), rel=0.1)


@pytest.mark.parametrize(
    "change",
    [{"BATCH_SIZE": 32}, {"PRECISION": "fp32"}],
)
def test_runs_made_otherwise_teach_nothing(timed_run, embedded, change):
    timed_run("run-1", SPEED)
    assert estimate.known(dials(**change), embedded) is None


def test_a_run_of_another_machine_teaches_nothing(timed_run, embedded):
    run = timed_run("run-1", SPEED)
    run.machine["processor"] = "another one"
    run.save()
    assert estimate.known(dials(), embedded) is None


@pytest.mark.slow
def test_a_probe_is_remembered_until_a_run_knows_better(embedded, few):
    from tuning.training import fit

    chosen = dials(DATA=str(few), TRAIN_SUBSET=32, EPOCHS=1, PRECISION="fp32")
    assert estimate.known(chosen, embedded) is None
    speed = estimate.probe(chosen, embedded)
    assert min(speed.step, speed.token, speed.read, speed.fixed) > 0
    assert dataclasses.replace(estimate.known(chosen, embedded), source=speed.source) == speed
    assert estimate.known(chosen, embedded).source == "an earlier probe here"
    fit.fit(chosen, quiet=True)
    assert estimate.known(chosen, embedded).source == "your last run here"


@pytest.mark.full
def test_estimates_are_within_a_quarter_of_the_clock(embedded):
    """On a machine that does nothing else."""
    from tuning.training import fit

    first = dials(TRAIN_SUBSET=400, EPOCHS=1)
    for chosen in (first, dials(TRAIN_SUBSET=400, EPOCHS=2), dials(TRAIN_SUBSET=800, EPOCHS=1)):
        speed = estimate.known(chosen, embedded) or estimate.probe(chosen, embedded)
        run = fit.fit(chosen, quiet=True)
        assert run.timing["total_seconds"] == pytest.approx(speed.seconds(estimate.work(chosen, embedded)), rel=0.25)


def test_a_damaged_memory_is_measured_anew(embedded):
    estimate._memory_file().parent.mkdir(parents=True)
    for text in ("{", '{"a": [1, 2]}', "[]", '{"a": "fast"}'):
        estimate._memory_file().write_text(text)
        assert estimate.known(dials(), embedded) is None


# Energy and money of a finished run


def test_assumed_energy_is_power_times_time(make_run):
    found = footprint(make_run(), watts=60, price_per_hour=1.2)
    assert (found.seconds, found.measured) == (30.0, False)
    assert found.watt_hours == pytest.approx(0.5)
    assert found.money == pytest.approx(0.01)


def test_measured_energy_comes_first(make_run):
    run = make_run()
    run.timing["energy_wh"] = 0.123
    found = footprint(run)
    assert (found.watt_hours, found.measured) == (0.123, True)


def test_a_run_without_its_time_has_no_footprint(make_run):
    found = footprint(make_run(timing={}))
    assert (found.seconds, found.watt_hours, found.money) == (None, None, None)


def test_the_log_has_the_same_figures_with_their_assumptions(make_run):
    from tuning.evidence import log_rows

    run = make_run()
    row = log_rows.log_values(run)
    took = footprint(run)
    assert (row["Energy (Wh)"], row["Cost"]) == (f"{took.watt_hours:.3f}", f"{took.money:.5f}")
    assert row["Energy from"] == f"{energy.WATTS:g} W assumed"
    assert row["Cost from"] == f"{energy.PRICE_PER_HOUR:g} an hour assumed"
    run.timing["energy_wh"] = 0.5
    assert log_rows.log_values(run)["Energy from"] == "a meter"


def test_a_machine_without_a_meter_measures_nothing(monkeypatch):
    monkeypatch.setattr(energy.importlib.util, "find_spec", lambda name: None)
    assert Meter().stop() is None


class Tracker:
    """CodeCarbon's, on a machine whose processor has a meter and whose memory has none."""

    _hardware = ("CPU(a processor > 65W [Rapl])", "RAM(16 GB, constant)")
    final_emissions_data = types.SimpleNamespace(
        cpu_energy=0.001, gpu_energy=0.5, ram_energy=0.002, energy_consumed=0.503
    )

    def __init__(self, **settings):
        pass

    def start(self):
        pass

    stop = start


def test_only_what_a_meter_has_read_counts_as_measured(monkeypatch):
    monkeypatch.setattr(energy.importlib.util, "find_spec", lambda name: name)
    monkeypatch.setitem(sys.modules, "codecarbon", types.SimpleNamespace(OfflineEmissionsTracker=Tracker))
    assert Meter().stop() == pytest.approx(1.0)
    monkeypatch.setattr(Tracker, "_hardware", ("CPU(a processor > 65W [Cpu Load])", "RAM(16 GB, constant)"))
    assert Meter().stop() is None


# The preflight's line


def test_the_preflight_asks_for_a_measurement_where_nothing_is_known():
    found = preflight.time_needed(dials())
    assert found.status == "OK"
    assert "is not known yet: python3 workshop.py check" in found.text


def test_the_preflight_says_the_time_and_what_fits(timed_run):
    timed_run("run-1", SPEED)
    found = preflight.time_needed(dials(), minutes=5)
    assert found.status == "OK"
    assert found.text.startswith("these dials take about 0:")
    assert "In 5 minutes fit TRAIN_SUBSET = " in found.text


def test_the_preflight_warns_where_the_time_is_too_short(timed_run):
    timed_run("run-1", dataclasses.replace(SPEED, step=1.0))
    found = preflight.time_needed(dials(), minutes=2)
    assert found.status == "WARN"
    assert "In 2 minutes fit" in found.text
    hopeless = preflight.time_needed(dials(), minutes=0.05)
    assert hopeless.status == "WARN"
    assert "Nothing fits into 0.05 minutes" in hopeless.text


def test_the_check_command_refuses_a_wrong_dial(capsys):
    assert preflight.main(["--set", "EPOHCS=2"]) == 2
    assert "Did you mean EPOCHS" in capsys.readouterr().err
