"""PhraseBank from a local server that speaks the Hub's protocol: brought, checked, read, or replaced with a banner."""

import dataclasses
import hashlib
import io
import json
import os
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
from helpers.hub_server import seconds_since, serving

from tuning import paths
from tuning.data import download, loading
from tuning.dials import Dials
from tuning.encoder import fetch
from tuning.encoder import finding as encoders
from tuning.training.recording import start_run

# How many annotators agreed decides which of the nested files holds a sentence.
SIZES = {"50": 90, "66": 75, "75": 60, "all": 45}
BOUND = 15


def lines(size: int) -> list[str]:
    words = ("rose", "stood still", "fell")
    labels = ("positive", "neutral", "negative")
    odd = ["Turnover of Öljy Oyj rose to EUR 1.2\xa0mn @ home@positive", "The caf\xe9 next\x85door stood still@neutral"]
    return odd + [f"Figure {row} of the plant {words[row % 3]} .@{labels[row % 3]}" for row in range(size - len(odd))]


def archive() -> bytes:
    """A zip of the layout of the published one, with sentences of our own."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("FinancialPhraseBank-v1.0/License.txt", "not the real one")
        for level, size in SIZES.items():
            name = f"FinancialPhraseBank-v1.0/Sentences_{loading.PHRASEBANK_MEMBERS[level]}.txt"
            made.writestr(name, "\r\n".join(lines(size)).encode("latin-1") + b"\r\n")
            made.writestr(f"__MACOSX/{name}", b"\0\0")
    return out.getvalue()


@pytest.fixture
def stored(tmp_path, monkeypatch) -> Path:
    """The server's folder, with the archive; its hash stands in for the published one."""
    folder = tmp_path / "stored"
    folder.mkdir()
    raw = archive()
    published = loading.phrasebank()
    (folder / Path(published.files[0].name).name).write_bytes(raw)
    made_up = dataclasses.replace(published.files[0], size=len(raw), sha256=hashlib.sha256(raw).hexdigest())
    monkeypatch.setattr(loading, "phrasebank", lambda: dataclasses.replace(published, files=(made_up,)))
    monkeypatch.setenv("WORKSHOP_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    return folder


def cached() -> list[Path]:
    return [path for path in paths.models().rglob("*") if path.is_file() and path.suffix != ".lock"]


def test_the_published_archive_is_pinned():
    repository = loading.phrasebank()
    (file,) = repository.files
    assert repository.url(file).endswith(
        "/datasets/takala/financial_phrasebank/resolve/598b6aad98f7c8d67be161b12a4b5f2497e07edd"
        "/data/FinancialPhraseBank-v1.0.zip"
    )
    assert (file.size, file.sha256[:8], len(file.sha256)) == (681_890, "0e1a06c4", 64)


@pytest.mark.parametrize(("level", "size"), SIZES.items())
def test_each_level_of_agreement_is_a_file_of_its_own(stored, monkeypatch, level, size):
    with serving(stored) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        dials = Dials(DATA="phrasebank", AGREEMENT=level)
        found = loading.load(dials.DATA, dials.AGREEMENT)
    assert (len(found.frame), found.source) == (size, "phrasebank")
    assert "CC BY-NC-SA 3.0" in found.notices[0]
    assert found.sha256 == hashlib.sha256("\r\n".join(lines(size)).encode("latin-1") + b"\r\n").hexdigest()


def test_latin_1_and_an_at_sign_inside_a_sentence_survive(stored, monkeypatch):
    with serving(stored) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        frame = loading.load("phrasebank").frame
    assert frame["sentence"][0] == "Turnover of Öljy Oyj rose to EUR 1.2\xa0mn @ home"
    assert frame["sentence"][1] == "The café next\x85door stood still"
    assert frame["label"][:3].tolist() == ["positive", "neutral", "positive"]
    assert sum(loading.split(loading.Data(frame, Path("x"), "")).sizes().values()) == len(frame)


def test_once_here_it_needs_no_hub(stored, monkeypatch):
    with serving(stored) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        loading.load("phrasebank")
        requests = len(server.asked)
        assert loading.load("phrasebank", "75").source == "phrasebank"
        assert len(server.asked) == requests
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert len(loading.load("phrasebank", "50").frame) == SIZES["50"]


@pytest.mark.parametrize(
    ("mood", "told"),
    [
        ("wrong", "not the published file"),
        ("cut", "cut again and again"),
        ("portal", "not the published file"),
        ("429", "too many requests"),
        ("503", "error 503"),
        ("hangs", "did not answer in time"),
        ("trickle", "too slow"),
        ("off", "switched off"),
        ("absent", "cannot be reached"),
    ],
)
def test_where_it_does_not_come_the_bundled_sentences_stand_in_with_a_banner(stored, monkeypatch, mood, told):
    # As for DistilBERT, whose tests wait for the real limits.
    monkeypatch.setattr(download, "SILENCE_SECONDS", 1.5)
    monkeypatch.setattr(download, "PATIENCE_SECONDS", 1.5)
    begin = time.monotonic()
    with serving(stored, mood) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url if mood != "absent" else "http://127.0.0.1:9")
        monkeypatch.setenv("HF_HUB_OFFLINE", "1" if mood == "off" else "")
        found = loading.load("phrasebank")
        assert seconds_since(begin) < BOUND
    assert (found.path, found.source) == (loading.BUNDLED, "bundled")
    (banner,) = found.notices
    assert banner.startswith("PhraseBank could not be brought here: ")
    assert told in banner
    assert "bundled sentences instead" in banner
    assert "not comparable" in banner
    assert banner.splitlines() == [banner]
    (published,) = (path.read_bytes() for path in stored.iterdir())
    assert all(path.suffix == ".part" and published.startswith(path.read_bytes()) for path in cached())
    with serving(stored) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        monkeypatch.setenv("HF_HUB_OFFLINE", "")
        assert loading.load("phrasebank").source == "phrasebank"


