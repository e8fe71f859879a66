"""Predictions: stored before training, and never afterwards."""

import json
from datetime import datetime, timedelta

import pytest
from filelock import FileLock
from helpers.rooms import RATES, room_run

from tuning.dials import Dials, SgdDials
from tuning.errors import DialError, RunError
from tuning.evidence import predictions
from tuning.evidence.predictions import prediction_of, predictions_file
from tuning.runs.diagnosis import room_word


def at(minutes: float) -> str:
    return (datetime.now().astimezone() + timedelta(minutes=minutes)).isoformat(timespec="seconds")


def test_a_prediction_stands_beside_the_result(make_run):
    assert predictions.predict(Dials(), " Moving ", 0.7, "it is\nthe usual rate").endswith(
        "JUST_RIGHT will be moving, macro-F1 0.70."
    )
    run = make_run(started=at(1), diagnosis={"verdict": "just right"})
    found = predictions.prediction_and_result(run)
    assert found.loc["predicted"].tolist()[:2] == ["moving", "0.70"]
    assert found.loc["predicted", "because"] == "it is the usual rate"
    assert found.loc["happened"].tolist()[:2] == ["moving", "0.760"]


def test_a_prediction_without_a_score_leaves_its_cell_empty(make_run):
    predictions.predict(Dials(), "moving")
    assert predictions.prediction_and_result(make_run(started=at(1))).loc["predicted", "macro-F1"] == ""


def test_a_prediction_after_the_start_is_none(make_run):
    predictions.predict(Dials(), "moving")
    assert prediction_of(make_run(started=at(-1))) is None
    assert (
        predictions.prediction_and_result(make_run(started=at(-1))).loc["predicted", "in one word"] == "no prediction"
    )


def test_the_newest_prediction_for_the_same_preset_and_lab_counts(make_run):
    predictions.predict(Dials(), "stalled")
    predictions.predict(Dials(), "moving", 0.6)
    predictions.predict(Dials(LR_PRESET="TOO_HIGH"), "crashed")
    predictions.predict(SgdDials(), "collapsed")
    assert prediction_of(make_run(started=at(1)))["word"] == "moving"
    backup = make_run(started=at(1), notebook="02")
    backup.dials = SgdDials().as_dict()
    assert prediction_of(backup)["word"] == "collapsed"


def test_a_prediction_serves_no_run_with_other_dials(make_run):
    predictions.predict(Dials(), "moving")
    for changed in ({"EPOCHS": 6}, {"TRAIN_SUBSET": 400}, {"GROUP": 3}, {"LR_PRESET": "TOO_LOW"}):
        assert prediction_of(make_run(started=at(1), dials=changed)) is None
    assert prediction_of(make_run(started=at(1)))["word"] == "moving"


def test_without_a_word_nothing_is_stored():
    assert "moving, stalled, collapsed, crashed" in predictions.predict(Dials(), "")
    assert not predictions_file().exists()


@pytest.mark.parametrize(("word", "f1", "told"), [
    ("mooving", None, "Did you mean moving"),
    ("moving", 70, "a number from 0 to 1"),
    ("moving", "0.7", "a number from 0 to 1"),
    ("moving", float("nan"), "a number from 0 to 1"),
])  # fmt: skip
def test_what_is_no_prediction_is_refused(word, f1, told):
    with pytest.raises(DialError, match=told):
        predictions.predict(Dials(), word, f1)
    assert not predictions_file().exists()


def test_a_line_cut_short_costs_only_itself(make_run):
    predictions.predict(Dials(), "stalled")
    with predictions_file().open("a", encoding="utf-8") as file:
        file.write('{"made": "2026-01-05T09:0')
    predictions.predict(Dials(), "moving")
    assert prediction_of(make_run(started=at(1)))["word"] == "moving"
    assert len(predictions_file().read_text().splitlines()) == 3


OTHER = {"made": "2026-01-05T09:00:00+00:00", "lab": "main", "dials": Dials().as_dict(), "word": "stalled", "f1": None}
EDITS = ["[]", "7", '{"made": 5}', "\x00"] + [
    json.dumps(OTHER | {"because": ""} | change)
    for change in ({"made": "2026-01-05T09:00:00"}, {"word": "<b>"}, {"f1": "0.7"}, {"f1": 70}, {"dials": None})
]


@pytest.mark.parametrize("edit", EDITS)
def test_a_line_of_something_else_is_passed_over(make_run, edit):
    predictions.predict(Dials(), "moving")
    with predictions_file().open("a", encoding="utf-8") as file:
        file.write(edit + "\n")
    assert prediction_of(make_run(started=at(1)))["word"] == "moving"
    assert json.loads(predictions_file().read_text().splitlines()[0])["word"] == "moving"


@pytest.mark.parametrize(
    ("preset", "word"), [("TOO_LOW", "stalled"), ("JUST_RIGHT", "moving"), ("TOO_HIGH", "collapsed")]
)
def test_the_presets_end_as_the_room_calls_them(make_run, preset, word):
    assert set(RATES) >= {preset}
    assert room_word(room_run(make_run, 3, preset)) == word


@pytest.mark.parametrize("what", ["folder", "lock"])
def test_a_prediction_that_cannot_be_stored_is_one_line(monkeypatch, what):
    if what == "folder":
        predictions_file().mkdir(parents=True)
        with pytest.raises(RunError, match="cannot be written"):
            predictions.predict(Dials(), "moving")
        return
    monkeypatch.setattr(predictions, "LOCK_SECONDS", 0.05)
    predictions_file().parent.mkdir()
    with FileLock(predictions_file().with_suffix(".lock")), pytest.raises(RunError, match="held by another notebook"):
        predictions.predict(Dials(), "moving")


def test_a_run_that_left_for_good_crashed(diverged_run, make_run):
    diverged_run.diagnosis = {"verdict": "diverged"}
    assert room_word(diverged_run) == "crashed"
    too_high = {"verdict": "too high"}
    assert room_word(make_run(diagnosis=too_high, final={"train_loss": 1.4})) == "crashed"
    assert room_word(make_run(diagnosis=too_high, final={"train_loss": 0.5})) == "moving"


@pytest.mark.parametrize(("end", "word"), [(0.5, "moving"), (1.08, "cannot tell"), (None, "moving")])
def test_an_unclear_run_whose_loss_fell_clearly_was_moving(make_run, end, word):
    assert room_word(make_run(diagnosis={"verdict": "unclear"}, final={"train_loss": end})) == word


def test_a_clock_that_was_set_back_loses_no_prediction(make_run):
    """Predicted at ten by a clock that was an hour ahead, trained at nine: the order in the file counts."""
    predictions.predict(Dials(), "moving")
    run = make_run(started=at(-60))
    predictions.note_start(run.run_id)
    predictions.predict(Dials(), "crashed")
    assert prediction_of(run)["word"] == "moving"
    ahead = make_run(run_id="run-2", started=at(60))
    assert prediction_of(ahead)["word"] == "crashed"


def test_a_start_is_noted_only_between_predictions():
    predictions.note_start("run-1")
    assert not predictions_file().exists()
