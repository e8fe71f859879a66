"""Repeating a run: the numbers match, or the answer says what else was different."""

import copy
import subprocess
import sys

import pytest

from tuning import paths
from tuning.data import loading as sentences
from tuning.dials import SgdDials
from tuning.errors import RunError
from tuning.evidence import experiment_log
from tuning.notebook import repeat
from tuning.sgd import classifier


@pytest.fixture
def stub(monkeypatch):
    """Training that gives a chosen run."""

    def use(run):
        monkeypatch.setattr(repeat, "_train", lambda recorded: run)

    return use


def test_equal_numbers_match_exactly(make_run, keep_run, stub):
    run = keep_run(make_run())
    stub(copy.deepcopy(run))
    found = repeat.reproduce()
    assert (found.answer, found.differs) == ("exactly", [])
    assert "Do the numbers match? Exactly." in str(found)


def test_a_small_difference_matches_to_three_places_and_names_its_cause(make_run, keep_run, stub):
    run = keep_run(make_run())
    other = copy.deepcopy(run)
    other.final["val_loss"] += 0.0002
    other.machine["threads"] = 8
    other.versions["torch"] = "2.14.0"
    stub(other)
    found = repeat.reproduce(run.run_id)
    assert found.answer == "to three places"
    assert found.differs == ["threads 2, now 8", "torch 2.13.0, now 2.14.0"]


@pytest.mark.parametrize("change", [{"val_loss": 0.7}, {"val_f1_macro": None}])
def test_other_numbers_do_not_match(make_run, keep_run, stub, change):
    run = keep_run(make_run())
    other = copy.deepcopy(run)
    other.final |= change
    stub(other)
    assert repeat.reproduce(run.run_id).answer == "no"


def test_a_run_on_a_groups_own_file_cannot_be_repeated(make_run, keep_run):
    run = keep_run(make_run(dials={"DATA": "own"}))
    with pytest.raises(RunError, match="DATA was a file of the group's own"):
        repeat.reproduce(run.run_id)


def test_without_a_run_the_section_is_named():
    with pytest.raises(RunError, match='section "Train"'):
        repeat.reproduce()


@pytest.mark.parametrize("changed", [{}, {"TRAINED": "head only"}])
def test_a_run_of_the_main_lab_is_trained_with_all_its_dials(make_run, keep_run, monkeypatch, changed):
    from tuning.training import fit

    run = make_run(dials={"EPOCHS": 3, "GROUP": 4})
    run.dials |= changed
    keep_run(run)
    seen = []
    monkeypatch.setattr(fit, "fit", lambda dials: seen.append(dials.as_dict()) or copy.deepcopy(run))
    assert repeat.reproduce(run.run_id).answer == "exactly"
    assert seen == [run.dials]


@pytest.mark.slow
def test_a_run_of_the_backup_lab_repeats_exactly():
    data = sentences.load()
    splits = sentences.split(data)
    dials = SgdDials(TRAIN_SUBSET=48, EPOCHS=1)
    run = classifier.train(classifier.features(splits, dials), data, splits)
    assert repeat.reproduce(run.run_id).answer == "exactly"
    assert len(experiment_log.read_log()) == 2


def test_the_journal_loads_no_torch():
    """The backup lab has none."""
    modules = "tuning.notebook.repeat, tuning.evidence, tuning.room.board"
    code = f"import sys, {modules}; sys.exit('torch' in sys.modules or 'pptx' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=paths.LAB).returncode == 0
