"""A killed run goes on where its last whole epoch ended, and ends with the same weights."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from tuning import paths
from tuning.data.loading import Data, Splits
from tuning.dials import Dials, FrozenDials
from tuning.encoder import adapters
from tuning.encoder import finding as encoders
from tuning.encoder.run_models import trained
from tuning.encoder.tokens import tokenise_splits
from tuning.errors import DialError, RunError
from tuning.notebook import headless, notebook_settings
from tuning.runs.diagnosis import diagnose
from tuning.runs.record import Run
from tuning.runs.store import last_run
from tuning.training import fit, resume
from tuning.training.recorder import Recorder
from tuning.training.speed import embedding_rows

MB = 1_000_000


class Killed(BaseException):
    """Ends a run in this process as a lost kernel does: nothing after it is done."""


@pytest.fixture
def small(tiny_distilbert, monkeypatch) -> dict:
    """Dials of a run of a few seconds: tiny random weights, few sentences, a short validation part."""
    whole = fit.split

    def short(data: Data):
        parts = whole(data)
        return Splits(parts.train, parts.validation.head(40), parts.test)

    monkeypatch.setattr(fit, "split", short)
    return {"MODEL": str(tiny_distilbert), "TRAIN_SUBSET": 48, "EPOCHS": 3, "PRECISION": "fp32", "LR_PRESET": 1e-3}


@pytest.fixture
def killed_after(monkeypatch, small) -> Callable[[int], Path]:
    """Train until so many epochs are whole, then die; gives the folder of the half-finished run."""

    def kill(epochs: int, **dials) -> Path:
        def die(self, args, state, control, **kwargs):
            if state.epoch >= epochs:
                raise Killed

        with monkeypatch.context() as patch, pytest.raises(Killed):
            patch.setattr(Recorder, "on_step_begin", die)
            fit.fit((FrozenDials if "TRAINED" in dials else Dials)(**small | dials), quiet=True)
        return next(paths.runs().glob(f"*/{resume.CHECKPOINTS}")).parent

    return kill


def weight_bytes(run: Run) -> bytes:
    return (run.folder / "model" / "model.safetensors").read_bytes()


def rows_in_log() -> int:
    return len(pd.read_csv(paths.runs() / "experiment_log.csv"))


def test_a_half_finished_run_is_continued_and_a_line_says_so(killed_after, small, capsys):
    folder = killed_after(2)
    run = fit.fit(Dials(**small), quiet=True)
    line = f"Going on with run {folder.name} after epoch 2 of 3, where it was cut off. FRESH = True would start anew."
    assert line in capsys.readouterr().out.splitlines()
    assert (run.folder, rows_in_log()) == (folder, 1)
    assert [step["step"] for step in run.steps] == list(range(1, 19))
    assert [row["epoch"] for row in run.epochs] == [1, 2, 3]
    assert not (folder / resume.CHECKPOINTS).exists()
    whole = fit.fit(Dials(**small), quiet=True)
    assert weight_bytes(run) == weight_bytes(whole)
    assert (run.steps, run.final) == (whole.steps, whole.final)


@pytest.mark.skipif(not adapters.is_here(), reason="peft is optional: requirements/further.txt")
def test_a_half_finished_run_with_an_adapter_is_continued_too(killed_after, small):
    folder = killed_after(2, TRAINED="LoRA 2")
    dials = FrozenDials(**small, TRAINED="LoRA 2")
    run, whole = (fit.fit(dials, quiet=True) for _ in range(2))
    assert run.folder == folder
    assert weight_bytes(run) == weight_bytes(whole)
    assert (run.steps, run.final, run.adapter) == (whole.steps, whole.final, whole.adapter)


def test_fresh_throws_a_half_finished_run_away_and_changes_no_number(killed_after, small, capsys):
    folder = killed_after(1)
    run = fit.fit(Dials(**small, FRESH=True), quiet=True)
    line = f"FRESH: the half-finished run {folder.name} after epoch 1 of 3 was thrown away. This one starts anew."
    assert line in capsys.readouterr().out.splitlines()
    assert not (folder / resume.CHECKPOINTS).exists()
    assert (rows_in_log(), len(last_run().steps)) == (1, 18)
    assert "FRESH" not in run.dials
    again = fit.fit(Dials(**small), quiet=True)
    assert weight_bytes(run) == weight_bytes(again)
    assert capsys.readouterr().out == ""


def test_the_script_takes_fresh_as_an_option(monkeypatch, make_run):
    asked = []
    monkeypatch.setattr(
        fit,
        "fit",
        lambda dials: asked.append(dials) or make_run(diagnosis=diagnose(make_run()).as_dict()),
    )
    assert fit.main(["--set", "EPOCHS=3"]) == fit.main(["--set", "EPOCHS=3", "--fresh"]) == 0
    assert [dials.FRESH for dials in asked] == [False, True]
    assert asked[0].as_dict() == asked[1].as_dict()


def test_a_notebook_without_a_screen_takes_it_as_an_option_and_as_a_dial(monkeypatch):
    asked = []
    monkeypatch.setattr(headless, "run_notebook", lambda number, given, *rest: asked.append(given) or paths.runs())
    assert headless.main(["--fresh"]) == 0
    assert (
        notebook_settings.parameters("01", asked[0])
        == notebook_settings.parameters("01", {"FRESH": "true"})
        == {"FRESH": True}
    )
    with pytest.raises(DialError, match="FRESH is not a dial"):
        notebook_settings.parameters("02", {"FRESH": "True"})


def test_a_checkpoint_that_is_not_whole_is_not_used(killed_after, small):
    folder = killed_after(1)
    checkpoint = next(folder.glob(f"{resume.CHECKPOINTS}/checkpoint-*"))
    # As a kill while saving leaves it: the mark is written last.
    for name in ("optimizer.pt", resume.MARK):
        (checkpoint / name).unlink()
    run = fit.fit(Dials(**small), quiet=True)
    assert [step["step"] for step in run.steps] == list(range(1, 19))
    # Within one second the new run may bear the name of the one that was thrown away.
    assert [path.parent for path in paths.runs().glob("*/run.json")] == [run.folder]
    assert not checkpoint.exists()


def test_a_kill_between_the_log_and_the_record_leaves_one_row(small, monkeypatch):
    def die(self, folder=None):
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(Run, "save", die)
        fit.fit(Dials(**small), quiet=True)
    assert rows_in_log() == 1
    fit.fit(Dials(**small), quiet=True)
    assert rows_in_log() == 1


def cut_off(name: str, fingerprint: str = "same", step: int = 6) -> Path:
    """A made-up run that was cut off after a checkpoint."""
    checkpoint = paths.runs() / name / resume.CHECKPOINTS / f"checkpoint-{step}"
    checkpoint.mkdir(parents=True)
    resume.mark_whole(checkpoint, fingerprint, [{"step": step}], [{"epoch": 1}], [])
    return checkpoint.parents[1]


def test_only_a_whole_checkpoint_of_the_same_run_counts():
    folder = cut_off("right")
    cut_off("other", "another")
    cut_off("finished").joinpath("run.json").write_text("{}")
    damaged = cut_off("damaged")
    next(damaged.rglob(resume.MARK)).write_text('{"fingerprint"')
    next(cut_off("without").rglob(resume.MARK)).unlink()
    assert [half.folder for half in resume.half_finished("same")] == [folder]


def test_a_new_checkpoint_lets_the_one_before_go_only_when_it_is_whole():
    folder = cut_off("run", step=6)
    later = folder / resume.CHECKPOINTS / "checkpoint-12"
    later.mkdir()
    assert resume.half_finished("same")[0].checkpoint.name == "checkpoint-6"
    resume.mark_whole(later, "same", [], [], [])
    assert [half.checkpoint for half in resume.half_finished("same")] == [later]
    assert not (folder / resume.CHECKPOINTS / "checkpoint-6").exists()


def test_a_run_that_another_kernel_is_training_is_neither_found_nor_cleared():
    folder = cut_off("run")
    next(folder.rglob(resume.MARK)).rename(folder / "aside")
    with resume.lock(folder):
        resume.clear_remains()
        (folder / "aside").rename(folder / resume.CHECKPOINTS / "checkpoint-6" / resume.MARK)
        assert resume.half_finished("same") == []
    assert [half.folder for half in resume.half_finished("same")] == [folder]


def test_what_killed_runs_left_is_cleared_and_what_can_be_used_stays():
    usable, finished, useless = cut_off("usable"), cut_off("finished"), cut_off("useless")
    (finished / "run.json").write_text("{}")
    next(useless.rglob(resume.MARK)).unlink()
    untouched = paths.runs() / "just-begun"
    untouched.mkdir()
    resume.clear_remains()
    assert sorted(path.name for path in paths.runs().iterdir()) == ["finished", "just-begun", "usable"]
    assert not (finished / resume.CHECKPOINTS).exists()
    assert resume.half_finished("same")[0].folder == usable


# Room on the disk


@pytest.fixture
def disk(monkeypatch) -> SimpleNamespace:
    """A disk whose free bytes the test decides."""
    found = SimpleNamespace(free=10**12)
    monkeypatch.setattr(resume.shutil, "disk_usage", lambda path: found)
    return found


# 10 million weights are 40 MB; a checkpoint is three times the weights that are trained; 50 MB stay free for the rest.
@pytest.mark.parametrize(
    ("trained", "epochs", "continued", "needed"),
    [
        (10, 1, False, 90),
        (10, 2, False, 210),
        (10, 3, False, 290),
        (10, 12, False, 290),
        (10, 3, True, 170),
        (5, 1, False, 90),
        (5, 2, False, 150),
        (5, 3, False, 170),
        (5, 3, True, 110),
    ],
)
def test_the_need_counts_two_checkpoints_and_the_trained_weights(disk, trained, epochs, continued, needed):
    half = resume.HalfFinished(Path(), Path(), [], [], []) if continued else None
    disk.free = needed * MB
    assert resume.check_room(10 * MB, trained * MB, epochs, half) == ""
    disk.free -= 1
    if epochs == 1:
        with pytest.raises(RunError, match="90 MB"):
            resume.check_room(10 * MB, trained * MB, epochs, half)
        return
    told = resume.check_room(10 * MB, trained * MB, epochs, half)
    assert told.splitlines() == [told]
    assert f"need {needed} MB of disk, {needed} MB is free" in told
    assert "Old runs can be deleted" in told


def test_without_room_for_checkpoints_a_run_trains_without_and_says_so(disk, small, monkeypatch, capsys):
    saved = []
    monkeypatch.setattr(Recorder, "on_save", lambda *args, **kwargs: saved.append(args))
    disk.free = 54.2 * MB
    run = fit.fit(Dials(**small), quiet=True)
    assert capsys.readouterr().out.startswith("There is no room for checkpoints: they need 55 MB")
    assert (saved, run.outcome) == ([], "completed")
    assert weight_bytes(run)


def test_without_room_for_the_weights_nothing_is_trained(disk, small):
    disk.free = 20 * MB
    with pytest.raises(RunError, match=r"no room for this run: it needs 5\d MB of disk, 20 MB is free") as caught:
        fit.fit(Dials(**small), quiet=True)
    assert str(caught.value).splitlines() == [str(caught.value)]
    assert not list(paths.runs().glob("*/run.json"))


def test_a_disk_that_fills_up_during_training_costs_the_checkpoints_and_the_weights_only(
    disk, small, monkeypatch, capsys
):
    saved = []
    whole = resume.mark_whole

    def fill(checkpoint, *rest):
        saved.append(checkpoint.name)
        whole(checkpoint, *rest)
        disk.free = MB

    monkeypatch.setattr(resume, "mark_whole", fill)
    run = fit.fit(Dials(**small), quiet=True)
    lines = capsys.readouterr().out.splitlines()
    assert saved == ["checkpoint-6"]
    assert [line.partition(":")[0].partition(",")[0] for line in lines] == ["The disk is full by now"] * 2
    assert last_run().run_id == run.run_id
    with pytest.raises(RunError, match="no longer on disk"):
        trained(run)


def test_real_checkpoints_are_as_large_as_was_reckoned(killed_after, small):
    folder = killed_after(2)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    splits, dials = fit.split(fit.load()), Dials(**small)
    model, tokenizer = encoders.build(encoders.find(small["MODEL"]), 1)
    unused = embedding_rows.unused_weights(model, tokenise_splits(splits, tokenizer, dials).seen())
    reckoned = resume.COPIES * (model.num_parameters() - unused) * resume.BYTES_PER_WEIGHT
    assert 0.95 * reckoned < size < reckoned + resume.SPARE_BYTES / 10


def test_a_run_that_another_kernel_still_trains_is_said(make_run, keep_run, capsys):
    training = paths.runs() / "20260105-100000-too-high"
    with resume.lock(training):
        with pytest.raises(RunError, match="20260105-100000-too-high: still being trained by another kernel"):
            resume.newest_run()
        finished = keep_run(make_run())
        assert resume.newest_run().run_id == finished.run_id
        assert capsys.readouterr().out.startswith("20260105-100000-too-high: still being trained")
    assert resume.newest_run().run_id == finished.run_id
    assert capsys.readouterr().out == ""
