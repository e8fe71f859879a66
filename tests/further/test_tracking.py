"""What is handed to a tracker: all numbers of a run, and nothing that must stay here."""

import importlib.util
import json
import re
import shlex
import socket
import subprocess

import pytest

from tuning import paths
from tuning.data.loading import load
from tuning.errors import RunError
from tuning.further import tracking

HERE = {name: importlib.util.find_spec(name) is not None for name in ("tensorboard", "wandb")}


@pytest.fixture
def run(make_run):
    made = make_run(dials={"DATA": "/home/somebody/secret/bank.csv", "MODEL": "/home/somebody/model"})
    made.data["path"] = "/home/somebody/secret/bank.csv"
    return made


def test_every_step_and_epoch_is_handed_over_in_order(run):
    found = tracking.rows(run)
    assert [step for step, _, _ in found] == sorted(step for step, _, _ in found)
    assert [value for _, title, value in found if title == "step/loss"] == run.step_losses().tolist()
    losses = [(step, value) for step, title, value in found if title == "epoch/val_loss"]
    assert losses == [(30, 0.75), (60, 0.60)]


def test_what_is_not_a_number_is_left_out(diverged_run):
    titles = [title for _, title, _ in tracking.rows(diverged_run)]
    assert titles.count("step/loss") == 7
    assert "epoch/val_loss" not in titles
    assert "val_loss" not in tracking.final(diverged_run)


def test_no_path_no_sentence_no_machine_is_handed_over(run):
    told = json.dumps([tracking.config(run), tracking.rows(run), tracking.final(run)])
    assert "somebody" not in told
    assert "secret" not in told
    assert '"DATA": "own"' in told
    assert '"MODEL": "own"' in told
    assert run.machine["processor"] not in told
    assert not any(sentence in told for sentence in load().frame["sentence"])


def test_bundled_material_keeps_its_name(make_run):
    assert tracking.config(make_run())["DATA"] == "bundled"
    assert tracking.config(make_run())["MODEL"] == "distilbert"


@pytest.mark.parametrize("tracker", ["tensorboard", "wandb"])
def test_a_tracker_that_is_missing_is_said_in_one_line(run, monkeypatch, tracker):
    monkeypatch.setattr(tracking, "is_here", lambda name: False)
    monkeypatch.chdir(paths.LAB / "going_further")
    told = tracking.hand_over(tracker, run, run)
    assert len(told.splitlines()) == 1
    assert "is not installed" in told
    assert "%pip install -r ../../requirements/tracking.txt" in told
    with pytest.raises(RunError, match="is not installed"):
        (tracking.to_tensorboard if tracker == "tensorboard" else tracking.to_wandb)(run)


def test_the_requirements_pin_every_optional_package():
    text = (paths.ROOT / "requirements/tracking.txt").read_text(encoding="utf-8")
    names = re.findall(r"^([a-z]+)==\d", text, flags=re.MULTILINE)
    assert names == ["tensorboard", "wandb", "codecarbon"]


def test_without_trackers_the_log_stands_alone(run, monkeypatch):
    monkeypatch.setattr(tracking, "is_here", lambda name: False)
    table = tracking.side_by_side(run)
    assert table.columns.tolist() == ["log"]
    assert table.loc["final/val_f1_macro", "log"] == 0.76


@pytest.mark.full
@pytest.mark.skipif(not all(HERE.values()), reason="TensorBoard and W&B are optional: requirements/tracking.txt")
def test_both_trackers_hold_what_the_log_holds_and_nothing_is_sent(run, monkeypatch, tmp_path):
    def refuse(self, address):
        assert self.family == getattr(socket, "AF_UNIX", None) or address[0] in ("127.0.0.1", "localhost"), address
        return real(self, address)

    real = socket.socket.connect
    monkeypatch.setattr(socket.socket, "connect", refuse)
    command = tracking.hand_over("tensorboard", run).splitlines()[-1]
    answer = subprocess.run([*shlex.split(command), "--inspect"], capture_output=True, text=True, check=True)
    assert "step/loss" in answer.stdout
    print(tracking.hand_over("wandb", run))
    table = tracking.side_by_side(run)
    assert table.columns.tolist() == ["log", "TensorBoard", "Weights & Biases"]
    assert table["TensorBoard"].tolist() == pytest.approx(table["log"].tolist())
    assert table["Weights & Biases"].tolist() == pytest.approx(table["log"].tolist())
    assert len(tracking.in_tensorboard(run)["step/loss"]) == len(tracking.sent_to_wandb(run)["step/loss"]) == 60
    sentences = [text.encode() for text in load().frame["sentence"]]
    for file in tracking.folder().rglob("*"):
        content = str(file.relative_to(tracking.folder())).encode() + (file.read_bytes() if file.is_file() else b"")
        for private in ("somebody", socket.gethostname(), str(paths.ROOT), str(tmp_path)):
            assert len(private) < 4 or private.encode() not in content, (file, private)
        assert not any(sentence in content for sentence in sentences), file
    # Handing over again replaces: no run is there twice.
    tracking.hand_over("wandb", run)
    assert len(list(tracking.folder().glob("wandb/offline-run-*"))) == 1
