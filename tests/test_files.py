"""What a person changed is never written over: the new version gets a number."""

import errno
import os
import subprocess
import sys
import time

import pytest
from filelock import SoftFileLock, Timeout

from maintain import handouts
from tuning import files
from tuning.dials import Dials
from tuning.evidence import experiment_log, predictions, worksheet
from tuning.files import AS_WRITTEN, free_name, sign


def test_a_file_as_the_code_left_it_is_written_again(tmp_path):
    path = tmp_path / "Slide.pptx"
    assert free_name(path) == path
    path.write_bytes(b"one")
    sign(path)
    assert free_name(path) == path


def test_a_changed_file_stays_and_the_next_one_gets_a_number(tmp_path):
    path = tmp_path / "Slide.pptx"
    path.write_bytes(b"one")
    sign(path)
    path.write_bytes(b"one, and a title")
    second = free_name(path)
    assert second.name == "Slide-2.pptx"
    second.write_bytes(b"two")
    sign(second)
    assert free_name(path) == second
    second.write_bytes(b"two, and a conclusion")
    assert free_name(path).name == "Slide-3.pptx"


@pytest.mark.parametrize("damage", [None, "", "[1]", "\0"])
def test_a_file_of_which_nothing_is_known_counts_as_changed(tmp_path, damage):
    path = tmp_path / "Slide.pptx"
    path.write_bytes(b"one")
    sign(path)
    if damage is None:
        (tmp_path / AS_WRITTEN).unlink()
    else:
        (tmp_path / AS_WRITTEN).write_text(damage, encoding="utf-8")
    assert free_name(path).name == "Slide-2.pptx"


def test_a_printed_handout_that_was_changed_stays(tmp_path, monkeypatch):
    monkeypatch.setattr(handouts, "page", lambda name, large=False: name)
    first = handouts.write(tmp_path)
    assert handouts.write(tmp_path) == first
    first[0].write_text("with a note of the coach", encoding="utf-8")
    again = handouts.write(tmp_path)
    assert again == [first[0].with_name(f"{first[0].stem}-2.html"), *first[1:]]
    assert first[0].read_text(encoding="utf-8") == "with a note of the coach"


# What stands in the way: kills, full disks, links, disks without locks


def test_a_linked_file_stays_a_link(tmp_path):
    kept = tmp_path / "elsewhere" / "worksheet.md"
    kept.parent.mkdir()
    kept.write_text("old")
    link = tmp_path / "worksheet.md"
    link.symlink_to(kept)
    files.write_whole(link, "new")
    assert link.is_symlink()
    assert kept.read_text() == "new"


def test_temporary_files_of_ended_processes_are_cleared(tmp_path):
    gone = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True)
    dead = tmp_path / f"log.csv.{gone.stdout.strip()}.part"
    alive = tmp_path / f"log.csv.{os.getppid()}.part"
    for path in (dead, alive, tmp_path / "a.part"):
        path.write_text("half")
    files.write_whole(tmp_path / "log.csv", "whole")
    assert {path.name for path in tmp_path.iterdir()} == {"log.csv", alive.name, "a.part"}


@pytest.mark.parametrize("call", ["file", "folder"])
def test_content_and_name_are_on_disk_before_the_next_line(tmp_path, monkeypatch, call):
    flushed = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: flushed.append(os.fstat(descriptor).st_ino))
    files.write_whole(tmp_path / "a.txt", "whole")
    files.append_line(tmp_path / "b.txt", "line")
    wanted = [tmp_path / "a.txt", tmp_path / "b.txt"] if call == "file" else [tmp_path]
    assert {path.stat().st_ino for path in wanted} <= {*flushed}


def test_a_disk_that_cannot_flush_is_written_to(tmp_path, monkeypatch):
    def refuse(descriptor):
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(os, "fsync", refuse)
    files.write_whole(tmp_path / "a.txt", "whole")
    assert (tmp_path / "a.txt").read_text() == "whole"


def test_a_line_for_which_there_is_no_room_leaves_the_file_as_it_was(tmp_path, monkeypatch):
    path = tmp_path / "a.jsonl"
    files.append_line(path, "{}")

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        files.append_line(path, "[]")
    assert path.read_text() == "{}\n"


@pytest.fixture(params=["ENOLCK", "EOPNOTSUPP", "EPERM", "EIO", "ENOSYS"])
def no_flock(request, monkeypatch):
    """A network share: the system call that locks a file fails."""
    fcntl = pytest.importorskip("fcntl")

    def refuse(descriptor, operation):
        number = getattr(errno, request.param)
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    monkeypatch.setattr(files, "_noted", set())


def test_without_file_locks_an_exclusive_file_does_their_work_and_says_so_once(tmp_path, no_flock, capsys):
    with files.Lock(tmp_path / "a.lock", 0):
        owner = (tmp_path / "a.lock.owner").read_text().splitlines()
        assert owner[0] == str(os.getpid())
        with pytest.raises(Timeout), files.Lock(tmp_path / "a.lock", 0.1):
            pass
    with files.Lock(tmp_path / "a.lock", 0), files.Lock(tmp_path / "b.lock", 0):
        pass
    assert capsys.readouterr().out.count("no file locks") == 1
    assert not list(tmp_path.glob("*.owner"))


@pytest.mark.parametrize(
    ("owner", "age", "free"),
    [
        ({"host": "", "pid": 999_999_999}, 1, True),
        ({"host": "", "pid": os.getpid()}, 1, False),
        ({"host": "another", "pid": 1}, 1, False),
        ({"host": "another", "pid": 1}, 10_000, True),
        ("half-writ", 1, False),
        ("half-writ", 10_000, True),
    ],
)
def test_an_owner_that_has_ended_is_passed_over(tmp_path, no_flock, owner, age, free):
    held = tmp_path / "a.lock.owner"
    with SoftFileLock(held):
        host = held.read_text().splitlines()[1]
    if isinstance(owner, dict):
        owner = f"{owner['pid']}\n{owner['host'] or host}\n"
    held.write_text(owner)
    moment = time.time() - age
    os.utime(held, (moment, moment))
    try:
        with files.Lock(tmp_path / "a.lock", 0.1):
            taken = True
    except Timeout:
        taken = False
    assert taken == free


def test_on_such_a_disk_log_worksheet_and_prediction_are_written(no_flock, make_run, keep_run):
    run = keep_run(make_run())
    experiment_log.append(run)
    worksheet.fill_worksheet()
    predictions.predict(Dials(), "moving")
    assert experiment_log.read_log()["Run ID"].tolist() == [run.run_id]
