"""Saved before lunch, brought back after: real files, another machine's empty folders, and a real restarted kernel."""

import os
import sys
import types
import zipfile
from pathlib import Path

import pytest
from machines import Session

from tuning import folders, keepsake, log
from tuning.errors import KeepsakeError
from tuning.run import finished_runs, last_run
from tuning.session import notebook_file

WORKSHEET = "| my words | and rows |\n\nÜber alles geschrieben.\n"


@pytest.fixture
def morning(make_run, keep_run) -> list[str]:
    """What a learner has at noon: two runs within one second, one with weights, a log, a worksheet, a shared line."""
    runs = [
        keep_run(make_run(run_id="20260105-090000-too-low"), minutes=5),
        keep_run(make_run(run_id="20260105-090000-just-right"), minutes=5, weights=True),
    ]
    for place, run in enumerate(runs):
        log.append(run)
        moment = 1_767_600_000 + place / 10
        os.utime(run.folder / "predictions.csv", (moment, moment))
    folders.work().mkdir(parents=True)
    (folders.work() / "Activity_Worksheet.md").write_text(WORKSHEET, encoding="utf-8")
    folders.share().mkdir(parents=True)
    (folders.share() / "line.json").write_text("{}", encoding="utf-8")
    return [run.run_id for run in runs]


@pytest.fixture
def another_machine(tmp_path_factory, monkeypatch):
    """Move to a machine that has nothing of the learner's."""

    def move() -> Path:
        folder = tmp_path_factory.mktemp("afternoon")
        for name in ("RUNS", "WORK", "SHARE"):
            monkeypatch.setenv(f"WORKSHOP_{name}", str(folder / name.lower()))
        return folder

    return move


def contents() -> dict[str, bytes]:
    """Everything that is the learner's, by name."""
    return {name: path.read_bytes() for name, path in keepsake._files()}


def test_everything_comes_back_on_another_machine(morning, another_machine, capsys):
    saved, before, rows = keepsake.save(), contents(), log.read_log()
    assert "2 runs among them" in capsys.readouterr().out
    another_machine()
    assert contents() == {}
    keepsake.bring_back(saved)
    assert contents() == before
    assert [folder.name for folder in finished_runs()] == morning
    assert last_run().run_id == morning[-1]
    assert log.read_log().equals(rows)
    assert not (last_run().folder / "model").exists()


def test_the_last_runs_weights_come_along_if_asked_for(morning, another_machine):
    saved = keepsake.save(weights=True)
    another_machine()
    keepsake.bring_back(saved)
    assert (last_run().folder / "model" / "model.safetensors").read_bytes() == b"weights"


def test_what_is_there_and_differs_is_kept_beside(morning, another_machine, make_run, keep_run):
    saved = keepsake.save()
    another_machine()
    here = keep_run(make_run(run_id="20260105-130000-too-high"))
    log.append(here)
    folders.work().mkdir()
    (folders.work() / "Activity_Worksheet.md").write_text("empty\n", encoding="utf-8")
    keepsake.bring_back(saved)
    assert (folders.work() / "Activity_Worksheet.md").read_text(encoding="utf-8") == WORKSHEET
    (kept,) = folders.work().glob("Activity_Worksheet.before-*.md")
    assert kept.read_text(encoding="utf-8") == "empty\n"
    assert set(log.read_log()["Run ID"]) == {*morning, here.run_id}
    # A second time there is nothing left to do, but for the log, which has a row more than the saved one.
    assert [path.name for path in keepsake.bring_back(saved)] == ["experiment_log.csv"]
    assert set(log.read_log()["Run ID"]) == {*morning, here.run_id}


def test_saving_twice_does_not_save_the_first_file(morning):
    first, second = keepsake.save(), contents()
    assert first.is_relative_to(folders.work())
    assert contents() == second


def test_a_half_finished_run_is_named(morning, capsys):
    checkpoint = folders.runs() / "20260105-120000-cut" / "checkpoints" / "checkpoint-5"
    checkpoint.mkdir(parents=True)
    (checkpoint / "whole.json").write_text("{}", encoding="utf-8")
    saved = keepsake.save()
    assert "half-finished" in capsys.readouterr().out
    assert not any("checkpoint" in name for name in zipfile.ZipFile(saved).namelist())


