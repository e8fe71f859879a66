"""LoRA adapters on real and tiny encoders: what learns, what is saved, and that merging changes no answer."""

import json
import re

import pytest
import torch
from huggingface_hub import ModelCard
from safetensors.torch import load_file

from tuning.data.loading import load
from tuning.dials import Dials, FrozenDials
from tuning.encoder import adapters, freezing, run_models
from tuning.encoder import finding as encoders
from tuning.encoder.tokens import batch_of, tokenise
from tuning.errors import DialError, EncoderError
from tuning.evidence import archive, experiment_log
from tuning.further import variations
from tuning.runs.store import ADAPTER
from tuning.training import fit
from tuning.training.speed.blocks import fuse_blocks
from tuning.training.speed.embedding_rows import unused_weights
from tuning.training.speed.tricks import speed_up

needs_peft = pytest.mark.skipif(not adapters.is_here(), reason="peft is optional: requirements/further.txt")
RANK = 4


@pytest.fixture(params=["embedded", "distilbert-shaped, tiny and random"])
def built(request, tiny_distilbert):
    """An encoder of the BERT kind and one of the DistilBERT kind, each with a fresh head."""
    encoder = encoders.find("embedded" if request.param == "embedded" else str(tiny_distilbert))
    return encoder, *encoders.build(encoder, 1)


@pytest.fixture
def no_hub(monkeypatch):
    """Any request to the Hub is an error, whatever this machine's network is like."""

    def refuse(*rest, **more):
        raise AssertionError("the Hub was asked")

    monkeypatch.setattr("huggingface_hub.HfApi.file_exists", refuse)
    monkeypatch.setattr("huggingface_hub.file_download.hf_hub_download", refuse)


def tokens_of(tokenizer, size: int = 8):
    return tokenise(load().frame.head(size), tokenizer, 32, by_length=False)


def step(model, batch, rate: float = 1e-2) -> None:
    model.train()
    model(**batch).loss.backward()
    torch.optim.AdamW([weight for weight in model.parameters() if weight.requires_grad], lr=rate).step()
    model.zero_grad()
    model.eval()


@torch.inference_mode()
def logits_of(model, batch) -> torch.Tensor:
    return model.eval()(**batch).logits


@pytest.mark.parametrize("value", ["LoRA", "LoRA 0", "LoRA 65", "lora 8", "LoRA 8.5", "head"])
def test_a_rank_that_cannot_be_used_is_refused(value):
    with pytest.raises(DialError, match=r"or LoRA and its rank, from LoRA 1 to LoRA 64"):
        FrozenDials(TRAINED=value)


def test_without_peft_one_line_says_how_to_get_it(monkeypatch, make_run, keep_run):
    monkeypatch.setattr(adapters, "is_here", lambda: False)
    encoder = encoders.find("embedded")
    model, _ = encoders.build(encoder, 1)
    with pytest.raises(EncoderError, match=r'%pip install -r ".*requirements/further\.txt"'):
        freezing.freeze(model, encoder, "LoRA 8")
    run = keep_run(make_run())
    with pytest.raises(EncoderError, match="peft is not installed"):
        adapters.load(run)
    monkeypatch.setattr(adapters, "is_here", lambda: True)
    with pytest.raises(EncoderError, match="has no adapter on disk"):
        adapters.load(run)


@needs_peft
def test_a_model_without_such_layers_is_refused(built, monkeypatch):
    encoder, model, _ = built
    monkeypatch.setattr(adapters, "QUERY_AND_VALUE", {"nothing"})
    with pytest.raises(EncoderError, match="query and value layers have other names"):
        freezing.freeze(model, encoder, "LoRA 8")


@needs_peft
def test_only_adapters_and_the_head_learn_and_the_model_starts_as_it_was(built):
    encoder, model, tokenizer = built
    tokens = tokens_of(tokenizer)
    batch = batch_of(tokens, tokenizer)
    before, text = logits_of(model, batch), repr(model)
    assert freezing.freeze(model, encoder, f"LoRA {RANK}").name == f"{encoder.name} (LoRA {RANK})"
    learning = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
    assert all("lora_" in name or "classifier" in name for name in learning)
    config = model.config
    blocks, width = config.num_hidden_layers, config.hidden_size
    assert sum(weight.numel() for name, weight in learning.items() if "lora_" in name) == blocks * 2 * 2 * RANK * width
    assert torch.equal(logits_of(model, batch), before)
    assert model.built_as == repr(model) != text


@needs_peft
def test_the_speed_tricks_leave_a_model_with_adapters_alone_where_they_must(built):
    encoder, model, tokenizer = built
    tokens = tokens_of(tokenizer)
    batch = batch_of(tokens, tokenizer)
    freezing.freeze(model, encoder, f"LoRA {RANK}")
    assert fuse_blocks(model, "fp32") == []
    assert unused_weights(model, [tokens]) == 0
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    losses, gradients = [], []
    for speed in ("plain", "fast"):
        model.zero_grad()
        with speed_up(model.train(), [tokens], speed, "fp32"):
            loss = model(**batch).loss
            loss.backward()
        losses.append(loss.item())
        gradients.append([weight.grad.clone() for weight in model.parameters() if weight.grad is not None])
    assert losses[0] == losses[1]
    assert all(torch.equal(*pair) for pair in zip(*gradients, strict=True))


