"""Saved before lunch, brought back after: real files, another machine's empty folders, and a real restarted kernel."""

import json
import os
import random
import sys
import time
import types
import zipfile
from pathlib import Path

import pytest
from helpers.machines import Session

from tuning import paths
from tuning.dials import Dials
from tuning.errors import KeepsakeError
from tuning.evidence import archive as keepsake
from tuning.evidence import archive_merging, experiment_log, predictions, worksheet
from tuning.evidence.worksheet import read_template
from tuning.notebook.session import notebook_file
from tuning.runs.store import finished_runs, last_run

WORKSHEET = "| my words | and rows |\n\nÜber alles geschrieben.\n"


@pytest.fixture
def morning(make_run, keep_run) -> list[str]:
    """What a learner has at noon: two runs within one second, one with weights, a log, a worksheet, a shared line."""
    runs = [
        keep_run(make_run(run_id="20260105-090000-too-low"), minutes=5),
        keep_run(make_run(run_id="20260105-090000-just-right"), minutes=5, weights=True),
    ]
    for place, run in enumerate(runs):
        experiment_log.append(run)
        moment = 1_767_600_000 + place / 10
        os.utime(run.folder / "predictions.csv", (moment, moment))
    paths.work().mkdir(parents=True)
    (paths.work() / "Activity_Worksheet.md").write_text(WORKSHEET, encoding="utf-8")
    paths.share().mkdir(parents=True)
    (paths.share() / "line.json").write_text("{}", encoding="utf-8")
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
    saved, before, rows = keepsake.save(), contents(), experiment_log.read_log()
    assert "2 runs among them" in capsys.readouterr().out
    another_machine()
    assert contents() == {}
    keepsake.bring_back(saved)
    assert contents() == before
    assert [folder.name for folder in finished_runs()] == morning
    assert last_run().run_id == morning[-1]
    assert experiment_log.read_log().equals(rows)
    assert not (last_run().folder / "model").exists()


def test_a_filled_worksheet_that_came_back_is_made_anew_without_a_number(morning, another_machine):
    worksheet.fill_worksheet()
    saved = keepsake.save()
    another_machine()
    keepsake.bring_back(saved)
    worksheet.fill_worksheet()
    assert [path.name for path in paths.work().glob("*_filled*.md")] == ["Activity_Worksheet_filled.md"]


def test_the_last_runs_weights_come_along_if_asked_for(morning, another_machine):
    saved = keepsake.save(weights=True)
    another_machine()
    keepsake.bring_back(saved)
    assert (last_run().folder / "model" / "model.safetensors").read_bytes() == b"weights"


SHEET = "Activity_Worksheet.md"


def change_worksheet(text: str, minutes: float) -> None:
    """Write the worksheet of this machine, so many minutes from now."""
    paths.work().mkdir(exist_ok=True)
    (paths.work() / SHEET).write_text(text, encoding="utf-8")
    moment = time.time() + 60 * minutes
    os.utime(paths.work() / SHEET, (moment, moment))


@pytest.mark.parametrize("minutes", [30, -30])
def test_of_two_worksheets_the_newer_one_stays_and_the_other_lies_beside_it(morning, another_machine, minutes, capsys):
    saved = keepsake.save()
    another_machine()
    change_worksheet("written here\n", minutes)
    keepsake.bring_back(saved)
    (beside,) = paths.work().glob("Activity_Worksheet.of-*.md")
    here, kept = (paths.work() / SHEET).read_text(encoding="utf-8"), beside.read_text(encoding="utf-8")
    assert (here, kept) == (("written here\n", WORKSHEET) if minutes > 0 else (WORKSHEET, "written here\n"))
    told = capsys.readouterr().out
    assert ("the one here is newer and stays" if minutes > 0 else "the saved one is newer and was taken") in told
    assert beside.name in told
    # A second time there is nothing left to do.
    assert keepsake.bring_back(saved) == []
    assert len(list(paths.work().iterdir())) == 2


def test_a_worksheet_that_nobody_has_written_into_gives_way(morning, another_machine):
    saved = keepsake.save()
    another_machine()
    change_worksheet(read_template(), 30)
    keepsake.bring_back(saved)
    assert (paths.work() / SHEET).read_text(encoding="utf-8") == WORKSHEET
    assert not list(paths.work().glob("*.of-*"))