def test_before_the_first_run_there_is_something_to_save_too(another_machine, capsys):
    saved = keepsake.save()
    assert "0 files, 0 runs" in capsys.readouterr().out
    another_machine()
    assert keepsake.bring_back(saved) == []


@pytest.mark.parametrize(
    ("variables", "told"),
    [({}, "workshop.py lab"), ({"CODESPACES": "true"}, "github.com/codespaces")],
)
def test_coming_back_is_said_for_the_machine_at_hand(monkeypatch, variables, told):
    monkeypatch.delenv("CODESPACES", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert told in keepsake.how_to_come_back()


@pytest.fixture
def colab(monkeypatch) -> types.SimpleNamespace:
    """Colab's file transfer: the browser's side of it is a list and a folder."""
    files = types.ModuleType("google.colab.files")
    browser = types.SimpleNamespace(downloads=[], upload=None)
    files.download = browser.downloads.append
    files.upload = lambda: {browser.upload: b""} if browser.upload else {}
    monkeypatch.setitem(sys.modules, "google.colab", types.ModuleType("google.colab"))
    monkeypatch.setitem(sys.modules, "google.colab.files", files)
    return browser


def test_in_colab_the_browser_downloads_and_uploads(morning, another_machine, colab, capsys, monkeypatch, tmp_path):
    saved = keepsake.save()
    assert colab.downloads == [str(saved)]
    assert "Colab forgets" in capsys.readouterr().out
    before = contents()
    another_machine()
    monkeypatch.chdir(tmp_path)
    for name in ("ROOT", "LAB"):
        monkeypatch.setattr(folders, name, tmp_path / "lab" / "tuning")
    with pytest.raises(KeepsakeError, match="there is no such file"):
        keepsake.bring_back()
    colab.upload = saved
    keepsake.bring_back()
    assert contents() == before


@pytest.mark.parametrize(
    "name",
    [
        "../outside.md",
        "my_work/../../outside.md",
        "/etc/outside.md",
        "my_work\\..\\outside.md",
        "elsewhere/file.md",
        "my_work/program.py",
        "runs/one/model/model.bin",
        "my_work/model.safetensors",
    ],
)
def test_a_file_that_the_workshop_did_not_save_is_refused_whole(tmp_path, name):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("my_work/good.md", "x")
        archive.writestr(name, "x")
    with pytest.raises(KeepsakeError, match="not a file that the workshop saved"):
        keepsake.bring_back(tmp_path / "a.zip")
    assert contents() == {}


def test_a_torn_file_and_a_missing_one_are_named(morning, tmp_path):
    torn = tmp_path / "torn.zip"
    torn.write_bytes(keepsake.save().read_bytes()[:-200])
    with pytest.raises(KeepsakeError, match=r"torn\.zip is damaged"):
        keepsake.bring_back(torn)
    with pytest.raises(KeepsakeError, match=r"none\.zip: there is no such file"):
        keepsake.bring_back(tmp_path / "none.zip")


def test_the_newest_saved_file_is_found_by_itself(morning, another_machine, monkeypatch, tmp_path):
    saved, before = keepsake.save(), contents()
    another_machine()
    monkeypatch.setattr(folders, "ROOT", tmp_path)
    (tmp_path / "workshop-6w-20200101-000000.zip").write_bytes(b"older")
    saved.rename(tmp_path / saved.name)
    keepsake.bring_back()
    assert contents() == before


@pytest.mark.slow
@pytest.mark.parametrize("number", ["01", "03"])
def test_after_lunch_on_another_machine_the_sections_after_training_work(morning, another_machine, number):
    with Session(notebook_file(number), folders.LAB) as before_lunch:
        assert "2 runs among them" in before_lunch.run("save")
    (saved,) = (folders.work() / "saved").iterdir()
    another_machine()
    folders.work().mkdir()
    saved.rename(folders.work() / saved.name)
    with Session(notebook_file(number), folders.LAB) as after_lunch:
        after_lunch.run("place")
        after_lunch.run("preflight")
        assert after_lunch.run("come-back") == "Nothing is brought back.\n"
        assert "Brought back" in after_lunch.run("come-back", COME_BACK=True)
        if number == "01":
            assert "after training" in after_lunch.run("before-after")
            assert morning[-1] in after_lunch.run("worksheet-rows")
        else:
            after_lunch.run("shared")
            assert "2 runs can be compared" in after_lunch.run("collect")