@needs_peft
def test_merging_changes_no_answer_and_gives_the_usual_model_back(built, tmp_path, no_hub):
    encoder, model, tokenizer = built
    usual, start = repr(model), {name: weight.clone() for name, weight in model.state_dict().items()}
    batch = batch_of(tokens_of(tokenizer), tokenizer)
    freezing.freeze(model, encoder, f"LoRA {RANK}")
    for _ in range(3):
        step(model, batch)
    learned = logits_of(model, batch)
    adapters.merge(model, tmp_path / "adapter")
    assert repr(model) == usual
    assert torch.allclose(logits_of(model, batch), learned, atol=1e-5)
    moved = {name for name, weight in model.state_dict().items() if not torch.equal(weight, start[name])}
    assert moved
    assert all(name.split(".")[-2] in adapters.QUERY_AND_VALUE or "classifier" in name for name in moved)
    adapters.merge(model, tmp_path / "again")
    assert not (tmp_path / "again").exists()


@needs_peft
def test_the_files_name_no_folder_and_hold_only_what_learned(built, tmp_path, no_hub):
    encoder, model, _ = built
    freezing.freeze(model, encoder, f"LoRA {RANK}")
    adapters.merge(model, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {adapters.WEIGHTS, "adapter_config.json"}
    text = (tmp_path / "adapter_config.json").read_text()
    config = json.loads(text)
    assert (config["base_model_name_or_path"], config["revision"]) == (encoder.name, encoder.revision)
    assert str(encoder.folder) not in text
    kept = load_file(tmp_path / adapters.WEIGHTS)
    assert all("lora_" in name or "classifier" in name for name in kept)


@needs_peft
def test_a_pooler_learns_and_is_kept_with_the_head(tiny_bert, tmp_path):
    # peft's own setting for classifiers leaves it out, and a model loaded later has another random one.
    encoder = encoders.find(str(tiny_bert))
    model, _ = encoders.build(encoder, 1)
    freezing.freeze(model, encoder, f"LoRA {RANK}")
    adapters.merge(model, tmp_path)
    kept = {name for name in load_file(tmp_path / adapters.WEIGHTS) if "lora_" not in name}
    assert {name.split(".")[-3] for name in kept if "pooler" in name} == {"pooler"}
    assert len(kept) == 4


@needs_peft
@pytest.mark.slow
def test_a_run_with_lora_is_a_row_of_the_log_and_its_adapter_opens_again(few, no_hub):
    few_dials = {"MODEL": "embedded", "DATA": str(few), "TRAIN_SUBSET": 40, "EPOCHS": 1, "PRECISION": "fp32"}
    run_1 = fit.fit(Dials(**few_dials), quiet=True)
    run = fit.fit(FrozenDials(**few_dials, TRAINED=f"LoRA {RANK}", LR_PRESET=1e-3), notebook="04", quiet=True)
    assert run.departures == []
    assert (run.adapter["kind"], run.adapter["rank"], run.adapter["layers"]) == ("LoRA", RANK, "query, value")
    assert 0 < run.adapter["share"] < 0.005
    assert run.baseline == run_1.baseline
    assert run.final["layer_movement"]["embeddings"] == 0
    assert all(share > 0 for part, share in run.final["layer_movement"].items() if part != "embeddings")
    assert f"TRAINED=LoRA {RANK}" in experiment_log.read_log()["Other dials"].iloc[-1]
    merged, tokenizer = run_models.trained(run)
    batch = batch_of(tokens_of(tokenizer), tokenizer)
    opened = adapters.load(run)
    assert torch.allclose(logits_of(opened, batch), logits_of(merged, batch), atol=1e-5)
    assert not [name for name, _ in archive._files() if ADAPTER in name]
    card = ModelCard.load(run.folder / ADAPTER / "README.md")
    assert (card.data.library_name, card.data.base_model) == ("peft", "sentence-transformers/all-MiniLM-L6-v2")
    assert "More Information Needed" not in card.content
    # What the card tells a reader to type, with the encoder that is here.
    typed = re.search("```python\n(.*?)```", card.text, re.DOTALL)[1]
    typed = typed.replace(card.data.base_model, str(encoders.find("embedded").folder))
    names: dict = {}
    exec(typed.replace("this folder", str(run.folder / ADAPTER)), names)
    assert torch.allclose(logits_of(names["model"], batch), logits_of(merged, batch), atol=1e-5)
    again = variations.vary(run_1, "LoRA", TRAINED=f"LoRA {RANK}", LR_PRESET=1e-3)
    assert again.run_id == run.run_id
    assert (run.folder / ADAPTER / adapters.WEIGHTS).is_file()
    assert not (run.folder / "model").exists()