def test_logs_predictions_and_the_order_of_runs_are_joined(morning, another_machine, make_run, keep_run):
    predictions.predict(Dials(), "stalled")
    experiment_log.amend(make_run(run_id=morning[0]), note="saved")
    saved = keepsake.save()
    another_machine()
    here = keep_run(make_run(run_id="20260105-130000-too-high"))
    experiment_log.append(here)
    experiment_log.amend(make_run(run_id=morning[0]), note="here")
    predictions.predict(Dials(), "moving")
    for _ in range(2):
        keepsake.bring_back(saved)
        rows = experiment_log.read_log().set_index("Run ID")
        assert set(rows.index) == {*morning, here.run_id}
        assert rows.loc[morning[0], "Notes"] == "here; saved"
        words = [json.loads(line)["word"] for line in predictions.predictions_file().read_text().splitlines()]
        assert words == ["stalled", "moving"]
        assert [folder.name for folder in finished_runs()] == [*morning, here.run_id]
    assert last_run().run_id == here.run_id


def test_saving_twice_does_not_save_the_first_file(morning):
    first, second = keepsake.save(), contents()
    assert first.is_relative_to(paths.work())
    assert contents() == second


def test_a_half_finished_run_is_named(morning, capsys):
    checkpoint = paths.runs() / "20260105-120000-cut" / "checkpoints" / "checkpoint-5"
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
        monkeypatch.setattr(paths, name, tmp_path / "lab" / "tuning")
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


def changed(raw: bytes, change) -> bytes:
    raw = bytearray(raw)
    change(raw)
    return bytes(raw)


@pytest.mark.parametrize("bits", [150, pytest.param(3_000, marks=[pytest.mark.slow, pytest.mark.full])])
def test_one_bit_changed_anywhere_is_one_line_or_the_same_files(morning, another_machine, tmp_path, bits, capsys):
    saved, before = keepsake.save().read_bytes(), contents()
    another_machine()
    change_worksheet("written here\n", 0)
    here, rng, refused = contents(), random.Random(5), 0
    for _ in range(bits):
        at, bit = rng.randrange(len(saved)), rng.randrange(8)
        damaged = tmp_path / "damaged.zip"
        damaged.write_bytes(saved[:at] + bytes([saved[at] ^ (1 << bit)]) + saved[at + 1 :])
        try:
            keepsake.bring_back(damaged)
        except KeepsakeError as problem:
            (line,) = str(problem).splitlines()
            assert contents() == here, line
            refused += 1
        else:
            assert before.items() - {("my_work/" + SHEET, WORKSHEET.encode())} <= contents().items()
            another_machine()
            change_worksheet("written here\n", 0)
            capsys.readouterr()
    assert refused > bits / 2


def repacked(saved: Path, target: Path, rename, added: dict[str, str] | None = None, **how) -> Path:
    """What somebody gets who unpacks a saved file and zips it again."""
    with zipfile.ZipFile(saved) as source, zipfile.ZipFile(target, "w", **how) as out:
        for info in source.infolist():
            info.filename, content = rename(info.filename), source.read(info)
            out.writestr(info, content, compress_type=how.get("compression"))
        for name, text in (added or {}).items():
            out.writestr(name, text)
    return target


REPACKED = {
    "one folder more": (lambda name: f"workshop-6w-20260105-120000/{name}", {}),
    "two folders more": (lambda name: f"Downloads/saved/{name}", {}),
    "what macOS adds": (
        lambda name: name,
        {"__MACOSX/my_work/._a.md": "x", "my_work/.DS_Store": "x", "my_work/._a.md": "x"},
    ),
    "what Windows adds": (lambda name: name, {"my_work/Thumbs.db": "x", "desktop.ini": "x"}),
    "drive letters": (lambda name: f"C:\\Users\\me\\{name}".replace("/", "\\"), {}),
    "an absolute path": (lambda name: f"/home/me/{name}", {}),
    "a dot in front": (lambda name: f"./{name}", {}),
}


@pytest.mark.parametrize("name", REPACKED)
def test_a_file_that_was_unpacked_and_zipped_again_is_read(morning, another_machine, tmp_path, name):
    saved, before = keepsake.save(), contents()
    again = repacked(saved, tmp_path / "again.zip", *REPACKED[name])
    another_machine()
    keepsake.bring_back(again)
    assert contents() == before
    assert last_run().run_id == morning[-1]


