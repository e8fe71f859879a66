"""Finding, checking and building encoders: the real embedded one, and tiny DistilBERT-shaped folders."""

import json
import shutil

import pytest
import torch

from tuning import encoder as encoders
from tuning.errors import DialError, EncoderError


def test_the_embedded_encoder_is_found_checked_and_never_imported():
    import sys

    found = encoders.find("embedded")
    assert (found.name, found.source, found.banner) == ("all-MiniLM-L6-v2", "embedded", "")
    assert found.rate("JUST_RIGHT") == 7e-5
    assert found.rate(3e-4) == 3e-4
    assert encoders.EMBEDDED_PACKAGE not in sys.modules


def test_a_changed_weight_file_is_refused(tmp_path, monkeypatch):
    original = encoders.find("embedded").folder
    package = tmp_path / encoders.EMBEDDED_PACKAGE
    shutil.copytree(original, package / "model")
    with (package / "model" / "model.safetensors").open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"!")
    monkeypatch.syspath_prepend(str(tmp_path))
    (package / "__init__.py").write_text("raise SystemExit('this code must never run')")
    import importlib

    importlib.invalidate_caches()
    with pytest.raises(EncoderError, match=r"model\.safetensors: this is not the published file"):
        encoders.find("embedded")


def test_a_build_depends_on_the_seed_in_the_head_alone():
    encoder = encoders.find("embedded")
    first, again, other = (encoders.build(encoder, seed)[0].state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    changed = {name for name in first if not torch.equal(first[name], other[name])}
    assert changed == {"classifier.weight"}


def test_a_folder_of_ones_own_is_taken_with_the_rates_of_its_size(tiny_distilbert):
    found = encoders.find(str(tiny_distilbert))
    assert (found.source, found.folder) == ("folder", tiny_distilbert.resolve())
    model, tokenizer = encoders.build(found, 1)
    assert type(model).__name__ == "DistilBertForSequenceClassification"
    assert model.config.id2label == {0: "negative", 1: "neutral", 2: "positive"}
    assert tokenizer("Profit rose.")["input_ids"]


@pytest.mark.parametrize("missing", ["config.json", "model.safetensors", "tokenizer.json"])
def test_an_incomplete_folder_is_named_with_what_is_missing(tiny_distilbert, tmp_path, missing):
    folder = tmp_path / "model"
    shutil.copytree(tiny_distilbert, folder)
    (folder / missing).unlink()
    with pytest.raises(EncoderError, match=f"{missing} is missing") as caught:
        encoders.find(str(folder))
    assert "\n" not in str(caught.value)


def test_a_model_that_wants_to_run_its_own_code_is_refused(tiny_distilbert, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(tiny_distilbert, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"auto_map": {"AutoModel": "evil.Evil"}}))
    with pytest.raises(EncoderError, match="never runs that"):
        encoders.find(str(folder))


def test_a_broken_config_gives_one_line(tiny_distilbert, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(tiny_distilbert, folder)
    (folder / "config.json").write_text("{")
    with pytest.raises(EncoderError, match="damaged"):
        encoders.find(str(folder))


def test_a_misspelt_model_is_refused_with_the_nearest_name():
    with pytest.raises(DialError, match="Did you mean distilbert"):
        encoders.find("distilbret")
