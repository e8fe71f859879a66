"""Adopting: the group's run becomes everybody's record, and never passes for their own."""

import dataclasses
import json
import zlib

import nbformat
import pytest
from helpers.rooms import room_run

from tuning import paths
from tuning.errors import RunError, ShareError
from tuning.evidence import experiment_log, predictions, run_tables, worksheet
from tuning.figures import curves, scores
from tuning.notebook.session import notebook_file
from tuning.room import adoption, board, framing, run_codec, share
from tuning.runs import diagnosis
from tuning.runs.diagnosis import diagnose
from tuning.runs.record import Run
from tuning.runs.store import adopted_from, finished_runs, last_run, load_predictions


@pytest.fixture
def line(make_run) -> str:
    return share.line(room_run(make_run, 4, "JUST_RIGHT"), "Blue 4", "moving", 0.7)


def test_an_adopted_run_is_in_log_and_worksheet_marked_as_the_groups(line, capsys):
    run = adoption.adopt(f"Amira: {line}")
    row = experiment_log.read_log().iloc[0]
    assert (row["Run ID"], row["Source"], row["Seed"]) == (run.run_id, "group: Blue 4", "4")
    assert f"| {run.run_id} (group: Blue 4) | JUST_RIGHT |" in worksheet.filled_file().read_text(encoding="utf-8")
    assert "marked as the group's. The sections of notebook 01 show it." in capsys.readouterr().out
    assert adopted_from(run) == "Blue 4"


def test_the_cells_after_training_work_on_an_adopted_run(line):
    adoption.adopt(line)
    run = last_run()
    assert diagnosis.convergence(run).state == "still falling"
    assert run_tables.before_after(run).loc["after training", "macro-F1"].startswith("0.7")
    assert curves.loss_curve(run).png()[:4] == b"\x89PNG"
    assert scores.before_after(run).words
    assert run_tables.verdict_text(run).startswith("Verdict: just right")
    assert predictions.prediction_and_result(run).loc["predicted", "in one word"] == "moving"


def test_what_needs_predictions_or_weights_says_so_in_one_line(line):
    run = adoption.adopt(line)
    for cell in (load_predictions, scores.confusion_matrix):
        with pytest.raises(RunError, match="was adopted from Blue 4: its numbers travelled") as told:
            cell(run)
        assert "\n" not in str(told.value)


def test_adopting_again_changes_nothing(line):
    first = adoption.adopt(line)
    before = worksheet.filled_file().read_bytes()
    assert adoption.adopt(line).run_id == first.run_id
    assert worksheet.filled_file().read_bytes() == before
    assert len(experiment_log.read_log()) == len(finished_runs()) == 1


def test_the_drivers_own_line_is_not_adopted(make_run, keep_run, line):
    own = keep_run(room_run(make_run, 4, "JUST_RIGHT"))
    with pytest.raises(ShareError, match="your own run, recorded here as"):
        adoption.adopt(line)
    assert adopted_from(own) is None


def test_two_groups_that_began_in_the_same_second_both_fit(make_run):
    runs = [room_run(make_run, group, "JUST_RIGHT", run_id="same-second") for group in (1, 2)]
    ids = [adoption.adopt(share.line(run, f"Group {run.seed}")).run_id for run in runs]
    assert ids == ["same-second", "same-second-2"]
    assert adoption.adopt(share.line(runs[1], "Group 2")).run_id == "same-second-2"
    assert len(experiment_log.read_log()) == 2


def test_an_opened_test_part_is_added_to_the_adopted_run(make_run):
    run = room_run(make_run, 4, "JUST_RIGHT")
    adoption.adopt(share.line(run, "Blue 4"))
    opened = dataclasses.replace(run, test={"opened": "2026-01-05T14:00:00+00:00", "accuracy": 0.7, "f1_macro": 0.66})
    adoption.adopt(share.line(opened, "Blue 4"))
    adoption.adopt(share.line(run, "Blue 4"))
    assert Run.load(paths.runs() / run.run_id).test["f1_macro"] == 0.66
    assert len(finished_runs()) == 1


def test_a_bad_line_leaves_no_trace(line):
    with pytest.raises(ShareError, match="cut off"):
        adoption.adopt(line[:300])
    assert not paths.runs().exists() or not list(paths.runs().iterdir())


def test_an_adopted_run_is_not_shared_as_ones_own(line):
    run = adoption.adopt(line)
    with pytest.raises(ShareError, match="is Blue 4's run"):
        share.share_line(run, "Red")


def test_sharing_needs_a_name_and_writes_the_file(make_run, keep_run):
    run = keep_run(make_run())
    assert share.share_line(run, "  ").startswith("No line yet")
    assert share.read(share.share_line(run, "Blue")).run.run_id == run.run_id
    assert (paths.share() / "blue.json").is_file()


def forged(run: Run, **changed) -> str:
    """A line with other values at some keys, as another program could write it."""
    record = {"n": "Blue 4", "p": ["moving", 0.5]} | run_codec.pack(run) | changed
    return framing.frame(framing.RUN, share.to_base62(zlib.compress(json.dumps(record).encode(), 9)))


def test_a_line_without_the_movement_of_layers_shows_what_it_has(make_run):
    run = make_run(final={"weight_movement": 0.02, "layer_movement": {"embeddings": 0.01, "layer 1": 0.03}})
    run.diagnosis = diagnose(run).as_dict()
    adoption.adopt(forged(run, w=[0.02]))
    cells = nbformat.read(notebook_file("01"), as_version=4).cells
    (source,) = [cell.source for cell in cells if cell["id"] == "weight-movement"]
    names: dict = {}
    exec(source.replace("\npd.Series", "\nshown = pd.Series"), names)
    assert names["shown"].loc["all layers"].tolist() == [2.0]
    assert len(board.collect("").one_lab()) == 1


@pytest.mark.parametrize(
    "changed",
    [
        {"i": "predictions_made.jsonl"},
        {"i": "experiment_log.csv.1.part"},
        {"i": "run_order.txt"},
        {"t": "2026-01-05T09:00:00"},
        {"t": "2026-01-05"},
        {"w": []},
    ],
)
def test_a_line_with_a_name_or_a_time_that_no_run_has_is_refused_and_stops_nobody(make_run, changed):
    run = make_run()
    run.diagnosis = diagnose(run).as_dict()
    good, bad = share.line(run, "Blue 4"), forged(run, **changed)
    with pytest.raises(ShareError, match="was not written by this workshop"):
        adoption.adopt(bad)
    assert [len(part) for part in (board.collect(f"{bad}\n{good}").compared, board.collect(bad + good).refused)] == [
        1,
        1,
    ]
    assert not paths.runs().exists()