def test_two_saved_copies_in_one_file_are_named(morning, tmp_path):
    saved = keepsake.save()
    names = {f"two/{name}": text.decode("latin-1") for name, text in contents().items()}
    both = repacked(saved, tmp_path / "both.zip", lambda name: f"one/{name}", names)
    with pytest.raises(KeepsakeError, match="holds two saved copies, in 'one' and 'two'"):
        keepsake.bring_back(both)


def lock(raw: bytearray) -> None:
    """Set the mark of a password in every entry."""
    for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = raw.find(mark)
        while place >= 0:
            raw[place + at] |= 1
            place = raw.find(mark, place + 1)


def test_a_locked_file_and_an_unusual_one_are_said(morning, tmp_path):
    saved = keepsake.save()
    (tmp_path / "locked.zip").write_bytes(changed(saved.read_bytes(), lock))
    with pytest.raises(KeepsakeError, match="locked with a password"):
        keepsake.bring_back(tmp_path / "locked.zip")
    unusual = repacked(saved, tmp_path / "unusual.zip", lambda name: name, compression=zipfile.ZIP_BZIP2)
    with pytest.raises(KeepsakeError, match="packed in an unusual way"):
        keepsake.bring_back(unusual)


@pytest.mark.parametrize("name", ["runs/predictions_made.jsonl/run.json", "runs/x.csv.1.part/a.json", "my_work/a:b.md"])
def test_names_that_would_break_what_follows_are_refused(tmp_path, name):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(name, "x")
    with pytest.raises(KeepsakeError, match="not a file that the workshop saved"):
        keepsake.bring_back(tmp_path / "a.zip")


@pytest.mark.parametrize("failing", ["copyfile", "rename"])
def test_a_failure_in_the_middle_changes_nothing(morning, another_machine, monkeypatch, failing):
    saved = keepsake.save()
    another_machine()
    change_worksheet("written here\n", -30)
    here, done = contents(), []

    def full(*arguments, **options):
        done.append(arguments)
        if len(done) > 3:
            raise OSError(28, "No space left on device")
        return usual(*arguments, **options)

    owner, name = (archive_merging.shutil, "copyfile") if failing == "copyfile" else (Path, "replace")
    usual = getattr(owner, name)
    with monkeypatch.context() as patched:
        patched.setattr(owner, name, full)
        with pytest.raises(KeepsakeError, match="No space left"):
            keepsake.bring_back(saved)
    assert contents() == here
    assert not [path for folder in keepsake._places().values() for path in folder.rglob("*.part")]


@pytest.mark.parametrize("moment", [-86_400, 0, 5_000_000_000])
def test_files_dated_before_1980_or_after_2107_are_saved(morning, another_machine, moment):
    os.utime(paths.work() / SHEET, (moment, moment))
    saved, before = keepsake.save(), contents()
    another_machine()
    keepsake.bring_back(saved)
    assert contents() == before


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_a_name_that_is_not_utf8_is_saved_as_the_person_sees_it(morning, another_machine):
    (paths.work() / os.fsdecode(b"\xfcbung.md")).write_text("mine", encoding="utf-8")
    saved = keepsake.save()
    another_machine()
    keepsake.bring_back(saved)
    assert (paths.work() / "übung.md").read_text(encoding="utf-8") == "mine"


def test_of_two_files_saved_in_one_second_or_after_a_clock_was_set_back_the_last_is_the_newest(morning):
    ahead = paths.work() / "saved" / "workshop-6w-20990105-090000.zip"
    ahead.parent.mkdir()
    ahead.write_bytes(b"")
    names = [keepsake.save() for _ in range(11)]
    assert len({*names}) == 11
    assert keepsake._newest() == names[-1]


def test_the_newest_saved_file_is_found_by_itself(morning, another_machine, monkeypatch, tmp_path):
    saved, before = keepsake.save(), contents()
    another_machine()
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    (tmp_path / "workshop-6w-20200101-000000.zip").write_bytes(b"older")
    saved.rename(tmp_path / saved.name)
    keepsake.bring_back()
    assert contents() == before


@pytest.mark.slow
@pytest.mark.parametrize("number", ["01", "03"])
def test_after_lunch_on_another_machine_the_sections_after_training_work(morning, another_machine, number):
    with Session(notebook_file(number), paths.LAB) as before_lunch:
        assert "2 runs among them" in before_lunch.run("save")
    (saved,) = (paths.work() / "saved").iterdir()
    another_machine()
    paths.work().mkdir()
    saved.rename(paths.work() / saved.name)
    with Session(notebook_file(number), paths.LAB) as after_lunch:
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
