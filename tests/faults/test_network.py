"""The bounded downloader against a real local server that hangs, refuses, cuts, lies and trickles."""

import dataclasses
import hashlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from helpers.hub_server import seconds_since, serving

from tuning import paths
from tuning.data import download
from tuning.encoder import finding as encoders

BOUND = 15


@pytest.fixture
def stored(tmp_path) -> Path:
    """A DistilBERT-shaped repository on the server's side: small, with made-up bytes for the weights."""
    folder = tmp_path / "stored"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(encoders.DISTILBERT_CONFIG))
    (folder / "tokenizer.json").write_text(json.dumps({"made": "up"}))
    (folder / "model.safetensors").write_bytes(bytes(range(256)) * 4_000)
    return folder


@pytest.fixture
def repository(stored, monkeypatch) -> download.Repository:
    """DISTILBERT with the hashes of the made-up files, so that the whole code path can be run."""
    files = []
    for file in encoders.DISTILBERT.files:
        raw = (stored / file.name).read_bytes()
        size = len(raw) if file.size else None
        sha256 = hashlib.sha256(raw).hexdigest() if file.sha256 else None
        files.append(dataclasses.replace(file, size=size, sha256=sha256))
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


def cache() -> Path:
    return paths.models() / encoders.DISTILBERT.folder_name


def find_in_time() -> encoders.Encoder:
    """What the notebook's cell calls; it must come to an end within the bound."""
    begin = time.monotonic()
    found = encoders.find("distilbert")
    assert seconds_since(begin) < BOUND
    return found


def assert_embedded_with_banner(found: encoders.Encoder, told: str) -> None:
    assert (found.name, found.source) == (encoders.EMBEDDED_NAME, "embedded")
    assert (found.folder / "model.safetensors").is_file()
    assert found.banner.startswith("DistilBERT could not be brought here: ")
    assert told in found.banner
    assert "all-MiniLM-L6-v2" in found.banner
    assert found.banner.splitlines() == [found.banner]


def assert_nothing_wrong_stays(stored: Path) -> None:
    """Every file in the cache is the published one; a part file is its beginning."""
    for name in names_in(cache()):
        published = (stored / name.removesuffix(".part")).read_bytes()
        kept = (cache() / name).read_bytes()
        assert kept == published[: len(kept)], name
        assert name.endswith(".part") or len(kept) == len(published), name


def test_distilbert_comes_from_the_hub_once_and_then_from_disk(stored, repository, monkeypatch):
    seen = []
    with serving(stored) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        found = encoders.find("distilbert", on_progress=lambda done, total: seen.append((done, total)))
        assert (found.source, found.banner) == ("hub", "")
        assert server.asked[0][1] == f"/{repository.name}/resolve/{repository.revision}/tokenizer.json"
        requests = len(server.asked)
        again = encoders.find("distilbert")
        assert (again.source, len(server.asked)) == ("lab/models", requests)
    assert seen[-1] == (1_024_000, 1_024_000)
    assert names_in(found.folder) == {file.name for file in repository.files}


@pytest.mark.parametrize(
    ("mood", "told"),
    [
        ("hangs", "did not answer in time"),
        ("hangs in the middle", "did not answer in time"),
        ("429", "too many requests"),
        ("503", "error 503"),
        ("cut", "cut again and again"),
        ("wrong", "not the published file"),
        ("portal", "sign-in page"),
        ("json portal", "sign-in page"),
    ],
)
def test_a_bad_hub_ends_in_the_banner_soon_and_leaves_nothing_wrong(stored, repository, monkeypatch, mood, told):
    if mood == "hangs in the middle":
        # The same limit as for "hangs", which is waited for in full.
        monkeypatch.setattr(download, "SILENCE_SECONDS", 1.5)
    with serving(stored, mood) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        assert_embedded_with_banner(find_in_time(), told)
        assert_nothing_wrong_stays(stored)
        # The next try, when the Hub is well again, is not spoilt by this one.
        server.mood = "well"
        assert find_in_time().source == "hub"
        assert_nothing_wrong_stays(stored)


def test_a_file_without_a_hash_must_hold_what_the_right_one_holds(stored, repository, monkeypatch):
    (stored / "config.json").write_text(json.dumps({"model_type": "distilbert", "dim": 32}))
    with serving(stored) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        assert_embedded_with_banner(find_in_time(), "what came as config.json is not the published file")
    assert names_in(cache()) == {"tokenizer.json"}


def test_a_changed_config_in_the_folder_is_not_used(stored, repository, monkeypatch):
    with serving(stored) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        (find_in_time().folder / "config.json").write_text('{"auto_map": {}}')
        server.mood = "503"
        assert_embedded_with_banner(find_in_time(), "its config.json is not that of DistilBERT")
        server.mood = "well"
        assert find_in_time().source == "hub"
    assert_nothing_wrong_stays(stored)


def test_a_download_that_is_cut_once_goes_on_by_itself(stored, repository, monkeypatch):
    with serving(stored, "cut once") as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        assert find_in_time().source == "hub"
        assert server.asked[-1][2] == "bytes=512000-"
    assert_nothing_wrong_stays(stored)