def test_a_cut_archive_is_continued(stored, monkeypatch):
    half = next(stored.iterdir()).stat().st_size // 2
    with serving(stored, "cut once") as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        assert loading.load("phrasebank").source == "phrasebank"
        assert server.asked[-1][2] == f"bytes={half}-"


def test_the_record_says_which_sentences_were_used(stored, monkeypatch, tiny_distilbert):
    dials = Dials(DATA="phrasebank", MODEL=str(tiny_distilbert))
    encoder = encoders.find(dials.MODEL)
    recorded = []
    with serving(stored, "503") as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        for mood in ("503", "well"):
            server.mood = mood
            found = loading.load(dials.DATA)
            run, _ = start_run(dials, found, loading.split(found), encoder, "fp32")
            recorded.append((run.dials["DATA"], Path(run.data["path"]).name, run.data["rows"]))
    assert recorded[0][:2] == ("bundled", "financial_sentiment.csv")
    assert recorded[1] == ("phrasebank", "FinancialPhraseBank-v1.0.zip", SIZES["all"])


def test_it_can_be_fetched_ahead_of_the_day(stored, monkeypatch, capsys):
    monkeypatch.setattr(fetch.finding, "DISTILBERT", dataclasses.replace(fetch.finding.DISTILBERT, files=()))
    with serving(stored, "503") as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        assert fetch.main(["--phrasebank"]) == 2
        assert "error: takala/financial_phrasebank: the Hub answers with error 503." in capsys.readouterr().err
        server.mood = "well"
        assert fetch.main(["--phrasebank"]) == 0
    assert "takala/financial_phrasebank is in" in capsys.readouterr().out
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert loading.load("phrasebank").source == "phrasebank"


def test_the_backup_lab_can_read_it_without_torch(stored, monkeypatch):
    program = (
        "import dataclasses, json, sys; from tuning.data import loading as data;"
        "size, sha = json.loads(sys.argv[1]); old = data.phrasebank();"
        "new = dataclasses.replace(old, files=(dataclasses.replace(old.files[0], size=size, sha256=sha),));"
        "data.phrasebank = lambda: new; from tuning.sgd import classifier as sgd;"
        "print(data.load('phrasebank').source, 'torch' in sys.modules)"
    )
    raw = archive()
    with serving(stored) as server:
        environment = os.environ | {"HF_ENDPOINT": server.url, "PYTHONPATH": str(paths.LAB)}
        told = json.dumps([len(raw), hashlib.sha256(raw).hexdigest()])
        done = subprocess.run([sys.executable, "-c", program, told], env=environment, capture_output=True, text=True)
    assert done.stdout.split() == ["phrasebank", "False"], done.stderr
