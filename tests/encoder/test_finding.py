"""Finding, checking and building encoders: the real embedded one, and tiny DistilBERT-shaped folders."""

import json
import shutil
import subprocess
import sys

import pytest
import torch
from transformers import AutoModelForSequenceClassification

from tuning import paths
from tuning.data.labels import LABELS
from tuning.encoder import finding as encoders
from tuning.errors import DialError, EncoderError


def test_the_embedded_encoder_is_found_checked_and_never_imported():
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


def test_the_embedded_encoders_head_reads_the_mean_of_the_tokens_whatever_the_padding():
    model, tokenizer = encoders.build(encoders.find("embedded"), 1)
    short = tokenizer(["Profit rose."], return_tensors="pt", return_token_type_ids=False)
    padded = tokenizer(["Profit rose."], padding="max_length", max_length=40, return_tensors="pt")
    padded.pop("token_type_ids", None)
    with torch.no_grad():
        hidden = model.base_model(**short).last_hidden_state
        assert torch.allclose(model(**short).logits, model.classifier(hidden.mean(dim=1)), atol=1e-6)
        assert torch.allclose(model(**short).logits, model(**padded).logits, atol=1e-5)
        loss = model(**padded, labels=torch.tensor([2])).loss
    assert loss == pytest.approx(-model(**short).logits.log_softmax(-1)[0, 2].item(), abs=1e-5)


def test_a_saved_model_opens_again_and_fails_in_words_where_its_head_is_unknown(tmp_path):
    model, tokenizer = encoders.build(encoders.find("embedded"), 3)
    setattr(model.config, encoders.OWN_RUN, "20260105-090000-just-right")
    model.save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    again, same_tokenizer = encoders.build(encoders.find(str(tmp_path / "model")), 4)
    assert type(again) is type(model)
    assert torch.equal(again.classifier.weight, model.classifier.weight)
    assert same_tokenizer("Profit rose, he said.")["input_ids"] == tokenizer("Profit rose, he said.")["input_ids"]
    stranger = (
        "from transformers import pipeline\n"
        "try:\n    pipeline('text-classification', r'{folder}')\n"
        "except ValueError as problem:\n    assert 'bert-mean-pooling' in str(problem)\n"
        "else:\n    raise SystemExit('opened as something else')\n"
        "import tuning.encoder.pooling_head\n"
        "print(pipeline('text-classification', r'{folder}')('Profit rose.')[0]['label'])\n"
    ).format(folder=tmp_path / "model")
    done = subprocess.run([sys.executable, "-c", stranger], capture_output=True, text=True, cwd=paths.LAB)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() in LABELS


@pytest.mark.parametrize("labels", [("positive", "negative", "neutral"), ("no", "yes")])
def test_a_trained_head_of_other_labels_gives_way_to_a_fresh_one(tiny_distilbert, tmp_path, labels):
    folder = tmp_path / "theirs"
    shutil.copytree(tiny_distilbert, folder)
    theirs = AutoModelForSequenceClassification.from_pretrained(
        tiny_distilbert, id2label=dict(enumerate(labels)), num_labels=len(labels)
    )
    theirs.config.problem_type = "multi_label_classification"
    with torch.no_grad():
        theirs.classifier.weight.fill_(9.0)
        theirs.classifier.bias.fill_(9.0)
    theirs.save_pretrained(folder)
    first, again, other = (encoders.build(encoders.find(str(folder)), seed)[0] for seed in (1, 1, 2))
    assert first.config.problem_type == "single_label_classification"
    assert first.config.id2label == dict(enumerate(LABELS))
    assert first.classifier.weight.abs().max() < 1
    assert torch.equal(first.classifier.weight, again.classifier.weight)
    assert not torch.equal(first.classifier.weight, other.classifier.weight)
    kept = theirs.distilbert.state_dict()
    assert all(torch.equal(weight, kept[name]) for name, weight in first.distilbert.state_dict().items())


def test_a_model_that_the_workshop_trained_keeps_its_head(tiny_distilbert, tmp_path):
    folder = tmp_path / "ours"
    shutil.copytree(tiny_distilbert, folder)
    model = encoders.build(encoders.find(str(tiny_distilbert)), 1)[0]
    setattr(model.config, encoders.OWN_RUN, "20260105-090000-just-right")
    model.save_pretrained(folder)
    found = encoders.find(str(folder))
    assert found.keeps_head
    assert torch.equal(encoders.build(found, 2)[0].classifier.weight, model.classifier.weight)
