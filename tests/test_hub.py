"""The bounded downloader against a real local server that hangs, refuses, cuts, lies and trickles."""

import dataclasses
import hashlib
import json
import socket
import time
from pathlib import Path

import pytest
from hub_server import seconds_since, serving

from tuning import encoder as encoders
from tuning import hub

BOUND = 15


@pytest.fixture
def stored(tmp_path) -> Path:
    """A DistilBERT-shaped repository on the server's side: small, with made-up bytes for the weights."""
    folder = tmp_path / "stored"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": "distilbert", "dim": 768}))
    (folder / "tokenizer_config.json").write_text("{}")
    (folder / "tokenizer.json").write_text(json.dumps({"made": "up"}))
    (folder / "model.safetensors").write_bytes(bytes(range(256)) * 4_000)
    return folder


@pytest.fixture
def repository(stored, monkeypatch) -> hub.Repository:
    """DISTILBERT with the hashes of the made-up files, so that the whole code path can be run."""
    files = []
    for file in encoders.DISTILBERT.files:
        raw = (stored / file.name).read_bytes()
        known = file.sha256 is not None
        files.append(
            hub.File(file.name, len(raw) if file.size else None, hashlib.sha256(raw).hexdigest() if known else None)
        )
    made_up = dataclasses.replace(encoders.DISTILBERT, files=tuple(files))
    monkeypatch.setattr(encoders, "DISTILBERT", made_up)
    return made_up


@pytest.fixture(autouse=True)
def clean_world(tmp_path, monkeypatch):
    monkeypatch.setenv("WORKSHOP_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    for name in ("HF_HUB_OFFLINE", "HF_HUB_CACHE"):
        monkeypatch.delenv(name, raising=False)


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.glob("*") if not path.name.startswith(".")}


def test_distilbert_comes_from_the_hub_once_and_then_from_disk(stored, repository, monkeypatch):
    seen = []
    with serving(stored) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        found = encoders.find("distilbert", on_progress=lambda done, total: seen.append((done, total)))
        assert (found.source, found.banner) == ("hub", "")
        assert server.asked[0][1] == f"/{repository.name}/resolve/{repository.revision}/config.json"
        requests = len(server.asked)
        again = encoders.find("distilbert")
        assert (again.source, len(server.asked)) == ("lab/models", requests)
    assert seen[-1] == (1_024_000, 1_024_000)
    assert names_in(found.folder) == {file.name for file in repository.files}


@pytest.mark.parametrize(
    ("mood", "told"),
    [
        ("hangs", "did not answer in time"),
        ("429", "too many requests"),
        ("503", "error 503"),
        ("wrong", "not the published file"),
        ("portal", "sign-in page"),
    ],
)
def test_a_bad_hub_ends_in_the_banner_soon_and_leaves_nothing_wrong(stored, repository, monkeypatch, mood, told):
    begin = time.monotonic()
    with serving(stored, mood) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        found = encoders.find("distilbert")
    assert seconds_since(begin) < BOUND
    assert found.source == "embedded"
    assert told in found.banner
    assert "all-MiniLM-L6-v2" in found.banner
    left = names_in(encoders.folders.models() / repository.folder_name)
    assert "model.safetensors" not in left
    if mood in ("wrong", "portal"):
        assert not any(name.endswith(".part") for name in left)


def test_a_trickling_hub_is_given_up_and_its_bytes_are_kept(stored, repository, monkeypatch):
    monkeypatch.setattr(hub, "PATIENCE_SECONDS", 2.0)
    begin = time.monotonic()
    with serving(stored, "trickle") as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        found = encoders.find("distilbert")
    assert seconds_since(begin) < BOUND
    assert "too slow" in found.banner or "in time" in found.banner


def test_no_hub_at_all_ends_in_the_banner(repository, monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{port}")
    begin = time.monotonic()
    found = encoders.find("distilbert")
    assert seconds_since(begin) < BOUND
    assert "cannot be reached" in found.banner


def test_a_name_that_does_not_resolve_ends_in_the_banner(repository, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://hub.invalid")
    assert "cannot be reached" in encoders.find("distilbert").banner


def test_switched_off_means_no_question_at_all(stored, repository, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with serving(stored) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        found = encoders.find("distilbert")
        assert server.asked == []
    assert "switched off" in found.banner


@pytest.mark.parametrize("ranges", [True, False], ids=["server continues", "server starts over"])
def test_a_cut_download_is_continued_also_by_a_new_process(stored, repository, monkeypatch, ranges):
    folder = encoders.folders.models() / repository.folder_name
    with serving(stored, "cut", ranges) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        assert encoders.find("distilbert").source == "embedded"
        part = folder / "model.safetensors.part"
        half = part.stat().st_size
        assert 0 < half < 1_024_000
        server.mood = "well"
        server.asked.clear()
        # A new process knows only what is on disk, and so does this call: nothing is kept in memory between the two.
        assert encoders.find("distilbert").source == "hub"
        assert server.asked[-1][2] == f"bytes={half}-"
    assert (folder / "model.safetensors").read_bytes() == (stored / "model.safetensors").read_bytes()


def test_a_part_file_of_something_else_is_thrown_away(stored, repository, monkeypatch):
    folder = encoders.folders.models() / repository.folder_name
    folder.mkdir(parents=True)
    (folder / "model.safetensors.part").write_bytes(b"x" * 5_000)
    with serving(stored) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        assert encoders.find("distilbert").source == "hub"


def test_a_damaged_local_copy_is_not_used_and_the_banner_says_so(stored, repository, monkeypatch):
    with serving(stored) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        folder = encoders.find("distilbert").folder
        server.mood = "503"
        (folder / "model.safetensors").write_bytes(b"damaged")
        found = encoders.find("distilbert")
    assert found.source == "embedded"
    assert "not the published file" in found.banner


def test_the_hubs_own_cache_is_used_where_it_has_the_pinned_revision(stored, repository, tmp_path):
    snapshot = (
        tmp_path / "hf" / "hub" / "models--distilbert--distilbert-base-uncased" / "snapshots" / repository.revision
    )
    snapshot.mkdir(parents=True)
    for file in repository.files:
        (snapshot / file.name).write_bytes((stored / file.name).read_bytes())
    assert encoders.find("distilbert").source == "hub cache"