def test_a_trickling_hub_is_given_up_and_its_bytes_are_kept(stored, repository, monkeypatch):
    monkeypatch.setattr(download, "PATIENCE_SECONDS", 2.0)
    with serving(stored, "trickle") as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        assert_embedded_with_banner(find_in_time(), "too slow")
    assert (cache() / "model.safetensors.part").stat().st_size > 0
    assert_nothing_wrong_stays(stored)


def test_a_line_that_would_do_for_a_small_file_only_is_given_up_at_the_small_file(stored, repository, monkeypatch):
    monkeypatch.setattr(download, "PATIENCE_SECONDS", 1.0)
    (stored / "tokenizer.json").write_bytes(b"{" + b" " * 1_000 + b"}")
    with serving(stored, "trickle from the start") as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        assert_embedded_with_banner(find_in_time(), "too slow")
    assert names_in(cache()) == {"tokenizer.json.part"}


def test_no_hub_at_all_ends_in_the_banner(repository, monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{port}")
    assert_embedded_with_banner(find_in_time(), "cannot be reached")


def test_a_name_that_nobody_answers_for_is_given_up(repository, monkeypatch):
    """A network that swallows the question for a name: the system's own call has no time limit."""
    over = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: over.wait(60) and [])
    monkeypatch.setattr(download, "SILENCE_SECONDS", 1.0)
    monkeypatch.setattr(download, "CONNECT_SECONDS", 1.0)
    try:
        assert_embedded_with_banner(find_in_time(), "did not answer in time")
    finally:
        over.set()


@pytest.mark.parametrize(("name", "value"), [("HTTP_PROXY", "socks9://here"), ("HF_ENDPOINT", "http://[no")])
def test_a_setting_that_is_no_address_ends_in_the_banner(repository, monkeypatch, name, value):
    monkeypatch.setenv("HF_ENDPOINT", "http://hub.invalid")
    monkeypatch.setenv(name, value)
    assert find_in_time().source == "embedded"


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
    """The first process is killed in the middle of the file, the second finds only what is on disk."""
    files = [dataclasses.asdict(file) for file in repository.files]
    program = (
        "import dataclasses, json, sys;"
        "from tuning.encoder import finding as e; from tuning.data import download as hub;"
        "files = tuple(hub.File(**f | {'holds': tuple(map(tuple, f['holds']))}) for f in json.loads(sys.argv[1]));"
        "e.DISTILBERT = dataclasses.replace(e.DISTILBERT, files=files);"
        "print(e.find('distilbert').source)"
    )
    with serving(stored, "hangs in the middle", ranges) as server:
        environment = os.environ | {"HF_ENDPOINT": server.url, "PYTHONPATH": str(paths.LAB)}
        command = [sys.executable, "-c", program, json.dumps(files)]
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        part = cache() / "model.safetensors.part"
        while process.poll() is None and not (part.exists() and part.stat().st_size):
            time.sleep(0.02)
        process.kill()
        process.wait()
        half = part.stat().st_size
        assert 0 < half < 1_024_000
        server.mood = "well"
        server.asked.clear()
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert done.stdout.strip() == "hub", done.stderr
        assert server.asked[-1][2] == f"bytes={half}-"
    assert_nothing_wrong_stays(stored)


def test_a_part_file_of_something_else_is_thrown_away(stored, repository, monkeypatch):
    folder = cache()
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


# What a whole run meets, not only the download


PLACES = {
    "a proxy that nobody runs": {"HTTP_PROXY": "http://127.0.0.1:9", "HTTPS_PROXY": "http://127.0.0.1:9"},
    "a proxy that is no address": {"HTTPS_PROXY": "socks9://here", "ALL_PROXY": "nonsense"},
    "a name that does not resolve": {"HF_ENDPOINT": "http://hub.invalid"},
}


@pytest.mark.parametrize("place", PLACES)
def test_proxy_variables_and_lying_names_end_in_the_banner(repository, monkeypatch, place):
    monkeypatch.delenv("NO_PROXY")
    monkeypatch.setenv("HF_ENDPOINT", "http://hub.invalid")
    for name, value in PLACES[place].items():
        monkeypatch.setenv(name, value)
    found = find_in_time()
    assert (found.source, found.asked) == ("embedded", "distilbert")
    assert found.banner
    assert not names_in(cache()) - {"tokenizer.json.part"}


def test_a_name_that_leads_to_another_server_is_found_out(stored, repository, monkeypatch, tmp_path):
    """DNS that lies: the name of the Hub leads to a server that has files, but other ones."""
    liar = tmp_path / "liar"
    liar.mkdir()
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        (liar / name).write_bytes(b'{"model_type": "distilbert", "dim": 768}')
    with serving(liar) as server:
        real = socket.getaddrinfo
        monkeypatch.setattr(
            socket,
            "getaddrinfo",
            lambda host, port, *rest, **more: real("127.0.0.1", server.server_port, *rest, **more),
        )
        monkeypatch.setenv("NO_PROXY", "*")
        monkeypatch.setenv("HF_ENDPOINT", f"http://huggingface.invalid:{server.server_port}")
        assert_embedded_with_banner(find_in_time(), "not the published file")
        assert server.asked
    assert names_in(cache()) == set()
