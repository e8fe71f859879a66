"""Freezing parts of real and tiny encoders: what learns, what it holds in memory, and that the rest stands still."""

import pytest
import torch
from transformers import DataCollatorWithPadding

from tuning.data import loading as sentences
from tuning.dials import TRAINED_PARTS, FrozenDials
from tuning.encoder import finding as encoders
from tuning.encoder import freezing
from tuning.encoder.run_models import untrained
from tuning.encoder.tokens import tokenise
from tuning.errors import EncoderError, RunError
from tuning.runs.store import last_run
from tuning.training import fit


@pytest.fixture(params=["embedded", "distilbert-shaped, tiny and random"])
def built(request, tiny_distilbert):
    """An encoder of the BERT kind and one of the DistilBERT kind, each with a fresh head."""
    encoder = encoders.find("embedded" if request.param == "embedded" else str(tiny_distilbert))
    return encoder, *encoders.build(encoder, 1)


@pytest.fixture(scope="module")
def splits() -> sentences.Splits:
    parts = sentences.split(sentences.load())
    return sentences.Splits(parts.train, sentences.subset(parts.validation, 40), parts.test)


def batch_of(tokenizer, splits, size: int = 8):
    tokens = tokenise(splits.train.head(size), tokenizer, 32, by_length=False)
    return DataCollatorWithPadding(tokenizer)(tokens.select_columns(["input_ids", "attention_mask", "labels"])[:])


def test_each_part_holds_the_one_before(built):
    encoder, model, _ = built
    learning = []
    for trained in TRAINED_PARTS:
        model.requires_grad_(True)
        freezing.freeze(model, encoder, trained)
        learning.append({name for name, weight in model.named_parameters() if weight.requires_grad})
    assert learning[0] < learning[1] < learning[2] < learning[3]
    assert all("classifier" in name or "pooler" in name for name in learning[0])
    blocks = {freezing.part_of(name) for name in learning[1]} - {"head"}
    assert blocks == {model.config.num_hidden_layers - 1}
    assert {name for name in learning[3] - learning[2] if "embeddings" not in name} == set()


def test_the_record_tells_a_half_frozen_run_by_its_name(built):
    encoder, model, _ = built
    assert freezing.freeze(model, encoder, "everything") is encoder
    assert freezing.freeze(model, encoder, "head only").name == f"{encoder.name} (head only)"


def test_the_share_that_learns_is_read_from_the_file(built):
    encoder, model, _ = built
    shares = [freezing.shares(encoder, trained) for trained in TRAINED_PARTS[:3]]
    blocks = model.config.num_hidden_layers
    assert [share for _, share in shares] == pytest.approx([0, 1 / blocks, 1])
    assert shares[0][0] < shares[1][0] < shares[2][0] < 1
    freezing.freeze(model, encoder, TRAINED_PARTS[2])
    encoder_only = [(name, weight) for name, weight in model.base_model.named_parameters()]
    learning = sum(weight.numel() for _, weight in encoder_only if weight.requires_grad)
    assert shares[2][0] == pytest.approx(learning / sum(weight.numel() for _, weight in encoder_only), rel=0.02)


def test_an_encoder_without_blocks_is_refused():
    model = torch.nn.Sequential(torch.nn.Linear(2, 2))
    with pytest.raises(EncoderError, match="blocks of this encoder cannot be told apart"):
        freezing.freeze(model, encoders.find("embedded"), "head only")


def test_memory_counts_weights_learners_and_what_the_way_back_needs(built, splits):
    encoder, model, tokenizer = built
    batch = batch_of(tokenizer, splits)
    found = {}
    for trained in TRAINED_PARTS:
        model.requires_grad_(True)
        freezing.freeze(model, encoder, trained)
        found[trained] = freezing.memory(model, batch)
    everything = found["everything"]
    assert everything.weights == pytest.approx(4 * model.num_parameters() / 1e6)
    assert everything.learning == pytest.approx(3 * everything.weights)
    totals = [one.total for one in found.values()]
    assert totals == sorted(totals)
    assert found["head only"].kept < 0.2 * everything.kept
    assert all(weight.grad is None for weight in model.parameters())


@pytest.mark.slow
def test_only_what_learns_moves_and_the_log_says_so(splits, monkeypatch):
    monkeypatch.setattr(fit, "split", lambda data: splits)
    dials = FrozenDials(MODEL="embedded", TRAIN_SUBSET=24, EPOCHS=1, PRECISION="fp32", TRAINED="head and last block")
    run = fit.fit(dials, notebook="04", quiet=True)
    moved = run.final["layer_movement"]
    assert moved["layer 6"] > 0
    assert {name for name, share in moved.items() if share > 0} == {"layer 6"}
    assert run.dials["TRAINED"] == "head and last block"
    assert run.encoder["name"] == "all-MiniLM-L6-v2 (head and last block)"
    from tuning.evidence import experiment_log

    assert "TRAINED=head and last block" in experiment_log.read_log()["Other dials"][0]
    with pytest.raises(RunError, match="There is no recorded run yet"):
        last_run()


@pytest.mark.slow
def test_features_are_computed_once_and_read_in_the_right_order(splits, monkeypatch):
    from tuning.further import linear_probe

    monkeypatch.setattr(linear_probe, "split", lambda data: splits)
    monkeypatch.setattr(fit, "split", lambda data: splits)
    run_1 = fit.fit(FrozenDials(MODEL="embedded", TRAIN_SUBSET=90, EPOCHS=1, PRECISION="fp32"), quiet=True)
    model, tokenizer = untrained(run_1)
    tokens = tokenise(splits.validation, tokenizer, 96, by_length=False)
    together = linear_probe.features(model, tokens, tokenizer, "fp32")
    for row in (0, 17, 39):
        one = linear_probe.features(model, tokens.select([row]), tokenizer, "fp32")
        assert together[row] == pytest.approx(one[0], abs=1e-4)
    head = linear_probe.linear_head(run_1)
    assert head.parameters == 3 * (model.config.hidden_size + 1)
    assert head.scores.f1_macro > run_1.majority["f1_macro"]
    table = linear_probe.trade(run_1, {}, head)
    assert table.index.tolist() == ["everything", "features once, linear head"]
